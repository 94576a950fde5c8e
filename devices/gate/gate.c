/* The gate: a plugin of mosquitto 2 that lets devices in by their credentials and keeps each on its own topics.
 *
 * Credentials lie in a hash table in a file (table.py writes it, the layout is there) that both sides have mapped:
 * issuing, rotating and revoking take effect at once, nothing is ever reloaded, a million devices cost no start-up.
 * What happens at the door is counted in the same records, so that `dothi devices doctor` can tell it.
 * Users of the password file (ingest, gateway) are none of the gate's business: it defers to mosquitto's own checks.
 *
 * Compiled by tcc or cc without any header, so that a machine needs no C library for development.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

struct mosquitto;
typedef int (*callback)(int event, void *what, void *unused);
int mosquitto_callback_register(void *plugin, int event, callback f, const void *filter, void *user);
void mosquitto_log_printf(int level, const char *format, ...);
const char *mosquitto_client_id(const struct mosquitto *client);
const char *mosquitto_client_username(const struct mosquitto *client);
const char *mosquitto_client_address(const struct mosquitto *client);
int mosquitto_kick_client_by_clientid(const char *id, _Bool with_will);
int mosquitto_kick_client_by_username(const char *name, _Bool with_will);
int open(const char *path, int flags, ...);
int close(int file);
long read(int file, void *to, u64 size);
long lseek(int file, long offset, int whence);
void *mmap(void *at, u64 size, int protection, int flags, int file, long offset);
int munmap(void *at, u64 size);
long time(long *at);
u8 *SHA256(const u8 *text, u64 size, u8 *to); /* of libcrypto, which mosquitto has loaded for TLS */
u64 strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, u64 size);
char *strncpy(char *to, const char *from, u64 size);
int memcmp(const void *a, const void *b, u64 size);

enum { ACL_CHECK = 2, BASIC_AUTH = 3, TICK = 9, DISCONNECT = 10 };      /* events */
enum { OK = 0, NO_AUTH = 11, DENIED = 12, DEFER = 17 };                 /* answers */
enum { READ = 1, WRITE = 2, SUBSCRIBE = 4, UNSUBSCRIBE = 8 };           /* access */
enum { NOTICE = 2, WARNING = 4, FAILURE = 8 };                          /* levels of the log */
enum { RDWR = 2, PROT_RDWR = 3, MAP_SHARED = 1 };

struct option { char *key; char *value; };
struct basic_auth { void *future; struct mosquitto *client; char *username; char *password; };
struct acl_check { void *future; struct mosquitto *client; const char *topic; const void *payload; void *properties; int access; };
struct disconnect { void *future; struct mosquitto *client; int reason; };

/* The file: one header, then `capacity` records (a power of two), found by hash of the id and linear probing. */
#define ID 64
#define MOST_AREAS 64
#define KICKS 512
struct header {
    char magic[8];
    u64 capacity, count, made;           /* made: another number = another file */
    u32 limit;                           /* messages per second of one device; 0: none */
    u32 boot;                            /* raised by the gate at every start of the broker */
    u32 unknown, unknown_at;             /* connections under ids that nobody enrolled */
    u64 kicks_wanted, kicks_done;        /* positions in the ring of ids to disconnect */
    char areas[MOST_AREAS][16];          /* open areas; the first empty one ends the list */
    char unknown_id[ID];
    char kicks[KICKS][ID];
};
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
    u32 turned_away;                     /* refused connections that have not ended yet */
    char topic[60];                      /* the last one denied, cut */
};
#define HEADER_BYTES 65536
#define RECORD_BYTES 256

static const char *path;
static struct header *table;
static u64 table_bytes;
static long logged_second;
static int logged;

/* --- the table */

static void unmap(void) {
    if (table) munmap(table, table_bytes);
    table = 0;
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
    table = at;
    table_bytes = bytes;
    if (memcmp(table->magic, "dothigt1", 8) == 0 && (table->capacity & (table->capacity - 1)) == 0
        && table->capacity > 0 && HEADER_BYTES + table->capacity * RECORD_BYTES <= table_bytes) return 1;
    unmap();
    return 0;
}

