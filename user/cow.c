// SPDX-License-Identifier: MIT
// Sharers of the same pages that write all at once: `cow family|orphans PAGES FIFO`.
//
// family: a parent and its two children write; orphans: two children whose parent is gone. It prints
// `ready PID...` once all have run, writes when a line comes through the FIFO, prints `written`, checks
// what each sees when the next line comes, prints `fine`, and ends.
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

enum { IDLE, WRITE, LOOK };
static struct {
    volatile int step, ready, done, looked, right;
    volatile pid_t pid[3];
} * all; // shared

static uint64_t *pages;
static size_t count;

static void write_pages(int who)
{
    for (size_t i = 0; i < count; i++)
        pages[i * PAGE / sizeof *pages] = (uint64_t)who << 32 | i;
}

static int looks_right(int who)
{
    for (size_t i = 0; i < count; i++)
        if (pages[i * PAGE / sizeof *pages] != ((uint64_t)who << 32 | i) ||
            pages[i * PAGE / sizeof *pages + 1] != i)
            return 0;
    return 1;
}

static void await(int step)
{
    while (all->step != step)
        sched_yield();
}

static void share(int who)
{
    all->pid[who] = getpid();
    __atomic_add_fetch(&all->ready, 1, __ATOMIC_SEQ_CST);
    await(WRITE);
    write_pages(who);
    __atomic_add_fetch(&all->done, 1, __ATOMIC_SEQ_CST);
    await(LOOK);
    __atomic_add_fetch(&all->right, looks_right(who), __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&all->looked, 1, __ATOMIC_SEQ_CST);
}

static pid_t sharer(int who)
{
    pid_t pid = fork();
    if (pid == 0) {
        share(who);
        _exit(0);
    }
    return pid;
}

static void next(int fifo, int step)
{
    char c;

    while (read(fifo, &c, 1) == 1 && c != '\n')
        ;
    all->step = step;
}

static void *map(size_t n, int flags)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("cow: mmap");
        exit(1);
    }
    return p;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: cow family|orphans PAGES FIFO\n");
        return 2;
    }
    int family = strcmp(argv[1], "family") == 0, sharers = family ? 3 : 2;
    int fifo = open(argv[3], O_RDWR);
    count = strtoul(argv[2], NULL, 0);
    all = map(PAGE, MAP_SHARED);
    setvbuf(stdout, NULL, _IOLBF, 0);
    pid_t owner = fork(); // whose pages they are
    if (owner == 0) {
        pages = map(count * PAGE, MAP_PRIVATE);
        madvise(pages, count * PAGE, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < count; i++)
            pages[i * PAGE / sizeof *pages + 1] = i;
        sharer(0);
        sharer(1);
        if (family)
            share(2);
        _exit(0);
    }
    if (!family)
        waitpid(owner, NULL, 0);
    while (all->ready < sharers)
        sched_yield();
    printf("ready %d %d %d\n", all->pid[0], all->pid[1], all->pid[2]);
    next(fifo, WRITE);
    while (all->done < sharers)
        sched_yield();
    printf("written\n");
    next(fifo, LOOK);
    while (all->looked < sharers)
        sched_yield();
    printf(all->right == sharers ? "fine\n" : "wrong\n");
    return all->right != sharers;
}
