// SPDX-License-Identifier: MIT
// Memory large and aligned enough for 2 MiB pages: whatever changes a part of one leaves the rest as it was.
#include "abi.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#define HUGE  (2UL << 20)
#define SMALL (HUGE / PAGE)
#define ALL   (4 * SMALL) // pages of 8 MiB
#define RW    (PROT_READ | PROT_WRITE)

static uint8_t *map(size_t n)
{
    uint8_t *p = mmap(NULL, n + HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        _exit(1);
    uint8_t *at = (uint8_t *)(((uintptr_t)p + HUGE - 1) & -HUGE);
    if (at > p)
        munmap(p, (size_t)(at - p));
    munmap(at + n, (size_t)(p + HUGE - at));
    return at;
}

static uint64_t *word(uint8_t *base, size_t page)
{
    return (uint64_t *)(base + page * PAGE + page % 500 * 8);
}

// Each page holds its number and this.
static void fill(uint8_t *base, size_t n, uint64_t add)
{
    for (size_t i = 0; i < n; i++)
        *word(base, i) = i + add;
}

static uint8_t *filled(void)
{
    uint8_t *base = map(ALL * PAGE);
    if (madvise(base, ALL * PAGE, MADV_HUGEPAGE))
        _exit(1);
    fill(base, ALL, 1);
    return base;
}

// How many of [lo, hi) hold it.
static int holding(uint8_t *base, size_t lo, size_t hi, uint64_t add)
{
    int n = 0;
    for (size_t i = lo; i < hi; i++)
        n += *word(base, i) == i + add;
    return n;
}

static sigjmp_buf caught;
static void *volatile where;
static volatile int code;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    where = info->si_addr;
    code = info->si_code;
    siglongjmp(caught, 1);
}

// Writes each page of [lo, hi) by itself: which ones fault, and how.
static void probe(const char *key, uint8_t *base, size_t lo, size_t hi, int write)
{
    static volatile size_t i, first;
    static volatile int n, right;
    n = right = 0;
    for (i = lo; i < hi; i++) {
        if (sigsetjmp(caught, 1) == 0) {
            if (write)
                *(volatile uint8_t *)(base + i * PAGE + 4095) = 7;
            else
                (void)*(volatile uint8_t *)(base + i * PAGE + 4095);
        } else {
            first = n++ ? first : i;
            right += where == base + i * PAGE + 4095;
        }
    }
    say(key, "%d fault, %d of them there, the first %d, code %d", n, right, n ? (int)first : -1,
        n ? code : 0);
}

static void test_touch(void)
{
    uint8_t *base = map(ALL * PAGE);
    uint8_t in[ALL];
    int n = 0;

    say_value("advice", madvise(base, ALL * PAGE, MADV_HUGEPAGE));
    for (size_t i = 0; i < 4; i++)
        base[i * HUGE + 12345] = (uint8_t)(i + 1);
    for (size_t i = 0; i < ALL * PAGE; i++)
        n += base[i] != 0;
    say("bytes that are not zero after four stores", "%d", n);
    fill(base, ALL, 3);
    say("pages that hold what they should", "%d", holding(base, 0, ALL, 3));
    say_value("mincore", mincore(base, ALL * PAGE, in));
    n = 0;
    for (size_t i = 0; i < ALL; i++)
        n += in[i] & 1;
    say("pages in memory", "%d", n);
    say_value("all goes", munmap(base, ALL * PAGE));
    probe("behind it", base, 0, 4, 0);
}

static void test_unmap(void)
{
    uint8_t *base = filled();
    say_value("three pages go", munmap(base + 600 * PAGE, 3 * PAGE));
    probe("unmapped", base, 595, 610, 1);
    say("before and after", "%d %d", holding(base, 0, 600, 1), holding(base, 603, ALL, 1));
    say_value("the end of one and the beginning of the next",
              munmap(base + 1000 * PAGE, 48 * PAGE));
    probe("across", base, 990, 1060, 0);
    say("the rest", "%d", holding(base, 603, 1000, 1) + holding(base, 1048, ALL, 1));
    say_value("something new in the hole",
              -(mmap(base + 600 * PAGE, 3 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                     0) == MAP_FAILED));
    say("the hole is zero", "%d", *word(base, 601) == 0);
    munmap(base, ALL * PAGE);
}

