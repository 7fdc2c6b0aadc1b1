// SPDX-License-Identifier: MIT
// Three 2 MiB pages, changed while somebody looks: `huge FIFO`.
//
// It prints `at ADDRESS PID`, hex and decimal; then a letter at a time comes through the FIFO: t touches one byte of
// each page of 2 MiB, w writes all of them, u unmaps the 4 KiB page 100 of the first, p takes the right to write
// page 3 of the second, d drops the whole third, f forks a child that writes, c checks what is there, q ends. It
// answers `done`, `right` or `wrong`.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, HUGE = 2 << 20, COUNT = 3, SMALL = HUGE / PAGE };

static uint8_t *base;
static int gone[COUNT * SMALL]; // 1: not mapped, 2: dropped

static uint64_t *word(int page)
{
    return (uint64_t *)(base + (size_t)page * PAGE);
}

static int check(uint64_t add)
{
    for (int i = 0; i < COUNT * SMALL; i++)
        if (gone[i] != 1 && *word(i) != (gone[i] ? 0 : (uint64_t)i + add))
            return 0;
    return 1;
}

static int child_writes(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < COUNT * SMALL; i += 7)
            if (!gone[i] && i != SMALL + 3)
                *word(i) += 5;
        for (int i = 0; i < COUNT * SMALL; i++)
            if (!gone[i] && *word(i) != (uint64_t)i + 1 + (i % 7 || i == SMALL + 3 ? 0 : 5))
                _exit(1);
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int step(char c)
{
    switch (c) {
    case 't':
        for (int i = 0; i < COUNT; i++)
            *(volatile uint8_t *)word(i * SMALL + 9) = 0;
        return 1;
    case 'w':
        for (int i = 0; i < COUNT * SMALL; i++)
            *word(i) = (uint64_t)i + 1;
        return 1;
    case 'u':
        gone[100] = 1;
        return munmap(word(100), PAGE) == 0;
    case 'p':
        return mprotect(word(SMALL + 3), PAGE, PROT_READ) == 0;
    case 'd':
        for (int i = 2 * SMALL; i < 3 * SMALL; i++)
            gone[i] = 2;
        return madvise(word(2 * SMALL), HUGE, MADV_DONTNEED) == 0;
    case 'f':
        return child_writes();
    default:
        return check(1);
    }
}

int main(int argc, char **argv)
{
    char c;
    int fifo = argc == 2 ? open(argv[1], O_RDWR) : -1;
    uint8_t *p = mmap(NULL, (COUNT + 1) * (size_t)HUGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fifo < 0 || p == MAP_FAILED) {
        fprintf(stderr, "usage: huge FIFO\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    base = (uint8_t *)(((uintptr_t)p + HUGE - 1) & -(uintptr_t)HUGE);
    munmap(base + COUNT * (size_t)HUGE, (size_t)(p + HUGE - base));
    if (base > p)
        munmap(p, (size_t)(base - p));
    printf("at %lx %d\n", (unsigned long)base, getpid());
    while (read(fifo, &c, 1) == 1 && c != 'q') {
        if (c == '\n')
            continue;
        int right = step(c);
        printf(c == 'c' && right ? "right\n" : right ? "done\n" : "wrong\n");
    }
    return 0;
}
