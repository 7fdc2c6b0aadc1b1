// SPDX-License-Identifier: MIT
// mmap, munmap, mprotect, mremap, madvise and brk: what is there afterwards, page by page.
#include "abi.h"
#include <setjmp.h>
#include <sys/mman.h>

#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf after_fault;

static void on_fault(int sig)
{
    siglongjmp(after_fault, sig);
}

// '.' no access, 'r' readable, 'w' also writable; a page is left as it was found.
static char access_to(volatile uint8_t *p)
{
    volatile char found = '.';

    if (sigsetjmp(after_fault, 1) == 0) {
        uint8_t old = *p;
        found = 'r';
        *p = old;
        found = 'w';
    }
    return found;
}

static void show(const char *key, uint8_t *base, int pages)
{
    char map[32];

    for (int i = 0; i < pages; i++)
        map[i] = access_to(base + i * PAGE);
    map[pages] = 0;
    say(key, "%s", map);
}

static uint8_t *map_pages(size_t n, int prot)
{
    uint8_t *p = mmap(NULL, n * PAGE, prot, ANON, -1, 0);

    if (p == MAP_FAILED)
        _exit(122);
    return p;
}

static void test_unmap(void)
{
    uint8_t *p = map_pages(8, RW);

    show("fresh", p, 8);
    memset(p, 7, 8 * PAGE);
    OK("unmap the middle", munmap(p + 3 * PAGE, 2 * PAGE));
    show("after the middle", p, 8);
    OK("unmap the head", munmap(p, PAGE));
    OK("unmap the tail", munmap(p + 7 * PAGE, PAGE));
    show("after head and tail", p, 8);
    say("what is left holds", "%d %d %d", p[PAGE], p[3 * PAGE - 1], p[7 * PAGE - 1]);
    OK("unmap across the hole", munmap(p, 8 * PAGE));
    show("after all", p, 8);
    OK("unmap nothing", munmap(p, 8 * PAGE));
    VALUE("unmap unaligned", munmap(p + 1, PAGE));
    VALUE("unmap no bytes", munmap(p, 0));
    VALUE("unmap kernel", munmap((void *)0xffffffc080200000UL, PAGE));
}

static void test_protect(void)
{
    uint8_t *p = map_pages(8, RW);

    memset(p, 9, 8 * PAGE);
    OK("protect the middle", mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ));
    OK("protect the head", mprotect(p, PAGE, PROT_NONE));
    OK("protect the tail", mprotect(p + 7 * PAGE, PAGE, PROT_READ));
    show("protected", p, 8);
    OK("give it back", mprotect(p, 8 * PAGE, RW));
    show("given back", p, 8);
    int same = 1;
    for (size_t i = 0; i < 8 * PAGE; i++)
        same &= p[i] == 9;
    YES("contents kept", same);
    VALUE("protect unaligned", mprotect(p + 1, PAGE, RW));
    VALUE("protect with odd bits", mprotect(p, PAGE, 0x40));
    OK("protect no bytes", mprotect(p, 0, RW));
    munmap(p, 8 * PAGE);
}

static void test_fixed(void)
{
    uint8_t *p = map_pages(6, RW);

    memset(p, 5, 6 * PAGE);
    YES("fixed over the middle",
        mmap(p + 2 * PAGE, 2 * PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0) == p + 2 * PAGE);
    show("fixed", p, 6);
    say("fixed holds", "%d %d %d", p[2 * PAGE - 1], p[2 * PAGE], p[4 * PAGE]);
    VALUE("fixed, noreplace", mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    VALUE("fixed unaligned", mmap(p + 8, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    VALUE("fixed in the kernel",
          mmap((void *)0xffffffc080200000UL, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    munmap(p, 6 * PAGE);
    YES("a free hint is taken", mmap(p, PAGE, RW, ANON, -1, 0) == p);
    YES("a taken hint is not", mmap(p, PAGE, RW, ANON, -1, 0) != p);
    say("and leaves what is there", "%c", access_to(p));
}

static void test_refusals(void)
{
    VALUE("no bytes", mmap(NULL, 0, RW, ANON, -1, 0));
    VALUE("neither shared nor private", mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0));
    VALUE("a bad descriptor", mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0));
    VALUE("an odd offset", syscall(SYS_mmap, 0, PAGE, RW, ANON, -1, 77));
    VALUE("all of memory", mmap(NULL, ~0UL & ~(PAGE - 1), RW, ANON, -1, 0));
    VALUE("more than there are addresses", mmap(NULL, 1UL << 60, PROT_NONE, ANON, -1, 0));
    VALUE("madvise unknown", madvise(map_pages(1, RW), PAGE, 0x7777));
    VALUE("madvise nothing mapped", madvise((void *)0x10000000, PAGE, MADV_DONTNEED));
    say("write-only page", "%c", access_to(map_pages(1, PROT_WRITE)));
    say("execute-only page", "%c", access_to(map_pages(1, PROT_EXEC)));
}

static void test_lazy(void)
{
    size_t n = 64UL << 20;
    uint8_t *p = mmap(NULL, n, RW, ANON | MAP_NORESERVE, -1, 0);
    long sum = 0;

    for (size_t i = 0; i < n; i += 1 << 20)
        sum += p[i];
    say("untouched memory sums to", "%ld", sum);
    for (size_t i = 0; i < n; i += 1 << 20)
        p[i + 1] = 1;
    for (size_t i = 0; i < n; i += 1 << 20)
        sum += p[i] + p[i + 1] + p[i + 2];
    say("touched memory sums to", "%ld", sum);
    OK("dontneed", madvise(p, n, MADV_DONTNEED));
    say("and is zero again", "%d", p[1]);
    OK("unmap 64 MiB", munmap(p, n));
}

static void test_brk(void)
{
    uint8_t *start = sbrk(0);

    YES("brk grows", sbrk(3 * PAGE) == start);
    memset(start, 3, 3 * PAGE);
    YES("brk shrinks", sbrk(-2 * (long)PAGE) == start + 3 * PAGE);
    YES("brk grows again", sbrk(2 * PAGE) == start + PAGE);
    say("new memory of brk is", "%d, the old %d", start[PAGE + 8], start[0]);
    YES("brk below its start is refused", syscall(SYS_brk, 0x1000) == (long)(start + 3 * PAGE));
    YES("brk into the sky is refused",
        syscall(SYS_brk, 0x7fffffffffffff) == (long)(start + 3 * PAGE));
}

static void test_remap(void)
{
    uint8_t *p = map_pages(4, RW);

    memset(p, 6, 4 * PAGE);
    YES("mremap shrinks", mremap(p, 4 * PAGE, 2 * PAGE, 0) == p);
    show("shrunk", p, 4);
    uint8_t *block = map_pages(8, RW);
    OK("make room", munmap(block + 2 * PAGE, PAGE));
    VALUE("mremap cannot grow in place", mremap(block, 2 * PAGE, 6 * PAGE, 0));
    block[0] = 1;
    block[2 * PAGE - 1] = 2;
    uint8_t *moved = mremap(block, 2 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
    YES("mremap moves", moved != MAP_FAILED && moved != block);
    say("moved contents", "%d %d %d", moved[0], moved[2 * PAGE - 1], moved[6 * PAGE - 1]);
    say("old place", "%c", access_to(block));
    VALUE("mremap of nothing", mremap(block, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    VALUE("mremap to no bytes", mremap(moved, PAGE, 0, MREMAP_MAYMOVE));
}

int main(void)
{
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    test_unmap();
    test_protect();
    test_fixed();
    test_refusals();
    test_lazy();
    test_brk();
    test_remap();
    return 0;
}
