/* Loaded before mosquitto 2.0, so that it asks the kernel to watch a connection only where something has changed.
 *
 * Before it writes a packet mosquitto asks to be woken when the socket can be written to, and takes that back when all
 * is written; it asks twice each, for it adds first what is there. That is four calls for each packet that goes out,
 * eight for each message, and a fifth of the broker's CPU. What is watched matters only when it waits: the last wish of
 * each connection is kept here and told then, if it is another than the kernel knows. mosquitto has one thread.
 *
 * Compiled without any header of the machine's, as the gate is.
 */
typedef unsigned int u32;
typedef unsigned long u64;

#ifdef __x86_64__
#define PACKED __attribute__((packed))
#else
#define PACKED
#endif
struct event {
    u32 events;
    u64 whose;
} PACKED;

#ifdef __x86_64__
typedef char twelve_bytes[sizeof(struct event) == 12 ? 1 : -1];
#endif

void *dlsym(void *handle, const char *name);
int *__errno_location(void);

#define NEXT ((void *)-1L)
#define ADD 1
#define DELETE 2
#define MODIFY 3
#define EEXIST 17
#define MOST (1 << 20) /* files beyond are none of ours; pages that nobody touches cost nothing */

static struct {
    int poll, waits; /* which instance watches it, plus one; whether it is among those that wait */
    struct event known, wished;
} files[MOST];
static int waiting[MOST], waits;

static int (*next_control)(int, int, int, struct event *);
static int (*next_wait)(int, struct event *, int, int);
static int (*next_close)(int);

static int control(int poll, int operation, int file, struct event *event) {
    if (!next_control) next_control = dlsym(NEXT, "epoll_ctl");
    return next_control(poll, operation, file, event);
}

static int differs(const struct event *one, const struct event *other) {
    return one->events != other->events || one->whose != other->whose;
}

int epoll_ctl(int poll, int operation, int file, struct event *event) {
    int failed;
    if (file < 0 || file >= MOST) return control(poll, operation, file, event);
    if (files[file].poll == poll + 1) {
        if (operation == ADD && event->whose == files[file].known.whose) {
            *__errno_location() = EEXIST;
            return -1;
        }
        if (operation == MODIFY) {
            files[file].wished = *event;
            if (!files[file].waits) {
                files[file].waits = 1;
                waiting[waits++] = file;
            }
            return 0;
        }
    }
    failed = control(poll, operation, file, event);
    if (operation == DELETE) files[file].poll = 0;
    if (operation == ADD && !failed) {
        files[file].poll = poll + 1;
        files[file].known = files[file].wished = *event;
    }
    return failed;
}

int epoll_wait(int poll, struct event *events, int most, int timeout) {
    while (waits) {
        int file = waiting[--waits];
        files[file].waits = 0;
        if (files[file].poll && differs(&files[file].wished, &files[file].known)
            && !control(files[file].poll - 1, MODIFY, file, &files[file].wished))
            files[file].known = files[file].wished;
    }
    if (!next_wait) next_wait = dlsym(NEXT, "epoll_wait");
    return next_wait(poll, events, most, timeout);
}

/* The kernel forgets what is closed. */
int close(int file) {
    if (file >= 0 && file < MOST) files[file].poll = 0;
    if (!next_close) next_close = dlsym(NEXT, "close");
    return next_close(file);
}
