/* What is told: so many lines a second of each kind; the counts in the table are complete. */

enum { REFUSED, TAKEN, FLOOD, ASTRAY, KINDS };

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