static void test_protect(void)
{
    uint8_t *base = filled();
    say_value("one page is read-only", mprotect(base + 700 * PAGE, PAGE, PROT_READ));
    probe("read-only, writes", base, 690, 710, 1);
    say_value("two 2 MiB are read-only", mprotect(base + HUGE, 2 * HUGE, PROT_READ));
    probe("more read-only, writes", base, 0, ALL, 1);
    probe("more read-only, reads", base, 0, ALL, 0);
    say_value("none of it may be used", mprotect(base, ALL * PAGE, PROT_NONE));
    probe("nothing, reads", base, 500, 520, 0);
    say_value("all of it may", mprotect(base, ALL * PAGE, RW));
    probe("again, writes", base, 0, ALL, 1);
    say("what it holds", "%d", holding(base, 0, ALL, 1));
    munmap(base, ALL * PAGE);
}

static void test_fork(void)
{
    uint8_t *base = filled();
    struct gate to_child = gate_make(), to_parent = gate_make();
    pid_t pid = fork();
    if (pid == 0) {
        say("child sees", "%d", holding(base, 0, ALL, 1));
        fill(base + HUGE, SMALL, 7000);
        pass(&to_parent);
        wait_for_pass(&to_child);
        say("child keeps", "%d %d", holding(base, 0, SMALL, 1),
            holding(base + HUGE, 0, SMALL, 7000));
        CHILD("grandchild", *word(base, 3) = 0;
              say("grandchild sees", "%d", holding(base, 0, SMALL, 1)));
        say("child's own", "%d", holding(base, 0, SMALL, 1));
        _exit(0);
    }
    wait_for_pass(&to_parent);
    say("parent keeps", "%d", holding(base, 0, ALL, 1));
    fill(base, SMALL, 9000);
    say_value("parent gives up a part", munmap(base + 3 * HUGE, HUGE / 2));
    pass(&to_child);
    say_end("child", pid);
    say("parent at the end", "%d %d", holding(base, 0, SMALL, 9000),
        holding(base, SMALL, 3 * SMALL, 1));
    munmap(base, ALL * PAGE);
}

