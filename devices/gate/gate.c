/* The gate: a plugin of mosquitto 2 that lets devices in by their credentials and keeps each on its own topics.
 *
 * Credentials lie in a hash table in a file (table.py writes it, the layout is in table.h) that both sides have mapped:
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
void *memcpy(void *to, const void *from, u64 size);

enum { ACL_CHECK = 2, BASIC_AUTH = 3, MESSAGE = 7, TICK = 9, DISCONNECT = 10 }; /* events */
enum { OK = 0, NO_AUTH = 11, DENIED = 12, DEFER = 17 };                 /* answers */
enum { READ = 1, WRITE = 2, SUBSCRIBE = 4, UNSUBSCRIBE = 8 };           /* access */
enum { NOTICE = 2, WARNING = 4, FAILURE = 8 };                          /* levels of the log */
enum { RDWR = 2, PROT_RDWR = 3, MAP_SHARED = 1 };

struct option { char *key; char *value; };
struct basic_auth { void *future; struct mosquitto *client; char *username; char *password; };
struct acl_check {
    void *future; struct mosquitto *client; const char *topic; const void *payload; void *properties;
    int access; u32 size; u8 qos; _Bool retain;
};
struct message {
    void *future; struct mosquitto *client; char *topic; void *payload; void *properties; char *reason;
    u32 size; u8 qos, code; _Bool retain;
};
struct disconnect { void *future; struct mosquitto *client; int reason; };

#include "table.h"

#define LONGEST_TOKEN 128
#define LONGEST_STATUS 1024
#define DROWNING 20 /* times the limit in one second */
#define LEAVING 64
static char leaving[LEAVING][ID];
static int leaving_count;

/* --- what is told: so many lines a second of each kind, the counts in the table are complete */

enum { REFUSED, TAKEN, FLOOD, KINDS };

static int may_log(int kind) {
    static long second;
    static int logged[KINDS];
    long now = time(0);
    int i;
    if (now != second) for (second = now, i = 0; i < KINDS; i++) logged[i] = 0;
    return logged[kind]++ < 10;
}

static void count(struct record *record, u32 *at, u32 *n) {
    *at = (u32)time(0);
    ++*n;
    touch(record);
}

/* --- who may come in */

static int is_device_id(const char *text) {
    u64 n = strlen(text), i;
    if (n < 3 || n > 63 || text[0] == '-') return 0;
    for (i = 0; i < n; i++)
        if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') && text[i] != '-') return 0;
    return 1;
}

