// SPDX-License-Identifier: MIT
// Load for several harts: `stress [WORKERS [ROUNDS]]` runs WORKERS processes (4), each ROUNDS times (20)
// through fork, copy on write, pipes, threads, mapping changes and files, with every result checked.
//
// It is deterministic in what it checks and not in what runs when; any wrong byte is named and fails it.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "stress: %s:%d: not so: %s (%s)\n", __func__, __LINE__, #condition,    \
                    strerror(errno));                                                              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

// A child writes all over its copy; the parent's pages must not change.
static int try_fork(int seed)
{
    size_t n = 32 * PAGE;
    uint8_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status;

    CHECK(p != MAP_FAILED);
    memset(p, seed, n);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (size_t i = 0; i < n; i += PAGE)
            if (p[i] != (uint8_t)seed)
                _exit(1);
        memset(p, seed + 1, n);
        for (size_t i = 0; i < n; i++)
            if (p[i] != (uint8_t)(seed + 1))
                _exit(2);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
    for (size_t i = 0; i < n; i++)
        CHECK(p[i] == (uint8_t)seed);
    CHECK(munmap(p, n) == 0);
    return 0;
}

// 256 KiB through a pipe in odd pieces arrive whole and in order.
static int try_pipe(int seed)
{
    enum { TOTAL = 256 << 10 };
    static uint8_t block[5000];
    int fds[2], status;
    size_t seen = 0;

    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        for (size_t sent = 0; sent < TOTAL;) {
            size_t n = TOTAL - sent < 4999 ? TOTAL - sent : 4999;
            for (size_t i = 0; i < n; i++)
                block[i] = (uint8_t)((sent + i) * 7 + seed);
            if (write(fds[1], block, n) != (ssize_t)n)
                _exit(1);
            sent += n;
        }
        _exit(0);
    }
    close(fds[1]);
    for (ssize_t n; (n = read(fds[0], block, sizeof block)) > 0; seen += n)
        for (ssize_t i = 0; i < n; i++)
            CHECK(block[i] == (uint8_t)((seen + i) * 7 + seed));
    CHECK(seen == TOTAL);
    close(fds[0]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;
static __thread long mine;

static void *count(void *times)
{
    for (long i = 0; i < (long)times; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        mine++;
    }
    return (void *)mine;
}

static int try_threads(int seed)
{
    pthread_t threads[4];

    (void)seed;
    counter = 0;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, count, (void *)500L) == 0);
    for (int i = 0; i < 4; i++) {
        void *times;
        CHECK(pthread_join(threads[i], &times) == 0);
        CHECK(times == (void *)500L);
    }
    CHECK(counter == 2000);
    return 0;
}

// A sibling thread reads a page over and over while it is taken away and given back.
static uint8_t *volatile shared;

static void *look(void *stop)
{
    long sum = 0;

    while (!*(volatile int *)stop)
        sum += shared[PAGE];
    return (void *)sum;
}

static int try_mappings(int seed)
{
    volatile int stop = 0;
    pthread_t thread;
    void *sum;
    uint8_t *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(p != MAP_FAILED);
    shared = p;
    p[0] = p[3 * PAGE] = (uint8_t)seed;
    CHECK(pthread_create(&thread, NULL, look, (void *)&stop) == 0);
    for (int i = 0; i < 50; i++) {
        CHECK(mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                   -1, 0) == p + PAGE);
        CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
        CHECK(p[PAGE] == 0);
    }
    stop = 1;
    CHECK(pthread_join(thread, &sum) == 0);
    CHECK(sum == NULL);
    CHECK(p[0] == (uint8_t)seed && p[3 * PAGE] == (uint8_t)seed);
    CHECK(munmap(p, 4 * PAGE) == 0);
    return 0;
}

static int try_files(int seed)
{
    char path[64];
    uint8_t block[3000];

    snprintf(path, sizeof path, "/tmp/stress.%d", getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    for (int i = 0; i < 20; i++) {
        memset(block, seed + i, sizeof block);
        CHECK(write(fd, block, sizeof block) == (ssize_t)sizeof block);
    }
    for (int i = 19; i >= 0; i--) {
        CHECK(pread(fd, block, sizeof block, i * (off_t)sizeof block) == (ssize_t)sizeof block);
        for (size_t j = 0; j < sizeof block; j++)
            CHECK(block[j] == (uint8_t)(seed + i));
    }
    CHECK(unlink(path) == 0);
    CHECK(close(fd) == 0);
    return 0;
}

static int work(int seed, int rounds)
{
    static int (*const parts[])(int) = {try_fork, try_pipe, try_threads, try_mappings, try_files};
    int wrong = 0;

    for (int i = 0; i < rounds; i++)
        for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
            wrong += parts[(part + seed) % (sizeof parts / sizeof *parts)](seed * 16 + i);
    return wrong;
}

int main(int argc, char **argv)
{
    int workers = argc > 1 ? atoi(argv[1]) : 4, rounds = argc > 2 ? atoi(argv[2]) : 20;
    int started = 0, wrong = 0, status;

    for (; started < workers; started++) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("stress: fork");
            break;
        }
        if (pid == 0)
            _exit(work(started, rounds) != 0);
    }
    while (wait(&status) > 0)
        wrong += status != 0;
    printf("stress: %d workers, %d rounds, %d wrong\n", started, rounds, wrong);
    return wrong != 0 || started < workers;
}
