// SPDX-License-Identifier: MIT
// Maps 64 MiB and touches single pages on request, so that the monitor can show them turn from lazy
// to resident.
//
// usage: lazy [MIB]              reads commands from standard input, one a line:
//                                  touch N | read N | drop N | quit     (N is a page's number)
//        lazy --every MS [MIB]   touches the next page every MS milliseconds
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static volatile uint8_t *base;
static size_t pages;

static void report(const char *what, size_t n)
{
    printf("lazy: %s page %zu at %p\n", what, n, (void *)(base + n * PAGE));
}

static void obey(const char *verb, size_t n)
{
    if (n >= pages) {
        printf("lazy: there are pages 0 to %zu\n", pages - 1);
    } else if (strcmp(verb, "touch") == 0) {
        base[n * PAGE] = (uint8_t)(n + 1);
        report("touched", n);
    } else if (strcmp(verb, "read") == 0) {
        printf("lazy: page %zu holds %u\n", n, base[n * PAGE]);
    } else if (strcmp(verb, "drop") == 0) {
        if (madvise((void *)(base + n * PAGE), PAGE, MADV_DONTNEED) < 0)
            printf("lazy: cannot drop page %zu: %s\n", n, strerror(errno));
        else
            report("dropped", n);
    } else {
        printf("lazy: touch N | read N | drop N | quit\n");
    }
}

static void obey_input(void)
{
    char line[80], verb[16];
    size_t n;

    while (fgets(line, sizeof line, stdin)) {
        n = 0;
        if (sscanf(line, "%15s %zu", verb, &n) < 1)
            continue;
        if (strcmp(verb, "quit") == 0)
            return;
        obey(verb, n);
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

int main(int argc, char **argv)
{
    long every = 0;

    if (argc > 2 && strcmp(argv[1], "--every") == 0) {
        every = atol(argv[2]);
        argc -= 2;
        argv += 2;
    }
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 0) : 64;
    if (mib == 0)
        mib = 64;
    pages = mib * 256;
    base = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
    return 0;
}
