/* Who may come in, and who has left. */
#define LONGEST_TOKEN 128

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

/* Which of the two tokens a password is, -1: none of them; and its tag. It is that of the password: the record may hold
 * another token a moment later. What is longer than any token is not even hashed. */
static int slot_of(const struct record *record, const char *password, u32 *token) {
    u8 hash[32];
    int slot;
    if (strlen(password) > LONGEST_TOKEN) return -1;
    SHA256((const u8 *)password, strlen(password), hash);
    *token = tag_of(hash);
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
static int has_entered(struct record *record, struct mosquitto *client, u32 token) {
    if (enter(record, client, token)) return 1;
    mosquitto_kick_client_by_clientid(mosquitto_client_id(client), 0);
    return enter(record, client, token);
}

static int on_auth(int event, void *what, void *unused) {
    struct basic_auth *asked = what;
    const char *id = asked->username, *client, *from;
    struct record *record;
    u32 token = 0;
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
    slot = slot_of(record, asked->password, &token);
    if (slot < 0) return refuse(record, id, record->valid ? "token" : "revoked", asked->client);
    stood = record->boot == table->boot && record->connected;
    if (!has_entered(record, asked->client, token)) return refuse(record, id, "sessions", asked->client);
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
