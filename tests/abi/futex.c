// SPDX-License-Identifier: MIT
// Futexes: wait and wake, private and shared, bit sets, requeue, timeouts, and no wake that is lost.
#include "abi.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

static volatile int word, awake, started, gate_word;

static long futex(volatile int *at, int op, int value, void *timeout, volatile int *at2, int value3)
{
    return syscall(SYS_futex, at, op, value, timeout, at2, value3);
}

static void *sleeper(void *op)
{
    __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
    while (word == 0)
        futex(&word, (int)(long)op, 0, NULL, NULL, -1);
    __atomic_add_fetch(&awake, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_simple(void)
{
    struct timespec soon = {0, 1000000}, odd = {0, 2000000000}, past = {0, 0}, negative = {-1, 0};

    VALUE("wait, other value", futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
    VALUE("wait with a timeout", futex(&word, FUTEX_WAIT, 0, &soon, NULL, 0));
    VALUE("wait with no time", futex(&word, FUTEX_WAIT_PRIVATE, 0, &past, NULL, 0));
    VALUE("odd timeout", futex(&word, FUTEX_WAIT, 0, &odd, NULL, 0));
    VALUE("negative timeout", futex(&word, FUTEX_WAIT, 0, &negative, NULL, 0));
    VALUE("absolute, in the past", futex(&word, FUTEX_WAIT_BITSET, 0, &past, NULL, -1));
    VALUE("empty bit set", futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    VALUE("wake nobody", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("unaligned", futex((int *)((char *)&word + 1), FUTEX_WAIT, 0, NULL, NULL, 0));
    VALUE("unknown", futex(&word, 99, 0, NULL, NULL, 0));
}

static void test_threads(void)
{
    static const int ops[] = {FUTEX_WAIT, FUTEX_WAIT_PRIVATE, FUTEX_WAIT_BITSET_PRIVATE};
    pthread_t threads[4];

    for (size_t k = 0; k < COUNT(ops); k++) {
        char key[32];
        word = awake = started = 0;
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, sleeper, (void *)(long)ops[k]);
        while (started < 4)
            sched_yield();
        word = 1;
        int op = FUTEX_WAKE | (ops[k] & FUTEX_PRIVATE_FLAG);
        futex(&word, op, 1 << 30, NULL, NULL, 0);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        snprintf(key, sizeof key, "woken, kind %zu", k);
        say(key, "%d", awake);
    }
}

// Waits until the kernel has exactly so many sleepers on a word, by waking none of them.
static void *sleep_once(void *result)
{
    __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
    *(long *)result = futex(&gate_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    __atomic_add_fetch(&awake, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_requeue(void)
{
    static volatile int second;
    pthread_t threads[5];
    long results[5];
    int moved = 0, total = 0;

    started = awake = 0;
    for (int i = 0; i < 5; i++)
        pthread_create(&threads[i], NULL, sleep_once, &results[i]);
    VALUE("requeue, other value",
          futex(&gate_word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)100L, &second, 77));
    while (total < 5) { // wakes none and moves all that sleep by now
        moved = futex(&gate_word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)100L, &second, 0);
        total += moved;
        sched_yield();
    }
    say("moved", "%d, awake %d", total, awake);
    VALUE("wake on the old word", futex(&gate_word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
    VALUE("wake two on the new", futex(&second, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0));
    while (awake < 2)
        sched_yield();
    VALUE("wake the rest", futex(&second, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
    long sum = 0;
    for (int i = 0; i < 5; i++) {
        pthread_join(threads[i], NULL);
        sum += results[i];
    }
    say("their results", "%ld", sum);
}

// A shared futex works between processes, and across different addresses of the same page.
static void test_processes(void)
{
    volatile int *shared =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    pid_t pid = fork();
    if (pid == 0) {
        while (shared[0] == 0)
            futex(&shared[0], FUTEX_WAIT, 0, NULL, NULL, 0);
        shared[1] = 1;
        futex(&shared[1], FUTEX_WAKE, 1, NULL, NULL, 0);
        _exit(0);
    }
    shared[0] = 1;
    futex(&shared[0], FUTEX_WAKE, 1, NULL, NULL, 0);
    while (shared[1] == 0)
        futex(&shared[1], FUTEX_WAIT, 0, NULL, NULL, 0);
    say_end("between processes", pid);
}

// Two threads hand a word back and forth; a lost wake would hang this.
static void *other_side(void *rounds)
{
    for (long i = 0; i < (long)rounds; i++) {
        while (gate_word != 1)
            futex(&gate_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
        gate_word = 0;
        futex(&gate_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return NULL;
}

static void test_many_turns(void)
{
    pthread_t thread;
    long rounds = 2000;

    gate_word = 0;
    pthread_create(&thread, NULL, other_side, (void *)rounds);
    for (long i = 0; i < rounds; i++) {
        while (gate_word != 0)
            futex(&gate_word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
        gate_word = 1;
        futex(&gate_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    pthread_join(thread, NULL);
    say("turns", "%ld", rounds);
}

// A sleeper and a waker that come to the word at the same time, each round at other moments: a wake that falls between the
// look at the value and the sleep must not be lost. The sleeper would wait for the second. Each on a hart of its own, where there
// are two: on one they would take turns.
enum { RACES = 50000, MOMENTS = 500 };

static void pass_time(int n)
{
    for (volatile int i = 0; i < n; i++)
        ;
}

// The first or the last hart of a set.
static cpu_set_t one_of(const cpu_set_t *all, bool last)
{
    cpu_set_t one;
    int n = -1;
    for (int i = 0; i < CPU_SETSIZE && (last || n < 0); i++)
        if (CPU_ISSET(i, all))
            n = i;
    CPU_ZERO(&one);
    CPU_SET(n, &one);
    return one;
}

static int64_t returned_at; // from the wake of round `returned`
static int returned;

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void *wake_each(void *hart)
{
    sched_setaffinity(0, sizeof(cpu_set_t), hart);
    for (int i = 1; i <= RACES; i++) {
        while (started != i)
            sched_yield();
        pass_time(i % MOMENTS);
        word = i;
        futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        returned_at = now_ns();
        __atomic_store_n(&returned, i, __ATOMIC_RELEASE);
    }
    return hart;
}

// A waker that was held up may have come when the second was over, which is no loss.
static bool lost_wake(int round, int64_t second_is_over)
{
    while (__atomic_load_n(&returned, __ATOMIC_ACQUIRE) != round)
        sched_yield();
    return returned_at < second_is_over;
}

static void test_races(void)
{
    struct timespec second = {1, 0};
    cpu_set_t all, mine, other;
    pthread_t thread;
    int lost = 0;

    word = started = 0;
    sched_getaffinity(0, sizeof all, &all);
    mine = one_of(&all, false);
    other = one_of(&all, true);
    pthread_create(&thread, NULL, wake_each, &other);
    sched_setaffinity(0, sizeof mine, &mine);
    for (int i = 1; i <= RACES && lost < 3; i++) {
        int64_t from = now_ns();
        started = i;
        while (word == i - 1) {
            if (futex(&word, FUTEX_WAIT_PRIVATE, i - 1, &second, NULL, 0) == 0 ||
                errno != ETIMEDOUT)
                continue;
            lost += word == i && lost_wake(i, from + 1000000000);
            from = now_ns();
        }
    }
    say("wakes that were lost", "%d", lost);
    if (lost == 3)
        exit(1);
    pthread_join(thread, NULL);
    sched_setaffinity(0, sizeof all, &all);
}

// ---- robust lists

struct robust_node {
    struct robust_node *next;
    volatile uint32_t word;
};

struct robust_page {
    struct robust_list_head head;
    struct robust_node node[6];
    volatile int ready;
};

static struct robust_page *robust_page(void)
{
    struct robust_page *p =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    p->head.futex_offset = offsetof(struct robust_node, word);
    p->head.list.next = (void *)&p->head;
    return p;
}

static void hold(struct robust_page *p, int i, uint32_t word)
{
    p->node[i].word = word;
    p->node[i].next = (void *)p->head.list.next;
    p->head.list.next = (void *)&p->node[i];
}

// The owner's number is shown as abc.
static void say_words(const char *key, const struct robust_page *p, pid_t owner)
{
    char text[128] = "";

    for (int i = 0; i < 6; i++) {
        uint32_t w = p->node[i].word, tid = w & FUTEX_TID_MASK;
        w = tid == (uint32_t)owner ? (w & ~FUTEX_TID_MASK) | 0xabc : w;
        sprintf(text + strlen(text), " %x", w);
    }
    say(key, "%s", text + 1);
}

static pid_t hold_and(struct robust_page *p, void (*then)(struct robust_page *))
{
    pid_t pid = fork();

    if (pid == 0) {
        hold(p, 0, gettid() | FUTEX_WAITERS);
        hold(p, 1, 0x1234567);
        hold(p, 2, gettid());
        p->node[3].word = gettid();
        p->node[4].word = gettid(); // not in the list
        p->head.list_op_pending = (void *)&p->node[3];
        if (syscall(SYS_set_robust_list, &p->head, sizeof p->head))
            _exit(9);
        p->ready = 1;
        then(p);
        _exit(0);
    }
    return pid;
}

static void wait_word(struct robust_page *p)
{
    while (p->ready != 2)
        sched_yield();
}

static void exec_again(struct robust_page *p)
{
    char *const argv[] = {"futex", "again", NULL};

    wait_word(p);
    execv("/proc/self/exe", argv);
    _exit(98);
}

static void spoil_ring(struct robust_page *p)
{
    p->node[0].next = (void *)&p->node[2]; // it never comes back to the head
}

static void spoil_head(struct robust_page *p)
{
    (void)p;
    syscall(SYS_set_robust_list, 16, sizeof p->head);
}

static void spoil_entry(struct robust_page *p)
{
    p->node[1].next = (void *)16;
    p->head.list_op_pending = (void *)32;
}

static void test_robust_death(void (*then)(struct robust_page *), const char *key)
{
    struct robust_page *p = robust_page();
    char line[64];

    pid_t pid = hold_and(p, then);
    while (!p->ready)
        sched_yield();
    uint32_t seen = p->node[0].word;
    p->ready = 2;
    snprintf(line, sizeof line, "wait for %s", key);
    long r = seen & FUTEX_OWNER_DIED
                 ? 0
                 : futex((volatile int *)&p->node[0].word, FUTEX_WAIT, seen, NULL, NULL, 0);
    say(line, "%s", r == 0 || errno == EAGAIN ? "ok" : errno_name(errno));
    snprintf(line, sizeof line, "end of %s", key);
    say_end(line, pid);
    snprintf(line, sizeof line, "words of %s", key);
    say_words(line, p, pid);
}

static void *die_holding(void *mutex)
{
    pthread_mutex_lock(mutex);
    return NULL;
}

static void test_robust(void)
{
    struct robust_list_head *mine = NULL;
    size_t len = 0;
    pthread_mutex_t mutex;
    pthread_mutexattr_t attr;
    pthread_t thread;

    VALUE("robust list, odd size", syscall(SYS_set_robust_list, 0, 23));
    VALUE("get_robust_list", syscall(SYS_get_robust_list, 0, &mine, &len));
    say("its size", "%zu", len);
    YES("the C library has set it", mine != NULL);
    VALUE("list of nobody", syscall(SYS_get_robust_list, 0x3fffffff, &mine, &len));
    VALUE("list to nowhere", syscall(SYS_get_robust_list, 0, 8, &len));
    test_robust_death(wait_word, "an exit");
    test_robust_death(exec_again, "an exec");
    for (int i = 0; i < 3; i++) {
        void (*const spoil[])(struct robust_page *) = {spoil_ring, spoil_head, spoil_entry};
        struct robust_page *p = robust_page();
        char key[32];
        pid_t pid = hold_and(p, spoil[i]);
        snprintf(key, sizeof key, "bad list %d", i);
        say_end(key, pid);
        snprintf(key, sizeof key, "words of bad list %d", i);
        say_words(key, p, pid);
    }
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &attr);
    pthread_create(&thread, NULL, die_holding, &mutex);
    pthread_join(thread, NULL);
    say("lock whose owner died", "%s", errno_name(pthread_mutex_lock(&mutex)));
}

// ---- FUTEX_WAKE_OP: what becomes of the second word, and whether its waiters are woken

static void test_wake_op(void)
{
    static const struct {
        int op, arg, cmp, cmparg;
    } ops[] = {
        {FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 5},     {FUTEX_OP_ADD, -3, FUTEX_OP_CMP_NE, 5},
        {FUTEX_OP_OR, 0x30, FUTEX_OP_CMP_LT, 6},   {FUTEX_OP_ANDN, 4, FUTEX_OP_CMP_LE, 4},
        {FUTEX_OP_XOR, 0xff, FUTEX_OP_CMP_GT, -1}, {FUTEX_OP_SET | 8, 9, FUTEX_OP_CMP_GE, 5},
    };
    static volatile int first, second;
    char key[32];

    for (size_t i = 0; i < COUNT(ops); i++) {
        pthread_t thread;
        long result = -1;
        second = 5;
        started = awake = gate_word = 0;
        pthread_create(&thread, NULL, sleep_once, &result);
        while (futex(&gate_word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)1L, &second, 0) != 1)
            sched_yield();
        long n = syscall(SYS_futex, &first, FUTEX_WAKE_OP_PRIVATE, 1, 1L, &second,
                         FUTEX_OP(ops[i].op, ops[i].arg, ops[i].cmp, ops[i].cmparg));
        snprintf(key, sizeof key, "wake op %zu", i);
        say(key, "%ld, second %x", n, second);
        if (n < 1)
            futex(&second, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        pthread_join(thread, NULL);
    }
    VALUE("wake op, odd operation",
          syscall(SYS_futex, &first, FUTEX_WAKE_OP, 1, 1L, &second, 7 << 28));
    VALUE("wake op, bad second word", syscall(SYS_futex, &first, FUTEX_WAKE_OP, 1, 1L, 8, 0));
}

// A file's word is one futex wherever it is mapped, and another at another offset.
static void test_file_key(void)
{
    int fd = open("futex.file", O_RDWR | O_CREAT, 0600), result = 0;
    volatile int *map[2];

    if (ftruncate(fd, 2 * PAGE) < 0)
        say("harness", "no file");
    for (int i = 0; i < 2; i++)
        map[i] = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(futex(&map[1][3], FUTEX_WAIT, 0, NULL, NULL, 0) < 0);
    VALUE("no waiter at another offset",
          futex(&map[0][PAGE / 4 + 3], FUTEX_WAKE, 1, NULL, NULL, 0));
    VALUE("nor in private", futex(&map[0][3], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    while ((result = futex(&map[0][3], FUTEX_WAKE, 1, NULL, NULL, 0)) == 0)
        sched_yield();
    say("woken through another mapping", "%d", result);
    say_end("its end", pid);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 0;
    test_simple();
    test_threads();
    test_requeue();
    test_processes();
    test_many_turns();
    test_races();
    test_robust();
    test_wake_op();
    test_file_key();
    return 0;
}