/* Client ids under which the broker keeps what ingest has not fetched yet. */
static int is_reserved(const char *client) {
    return strncmp(client, "dothi-inbox-", 12) == 0;
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

/* Which of the two tokens a password is; -1: none of them. What is longer than any token is not even hashed. */
static int slot_of(const struct record *record, const char *password) {
    u8 hash[32];
    int slot;
    if (strlen(password) > LONGEST_TOKEN) return -1;
    SHA256((const u8 *)password, strlen(password), hash);
    for (slot = 0; slot < 2; slot++)
        if (record->valid >> slot & 1 && same(hash, record->hash[slot])) return slot;
    return -1;
}

static int refuse(struct record *record, const char *id, const char *why, const struct mosquitto *client) {
    const char *from = mosquitto_client_address(client);
    if (record) count(record, &record->failed_at, &record->failed);
    else if (table) {
        table->unknown_at = (u32)time(0);
        table->unknown++;
        strncpy(table->unknown_id, id, ID - 1);
    }
    if (may_log(REFUSED))
        mosquitto_log_printf(WARNING, "gate: refused device=%.63s from=%s reason=%s", id, from ? from : "?", why);
    return NO_AUTH;
}

static int is_ours(const char *user) {
    return strcmp(user, "ingest") == 0 || strcmp(user, "gateway") == 0;
}

/* Ingest and gateway may do much, under any client id, so they come from this machine only. */
static int on_ours(const char *user, const struct mosquitto *client) {
    const char *from = mosquitto_client_address(client);
    if (!from || (strncmp(from, "127.", 4) != 0 && strcmp(from, "::1") != 0 && strncmp(from, "::ffff:127.", 11) != 0))
        return refuse(0, user, "network", client);
    return DEFER;
}

/* Room for a new session of a device: if need be, that of the connection which it displaces anyway. */
static int has_entered(struct record *record, struct mosquitto *client, int slot) {
    if (enter(record, client, slot)) return 1;
    mosquitto_kick_client_by_clientid(mosquitto_client_id(client), 0);
    return enter(record, client, slot);
}

static int on_auth(int event, void *what, void *unused) {
    struct basic_auth *asked = what;
    const char *id = asked->username, *client, *from;
    struct record *record;
    int slot, stood;
    if (!id) return DEFER;
    if (is_ours(id)) return on_ours(id, asked->client);
    if (!is_device_id(id)) return refuse(0, "?", "bad_id", asked->client);
    record = record_of(id);
    if (!record) return refuse(0, id, "unknown", asked->client);
    client = mosquitto_client_id(asked->client);
    if (!owns_client_id(client, id)) return refuse(record, id, "client_id", asked->client);
    if (is_reserved(client)) return refuse(record, id, "reserved", asked->client);
    if (!asked->password) return refuse(record, id, "no_token", asked->client);
    slot = slot_of(record, asked->password);
    if (slot < 0) return refuse(record, id, record->valid ? "token" : "revoked", asked->client);
    stood = record->boot == table->boot && record->connected;
    if (!has_entered(record, asked->client, slot)) return refuse(record, id, "sessions", asked->client);
    record->used_at[slot] = (u32)time(0);
    if (!stood) return OK;
    count(record, &record->taken_at, &record->taken);
    from = mosquitto_client_address(asked->client);
    if (may_log(TAKEN)) mosquitto_log_printf(NOTICE, "gate: taken device=%.63s from=%s", id, from ? from : "?");
    return OK;
}

static int on_disconnect(int event, void *what, void *unused) {
    struct disconnect *left = what;
    const char *id = mosquitto_client_username(left->client);
    struct record *record = id ? record_of(id) : 0;
    if (record) leave(record, left->client);
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

static int on_acl(int event, void *what, void *unused) {
    struct acl_check *asked = what;
    const char *id = mosquitto_client_username(asked->client);
    struct record *record;
    if (!id || is_ours(id)) return DEFER;
    record = record_of(id);
    if (!record || !record->valid) return DENIED;
    if (asked->access == UNSUBSCRIBE) return OK;
    if (!is_own(asked->topic, id, asked->access)) return asked->access == READ ? DENIED : deny(record, id, asked);
    return asked->access == WRITE ? on_write(record, id, asked) : OK;
}

/* Readings are never kept for later subscribers, whatever the device asks for: it may only fill its own status. */
static int on_message(int event, void *what, void *unused) {
    struct message *message = what;
    const char *id = mosquitto_client_username(message->client);
    if (id && !is_ours(id) && message->retain && !ends_with(message->topic, "/status")) message->retain = 0;
    return OK;
}

/* --- once a loop: those who were revoked leave; once a second: is the file another one? */

static void end_sessions(const char *id) {
    struct record *record = record_of(id);
    mosquitto_kick_client_by_clientid(id, 0);
    if (record && record->boot == table->boot && record->connected) mosquitto_kick_client_by_username(id, 0);
}

static int on_tick(int event, void *what, void *unused) {
    static long looked;
    struct record *record;
    char id[ID];
    long now = time(0);
    if (now != looked) { looked = now; follow_file(); }
    while (leaving_count) end_sessions(leaving[--leaving_count]);
    while (table && table->kicks_done < table->kicks_wanted) {
        strncpy(id, table->kicks[table->kicks_done % KICKS], ID);
        id[ID - 1] = 0;
        record = record_of(id);
        if (!record || has_outdated(record)) end_sessions(id);
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
    table->moving = 0;
    mosquitto_callback_register(plugin, BASIC_AUTH, on_auth, 0, 0);
    mosquitto_callback_register(plugin, ACL_CHECK, on_acl, 0, 0);
    mosquitto_callback_register(plugin, MESSAGE, on_message, 0, 0);
    mosquitto_callback_register(plugin, DISCONNECT, on_disconnect, 0, 0);
    return mosquitto_callback_register(plugin, TICK, on_tick, 0, 0);
}

int mosquitto_plugin_cleanup(void *user, struct option *options, int n) {
    if (table) munmap(table, table_bytes);
    table = 0;
    return OK;
}