static void test_remap(void)
{
    uint8_t *base = filled();
    uint8_t *other = map(2 * ALL * PAGE), *room = map(3 * ALL * PAGE);
    uint8_t *p = mremap(base, ALL * PAGE, 2 * ALL * PAGE, MREMAP_MAYMOVE);
    say("grown", "%d", p != MAP_FAILED);
    say("holds the old", "%d", holding(p, 0, ALL, 1));
    say("and zeroes", "%d", *word(p, ALL) == 0 && *word(p, 2 * ALL - 1) == 0);
    fill(p, 2 * ALL, 1);
    for (int i = 0; i < 2; i++) { // aligned as it was, then not
        uint8_t *to = i ? room + 13 * PAGE : other;
        say(i ? "moved askew" : "moved", "%d",
            mremap(p, 2 * ALL * PAGE, 2 * ALL * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
        probe(i ? "where it was, before askew" : "where it was", p, 5, 8, 0);
        p = to;
        say(i ? "holds askew" : "holds", "%d", holding(p, 0, 2 * ALL, 1));
    }
    say("a part moves out of the middle", "%d",
        mremap(p + 100 * PAGE, 700 * PAGE, 700 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
               room + 2 * ALL * PAGE + 64 * PAGE) != MAP_FAILED);
    probe("where the part was", p, 98, 802, 0);
    say("shrunk", "%d",
        mremap(p + 800 * PAGE, (2 * ALL - 800) * PAGE, 333 * PAGE, 0) != MAP_FAILED);
    probe("behind the end", p, 1130, 1136, 0);
    say("what is left", "%d", holding(p, 0, 100, 1) + holding(p, 800, 1133, 1));
    munmap(other, 2 * ALL * PAGE);
    munmap(room, 3 * ALL * PAGE);
}

static void test_discard(void)
{
    uint8_t *base = filled();
    uint8_t in[ALL];
    say_value("a middle page is dropped", madvise(base + 300 * PAGE, PAGE, MADV_DONTNEED));
    say_value("mincore of the rest", mincore(base, ALL * PAGE, in));
    say("dropped and its neighbours in memory", "%d %d %d", in[299] & 1, in[300] & 1, in[301] & 1);
    say("it is zero", "%d", *word(base, 300) == 0);
    say("the others", "%d", holding(base, 0, ALL, 1));
    say_value("all of the second are dropped", madvise(base + HUGE, HUGE, MADV_DONTNEED));
    say("they are zero", "%d", *word(base, SMALL) == 0 && *word(base, 2 * SMALL - 1) == 0);
    say("the others still", "%d", holding(base, 0, ALL, 1));
    fill(base + HUGE, SMALL, SMALL + 1);
    *word(base, 300) = 301;
    say("written again", "%d", holding(base, 0, ALL, 1));
    munmap(base, ALL * PAGE);
}

// The kernel is the first to touch it, and touches it in parts.
static void test_kernel(void)
{
    int fd = memfd_create("pattern", 0), fds[2];
    uint8_t *base = map(ALL * PAGE), *from = filled();
    long total = 0, n;

    say_value("four stores", -(write(fd, from, ALL * PAGE) != (long)(ALL * PAGE)));
    for (long step = 1000 * 1000; step > 0 && (n = pread(fd, base + total, step, total)) > 0;) {
        total += n;
        step = total + step > (long)(ALL * PAGE) ? (long)(ALL * PAGE) - total : step;
    }
    say("read into it", "%ld", total);
    say("pages read", "%d", holding(base, 0, ALL, 1));
    munmap(base, ALL * PAGE);
    base = map(ALL * PAGE);
    if (pipe(fds) < 0)
        _exit(1);
    struct iovec out = {from + HUGE - 100, 3000},
                 in[2] = {{base + HUGE - 50, 100}, {base + 3 * HUGE - 1000, 2900}};
    say_value("across a bound into a pipe", writev(fds[1], &out, 1));
    say_value("out of it", readv(fds[0], in, 2));
    say("the same", "%d",
        !memcmp(base + HUGE - 50, from + HUGE - 100, 100) &&
            !memcmp(base + 3 * HUGE - 1000, from + HUGE, 2900));
    mprotect(from + 5 * PAGE, PAGE, PROT_READ);
    say_value("read over a page that is read-only", pread(fd, from + 5 * PAGE, 8, 0));
    say_value("over the one behind it", pread(fd, from + 6 * PAGE, 8, 0));
    munmap(from + 7 * PAGE, PAGE);
    say_value("written from a page that is gone", pwrite(fd, from + 7 * PAGE, 8, 0));
    say("pages that are as they were", "%d", holding(from, 8, ALL, 1));
    munmap(base, ALL * PAGE);
    munmap(from, ALL * PAGE);
}

static void test_advice(void)
{
    uint8_t *base = map(ALL * PAGE);
    say_value("none wanted", madvise(base, ALL * PAGE, MADV_NOHUGEPAGE));
    fill(base, ALL, 1);
    say_value("wanted in the middle of one", madvise(base + 77 * PAGE, 700 * PAGE, MADV_HUGEPAGE));
    say("unwanted holds", "%d", holding(base, 0, ALL, 1));
    munmap(base, ALL * PAGE);
    base = filled();
    say_value("not wanted in the middle", madvise(base + 77 * PAGE, 700 * PAGE, MADV_NOHUGEPAGE));
    say("holds what it did", "%d", holding(base, 0, ALL, 1));
    munmap(base, ALL * PAGE);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); // emulation refuses it
    base = filled();
    say("filled without", "%d", holding(base, 0, ALL, 1));
    munmap(base, ALL * PAGE);
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

int main(void)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &act, NULL);
    test_touch();
    test_unmap();
    test_protect();
    test_fork();
    test_remap();
    test_discard();
    test_kernel();
    test_advice();
    return 0;
}