/* A file that was replaced (grown) has another number; asked once a second. */
static void follow_file(void) {
    u64 now[4];
    int file = open(path, 0);
    long got;
    if (file < 0) return;
    got = read(file, now, sizeof now);
    close(file);
    if (got == sizeof now && table && now[3] == table->made) return;
    unmap();
    if (!mapped()) mosquitto_log_printf(FAILURE, "gate: %s is no table of credentials; devices are refused", path);
}

static struct record *record_of(const char *id) {
    u64 hash = 0xcbf29ce484222325UL, place, probes; /* FNV-1a */
    const u8 *at;
    struct record *record;
    if (!table || strlen(id) >= ID) return 0;
    for (at = (const u8 *)id; *at; at++) hash = (hash ^ *at) * 0x100000001b3UL;
    for (probes = 0; probes < table->capacity; probes++) {
        place = (hash + probes) & (table->capacity - 1);
        record = (struct record *)((u8 *)table + HEADER_BYTES + place * RECORD_BYTES);
        if (!record->id[0]) return 0;
        if (strncmp(record->id, id, ID) == 0) return record;
    }
    return 0;
}

/* --- what is told: at most twenty lines a second, the counts in the table are complete */

static int may_log(void) {
    long now = time(0);
    if (now != logged_second) { logged_second = now; logged = 0; }
    return logged++ < 20;
}

static void count(u32 *at, u32 *n) {
    *at = (u32)time(0);
    ++*n;
}

/* --- who may come in */

static int is_device_id(const char *text) {
    u64 n = strlen(text), i;
    if (n < 3 || n > 63 || text[0] == '-') return 0;
    for (i = 0; i < n; i++)
        if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') && text[i] != '-') return 0;
    return 1;
}

/* The client id is the device's, or it with `:` and more: nobody takes over the session of another. */
static int owns_client_id(const char *client, const char *id) {
    u64 n = strlen(id);
    return client && strncmp(client, id, n) == 0 && (client[n] == 0 || client[n] == ':');
}

static int same(const u8 *a, const u8 *b) {
    int i, differ = 0;
    for (i = 0; i < 32; i++) differ |= a[i] ^ b[i];
    return !differ;
}

/* Which of the two tokens a password is; -1: none of them. */
static int slot_of(const struct record *record, const char *password) {
    u8 hash[32];
    int slot;
    SHA256((const u8 *)password, strlen(password), hash);
    for (slot = 0; slot < 2; slot++)
        if (record->valid >> slot & 1 && same(hash, record->hash[slot])) return slot;
    return -1;
}

static int refuse(struct record *record, const char *id, const char *why, const struct mosquitto *client) {
    const char *from = mosquitto_client_address(client);
    if (record) {
        count(&record->failed_at, &record->failed);
        record->turned_away++;
    }
    else if (table) {
        count(&table->unknown_at, &table->unknown);
        strncpy(table->unknown_id, id, ID - 1);
    }
    if (may_log()) mosquitto_log_printf(WARNING, "gate: refused device=%.63s from=%s reason=%s", id, from ? from : "?", why);
    return NO_AUTH;
}

static int on_auth(int event, void *what, void *unused) {
    struct basic_auth *asked = what;
    const char *id = asked->username, *client;
    struct record *record;
    int slot;
    if (!id || strcmp(id, "ingest") == 0 || strcmp(id, "gateway") == 0) return DEFER;
    if (!is_device_id(id)) return refuse(0, "?", "bad_id", asked->client);
    record = record_of(id);
    if (!record) return refuse(0, id, "unknown", asked->client);
    client = mosquitto_client_id(asked->client);
    if (!owns_client_id(client, id)) return refuse(record, id, "client_id", asked->client);
    if (!asked->password) return refuse(record, id, "no_token", asked->client);
    slot = slot_of(record, asked->password);
    if (slot < 0) return refuse(record, id, record->valid ? "token" : "revoked", asked->client);
    record->used_at[slot] = (u32)time(0);
    if (record->boot != table->boot) { record->boot = table->boot; record->connected = record->turned_away = 0; }
    if (record->connected++) {
        count(&record->taken_at, &record->taken);
        if (may_log()) mosquitto_log_printf(NOTICE, "gate: taken device=%.63s from=%s", id, mosquitto_client_address(asked->client));
    }
    return OK;
}

