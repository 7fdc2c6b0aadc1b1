// SPDX-License-Identifier: MIT
// Futexes, what is refused and what a key is: operations, alignment, addresses, counts, clocks, files, memory
// that comes and goes, and waits that signals end.
#include "abi.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

static volatile int word, other, handled, then;

static long futex(volatile void *at, int op, int value, const void *timeout, volatile void *at2,
                  int value3)
{
    return syscall(SYS_futex, at, op, value, timeout, at2, value3);
}

// Until n wait for the word in the kernel: a requeue to the word itself counts them and moves none.
static void until_asleep(volatile int *at, int op, int n)
{
    op = FUTEX_REQUEUE | (op & FUTEX_PRIVATE_FLAG);
    while (futex(at, op, 0, (void *)1000L, at, 0) < n)
        sched_yield();
}

// ---- what is refused, and in which order

static void test_refused(void)
{
    static const struct {
        const char *key;
        int op;
    } all[] = {
        {"op FD", FUTEX_FD},
        {"op 14", 14},
        {"op with bit 9", FUTEX_WAKE | 0x200},
        {"op with bit 31", FUTEX_WAKE | (int)0x80000000},
        {"WAKE by the real time clock", FUTEX_WAKE | FUTEX_CLOCK_REALTIME},
        {"WAKE_BITSET by the real time clock", FUTEX_WAKE_BITSET | FUTEX_CLOCK_REALTIME},
        {"REQUEUE by the real time clock", FUTEX_REQUEUE | FUTEX_CLOCK_REALTIME},
        {"WAIT by the real time clock", FUTEX_WAIT | FUTEX_CLOCK_REALTIME},
    };
    struct timespec odd = {0, 1000000000}, past = {0, 0};
    char *unaligned = (char *)&word + 2;

    for (size_t i = 0; i < COUNT(all); i++)
        VALUE(all[i].key, futex(&word, all[i].op, 1, NULL, &other, -1));
    VALUE("WAKE, unaligned", futex(unaligned, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("WAKE private, unaligned", futex(unaligned, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    VALUE("WAKE_BITSET, unaligned and empty",
          futex(unaligned, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    VALUE("WAKE_BITSET, empty", futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    VALUE("WAIT, unaligned, other value", futex(unaligned, FUTEX_WAIT, 1, NULL, NULL, 0));
    VALUE("WAIT, bad timeout, other value", futex(&word, FUTEX_WAIT, 1, &odd, NULL, 0));
    VALUE("WAIT, timeout nowhere, other value", futex(&word, FUTEX_WAIT, 1, (void *)8, NULL, 0));
    VALUE("WAIT, no time, other value", futex(&word, FUTEX_WAIT, 1, &past, NULL, 0));
    VALUE("WAIT_BITSET, bad timeout, empty", futex(&word, FUTEX_WAIT_BITSET, 1, &odd, NULL, 0));
    VALUE("WAIT_BITSET, timeout nowhere, empty",
          futex(&word, FUTEX_WAIT_BITSET, 1, (void *)8, NULL, 0));
    VALUE("WAKE, timeout nowhere", futex(&word, FUTEX_WAKE, 1, (void *)8, NULL, 0));
    VALUE("unknown op, timeout nowhere", futex(&word, 99, 1, (void *)8, NULL, 0));
    VALUE("REQUEUE of -1", futex(&word, FUTEX_REQUEUE, 0, (void *)-1L, &other, 0));
    VALUE("REQUEUE, waking -1", futex(&word, FUTEX_REQUEUE, -1, NULL, &other, 0));
    VALUE("REQUEUE of -1, unaligned", futex(unaligned, FUTEX_REQUEUE, 0, (void *)-1L, &other, 0));
    VALUE("REQUEUE to unaligned", futex(&word, FUTEX_REQUEUE, 0, NULL, unaligned, 0));
    VALUE("REQUEUE to nowhere", futex(&word, FUTEX_REQUEUE, 0, NULL, (void *)8, 0));
    VALUE("CMP_REQUEUE to nowhere, other value",
          futex(&word, FUTEX_CMP_REQUEUE, 0, NULL, (void *)8, 7));
    VALUE("CMP_REQUEUE private to nowhere, other value",
          futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, NULL, (void *)8, 7));
    VALUE("WAKE_OP on unaligned", futex(&word, FUTEX_WAKE_OP, 0, NULL, unaligned, 0));
    VALUE("WAKE_OP from unaligned", futex(unaligned, FUTEX_WAKE_OP, 0, NULL, &other, 7 << 28));
}

// ---- addresses

static void test_addresses(void)
{
    char *hole = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile int *constant = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile int *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct timespec past = {0, 0};

    munmap(hole + PAGE, PAGE);
    VALUE("WAKE in a hole", futex(hole + PAGE, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("WAKE private in a hole", futex(hole + PAGE, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    VALUE("WAIT in a hole", futex(hole + PAGE, FUTEX_WAIT, 0, NULL, NULL, 0));
    VALUE("WAIT private in a hole", futex(hole + PAGE, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    VALUE("WAKE of the kernel", futex((void *)-8L, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("WAKE private of the kernel", futex((void *)-8L, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    VALUE("WAKE at 0", futex(NULL, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("WAKE private at 0", futex(NULL, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    VALUE("WAKE of what none may read", futex(none, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("WAIT for what none may read", futex(none, FUTEX_WAIT, 0, &past, NULL, 0));
    VALUE("WAIT private for that", futex(none, FUTEX_WAIT_PRIVATE, 0, &past, NULL, 0));
    VALUE("WAIT private for constant memory",
          futex(constant, FUTEX_WAIT_PRIVATE, 0, &past, NULL, 0));
    VALUE("WAKE private of constant memory", futex(constant, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    VALUE("WAKE of constant memory", futex(constant, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("WAIT for untouched memory", futex(hole, FUTEX_WAIT, 0, &past, NULL, 0));
    VALUE("WAKE_OP on constant memory", futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, NULL, constant, 0));
    other = 5;
    VALUE("WAKE_OP, odd comparison",
          futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, NULL, &other, FUTEX_OP(FUTEX_OP_ADD, 1, 7, 0)));
    say("has changed the word", "%d", other);
    other = 0;
}

// ---- counts

struct sleeper {
    pthread_t thread;
    volatile int woken;
    volatile int *at;
    int op, bits;
};

static volatile int woken;

static void *sleep_once(void *arg)
{
    struct sleeper *s = arg;

    futex(s->at, s->op, 0, NULL, NULL, s->bits);
    s->woken = 1;
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

// nth: of the sleepers on that word.
static void start(struct sleeper *s, int nth, volatile int *at, int op, int bits)
{
    *s = (struct sleeper){.at = at, .op = op, .bits = bits};
    pthread_create(&s->thread, NULL, sleep_once, s);
    until_asleep(at, op, nth);
}

static void start_all(struct sleeper *s, int n)
{
    woken = 0;
    for (int i = 0; i < n; i++)
        start(&s[i], i + 1, &word, FUTEX_WAIT_PRIVATE, -1);
}

// Says who was woken of those asleep, wakes the rest and joins them. moved: of the result, these sleep on.
static void finish(const char *key, struct sleeper *s, int n, int moved, long result)
{
    char who[16] = "";

    while (woken < result - moved)
        sched_yield();
    for (int i = 0; i < n; i++)
        who[i] = s[i].woken ? 'a' + i : '-';
    say(key, "%ld, %s", result, who);
    futex(&word, FUTEX_WAKE_PRIVATE, 1 << 20, NULL, NULL, 0);
    futex(&other, FUTEX_WAKE_PRIVATE, 1 << 20, NULL, NULL, 0);
    for (int i = 0; i < n; i++)
        pthread_join(s[i].thread, NULL);
}

static void test_counts(void)
{
    struct sleeper s[4];
    static const int counts[] = {0, 1, 2, -1, 1 << 30};
    char key[32];

    for (size_t i = 0; i < COUNT(counts); i++) {
        start_all(s, 3);
        snprintf(key, sizeof key, "WAKE %d", counts[i]);
        finish(key, s, 3, 0, futex(&word, FUTEX_WAKE_PRIVATE, counts[i], NULL, NULL, 0));
    }
    start_all(s, 4);
    finish("REQUEUE, 1 woken and 2 moved", s, 4, 2,
           futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)2L, &other, 0));
    start_all(s, 4);
    futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)2L, &other, 0);
    finish("then WAKE on the new word", s, 4, -1,
           futex(&other, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    start_all(s, 3);
    finish("REQUEUE to itself", s, 3, 2,
           futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)2L, &word, 0));
    start_all(s, 3);
    futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)1L, &word, 0);
    finish("REQUEUE to itself, then WAKE 1", s, 3, 0,
           futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    start_all(s, 3);
    finish("CMP_REQUEUE to itself, other value", s, 3, 0,
           futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2L, &word, 1));
    for (int i = 0; i < 3; i++)
        start(&s[i], i ? i : 1, i ? &word : &other, FUTEX_WAIT_PRIVATE, -1);
    woken = 0;
    finish("WAKE_OP, 0 and 0", s, 3, 0,
           futex(&word, FUTEX_WAKE_OP_PRIVATE, 0, NULL, &other,
                 FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0)));
}

static void test_bits(void)
{
    struct sleeper s[4];
    static const int sets[] = {1, 6, 12, -1};

    for (int i = 0; i < 4; i++)
        start(&s[i], i + 1, &word, FUTEX_WAIT_BITSET_PRIVATE, sets[i]);
    woken = 0;
    finish("WAKE_BITSET 4, at most 2", s, 4, 0,
           futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 2, NULL, NULL, 4));
    for (int i = 0; i < 4; i++)
        start(&s[i], i + 1, &word, FUTEX_WAIT_BITSET_PRIVATE, sets[i]);
    woken = 0;
    futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)9L, &other, 0);
    finish("bits of moved ones", s, 4, 0,
           futex(&other, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 1));
}

// ---- keys

static volatile int *map(int flags, int fd, long offset)
{
    return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, flags, fd, offset);
}

// Does a wake at `to` (op: WAKE or its private form) find a sleeper at `from`?
static void say_found(const char *key, volatile int *from, int wait, volatile int *to, int wake)
{
    struct sleeper s;

    woken = 0;
    start(&s, 1, from, wait, -1);
    VALUE(key, futex(to, wake, 1, NULL, NULL, 0));
    futex(from, wait - FUTEX_WAIT + FUTEX_WAKE, 1, NULL, NULL, 0);
    pthread_join(s.thread, NULL);
}

static void test_keys(void)
{
    int fd = open("futex_rules.file", O_RDWR | O_CREAT, 0600), fd2;
    volatile int *shared, *again, *mine, *moved,
        *anonymous = map(MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (ftruncate(fd, 2 * PAGE) < 0 || link("futex_rules.file", "futex_rules.link") < 0)
        say("harness", "no file");
    fd2 = open("futex_rules.link", O_RDWR);
    shared = map(MAP_SHARED, fd, 0);
    again = map(MAP_SHARED, fd2, 0);
    mine = map(MAP_PRIVATE, fd, 0);
    say_found("one file by two names", shared, FUTEX_WAIT, again, FUTEX_WAKE);
    say_found("a private key of shared memory", shared, FUTEX_WAIT_PRIVATE, shared,
              FUTEX_WAKE_PRIVATE);
    say_found("private and shared are two", shared, FUTEX_WAIT_PRIVATE, shared, FUTEX_WAKE);
    say_found("private keys of two addresses", shared, FUTEX_WAIT_PRIVATE, again,
              FUTEX_WAKE_PRIVATE);
    say_found("a private mapping of the file", shared, FUTEX_WAIT, mine, FUTEX_WAKE);
    mine[1] = 1;
    say_found("a page that was copied", shared, FUTEX_WAIT, mine, FUTEX_WAKE);
    say_found("shared operations on private memory", &word, FUTEX_WAIT, &word, FUTEX_WAKE);
    say_found("private and shared on private memory", &word, FUTEX_WAIT, &word, FUTEX_WAKE_PRIVATE);
    say_found("shared and anonymous", anonymous, FUTEX_WAIT, anonymous, FUTEX_WAKE);
    moved = mremap((void *)anonymous, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)again);
    YES("moved", moved == again);
    say_found("shared after a move", moved, FUTEX_WAIT, moved, FUTEX_WAKE);
    unlink("futex_rules.file");
    unlink("futex_rules.link");
}

// Who may only read a page: of a file it may wait and wake there, its own never changes.
static void test_read_only(void)
{
    int fd = open("futex_rules.file", O_RDWR | O_CREAT, 0600);
    struct timespec past = {0, 0};

    if (ftruncate(fd, PAGE) < 0)
        say("harness", "no file");
    volatile int *shared = map(MAP_SHARED, fd, 0),
                 *read_only = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0),
                 *write_only = mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0),
                 *uncopied = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0),
                 *copied = map(MAP_PRIVATE, fd, 0),
                 *anonymous = map(MAP_SHARED | MAP_ANONYMOUS, -1, 0),
                 *alias = mremap((void *)anonymous, 0, PAGE, MREMAP_MAYMOVE),
                 *written = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    copied[1] = written[1] = 1;
    mprotect((void *)copied, PAGE, PROT_READ);
    mprotect((void *)written, PAGE, PROT_READ);
    mprotect((void *)alias, PAGE, PROT_READ);
    say_found("WAKE where a file may only be read", shared, FUTEX_WAIT, read_only, FUTEX_WAKE);
    say_found("WAIT where it may only be read", read_only, FUTEX_WAIT, shared, FUTEX_WAKE);
    say_found("WAKE where it may only be written", shared, FUTEX_WAIT, write_only, FUTEX_WAKE);
    say_found("WAKE in a private mapping, read only", shared, FUTEX_WAIT, uncopied, FUTEX_WAKE);
    say_found("shared, anonymous, read only", anonymous, FUTEX_WAIT, alias, FUTEX_WAKE);
    VALUE("WAKE_BITSET where it may only be read",
          futex(read_only, FUTEX_WAKE_BITSET, 1, NULL, NULL, 1));
    VALUE("REQUEUE where it may only be read",
          futex(read_only, FUTEX_REQUEUE, 1, NULL, read_only, 0));
    VALUE("WAKE_OP where it may only be read", futex(shared, FUTEX_WAKE_OP, 1, NULL, read_only, 0));
    VALUE("WAKE_OP beside it", futex(read_only, FUTEX_WAKE_OP, 1, NULL, shared, 0));
    VALUE("WAKE of a copy, read only", futex(copied, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("WAIT for a copy, read only", futex(copied, FUTEX_WAIT, 0, &past, NULL, 0));
    VALUE("WAIT private for it", futex(copied, FUTEX_WAIT_PRIVATE, 0, &past, NULL, 0));
    VALUE("WAKE of written memory, read only", futex(written, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("WAIT for it", futex(written, FUTEX_WAIT, 0, &past, NULL, 0));
    VALUE("WAIT private for written memory, read only",
          futex(written, FUTEX_WAIT_PRIVATE, 0, &past, NULL, 0));
    unlink("futex_rules.file");
}

// A shared word is found by what it lies in, even if the mapping that the sleeper used is gone.
static void test_unmapped(void)
{
    int fd = open("futex_rules.file", O_RDWR | O_CREAT, 0600);
    struct sleeper s;

    if (ftruncate(fd, PAGE) < 0)
        say("harness", "no file");
    volatile int *a = map(MAP_SHARED, fd, 0), *b = map(MAP_SHARED, fd, 0);
    woken = 0;
    start(&s, 1, a, FUTEX_WAIT, -1);
    munmap((void *)a, PAGE);
    VALUE("the sleeper's mapping is gone", futex(b, FUTEX_WAKE, 1, NULL, NULL, 0));
    pthread_join(s.thread, NULL);
    start(&s, 1, b, FUTEX_WAIT, -1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0));
    say_end("a fork's child wakes one", pid);
    pthread_join(s.thread, NULL);
    start(&s, 1, &word, FUTEX_WAIT, -1);
    pid = fork();
    if (pid == 0)
        _exit(10 + futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    say_end("but not in private memory", pid);
    futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0);
    pthread_join(s.thread, NULL);
    unlink("futex_rules.file");
}

// ---- signals and time

static void on_signal(int sig)
{
    (void)sig;
    handled++;
    word = then; // a call that is restarted sees it
}

static void *interrupt(void *to)
{
    pid_t tid = (int)(long)to;

    until_asleep(&word, FUTEX_PRIVATE_FLAG, 1);
    syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
    return NULL;
}

static void say_interrupted(const char *key, int flags, int op, const void *timeout)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    pthread_t thread;

    sigaction(SIGUSR1, &action, NULL);
    handled = 0;
    pthread_create(&thread, NULL, interrupt, (void *)(long)gettid());
    long r = futex(&word, op, 0, timeout, NULL, -1);
    say(key, "%s, handled %d", r == 0 ? "woken" : errno_name(errno), handled);
    pthread_join(thread, NULL);
}

static void test_signals(void)
{
    struct timespec far = {1000, 0}, soon = {0, 300000000}, now;
    int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME};

    say_interrupted("signal, no timeout", 0, FUTEX_WAIT_PRIVATE, NULL);
    then = 1;
    say_interrupted("signal, no timeout, SA_RESTART", SA_RESTART, FUTEX_WAIT_PRIVATE, NULL);
    then = word = 0;
    say_interrupted("signal, timeout, SA_RESTART", SA_RESTART, FUTEX_WAIT_PRIVATE, &far);
    say_interrupted("signal, bit set, no timeout", 0, FUTEX_WAIT_BITSET_PRIVATE, NULL);
    for (int i = 0; i < 2; i++) {
        struct timespec end;
        char key[48];
        clock_gettime(clocks[i], &now);
        now.tv_nsec += soon.tv_nsec;
        now.tv_sec += now.tv_nsec / 1000000000;
        now.tv_nsec %= 1000000000;
        int op = FUTEX_WAIT_BITSET_PRIVATE | (i ? FUTEX_CLOCK_REALTIME : 0);
        snprintf(key, sizeof key, "absolute time of clock %d", clocks[i]);
        VALUE(key, futex(&word, op, 0, &now, NULL, -1));
        clock_gettime(clocks[i], &end);
        snprintf(key, sizeof key, "and not before, clock %d", clocks[i]);
        YES(key,
            end.tv_sec > now.tv_sec || (end.tv_sec == now.tv_sec && end.tv_nsec >= now.tv_nsec));
    }
}

int main(void)
{
    test_refused();
    test_addresses();
    test_counts();
    test_bits();
    test_keys();
    test_read_only();
    test_unmapped();
    test_signals();
    return 0;
}
