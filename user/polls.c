// SPDX-License-Identifier: MIT
// How long the kernel keeps a hart from others who are ready: `polls SHAPE CALL` gives a child memory of that shape, has it
// make that call, and meanwhile watches the clock on the same hart. Prints the longest time that it did not get on, in
// nanoseconds; under -icount, and on one hart, these are the instructions of the longest poll.
//
// Shapes: `sparse`, a page in each of 4,000 2 MiB; `wide`, a page in each of 80 GiB; `huge`, 48 pages of 2 MiB; `dense`,
// 1,000 pages and nothing else; `big`, 16,000; `many`, 10,000 mappings without a page, of which none is like the next.
// No memory: `watched`, an epoll with 20,000 watches; `shared`, the same, and another has half of the files, too.
// Calls: unmap, exit, exec, fork, move, protect, discard, flags, shrink, mincore; nest, which is for the last.
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE     4096ul
#define MIB2     (2ul << 20)
#define GIB      (1ul << 30)
#define PLACE    ((uint8_t *)0x1000000000)
#define TARGET   ((uint8_t *)0x2400201000 + GIB) // no multiple of 2 MiB away
#define QUIET_NS 20000000ul                      // what ends in the background has ended by then

enum {
    ANYWHERE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
    RW = PROT_READ | PROT_WRITE
};

static volatile int *busy; // the call is being made

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static _Noreturn void fail(const char *what)
{
    perror(what);
    _exit(2);
}

static void need(int right, const char *what)
{
    if (!right)
        fail(what);
}

// ---- shapes; each returns its length

static void map(uint8_t *at, uint64_t len, int prot)
{
    need(mmap(at, len, prot, ANYWHERE, -1, 0) == at, "mmap");
}

static uint64_t touched(unsigned count, uint64_t step, int advice)
{
    map(PLACE, count * step, RW);
    need(!madvise(PLACE, count * step, advice), "madvise");
    for (unsigned i = 0; i < count; i++)
        *(volatile uint8_t *)(PLACE + i * step) = 1;
    return count * step;
}

static uint64_t many(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        map(PLACE + i * PAGE, PAGE, i % 2 ? RW : PROT_READ);
    return count * PAGE;
}

static int epoll_of_many;

static void watch(int ep, int fd)
{
    need(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN}), "epoll_ctl");
}

static uint64_t watched(unsigned count, unsigned shared)
{
    struct rlimit most = {count + 100, count + 100};
    int other = epoll_create1(0);
    epoll_of_many = epoll_create1(0);
    need(!setrlimit(RLIMIT_NOFILE, &most), "setrlimit");
    for (unsigned i = 0; i < count; i++) {
        int fd = eventfd(0, 0);
        need(fd >= 0, "eventfd");
        watch(epoll_of_many, fd);
        if (i < shared)
            watch(other, fd);
    }
    return PAGE;
}

static uint64_t make(const char *shape)
{
    return !strcmp(shape, "watched")  ? watched(20000, 0)
           : !strcmp(shape, "shared") ? watched(20000, 10000)
           : !strcmp(shape, "sparse") ? touched(4000, MIB2, MADV_NOHUGEPAGE)
           : !strcmp(shape, "wide")   ? touched(80, GIB, MADV_NOHUGEPAGE)
           : !strcmp(shape, "huge")   ? touched(48, MIB2, MADV_HUGEPAGE)
           : !strcmp(shape, "dense")  ? touched(1000, PAGE, MADV_NOHUGEPAGE)
           : !strcmp(shape, "big")    ? touched(16000, PAGE, MADV_NOHUGEPAGE)
           : !strcmp(shape, "many")   ? many(10000)
                                      : 0;
}

// ---- calls

static void fork_once(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    need(pid > 0 && waitpid(pid, NULL, 0) == pid, "fork");
}

static void call(const char *what, uint64_t len)
{
    uint8_t *vector = mmap(NULL, len / PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(vector != MAP_FAILED, "mmap");
    *busy = 1;
    sched_yield();
    if (!strcmp(what, "unmap"))
        need(!munmap(PLACE, len), what);
    else if (!strcmp(what, "exec"))
        execl("/proc/self/exe", "polls", NULL), fail(what);
    else if (!strcmp(what, "fork"))
        fork_once();
    else if (!strcmp(what, "move"))
        need(mremap(PLACE, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, TARGET) == TARGET, what);
    else if (!strcmp(what, "protect"))
        need(!mprotect(PLACE, len, PROT_READ), what);
    else if (!strcmp(what, "discard"))
        need(!madvise(PLACE, len, MADV_DONTNEED), what);
    else if (!strcmp(what, "flags"))
        need(!madvise(PLACE, len, MADV_DONTFORK), what);
    else if (!strcmp(what, "shrink"))
        need(mremap(PLACE, len, PAGE, 0) == PLACE, what);
    else if (!strcmp(what, "mincore"))
        need(!mincore(PLACE, len, vector), what);
    else if (!strcmp(what, "nest"))
        (void)epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, epoll_of_many, &(struct epoll_event){0});
    else
        _exit(!strcmp(what, "exit") ? 0 : 3);
    sched_yield();
    *busy = 0;
    _exit(0);
}

// ---- watching

static uint64_t longest_wait(pid_t child, int *status)
{
    uint64_t longest = 0, last = now_ns(), end = UINT64_MAX;
    while (last < end) {
        int before = *busy;
        sched_yield(); // to one poll of each who is ready
        uint64_t now = now_ns();
        if (before && *busy && now - last > longest)
            longest = now - last;
        if (end == UINT64_MAX && waitpid(child, status, WNOHANG) == child)
            end = now + QUIET_NS;
        last = now_ns();
    }
    return longest;
}

int main(int argc, char **argv)
{
    cpu_set_t one;
    int status = 0;
    if (argc == 1)
        return 0;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    busy = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc != 3 || busy == MAP_FAILED || sched_setaffinity(0, sizeof one, &one)) {
        fprintf(stderr, "usage: polls SHAPE CALL\n");
        return 2;
    }
    pid_t child = fork();
    if (child == 0) {
        uint64_t len = make(argv[1]);
        need(len != 0, argv[1]);
        call(argv[2], len);
    }
    need(child > 0, "fork");
    uint64_t longest = longest_wait(child, &status);
    printf("%lu\n", longest);
    return status != 0;
}