static int on_disconnect(int event, void *what, void *unused) {
    struct disconnect *left = what;
    const char *id = mosquitto_client_username(left->client);
    struct record *record = id ? record_of(id) : 0;
    if (!record) return OK;
    if (record->turned_away) { /* mosquitto tells of these, too, and at once */
        record->turned_away--;
        return OK;
    }
    if (record->boot == table->boot && record->connected) record->connected--;
    record->left_at = (u32)time(0);
    return OK;
}

/* --- what a device may publish and read: dothi/v1/{open area}/{its own id}/{up, status | ack, down} */

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

static int floods(struct record *record, const char *id) {
    u32 now = (u32)time(0);
    if (record->second != now) { record->second = now; record->in_second = 0; }
    if (!table->limit || ++record->in_second <= table->limit) return 0;
    if (record->flooded_at != now && may_log())
        mosquitto_log_printf(WARNING, "gate: flood device=%.63s limit=%u", id, table->limit);
    count(&record->flooded_at, &record->flooded);
    return 1;
}

static int deny(struct record *record, const char *id, const struct acl_check *asked) {
    u32 before = record->denied_at;
    count(&record->denied_at, &record->denied);
    strncpy(record->topic, asked->topic, sizeof record->topic - 1);
    if (before != record->denied_at && may_log())
        mosquitto_log_printf(WARNING, "gate: denied device=%.63s access=%s topic=%.200s", id,
                             asked->access == WRITE ? "publish" : "subscribe", asked->topic);
    return DENIED;
}

static int on_acl(int event, void *what, void *unused) {
    struct acl_check *asked = what;
    const char *id = mosquitto_client_username(asked->client);
    struct record *record;
    if (!id || strcmp(id, "ingest") == 0 || strcmp(id, "gateway") == 0) return DEFER;
    record = record_of(id);
    if (!record || !record->valid) return DENIED;
    if (asked->access == UNSUBSCRIBE) return OK;
    if (!is_own(asked->topic, id, asked->access)) return asked->access == READ ? DENIED : deny(record, id, asked);
    return asked->access == WRITE && floods(record, id) ? DENIED : OK;
}

/* --- once a loop: those who were revoked leave; once a second: is the file another one? */

static int on_tick(int event, void *what, void *unused) {
    static long looked;
    struct record *record;
    char id[ID];
    long now = time(0);
    if (now != looked) { looked = now; follow_file(); }
    while (table && table->kicks_done < table->kicks_wanted) {
        strncpy(id, table->kicks[table->kicks_done % KICKS], ID);
        id[ID - 1] = 0;
        mosquitto_kick_client_by_clientid(id, 0);
        record = record_of(id);
        if (record && record->boot == table->boot && record->connected) mosquitto_kick_client_by_username(id, 0);
        table->kicks_done++;
    }
    return OK;
}

/* --- mosquitto's side */

int mosquitto_plugin_version(int n, const int *versions) {
    int i;
    for (i = 0; i < n; i++) if (versions[i] == 5) return 5;
    return -1;
}

int mosquitto_plugin_init(void *plugin, void **user, struct option *options, int n) {
    int i;
    for (i = 0; i < n; i++) if (strcmp(options[i].key, "table") == 0) path = options[i].value;
    if (!path || !mapped()) {
        mosquitto_log_printf(FAILURE, "gate: %s is no table of credentials", path ? path : "plugin_opt_table");
        return NO_AUTH;
    }
    table->boot++;
    mosquitto_callback_register(plugin, BASIC_AUTH, on_auth, 0, 0);
    mosquitto_callback_register(plugin, ACL_CHECK, on_acl, 0, 0);
    mosquitto_callback_register(plugin, DISCONNECT, on_disconnect, 0, 0);
    return mosquitto_callback_register(plugin, TICK, on_tick, 0, 0);
}

int mosquitto_plugin_cleanup(void *user, struct option *options, int n) {
    unmap();
    return OK;
}
