/* The table of credentials as the gate sees it: its layout, finding a record, and who is connected.
 *
 * One header, then `capacity` records (a power of two), found by hash of the id and linear probing. table.py writes it.
 */
#define ID 64
#define MOST_AREAS 64
#define KICKS 512
#define SESSIONS 4
#define TOUCHED 4096
struct header {
    char magic[8];
    u64 capacity, count, made;           /* made: another number = another file */
    u32 limit;                           /* messages per second of one device; 0: none */
    u32 boot;                            /* raised by the gate at every start of the broker */
    u32 unknown, unknown_at;             /* connections under ids that nobody enrolled */
    u64 kicks_wanted, kicks_done;        /* positions in the ring of ids whose outdated sessions must end */
    char areas[MOST_AREAS][16];          /* open areas; the first empty one ends the list */
    char unknown_id[ID];
    char kicks[KICKS][ID];
    u32 moving;                          /* table.py copies this table into another one */
    u32 astray, astray_at;               /* messages of gateways for which there is no area and no route */
};
struct session { u32 client, token; };   /* which connection, and the beginning of the hash by which it came in */
struct record {
    char id[ID];
    u8 hash[2][32];                      /* SHA-256 of the tokens */
    u32 valid;                           /* bits 0 and 1: which of the two counts */
    /* from here on the gate writes: times in seconds since 1970, counts that only grow */
    u32 used_at[2];                      /* last connection with each token */
    u32 boot, connected;                 /* connections now, if boot is that of the header */
    u32 left_at;
    u32 failed_at, failed;               /* wrong or revoked token */
    u32 taken_at, taken;                 /* connections that displaced one that stood */
    u32 denied_at, denied;               /* topics that are not its own */
    u32 flooded_at, flooded;             /* messages beyond the limit */
    u32 second, in_second;
    struct session sessions[SESSIONS];   /* those of `connected` */
    char topic[32];                      /* the last one denied, cut */
};
#define HEADER_BYTES 65536
#define RECORD_BYTES 256
#define SEEN 132

static const char *path;
static struct header *table;
static u64 table_bytes;
static u32 touched[TOUCHED], touched_count; /* records written while the table moves */

static struct record *record_at(struct header *of, u64 place) {
    return (struct record *)((u8 *)of + HEADER_BYTES + place * RECORD_BYTES);
}

static int is_table(const struct header *at, u64 bytes) {
    return memcmp(at->magic, "dothigt1", 8) == 0 && (at->capacity & (at->capacity - 1)) == 0 && at->capacity > 0
        && at->capacity <= bytes / RECORD_BYTES && HEADER_BYTES + at->capacity * RECORD_BYTES <= bytes;
}

static int mapped(void) {
    int file = open(path, RDWR);
    long bytes;
    void *at;
    if (file < 0) return 0;
    bytes = lseek(file, 0, 2);
    at = bytes > HEADER_BYTES ? mmap(0, bytes, PROT_RDWR, MAP_SHARED, file, 0) : (void *)-1L;
    close(file);
    if (at == (void *)-1L) return 0;
    if (!is_table(at, bytes)) {
        munmap(at, bytes);
        return 0;
    }
    table = at;
    table_bytes = bytes;
    return 1;
}

static struct record *record_of(const char *id) {
    u64 hash = 0xcbf29ce484222325UL, probes; /* FNV-1a */
    const u8 *at;
    struct record *record;
    if (!table || !id[0] || strlen(id) >= ID) return 0;
    for (at = (const u8 *)id; *at; at++) hash = (hash ^ *at) * 0x100000001b3UL;
    for (probes = 0; probes < table->capacity; probes++) {
        record = record_at(table, (hash + probes) & (table->capacity - 1));
        if (!record->id[0]) return 0;
        if (strncmp(record->id, id, ID) == 0) return record;
    }
    return 0;
}

/* --- a table that is replaced by a larger one */

/* What is written between the copy and the change of files would be lost; so it is noted, and carried over. */
static void touch(const struct record *record) {
    if (!table->moving) return;
    if (touched_count < TOUCHED) touched[touched_count] = (u32)(((u8 *)record - (u8 *)table - HEADER_BYTES) / RECORD_BYTES);
    touched_count += touched_count <= TOUCHED;
}

static void carry(const struct record *old) {
    struct record *now;
    char id[ID];
    strncpy(id, old->id, ID);
    id[ID - 1] = 0;
    now = record_of(id);
    if (now) memcpy((u8 *)now + SEEN, (const u8 *)old + SEEN, RECORD_BYTES - SEEN);
}

static void carry_all(struct header *old) {
    u64 place;
    if (touched_count <= TOUCHED) for (place = 0; place < touched_count; place++) carry(record_at(old, touched[place]));
    else for (place = 0; place < old->capacity; place++) if (record_at(old, place)->id[0]) carry(record_at(old, place));
}

/* A file that was replaced (grown) has another number; asked once a second. */
static void follow_file(void) {
    u64 now[4], old_bytes = table_bytes;
    struct header *old = table;
    int file = open(path, 0);
    long got;
    if (file < 0) return;
    got = read(file, now, sizeof now);
    close(file);
    if (got == sizeof now && table && now[3] == table->made) return;
    table = 0;
    if (!mapped()) mosquitto_log_printf(FAILURE, "gate: %s is no table of credentials; devices are refused", path);
    if (old && table) {
        table->boot = old->boot;
        carry_all(old);
    }
    if (old) munmap(old, old_bytes);
    touched_count = 0;
}

/* --- who is connected */

/* Connections are known by their address, which is never followed: one that was not let in leaves no trace. */
static u32 key_of(const struct mosquitto *client) {
    u32 key = (u32)((u64)client >> 4);
    return key ? key : 1;
}

static u32 tag_of(const u8 *hash) {
    return hash[0] | (u32)hash[1] << 8 | (u32)hash[2] << 16 | (u32)hash[3] << 24;
}

static struct session *session_of(struct record *record, u32 key) {
    int i;
    if (record->boot != table->boot) return 0;
    for (i = 0; i < SESSIONS; i++) if (record->sessions[i].client == key) return &record->sessions[i];
    return 0;
}

/* Whether the token by which a session came in still counts. */
static int counts(const struct session *session, const struct record *record) {
    return ((record->valid & 1) && tag_of(record->hash[0]) == session->token)
        || ((record->valid & 2) && tag_of(record->hash[1]) == session->token);
}

static int has_outdated(const struct record *record) {
    int i;
    if (record->boot != table->boot) return 0;
    for (i = 0; i < SESSIONS; i++)
        if (record->sessions[i].client && !counts(&record->sessions[i], record)) return 1;
    return 0;
}

/* Note a connection and the token by which it came; 0 when there is no room for one more. */
static int enter(struct record *record, const struct mosquitto *client, u32 token) {
    struct session *session;
    int i;
    if (record->boot != table->boot) {
        record->boot = table->boot;
        record->connected = 0;
        for (i = 0; i < SESSIONS; i++) record->sessions[i].client = 0;
    }
    session = session_of(record, key_of(client));
    if (!session) session = session_of(record, 0);
    if (!session) return 0;
    record->connected += !session->client;
    session->client = key_of(client);
    session->token = token;
    touch(record);
    return 1;
}

static void leave(struct record *record, const struct mosquitto *client) {
    struct session *session = session_of(record, key_of(client));
    if (!session) return; /* was not let in, or a session without a connection was taken up */
    session->client = 0;
    record->connected--;
    record->left_at = (u32)time(0);
    touch(record);
}
