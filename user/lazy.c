// SPDX-License-Identifier: MIT
// Maps 64 MiB and touches pages on request, so that the monitor can show them turn from lazy to
// resident.
//
// usage: lazy [MIB]              reads commands from standard input, one a line (N: a page's number)
//                                  touch N[-N]   write to a byte of each
//                                  read N[-N]    read it
//                                  check N[-N]   count the bytes that are not zero
//                                  drop N[-N]    give the pages back (MADV_DONTNEED)
//                                  renew N       have a byte written to it, give it back, again and again, until it is unmapped
//                                  sequential    say that it will go through them in order
//                                  fork          a child that only waits, and has all pages, too
//                                  join          end it
//                                  quit
//        lazy --every MS [MIB]   touches the next page every MS milliseconds
//        lazy --shared [MIB]     maps memory that it would share with a child
//        lazy --file PATH [MIB]  maps that file, shared
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static volatile uint8_t *base;
static size_t pages;
static pid_t child;

// "touched page 7 at 0x...", "touched pages 0-9"
static void report(const char *what, size_t n, size_t last)
{
    if (n == last)
        printf("lazy: %s page %zu at %p\n", what, n, (void *)(base + n * PAGE));
    else
        printf("lazy: %s pages %zu-%zu\n", what, n, last);
}

static void do_touch(size_t n, size_t last)
{
    for (size_t i = n; i <= last; i++)
        base[i * PAGE] = (uint8_t)(i + 1);
    report("touched", n, last);
}

static void do_read(size_t n, size_t last)
{
    unsigned holds = 0;

    for (size_t i = n; i <= last; i++)
        holds = base[i * PAGE];
    if (n == last)
        printf("lazy: page %zu holds %u\n", n, holds);
    else
        report("read", n, last);
}

static void do_check(size_t n, size_t last)
{
    size_t wrong = 0;

    for (size_t i = n * PAGE; i < (last + 1) * PAGE; i++)
        wrong += base[i] != 0;
    printf("lazy: pages %zu-%zu hold %zu bytes that are not zero\n", n, last, wrong);
}

static void do_drop(size_t n, size_t last)
{
    if (madvise((void *)(base + n * PAGE), (last + 1 - n) * PAGE, MADV_DONTNEED) < 0)
        printf("lazy: cannot drop page %zu: %s\n", n, strerror(errno));
    else
        report("dropped", n, last);
}

// By the kernel, which says so where this program would be ended.
static void do_renew(size_t n, size_t last)
{
    void *page = (void *)(base + n * PAGE);
    int fd = open("/dev/zero", O_RDONLY);

    (void)last;
    printf("lazy: renews page %zu\n", n);
    fflush(stdout);
    while (read(fd, page, 1) == 1)
        if (madvise(page, PAGE, MADV_DONTNEED) < 0) {
            printf("lazy: page %zu went with what it held\n", n);
            break;
        }
    printf("lazy: page %zu is gone\n", n);
    close(fd);
}

static void do_sequential(size_t n, size_t last)
{
    (void)n, (void)last;
    madvise((void *)base, pages * PAGE, MADV_SEQUENTIAL);
    printf("lazy: in order from here\n");
}

static void do_join(size_t n, size_t last)
{
    (void)n, (void)last;
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        printf("lazy: child %d has ended\n", child);
    }
    child = 0;
}

static void do_fork(size_t n, size_t last)
{
    do_join(n, last);
    child = fork();
    while (child == 0)
        pause();
    printf("lazy: child %d\n", child);
}

static const struct verb {
    const char *name;
    void (*fn)(size_t n, size_t last);
} verbs[] = {
    {"touch", do_touch}, {"read", do_read},   {"check", do_check},
    {"drop", do_drop},   {"fork", do_fork},   {"sequential", do_sequential},
    {"join", do_join},   {"renew", do_renew},
};

static void obey(const char *name, size_t n, size_t last)
{
    if (n >= pages || last >= pages || n > last) {
        printf("lazy: there are pages 0 to %zu\n", pages - 1);
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, name) == 0) {
            verbs[i].fn(n, last);
            return;
        }
    printf(
        "lazy: touch N | read N | check N | drop N | renew N | sequential | fork | join | quit\n");
}

static void obey_input(void)
{
    char line[80], verb[16];
    size_t n, last;

    while (fgets(line, sizeof line, stdin)) {
        n = 0;
        int words = sscanf(line, "%15s %zu-%zu", verb, &n, &last);
        if (words < 1)
            continue;
        if (strcmp(verb, "quit") == 0)
            return;
        obey(verb, n, words == 3 ? last : n);
    }
}

static void touch_slowly(long milliseconds)
{
    struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    for (size_t n = 0;; n = (n + 1) % pages) {
        base[n * PAGE]++;
        nanosleep(&t, NULL);
    }
}

// On another hart an entry that has become writable since may be cached as it was, and fault once more.
static void stay_on_this_hart(void)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
}

int main(int argc, char **argv)
{
    long every = 0;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;

    stay_on_this_hart();
    if (argc > 2 && strcmp(argv[1], "--every") == 0) {
        every = atol(argv[2]);
        argc -= 2;
        argv += 2;
    } else if (argc > 1 && strcmp(argv[1], "--shared") == 0) {
        flags = MAP_SHARED | MAP_ANONYMOUS;
        argc--;
        argv++;
    } else if (argc > 2 && strcmp(argv[1], "--file") == 0) {
        flags = MAP_SHARED;
        fd = open(argv[2], O_RDWR);
        argc -= 2;
        argv += 2;
    }
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 0) : 64;
    if (mib == 0)
        mib = 64;
    pages = mib * 256;
    base = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, flags, fd, 0);
    close(fd);
    madvise((void *)base, mib << 20, MADV_NOHUGEPAGE); // each page by a fault of its own
    if (base == MAP_FAILED) {
        perror("lazy: mmap");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("lazy: pid %d, %zu MiB at %p, %zu pages\n", getpid(), mib, (void *)base, pages);
    if (every > 0)
        touch_slowly(every);
    obey_input();
    do_join(0, 0);
    return 0;
}
