// SPDX-License-Identifier: MIT
// A program for trace points: does exactly what it is told on standard input, a line each, and says so, and how many
// nanoseconds it took.
//
//     calls N      N times getppid, a plain call
//     fails N      N times close(-1)
//     yields N     N times sched_yield
//     faults N     N first touches of pages, by writing, each a fault: of every 16th page from FIRST on;
//                  1 mapping made and 1 removed
//     reads N      the same by reading
//     maps N       N mappings made and N removed, nothing touched
//     forks N      N children that end at once
//     quit
//
// What it needs itself is touched before it says its pid.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, STRIDE = 16 * PAGE };
#define FIRST 0x2000000000

// No larger page takes the place of these, and no neighbours are mapped along.
static void touch(long n, int write)
{
    size_t bytes = (size_t)n * STRIDE;
    volatile char *at = mmap((void *)FIRST, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (at == MAP_FAILED)
        exit(1);
    madvise((void *)at, bytes, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < bytes; i += STRIDE) {
        if (write)
            at[i] = 1;
        else
            (void)at[i];
    }
    munmap((void *)at, bytes);
}

static void run(const char *what, long n)
{
    if (!strcmp(what, "faults") || !strcmp(what, "reads")) {
        touch(n, *what == 'f');
        return;
    }
    for (; n > 0; n--) {
        if (!strcmp(what, "calls")) {
            syscall(SYS_getppid);
        } else if (!strcmp(what, "fails")) {
            syscall(SYS_close, -1);
        } else if (!strcmp(what, "yields")) {
            syscall(SYS_sched_yield);
        } else if (!strcmp(what, "maps")) {
            void *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            munmap(p, PAGE);
        } else if (!strcmp(what, "forks")) {
            pid_t pid = fork();
            if (pid == 0)
                _exit(0);
            waitpid(pid, NULL, 0);
        }
    }
}

static long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(void)
{
    static char line[64], what[16];
    long n = 0;

    setvbuf(stdout, NULL, _IONBF, 0);
    run("faults", 1); // what the C library touches for the first time
    printf("traced: pid %d\n", getpid());
    while (fgets(line, sizeof line, stdin) && sscanf(line, "%15s %ld", what, &n) >= 1) {
        if (!strcmp(what, "quit"))
            return 0;
        long from = now();
        run(what, n);
        printf("traced: done %s %ld in %ld\n", what, n, now() - from);
    }
    return 0;
}
