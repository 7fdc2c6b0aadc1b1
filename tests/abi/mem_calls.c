// SPDX-License-Identifier: MIT
// The memory calls beyond mapping and unmapping: advice, locks, limits, moves, files without a name.
#include "abi.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static uint8_t *map(size_t pages, int prot, int flags)
{
    uint8_t *p = mmap(NULL, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        _exit(122);
    return p;
}

static long vm_kib(const char *name)
{
    char line[128];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "r");

    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = atol(line + strlen(name) + 1);
    if (status)
        fclose(status);
    return kib;
}

static void resident(const char *key, void *p, size_t pages)
{
    unsigned char there[16];
    char text[17] = "";

    if (mincore(p, pages * PAGE, there) < 0) {
        say(key, "%s", errno_name(errno));
        return;
    }
    for (size_t i = 0; i < pages; i++)
        text[i] = there[i] & 1 ? 'x' : '.';
    say(key, "%s", text);
}

static void test_remap(void)
{
    uint8_t *p = map(4, RW, MAP_PRIVATE), *q = map(8, RW, MAP_PRIVATE);

    memset(p, 5, 4 * PAGE);
    memset(q, 6, 8 * PAGE);
    uint8_t *r = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    YES("dontunmap moves", r != MAP_FAILED && r != p);
    say("moved and left", "%d %d", r[3 * PAGE], p[3 * PAGE]);
    p[0] = 9;
    say("both are there", "%d %d", p[0], r[0]);
    VALUE("dontunmap, other size",
          mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
    VALUE("dontunmap in place", mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_DONTUNMAP));
    YES("dontunmap to a place",
        mremap(r, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, q) == q);
    say("there now", "%d %d %d", q[0], q[4 * PAGE], r[0]);
    VALUE("fixed without maymove", mremap(p, PAGE, PAGE, MREMAP_FIXED, q));
    VALUE("fixed onto itself",
          mremap(q, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + PAGE));
    VALUE("odd flags", mremap(p, PAGE, PAGE, 64));
    VALUE("unaligned", mremap(p + 1, PAGE, PAGE, 0));
    VALUE("nothing of private memory", mremap(p, 0, PAGE, MREMAP_MAYMOVE));
    YES("fixed and smaller", mremap(q, 8 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
    resident("which empties the old place", q, 1);
    uint8_t *s = map(4, RW, MAP_SHARED);
    s[PAGE] = 7;
    uint8_t *t = mremap(s + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE);
    YES("shared memory once more", t != MAP_FAILED && t != s);
    t[1] = 8;
    say("is the same", "%d %d", t[0], s[PAGE + 1]);
    VALUE("once more in place", mremap(s, 0, PAGE, 0));
}

static void test_advice(void)
{
    uint8_t *p = map(8, RW, MAP_PRIVATE), *s = map(4, RW, MAP_SHARED);

    memset(p, 1, 8 * PAGE);
    memset(s, 2, 4 * PAGE);
    OK("dontfork", madvise(p + 2 * PAGE, PAGE, MADV_DONTFORK));
    OK("wipeonfork", madvise(p + 4 * PAGE, PAGE, MADV_WIPEONFORK));
    VALUE("wipeonfork of shared memory", madvise(s, PAGE, MADV_WIPEONFORK));
    CHILD("child of dontfork", {
        resident("not inherited", p + 2 * PAGE, 1);
        say("wiped", "%d %d %d", p[3 * PAGE], p[4 * PAGE], p[5 * PAGE]);
        CHILD("grandchild", p[4 * PAGE] = 3;
              CHILD("wiped again", say("great-grandchild", "%d", p[4 * PAGE])));
    });
    OK("dofork", madvise(p + 2 * PAGE, PAGE, MADV_DOFORK));
    OK("keeponfork", madvise(p, 8 * PAGE, MADV_KEEPONFORK));
    CHILD("child of dofork", say("kept", "%d %d", p[2 * PAGE], p[4 * PAGE]));
    OK("free", madvise(p, PAGE, MADV_FREE));
    VALUE("free of shared memory", madvise(s, PAGE, MADV_FREE));
    OK("remove", madvise(s + PAGE, 2 * PAGE, MADV_REMOVE));
    say("removed", "%d %d %d %d", s[0], s[PAGE], s[2 * PAGE], s[3 * PAGE]);
    VALUE("remove of private memory", madvise(p, PAGE, MADV_REMOVE));
    OK("dontneed of shared memory", madvise(s, 4 * PAGE, MADV_DONTNEED));
    say("which stays", "%d %d", s[0], s[3 * PAGE]);
    uint8_t *q = map(8, RW, MAP_PRIVATE), *ro = map(2, PROT_READ, MAP_PRIVATE);
    madvise(q, 8 * PAGE, MADV_NOHUGEPAGE);
    OK("populate for reading", madvise(q, 2 * PAGE, MADV_POPULATE_READ));
    OK("populate for writing", madvise(q + 4 * PAGE, 2 * PAGE, MADV_POPULATE_WRITE));
    resident("populated", q, 8);
    VALUE("populate what is read-only", madvise(ro, PAGE, MADV_POPULATE_WRITE));
    munmap(q + 3 * PAGE, PAGE);
    VALUE("populate over a hole", madvise(q, 8 * PAGE, MADV_POPULATE_WRITE));
    for (int advice = 0; advice < 26; advice++) {
        char key[32];
        snprintf(key, sizeof key, "advice %d", advice);
        if (advice != 25) // collapse needs a whole 2 MiB
            VALUE(key, madvise(p, PAGE, advice));
    }
    VALUE("advice about a hole", madvise(q, 8 * PAGE, MADV_DONTNEED));
    VALUE("advice, unaligned", madvise(p + 1, PAGE, MADV_DONTNEED));
    VALUE("advice about no bytes", madvise(p, 0, MADV_DONTNEED));
    VALUE("advice about everything", madvise(p, -1UL, MADV_DONTNEED));
    VALUE("thp is on", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    VALUE("turn it off", prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    VALUE("thp is off", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

static void limit(int which, rlim_t to)
{
    struct rlimit l = {to, RLIM_INFINITY};
    if (which == RLIMIT_MEMLOCK)
        l.rlim_max = to;
    if (setrlimit(which, &l) < 0)
        say("harness", "setrlimit: %s", errno_name(errno));
}

static void test_locks(void)
{
    uint8_t *p = map(8, RW, MAP_PRIVATE);

    madvise(p, 8 * PAGE, MADV_NOHUGEPAGE);
    OK("mlock", mlock(p + PAGE + 5, PAGE));
    resident("locked is there", p, 8);
    say("locked KiB", "%ld", vm_kib("VmLck:"));
    VALUE("dontneed what is locked", madvise(p, 4 * PAGE, MADV_DONTNEED));
    VALUE("msync invalidate what is locked", msync(p, 4 * PAGE, MS_INVALIDATE));
    VALUE("msync async and sync", msync(p, PAGE, MS_ASYNC | MS_SYNC));
    OK("munlock", munlock(p, 8 * PAGE));
    OK("dontneed what is unlocked", madvise(p, 4 * PAGE, MADV_DONTNEED));
    OK("mlock2 on fault", syscall(SYS_mlock2, p, 4 * PAGE, 1));
    resident("on fault is not there", p, 4);
    VALUE("mlock2, odd flags", syscall(SYS_mlock2, p, PAGE, 2));
    munmap(p + 6 * PAGE, PAGE);
    VALUE("mlock over a hole", mlock(p + 4 * PAGE, 4 * PAGE));
    VALUE("munlock over a hole", munlock(p + 4 * PAGE, 4 * PAGE));
    VALUE("mlock of no bytes", mlock(p, 0));
    VALUE("mlock of too many", mlock(p, -2 * PAGE));
    VALUE("mlock without rights", mlock(map(1, PROT_NONE, MAP_PRIVATE), PAGE));
    VALUE("mlockall, nothing", mlockall(0));
    VALUE("mlockall, odd flags", mlockall(8));
    VALUE("mlockall, on fault alone", mlockall(4));
    OK("mlockall for later", mlockall(MCL_FUTURE));
    uint8_t *q = map(4, RW, MAP_PRIVATE);
    resident("mapped locked", q, 4);
    OK("munlockall", munlockall());
    resident("map locked", map(3, RW, MAP_PRIVATE | MAP_LOCKED), 3);
    q = map(3, RW, MAP_PRIVATE | MAP_POPULATE);
    resident("populate", q, 3);
    munlockall();
    CHILD("limits on locks", {
        limit(RLIMIT_MEMLOCK, 4 * PAGE);
        if (setuid(1000) < 0)
            _exit(1);
        OK("lock some", mlock(q, 3 * PAGE));
        VALUE("lock too much", mlock(p, 2 * PAGE));
        OK("lock the same again", mlock(q, 3 * PAGE));
        VALUE("map too much locked", (long)mmap(NULL, 2 * PAGE, RW, ANON | MAP_LOCKED, -1, 0));
        uint8_t *end = map(16, RW, MAP_PRIVATE), *place = map(16, RW, MAP_PRIVATE);
        munlock(q, 3 * PAGE);
        OK("lock what may grow", mlock(end, 3 * PAGE));
        munmap(end + 3 * PAGE, 13 * PAGE);
        VALUE("grow it too much", (long)mremap(end, 3 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
        VALUE("in its place", (long)mremap(end, 3 * PAGE, 8 * PAGE, 0));
        VALUE("at another",
              (long)mremap(end, 3 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place));
        YES("move it",
            mremap(end, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
        munmap(place + 3 * PAGE, PAGE);
        YES("grow it less", mremap(place, 3 * PAGE, 4 * PAGE, 0) == place);
        VALUE("grow it once more", (long)mremap(place, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE));
        munmap(place, 4 * PAGE);
        OK("lock what comes", mlockall(MCL_FUTURE));
        long was = syscall(SYS_brk, 0);
        VALUE("break too far", syscall(SYS_brk, was + 16 * PAGE) - was);
        VALUE("break as far as that", syscall(SYS_brk, was + 4 * PAGE) - was);
        VALUE("and back", syscall(SYS_brk, was) - was);
        munlockall();
        OK("lock some again", mlock(q, 3 * PAGE));
        VALUE("lock all", mlockall(MCL_CURRENT));
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_MEMLOCK, &none);
        VALUE("lock nothing", mlock(q, PAGE));
        VALUE("map nothing locked", (long)mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0));
    });
}

static void use_stack(int pages)
{
    volatile char block[4096];
    block[0] = 1;
    if (pages > 0)
        use_stack(pages - 1);
    block[1] = block[0];
}

static void test_limits(void)
{
    char *const again[] = {"mem_calls", "limited", NULL};

    CHILD("address space", {
        limit(RLIMIT_AS, vm_kib("VmSize:") * 1024 + 64 * PAGE);
        VALUE("map more than RLIMIT_AS", (long)mmap(NULL, 128 * PAGE, RW, ANON, -1, 0));
        uint8_t *p = mmap(NULL, 16 * PAGE, RW, ANON, -1, 0);
        YES("map less", p != MAP_FAILED);
        VALUE("grow beyond it", (long)mremap(p, 16 * PAGE, 128 * PAGE, MREMAP_MAYMOVE));
        YES("brk beyond it", sbrk(128 * PAGE) == (void *)-1);
    });
    CHILD("data", {
        uint8_t *ro = map(300, PROT_READ, MAP_PRIVATE);
        void *now = sbrk(0);
        limit(RLIMIT_DATA, 1 << 20);
        VALUE("map more than RLIMIT_DATA", (long)mmap(NULL, 300 * PAGE, RW, ANON, -1, 0));
        YES("read-only is no data", mmap(NULL, 300 * PAGE, PROT_READ, ANON, -1, 0) != MAP_FAILED);
        YES("shared is no data",
            mmap(NULL, 300 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
        VALUE("becomes data", mprotect(ro, 300 * PAGE, RW));
        YES("brk is data", sbrk(300 * PAGE) == (void *)-1 && sbrk(0) == now);
    });
    CHILD("limit over exec", {
        limit(RLIMIT_AS, 64 << 20);
        execv("/proc/self/exe", again);
    });
    CHILD("deep stack", use_stack(500));
    CHILD("too deep stack", {
        limit(RLIMIT_STACK, 1 << 20);
        use_stack(500);
    });
}

static void test_memfd(void)
{
    char text[8] = "";
    struct iovec one = {text, 3};
    int fd = memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    YES("memfd", fd >= 0);
    char path[40];
    char place[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    readlink(path, place, sizeof place - 1);
    say("its place", "%s", place);
    int again = open(path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/self/fd/%d", again);
    memset(place, 0, sizeof place);
    readlink(path, place, sizeof place - 1);
    say("opened again", "%s", place);
    close(again);
    VALUE("cloexec", fcntl(fd, F_GETFD));
    VALUE("odd flags of memfd", memfd_create("x", 0x4000000));
    VALUE("no name", memfd_create(NULL, 0));
    VALUE("no seals", fcntl(fd, F_GET_SEALS));
    VALUE("write", write(fd, "abcdef", 6));
    VALUE("truncate", ftruncate(fd, 2 * PAGE));
    uint8_t *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    say("mapped", "%.6s", p);
    VALUE("seal what is mapped for writing", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    VALUE("and is not sealed", fcntl(fd, F_GET_SEALS));
    VALUE("seal growth", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    VALUE("grow", ftruncate(fd, 3 * PAGE));
    VALUE("write at the end", pwrite(fd, "x", 1, 2 * PAGE));
    VALUE("write across the end", pwrite(fd, "xy", 2, 2 * PAGE - 1));
    VALUE("write inside", pwrite(fd, "B", 1, 1));
    VALUE("fallocate beyond", fallocate(fd, 0, 0, 3 * PAGE));
    VALUE("shrink", ftruncate(fd, PAGE));
    VALUE("seal shrinking", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    VALUE("shrink again", ftruncate(fd, 10));
    VALUE("seal future writes", fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    p[2] = 'C';
    VALUE("write now", pwrite(fd, "D", 1, 3));
    VALUE("map for writing now", (long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0));
    uint8_t *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    YES("map for reading", ro != MAP_FAILED);
    VALUE("make that writable", mprotect(ro, PAGE, RW));
    uint8_t *own = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    YES("map privately", own != MAP_FAILED);
    own[0] = 'Z';
    munmap(p, 2 * PAGE);
    VALUE("seal writes", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    VALUE("odd seals", fcntl(fd, F_ADD_SEALS, 0x1000));
    VALUE("seal seals", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    VALUE("seal more", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    VALUE("seals", fcntl(fd, F_GET_SEALS));
    VALUE("writev", pwritev(fd, &one, 1, 0));
    VALUE("read", pread(fd, text, 6, 0));
    say("holds", "%s", text);
    int plain = memfd_create("plain", 0);
    VALUE("seals of a plain one", fcntl(plain, F_GET_SEALS));
    VALUE("seal a plain one", fcntl(plain, F_ADD_SEALS, F_SEAL_GROW));
    int pipes[2];
    if (pipe(pipes) == 0)
        VALUE("seals of a pipe", fcntl(pipes[0], F_GET_SEALS));
}

// Whether a byte there can be read: 1 or EFAULT.
static long pipe_takes(const uint8_t *at)
{
    int fds[2];

    if (pipe(fds) < 0)
        return -2;
    long n = write(fds[1], at, 1);
    int e = errno;
    close(fds[0]);
    close(fds[1]);
    errno = e;
    return n;
}

static void test_rights(void)
{
    uint8_t *p = map(2, RW, MAP_PRIVATE);
    uint8_t *down = mmap(NULL, 8 * PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);

    VALUE("mprotect, semaphores", mprotect(p, PAGE, PROT_READ | 8));
    VALUE("mprotect, odd rights", mprotect(p, PAGE, PROT_READ | 16));
    VALUE("odd rights of no bytes", mprotect(p, 0, PROT_READ | 16));
    VALUE("downwards, not a stack", mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
    VALUE("upwards", mprotect(p, PAGE, PROT_READ | PROT_GROWSUP));
    VALUE("both ways", mprotect(p, 0, PROT_READ | PROT_GROWSUP | PROT_GROWSDOWN));
    VALUE("downwards from a stack", mprotect(down + 4 * PAGE, PAGE, PROT_NONE | PROT_GROWSDOWN));
    VALUE("its lowest page", pipe_takes(down));
    VALUE("its fourth", pipe_takes(down + 4 * PAGE));
    VALUE("its fifth", pipe_takes(down + 5 * PAGE));
    munmap(p, PAGE);
    VALUE("downwards over a hole", mprotect(p, 2 * PAGE, PROT_READ | PROT_GROWSDOWN));
    VALUE("upwards over a hole", mprotect(p, 2 * PAGE, PROT_READ | PROT_GROWSUP));
    VALUE("downwards from nothing", mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
    YES("mmap, odd rights", mmap(NULL, PAGE, PROT_READ | 8 | 16 | PROT_GROWSUP | PROT_GROWSDOWN,
                                 ANON, -1, 0) != MAP_FAILED);
}

// Which pages of a file others have read is told only to who owns it or may write it.
static void test_told(void)
{
    const char *name = "mem_calls.tmp";
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || fchmod(fd, 0644) < 0 || ftruncate(fd, 4 * PAGE) < 0)
        _exit(121);
    uint8_t *p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    resident("pages of one's own file", p, 4);
    CHILD("another user", {
        int ro = open(name, O_RDONLY);
        if (setuid(1000) < 0)
            _exit(1);
        uint8_t *q = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, ro, 0);
        resident("of another's", q, 4);
        resident("mapped by its owner", p, 4);
        resident("private", mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, ro, 0), 4);
        munmap(q + PAGE, PAGE);
        resident("moved",
                 mremap(q + 2 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                        map(2, RW, MAP_PRIVATE)),
                 2);
        CHILD("its child", resident("forked", q, 1));
        resident("nobody's", map(2, PROT_READ, MAP_PRIVATE), 2);
        resident("shared with nobody", map(2, PROT_READ, MAP_SHARED), 2);
    });
    fchmod(fd, 0666);
    CHILD("who may write it", {
        if (setuid(1000) < 0)
            _exit(1);
        resident("of what may be written", p, 4);
    });
    fchown(fd, 1000, 1000);
    fchmod(fd, 0444);
    CHILD("its new owner", {
        if (setuid(1000) < 0)
            _exit(1);
        resident("of what was given away", p, 4);
    });
    CHILD("root", resident("of a user's", p, 4));
    unlink(name);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "limited") == 0) {
        VALUE("the new program is limited, too", (long)mmap(NULL, 64 << 20, RW, ANON, -1, 0));
        return 0;
    }
    test_remap();
    test_advice();
    test_locks();
    test_limits();
    test_memfd();
    test_rights();
    test_told();
    return 0;
}
