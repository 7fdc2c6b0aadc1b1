// SPDX-License-Identifier: MIT
// Futexes: wait and wake, private and shared, bit sets, requeue, timeouts, and no wake that is lost.
#include "abi.h"
#include <linux/futex.h>
#include <pthread.h>
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

int main(void)
{
    test_simple();
    test_threads();
    test_requeue();
    test_processes();
    test_many_turns();
    return 0;
}
