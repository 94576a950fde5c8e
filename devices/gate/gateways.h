/* What gateways may publish: what the acl file of the broker lets them, told like what is denied to devices.
 *
 * mosquitto denies without a word, so the gate reads the same rules and answers for them. Our own topics are looked for
 * in the open areas, which costs less than the broker's walk along its rules; the others in the filters of the routes.
 */
#define MOST_FILTERS 1024
static const char *rules_path;
static char *rules;                          /* the file; ends of lines are ends of texts */
static const char *filters[MOST_FILTERS];
static int filter_count = -1;                /* -1: not known, mosquitto judges alone */

static char *whole_text(const char *at) {
    int file = open(at, 0);
    long bytes, got = -1;
    char *text = 0;
    if (file < 0) return 0;
    bytes = lseek(file, 0, 2);
    lseek(file, 0, 0);
    if (bytes > 0 && (text = mosquitto_malloc(bytes + 1))) got = read(file, text, bytes);
    close(file);
    if (got >= 0) text[got] = 0;
    else if (text) { mosquitto_free(text); text = 0; }
    return text;
}

static int begins(const char *line, const char *with) {
    return strncmp(line, with, strlen(with)) == 0;
}

/* The lines `topic write FILTER` below `user gateway`. */
static void read_rules(void) {
    char *text = rules_path ? whole_text(rules_path) : 0, *line, *next;
    int ours = 0;
    if (rules) mosquitto_free(rules);
    rules = text;
    filter_count = text ? 0 : -1;
    for (line = text; line && *line; line = next) {
        for (next = line; *next && *next != '\n'; next++);
        if (*next) *next++ = 0;
        if (begins(line, "user ")) ours = strcmp(line, "user gateway") == 0;
        if (!ours || !begins(line, "topic write ")) continue;
        if (filter_count == MOST_FILTERS) { filter_count = -1; return; }
        filters[filter_count++] = line + strlen("topic write ");
    }
}

static int is_of_area(const char *topic) {
    const char *area = topic + 9, *end;
    if (strncmp(topic, "dothi/v1/", 9) != 0) return 0;
    for (end = area; *end && *end != '/'; end++);
    if (is_open(area, (u64)(end - area)) != 1 || !*end) return 0;
    for (end++; *end && *end != '/'; end++);
    return strcmp(end, "/up") == 0 || strcmp(end, "/status") == 0;
}

static int is_of_route(const char *topic) {
    _Bool matches = 0;
    int i;
    for (i = 0; i < filter_count; i++)
        if (mosquitto_topic_matches_sub(filters[i], topic, &matches) == 0 && matches) return 1;
    return 0;
}

static int on_gateway(const struct acl_check *asked) {
    if (asked->access != WRITE || filter_count < 0 || !table) return DEFER;
    if (is_of_area(asked->topic) || is_of_route(asked->topic)) return OK;
    table->astray++;
    table->astray_at = (u32)time(0);
    if (may_log(ASTRAY))
        mosquitto_log_printf(WARNING, "gate: denied device=gateway access=publish count=%u topic=%.200s",
                             table->astray, asked->topic);
    return DENIED;
}
