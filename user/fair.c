// SPDX-License-Identifier: MIT
// Whether everybody gets a turn: `fair pingpong`, `spin`, `crowd` and `move`, each on all harts; prints what happened and
// how much of it was wrong. tests/boot/fairness.lua runs it.
//
// pingpong: on each hart in turn two threads wake each other for ever, while a third gives way again and again. Bounded by
// what kernel/async/runqueue.h promises: RUN_QUEUE_UNFAIR(2) polls, two to a round trip.
// spin: on each hart one thread that is bound to it and one that is not only count; meanwhile the first thread sleeps,
// writes to another through pipes, and has children. All of them must get on.
// crowd: the same for threads that are all bound to one hart, while the others have nothing to do.
// move: a thread that is moved among spinning ones is soon where it must be, and makes a few calls at most elsewhere.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HARTS = 64, TURNS = 200, MOST_ROUNDS = 41, STEPS = 5, CROWD = 3, MOVES = 24, FEW = 20 };

static int harts, wrong;
static int there[2], back[2];
static volatile uint64_t rounds, counters[2 * HARTS];
static volatile int over;

static void bind_thread(pid_t tid, int hart)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(hart, &set);
    wrong += sched_setaffinity(tid, sizeof set, &set) != 0;
}

static void bind_to(int hart)
{
    bind_thread(0, hart);
}

static void *start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    if (pthread_create(thread, NULL, run, arg)) {
        perror("fair: pthread_create");
        exit(2);
    }
    return NULL;
}

static void *echo(void *unused)
{
    char c;

    while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
        ;
    return unused;
}

static int round_trip(void)
{
    char c = 'x';
    return write(there[1], &c, 1) == 1 && read(back[0], &c, 1) == 1;
}

static void *ping(void *unused)
{
    while (!over && round_trip())
        rounds++;
    return unused;
}

static void open_pipes(void)
{
    if (pipe(there) || pipe(back)) {
        perror("fair: pipe");
        exit(2);
    }
}

static void close_pipes(pthread_t echoing)
{
    close(there[1]);
    pthread_join(echoing, NULL);
    close(there[0]);
    close(back[0]);
    close(back[1]);
}

static uint64_t pingpong_on(int hart)
{
    pthread_t pinging, echoing;
    uint64_t most = 0;

    bind_to(hart);
    open_pipes();
    over = 0;
    start(&echoing, echo, NULL);
    start(&pinging, ping, NULL);
    for (int turn = 0; turn < TURNS; turn++) {
        uint64_t before = rounds;
        sched_yield();
        if (rounds - before > most)
            most = rounds - before;
    }
    over = 1;
    pthread_join(pinging, NULL);
    close_pipes(echoing);
    return most;
}

static void pingpong(void)
{
    uint64_t most = 0;

    for (int hart = 0; hart < harts; hart++) {
        uint64_t n = pingpong_on(hart);
        if (n > most)
            most = n;
    }
    wrong += most > MOST_ROUNDS;
    wrong += rounds == 0;
    printf("pingpong: %d harts, at most %lu round trips to a turn, %d wrong\n", harts,
           (unsigned long)most, wrong);
}

static void *spin(void *arg)
{
    uintptr_t n = (uintptr_t)arg;

    if (n < (uintptr_t)harts)
        bind_to((int)n);
    while (!over)
        counters[n]++;
    return NULL;
}

static void rest(void)
{
    struct timespec nap = {0, 1000000};
    nanosleep(&nap, NULL);
}

// Until each of the first n has counted; whoever gets no turn keeps this waiting for ever.
static void wait_for_all(int n)
{
    uint64_t before[2 * HARTS];

    memcpy(before, (void *)counters, sizeof before);
    for (int i = 0; i < n; i++)
        while (counters[i] == before[i])
            rest();
}

static void spin_everywhere(void)
{
    pthread_t spinning[2 * HARTS], echoing;

    open_pipes();
    start(&echoing, echo, NULL);
    for (intptr_t i = 0; i < 2 * harts; i++)
        start(&spinning[i], spin, (void *)i);
    for (int step = 0; step < STEPS; step++) {
        wrong += !round_trip();
        rest();
        pid_t child = fork();
        if (child == 0)
            _exit(7);
        int status = 0;
        wrong += waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7;
        wait_for_all(2 * harts);
    }
    over = 1;
    for (int i = 0; i < 2 * harts; i++)
        pthread_join(spinning[i], NULL);
    close_pipes(echoing);
    printf("spin: %d harts, %d steps, %d wrong\n", harts, STEPS, wrong);
}

static void *spin_along(void *counter)
{
    while (!over)
        ++*(volatile uint64_t *)counter;
    return NULL;
}

static void crowd(void)
{
    pthread_t spinning[CROWD];

    for (int hart = 0; hart < harts; hart++) {
        bind_to(hart);
        over = 0;
        for (int i = 0; i < CROWD; i++)
            start(&spinning[i], spin_along, (void *)&counters[i]);
        for (int step = 0; step < STEPS; step++)
            wait_for_all(CROWD);
        over = 1;
        for (int i = 0; i < CROWD; i++)
            pthread_join(spinning[i], NULL);
    }
    printf("crowd: %d harts, %d wrong\n", harts, wrong);
}

static volatile int moved_tid, must = -1, seen, strayed;

static void *say_where(void *unused)
{
    moved_tid = gettid();
    while (!over) {
        unsigned hart = 0;
        syscall(SYS_getcpu, &hart, NULL, NULL);
        strayed += must >= 0 && (int)hart != must;
        seen = (int)hart;
    }
    return unused;
}

static void move(void)
{
    pthread_t spinning[HARTS], moved;

    start(&moved, say_where, NULL);
    for (int i = 0; i < harts; i++)
        start(&spinning[i], spin_along, (void *)&counters[i]);
    while (!moved_tid)
        rest();
    for (int i = 0; i < MOVES; i++) {
        strayed = 0;
        bind_thread(moved_tid, i % harts);
        must = i % harts;
        while (seen != must)
            rest();
        wait_for_all(harts);
        wrong += strayed > FEW;
        must = -1;
    }
    over = 1;
    pthread_join(moved, NULL);
    for (int i = 0; i < harts; i++)
        pthread_join(spinning[i], NULL);
    printf("move: %d harts, %d moves, %d wrong\n", harts, MOVES, wrong);
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {{"pingpong", pingpong}, {"spin", spin_everywhere}, {"crowd", crowd}, {"move", move}};

int main(int argc, char **argv)
{
    harts = (int)sysconf(_SC_NPROCESSORS_ONLN);
    for (size_t i = 0; argc == 2 && harts <= HARTS && i < sizeof tests / sizeof *tests; i++)
        if (strcmp(argv[1], tests[i].name) == 0) {
            tests[i].run();
            return wrong != 0;
        }
    fprintf(stderr, "usage: fair pingpong|spin|crowd|move\n");
    return 2;
}
