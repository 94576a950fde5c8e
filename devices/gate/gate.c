/* The gate: a plugin of mosquitto 2 that lets devices in by their credentials and keeps each on its own topics.
 *
 * Credentials lie in a hash table in a file (table.py writes it, the layout is in table.h) that both sides have mapped:
 * issuing, rotating and revoking take effect at once, nothing is ever reloaded, a million devices cost no start-up.
 * What happens at the door is counted in the same records, so that `dothi devices doctor` can tell it.
 * Passwords of ingest and gateway are none of the gate's business: it defers to mosquitto's own check.
 *
 * One unit for tcc or cc, compiled without any header of the machine's, so that no C library for development is needed.
 */
#include "broker.h"
#include "table.h"
#include "told.h"
#include "entry.h"
#include "topics.h"
#include "gateways.h"

static int on_acl(int event, void *what, void *unused) {
    struct acl_check *asked = what;
    const char *id = mosquitto_client_username(asked->client);
    struct record *record;
    if (!id) return DEFER;
    if (is_ours(id)) return strcmp(id, "gateway") == 0 ? on_gateway(asked) : DEFER;
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

static int on_reload(int event, void *what, void *unused) {
    read_rules();
    return OK;
}

/* --- mosquitto's side */

int mosquitto_plugin_version(int n, const int *versions) {
    int i;
    for (i = 0; i < n; i++) if (versions[i] == 5) return 5;
    return -1;
}

/* Options belong to the configuration, which is read anew on SIGHUP. */
static const char *kept(const char *before, const struct option *option, const char *key) {
    return strcmp(option->key, key) == 0 ? mosquitto_strdup(option->value) : before;
}

int mosquitto_plugin_init(void *plugin, void **user, struct option *options, int n) {
    int i;
    for (i = 0; i < n; i++) {
        path = kept(path, options + i, "table");
        rules_path = kept(rules_path, options + i, "rules");
    }
    if (!path || !mapped()) {
        mosquitto_log_printf(FAILURE, "gate: %s is no table of credentials", path ? path : "plugin_opt_table");
        return NO_AUTH;
    }
    table->boot++;
    table->moving = 0;
    read_rules();
    mosquitto_callback_register(plugin, RELOAD, on_reload, 0, 0);
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
