/* The gate without a broker: its callbacks called with any names and topics, against a model of who is connected.
 *
 * Compiled by tests/test_gate_fuzz.py with the sanitizers of gcc. Argument: a table in which are dev-0 … dev-7, each with
 * the tokens "a<number>" and "b<number>" under the hash below, open area 213; where a copy of it may lie; and rules by which gateways may write
 * dothi/v1/213/+/up, …/status, frigate/# and tele/+/SENSOR. Prints nothing when all is well.
 */
#include "../devices/gate/gate.c"

int printf(const char *format, ...);
void exit(int code);
void *malloc(u64 size);
void free(void *at);
long write(int file, const void *from, u64 size);
int rename(const char *from, const char *to);
char *strcpy(char *to, const char *from);

enum { CLIENTS = 40, ROUNDS = 300000 };
struct mosquitto { char *id, *user, *from; int stands; u32 device; };
static struct mosquitto *clients[CLIENTS];
static callback handlers[16];
static u32 seed = 7;

static u32 chance(u32 n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void must(int true, const char *what) {
    if (true) return;
    printf("%s\n", what);
    exit(1);
}

/* --- mosquitto, as far as the gate sees it */

int mosquitto_callback_register(void *plugin, int event, callback f, const void *filter, void *user) {
    handlers[event] = f;
    return 0;
}
void mosquitto_log_printf(int level, const char *format, ...) {}
const char *mosquitto_client_id(const struct mosquitto *client) { return client->id; }
const char *mosquitto_client_username(const struct mosquitto *client) { return client->user; }
const char *mosquitto_client_address(const struct mosquitto *client) { return client->from; }

static void ends(int place) {
    struct disconnect left = { 0, clients[place], 0 };
    handlers[DISCONNECT](DISCONNECT, &left, 0);
    free(clients[place]->id); free(clients[place]->user); free(clients[place]->from); free(clients[place]);
    clients[place] = 0;
}
int mosquitto_kick_client_by_clientid(const char *id, _Bool with_will) {
    int i;
    for (i = 0; i < CLIENTS; i++)
        if (clients[i] && clients[i]->stands && clients[i]->id && strcmp(clients[i]->id, id) == 0) { ends(i); return 0; }
    return 1;
}
int mosquitto_kick_client_by_username(const char *name, _Bool with_will) {
    int i;
    for (i = 0; i < CLIENTS; i++)
        if (clients[i] && clients[i]->stands && clients[i]->user && strcmp(clients[i]->user, name) == 0) ends(i);
    return 0;
}
void *mosquitto_malloc(u64 size) { return malloc(size); }
void mosquitto_free(void *at) { free(at); }
char *mosquitto_strdup(const char *text) { return strcpy(malloc(strlen(text) + 1), text); }
int mosquitto_topic_matches_sub(const char *filter, const char *topic, _Bool *matches) {
    for (*matches = 0;; filter++, topic++) {
        if (*filter == '#') { *matches = 1; return 0; }
        if (*filter == '+') { while (*topic && *topic != '/') topic++; filter++; }
        if (*filter != *topic) return 0;
        if (!*filter) { *matches = 1; return 0; }
    }
}
u8 *SHA256(const u8 *text, u64 size, u8 *to) {
    int i;
    for (i = 0; i < 32; i++) to[i] = size ? text[i % size] ^ i : 0;
    return to;
}

/* --- any text: a piece of what has a meaning, cut, changed, put together; in memory of exactly its size */

static const char *const pieces[] = {
    "dev-0", "dev-1", "dev-2", "dev-3", "dev-4", "dev-7", "dev-8", "ingest", "gateway", "dothi-inbox-213", ":", ":board2", "dothi/v1/",
    "213", "+", "#", "/", "/up", "/status", "/ack", "/down", "$SYS", "$share/g/", "\xff", "-", "%s%n", "dothi/v1/213/dev-1/up",
    "frigate/", "tele/", "/SENSOR", "dothi/v1/213/dev-2/status", "dothi/v1/+/dev-3/#", "127.0.0.1", "::1", "10.0.0.1", "0123456789012345678901234567890123456789",
};

static char *text_of(const char *from, u64 size) {
    char *at = malloc(size + 1);
    memcpy(at, from, size);
    at[size] = 0;
    return at;
}
static char *any(void) {
    char whole[512];
    u64 size = 0, n = chance(4), length;
    const char *piece;
    if (chance(20) == 0) return 0;
    for (n++; n--;) {
        piece = pieces[chance(sizeof pieces / sizeof *pieces)];
        length = strlen(piece);
        if (chance(6) == 0) length = chance(length + 1);
        memcpy(whole + size, piece, length);
        size += length;
    }
    if (size && chance(8) == 0) whole[chance(size)] = (char)(1 + chance(255));
    return text_of(whole, size);
}
static char *name_of(u32 device, const char *end) {
    char name[64] = "dev-";
    u64 n = strlen(end);
    name[4] = (char)('0' + device);
    memcpy(name + 5, end, n);
    return text_of(name, 5 + n);
}

/* --- what happens */

static void comes(int place) {
    static const char *const ends_of_ids[] = { "", ":a", ":b", ":c", ":d", ":e" };
    static const char *const from[] = { "127.0.0.1", "::1", "10.1.2.3", "::ffff:127.0.0.1", "1270.1" };
    struct mosquitto *client = malloc(sizeof *client);
    int honest = chance(3) != 0, i, answer;
    char token[3] = { "ab"[chance(2)], (char)('0' + chance(8)), 0 };
    struct basic_auth asked = { 0, client, 0, 0 };
    client->device = chance(8);
    client->user = honest ? name_of(client->device, "") : any();
    client->id = honest ? name_of(client->device, ends_of_ids[chance(6)]) : any();
    i = (int)chance(5);
    client->from = chance(10) ? text_of(from[i], strlen(from[i])) : 0;
    client->stands = 0;
    if (honest && chance(4)) token[1] = (char)('0' + client->device);
    asked.username = client->user;
    asked.password = chance(8) ? text_of(token, 2) : any();
    answer = chance(20) ? handlers[BASIC_AUTH](BASIC_AUTH, &asked, 0) : NO_AUTH; /* or never asked: another method */
    if (answer == OK) must(asked.password && token[1] == client->user[4] && strlen(client->user) == 5, "a wrong token");
    if (answer == DEFER && client->user)
        must(client->from && client->from[1] != '0' && client->from[3] != '0' && is_ours(client->user), "ours from outside");
    free(asked.password);
    if (answer == OK && client->id) mosquitto_kick_client_by_clientid(client->id, 0); /* as mosquitto does */
    clients[place] = client;
    if (answer != OK) ends(place);
    else client->stands = 1;
}

static void speaks(struct mosquitto *client) {
    static const int accesses[] = { READ, WRITE, SUBSCRIBE, UNSUBSCRIBE };
    char *topic = any();
    struct acl_check asked = { 0, client, topic ? topic : "", 0, 0, accesses[chance(4)], chance(3000), 1, chance(2) };
    struct message message = { 0, client, topic, 0, 0, 0, 1, 1, 0, 1 };
    int answer = handlers[ACL_CHECK](ACL_CHECK, &asked, 0);
    if (answer == OK && asked.access == WRITE) {
        must(strncmp(asked.topic, "dothi/v1/213/", 13) == 0 && strncmp(asked.topic + 13, client->user, 5) == 0, "another's topic");
        handlers[MESSAGE](MESSAGE, &message, 0);
        must(!message.retain || ends_with(topic, "/status"), "a reading that is kept");
    }
    free(topic);
}

/* What the rules let gateways write, said otherwise than in the gate. */
static int may_write(const char *topic) {
    static const char *const rules_of_test[] = { "dothi/v1/213/+/up", "dothi/v1/213/+/status", "frigate/#", "tele/+/SENSOR" };
    _Bool matches = 0;
    int i;
    for (i = 0; i < 4 && !matches; i++) mosquitto_topic_matches_sub(rules_of_test[i], topic, &matches);
    return matches;
}

static void gateway_speaks(void) {
    struct mosquitto client = { "gw", "gateway", "127.0.0.1", 1, 0 };
    char *topic = any();
    struct acl_check asked = { 0, &client, topic ? topic : "", 0, 0, WRITE, 1, 1, 0 };
    u32 before = table->astray;
    int answer = handlers[ACL_CHECK](ACL_CHECK, &asked, 0);
    must(answer == (may_write(asked.topic) ? OK : DENIED), "a gateway elsewhere than the rules say");
    must(table->astray == before + (answer == DENIED), "a gateway's mistake that is not counted");
    free(topic);
}

/* As table.py replaces a table: says so, copies it, and puts the copy into its place a moment later. */
static void moves(const char *copy) {
    struct header *whole = malloc(table_bytes);
    int file = open(copy, RDWR | 0100 | 01000, 0600); /* create, truncate */
    table->moving = 1;
    memcpy(whole, table, table_bytes);
    whole->moving = 0;
    whole->made++;
    must(write(file, whole, table_bytes) == (long)table_bytes, "no copy");
    close(file);
    free(whole);
}

static void changes_token(void) {
    char *id = name_of(chance(8), "");
    struct record *record = record_of(id);
    record->valid = chance(4);
    strncpy(table->kicks[table->kicks_wanted++ % KICKS], id, ID);
    free(id);
}

static void agrees(void) {
    u32 device, stand, i;
    for (device = 0; device < 8; device++) {
        char *id = name_of(device, "");
        struct record *record = record_of(id);
        for (stand = i = 0; i < CLIENTS; i++) stand += clients[i] && clients[i]->stands && strcmp(clients[i]->user, id) == 0;
        must((record->boot == table->boot ? record->connected : 0) == stand, "another number is connected");
        must(stand <= SESSIONS, "too many sessions");
        free(id);
    }
}

int main(int count, char **arguments) {
    struct option options[] = { { "table", arguments[1] }, { "rules", arguments[3] } };
    int round, place, until = 0;
    must(mosquitto_plugin_init(0, 0, options, 2) == OK, "no table");
    for (round = 0; round < ROUNDS; round++) {
        place = (int)chance(CLIENTS);
        if (!clients[place]) comes(place);
        else if (chance(5) == 0) ends(place);
        else speaks(clients[place]);
        if (!until && chance(500) == 0) { moves(arguments[2]); until = round + (int)chance(chance(2) ? 12 : 12000); }
        if (until && round >= until) { must(rename(arguments[2], path) == 0, "no change"); follow_file(); until = 0; }
        if (!until && chance(50) == 0) changes_token();
        if (chance(4) == 0) gateway_speaks();
        if (chance(2000) == 0) handlers[RELOAD](RELOAD, 0, 0);
        if (chance(10) == 0) handlers[TICK](TICK, 0, 0);
        agrees();
    }
    for (place = 0; place < CLIENTS; place++) if (clients[place]) ends(place);
    agrees();
    free((void *)path); free((void *)rules_path); free(rules);
    return mosquitto_plugin_cleanup(0, 0, 0);
}
