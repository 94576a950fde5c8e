/* What a device may publish and read: dothi/v1/{open area}/{its own id}/{up, status | ack, down}. */
#define LONGEST_STATUS 1024
#define DROWNING 20 /* times the limit in one second */
#define LEAVING 64
static char leaving[LEAVING][ID];
static int leaving_count;

static int is_open(const char *area, u64 size) {
    int i;
    if (size == 1 && area[0] == '+') return 2;
    for (i = 0; i < MOST_AREAS && table->areas[i][0]; i++)
        if (strlen(table->areas[i]) == size && strncmp(table->areas[i], area, size) == 0) return 1;
    return 0;
}

static int is_own(const char *topic, const char *id, int access) {
    u64 area = 0, n = strlen(id);
    int open_area;
    const char *end;
    if (strncmp(topic, "dothi/v1/", 9) != 0) return 0;
    topic += 9;
    while (topic[area] && topic[area] != '/') area++;
    open_area = is_open(topic, area);
    if (!open_area || (open_area == 2 && access != SUBSCRIBE)) return 0;
    end = topic + area + 1;
    if (topic[area] != '/' || strncmp(end, id, n) != 0 || end[n] != '/') return 0;
    end += n + 1;
    if (access == WRITE) return strcmp(end, "up") == 0 || strcmp(end, "status") == 0;
    if (strcmp(end, "ack") == 0 || strcmp(end, "down") == 0) return 1;
    return access == SUBSCRIBE && (strcmp(end, "+") == 0 || strcmp(end, "#") == 0);
}

static int ends_with(const char *topic, const char *end) {
    u64 n = strlen(topic), m = strlen(end);
    return n >= m && strcmp(topic + n - m, end) == 0;
}

/* Noted, and done between two packets: a client cannot be ended while its message is being handled. */
static void leaves_soon(const char *id) {
    int i;
    for (i = 0; i < leaving_count; i++) if (strcmp(leaving[i], id) == 0) return;
    if (leaving_count < LEAVING) strncpy(leaving[leaving_count++], id, ID - 1);
}

/* A device that does not stop is disconnected: the broker would have to keep an answer to each message for it. */
static int floods(struct record *record, const char *id) {
    u32 now = (u32)time(0), *n = &record->in_second;
    if (record->second != now) { record->second = now; *n = 0; }
    if (!table->limit || ++*n <= table->limit) return 0;
    if (record->flooded_at != now && may_log(FLOOD))
        mosquitto_log_printf(WARNING, "gate: flood device=%.63s limit=%u", id, table->limit);
    count(record, &record->flooded_at, &record->flooded);
    if (*n == (u64)table->limit * DROWNING) leaves_soon(id);
    return 1;
}

static int deny(struct record *record, const char *id, const struct acl_check *asked) {
    u32 before = record->denied_at;
    count(record, &record->denied_at, &record->denied);
    strncpy(record->topic, asked->topic, sizeof record->topic - 1);
    if (before != record->denied_at && may_log(FLOOD))
        mosquitto_log_printf(WARNING, "gate: denied device=%.63s access=%s topic=%.200s", id,
                             asked->access == WRITE ? "publish" : "subscribe", asked->topic);
    return DENIED;
}

/* A message of a device on a topic of its own. Without a session it is the last will of one that has left. */
static int on_write(struct record *record, const char *id, const struct acl_check *asked) {
    const struct session *session = session_of(record, key_of(asked->client));
    int status = ends_with(asked->topic, "/status");
    if (session && !counts(session, record)) {
        leaves_soon(id);
        return DENIED;
    }
    if (!session && !status) return deny(record, id, asked);
    if (status && asked->size > LONGEST_STATUS) return deny(record, id, asked); /* it is kept, in each area */
    return floods(record, id) ? DENIED : OK;
}
