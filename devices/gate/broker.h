/* What the gate calls of mosquitto, of the C library and of libcrypto, so that no header need be on the machine. */
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
int mosquitto_topic_matches_sub(const char *filter, const char *topic, _Bool *matches);
void *mosquitto_malloc(u64 size);
void mosquitto_free(void *at);
char *mosquitto_strdup(const char *text);
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

enum { RELOAD = 1, ACL_CHECK = 2, BASIC_AUTH = 3, MESSAGE = 7, TICK = 9, DISCONNECT = 10 }; /* events */
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
