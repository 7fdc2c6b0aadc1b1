// SPDX-License-Identifier: MIT
// An address space that several threads change at once, against a model: `mem_threads [SEED [STEPS]]`.
//
// Each owner has a slot of the space, changes it at random and knows of each page what may be done with it and what
// it holds. Other threads copy from and to all slots meanwhile, by loads, stores and system calls: they meet a fault, or
// words that belong there. In one more slot all change mappings at once. A word tells whose it is: owners write the
// words of lane 1, the others those of lane 2, each behind the other at PLACES offsets of a page.
#include "abi.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>

enum {
    OWNERS = 3,
    OTHERS = 2,
    PAGES = 48,
    FILE_PAGES = 32,
    PLACES = 4,
    RUN_MAX = 12,
    BURST = 500,
    OTHER_WORDS = 16
};
enum { COMMON = OWNERS };
enum { OWN = 1, OTHER = 2, HOLE = -1, ANON = -1 };
enum op {
    MAP_A,
    MAP_F,
    UNMAP,
    PROTECT,
    DISCARD,
    MOVE,
    GROW,
    SHRINK,
    STORE,
    READ_IN,
    WRITE_OUT,
    PWRITE,
    OPS
};

struct page {
    int prot;      // HOLE or PROT_*
    int file;      // page of the slot's file, or ANON
    uint64_t word; // ANON: what lane 1 holds
};

struct slot {
    unsigned number, seed;
    uint32_t count;
    int fd, pipe[2];
    uint64_t file[FILE_PAGES];
    struct page page[PAGES];
    unsigned done[OPS];
};

static struct slot slots[OWNERS];
static char *area;
static unsigned steps = 150, first_seed = 1;
static atomic_uint wrong, running = OWNERS;
static pthread_barrier_t start;
static __thread sigjmp_buf after_fault;
static __thread volatile bool may_fault;

#define WRONG(...) (wrong++ < 8 ? (void)dprintf(2, __VA_ARGS__) : (void)0)

static void on_fault(int sig)
{
    if (!may_fault) {
        signal(sig, SIG_DFL);
        return;
    }
    siglongjmp(after_fault, 1);
}

// ---- words

static uint64_t tag(unsigned slot, unsigned lane, uint32_t n)
{
    uint64_t w = (uint64_t)n << 8 | slot << 4 | lane;
    return w | w * 0x9e3779b97f4a7c15 >> 40 << 40;
}

static bool belongs(uint64_t w, unsigned slot, unsigned lane)
{
    return w == 0 || w == tag(slot, lane, (uint32_t)(w >> 8));
}

static char *address(unsigned slot, int page)
{
    return area + ((size_t)slot * PAGES + (size_t)page) * PAGE;
}

static _Atomic uint64_t *word_at(void *page, int place, unsigned lane)
{
    return (_Atomic uint64_t *)((char *)page + (size_t)place * (PAGE / PLACES) + (lane - 1) * 8);
}

static void fill(void *page, uint64_t word)
{
    for (int i = 0; i < PLACES; i++)
        *word_at(page, i, OWN) = word;
}

static bool loads(void *p, uint64_t *out)
{
    bool ok = false;
    may_fault = true;
    if (!sigsetjmp(after_fault, 0)) {
        *out = *(_Atomic uint64_t *)p;
        ok = true;
    }
    may_fault = false;
    return ok;
}

static bool stores(void *p, uint64_t w)
{
    bool ok = false;
    may_fault = true;
    if (!sigsetjmp(after_fault, 0)) {
        *(_Atomic uint64_t *)p = w;
        ok = true;
    }
    may_fault = false;
    return ok;
}

// ---- an owner and the model

static unsigned below(struct slot *s, unsigned n)
{
    return (unsigned)rand_r(&s->seed) % n;
}

static uint64_t expected(const struct slot *s, const struct page *p)
{
    return p->file == ANON ? p->word : s->file[p->file];
}

static void set(struct slot *s, int page, uint64_t word)
{
    struct page *p = &s->page[page];
    *(p->file == ANON ? &p->word : &s->file[p->file]) = word;
}

static bool may_read(const struct page *p)
{
    return p->prot > 0;
}

static bool may_write(const struct page *p)
{
    return p->prot > 0 && p->prot & PROT_WRITE;
}

static void check_words(struct slot *s, int page, void *at, const char *how)
{
    uint64_t want = expected(s, &s->page[page]);
    for (int i = 0; i < PLACES; i++) {
        uint64_t own = *word_at(at, i, OWN), other = *word_at(at, i, OTHER);
        if (own != want || !belongs(other, s->number, OTHER))
            WRONG("slot %u page %d %s: %lx %lx, not %lx\n", s->number, page, how, own, other, want);
    }
}

static void check_page(struct slot *s, int page)
{
    const struct page *p = &s->page[page];
    void *at = address(s->number, page);
    uint64_t w;
    if (may_read(p))
        check_words(s, page, at, "read");
    else if (loads(at, &w))
        WRONG("slot %u page %d can be read\n", s->number, page);
    if (!may_write(p) && stores(word_at(at, 0, OTHER), 0))
        WRONG("slot %u page %d can be written\n", s->number, page);
}

static void want(struct slot *s, const char *what, long got, int error)
{
    if (error ? got != -1 || errno != error : got < 0)
        WRONG("slot %u: %s gives %ld (%s), not %s\n", s->number, what, got,
              got < 0 ? errno_name(errno) : "", error ? errno_name(error) : "success");
}

static int some_prot(struct slot *s)
{
    static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE,
                                PROT_READ | PROT_WRITE};
    return prots[below(s, COUNT(prots))];
}

static void map(struct slot *s, int a, int n, bool from_file)
{
    int prot = some_prot(s), f = from_file ? (int)below(s, FILE_PAGES - (unsigned)n + 1) : 0;
    int flags = MAP_FIXED | (from_file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) |
                (below(s, 4) ? 0 : MAP_POPULATE);
    void *p = mmap(address(s->number, a), (size_t)n * PAGE, prot, flags, from_file ? s->fd : -1,
                   f * (off_t)PAGE);
    want(s, "mmap", p == MAP_FAILED ? -1 : 0, 0);
    for (int i = 0; i < n; i++)
        s->page[a + i] = (struct page){prot, from_file ? f + i : ANON, 0};
}

static void make_holes(struct slot *s, int a, int n)
{
    for (int i = a; i < a + n; i++)
        s->page[i] = (struct page){HOLE, ANON, 0};
}

static int first_hole(const struct slot *s, int a, int n)
{
    int i = a;
    while (i < a + n && s->page[i].prot != HOLE)
        i++;
    return i;
}

// Linux changes what lies before the first hole.
static void protect(struct slot *s, int a, int n)
{
    int prot = some_prot(s), hole = first_hole(s, a, n);
    want(s, "mprotect", mprotect(address(s->number, a), (size_t)n * PAGE, prot),
         hole < a + n ? ENOMEM : 0);
    for (int i = a; i < hole; i++)
        s->page[i].prot = prot;
}

// And here what lies behind it, too.
static void discard(struct slot *s, int a, int n)
{
    long r = madvise(address(s->number, a), (size_t)n * PAGE, MADV_DONTNEED);
    want(s, "madvise", r, first_hole(s, a, n) < a + n ? ENOMEM : 0);
    for (int i = a; i < a + n; i++)
        s->page[i].word = 0;
}

// How many pages from a on, at most n, look like one mapping. It may be several still, of which EFAULT tells.
static int alike(const struct slot *s, int a, int n)
{
    const struct page *p = &s->page[a];
    int i = 1;
    for (; p->prot != HOLE && i < n && p[i].prot == p->prot; i++)
        if (p[i].file != (p->file == ANON ? ANON : p->file + i))
            break;
    return i;
}

static void move(struct slot *s, int a, int n)
{
    n = alike(s, a, n);
    int to = (int)below(s, PAGES - (unsigned)n + 1);
    bool overlaps = to < a + n && a < to + n;
    void *p = mremap(address(s->number, a), (size_t)n * PAGE, (size_t)n * PAGE,
                     MREMAP_MAYMOVE | MREMAP_FIXED, address(s->number, to));
    bool absent = s->page[a].prot == HOLE, several = p == MAP_FAILED && errno == EFAULT && n > 1;
    if (!several)
        want(s, "mremap", p == MAP_FAILED ? -1 : 0, absent ? EFAULT : overlaps ? EINVAL : 0);
    if (overlaps)
        return;
    if (absent || several) { // whether the target was emptied by then is nobody's business
        want(s, "munmap", munmap(address(s->number, to), (size_t)n * PAGE), 0);
        make_holes(s, to, n);
        return;
    }
    memcpy(&s->page[to], &s->page[a], (size_t)n * sizeof *s->page);
    make_holes(s, a, n);
}

static void grow(struct slot *s, int a, int more)
{
    struct page *p = &s->page[a];
    int room = 0;
    while (a + 1 + room < PAGES && p[1 + room].prot == HOLE)
        room++;
    if (p->prot == HOLE || p->file != ANON || a + 1 + more > PAGES)
        return;
    void *r = mremap(address(s->number, a), PAGE, (size_t)(1 + more) * PAGE, 0);
    want(s, "mremap to grow", r == MAP_FAILED ? -1 : 0, room < more ? ENOMEM : 0);
    for (int i = 1; i <= more && room >= more; i++)
        p[i] = (struct page){p->prot, ANON, 0};
}

static void shrink(struct slot *s, int a, int n)
{
    n = alike(s, a, n);
    if (s->page[a].prot == HOLE || n < 2)
        return;
    int keep = 1 + (int)below(s, (unsigned)n - 1);
    void *r = mremap(address(s->number, a), (size_t)n * PAGE, (size_t)keep * PAGE, 0);
    if (r == MAP_FAILED && errno == EFAULT)
        return;
    want(s, "mremap to shrink", r == MAP_FAILED ? -1 : 0, 0);
    make_holes(s, a + keep, n - keep);
}

static _Alignas(4096) __thread char buffer[4096];

static void read_in(struct slot *s, int a)
{
    uint64_t word = tag(s->number, OWN, ++s->count);
    memset(buffer, 0, sizeof buffer);
    fill(buffer, word);
    want(s, "write to the pipe", write(s->pipe[1], buffer, PAGE), 0);
    bool can = may_write(&s->page[a]);
    want(s, "read", read(s->pipe[0], address(s->number, a), PAGE), can ? 0 : EFAULT);
    if (can)
        set(s, a, word);
    else
        want(s, "read to empty the pipe", read(s->pipe[0], buffer, PAGE), 0);
}

static void write_out(struct slot *s, int a)
{
    bool can = may_read(&s->page[a]);
    long r = write(s->pipe[1], address(s->number, a), PAGE);
    want(s, "write", r, can ? 0 : EFAULT);
    if (r > 0 && read(s->pipe[0], buffer, PAGE) == r && can)
        check_words(s, a, buffer, "written out");
}

// Through the file, beside its mappings.
static void rewrite(struct slot *s, int f)
{
    want(s, "pread", pread(s->fd, buffer, PAGE, f * (off_t)PAGE), 0);
    if (*word_at(buffer, 0, OWN) != s->file[f])
        WRONG("slot %u: page %d of the file is %lx, not %lx\n", s->number, f,
              *word_at(buffer, 0, OWN), s->file[f]);
    s->file[f] = tag(s->number, OWN, ++s->count);
    memset(buffer, 0, sizeof buffer);
    fill(buffer, s->file[f]);
    want(s, "pwrite", pwrite(s->fd, buffer, PAGE, f * (off_t)PAGE), 0);
}

static void change(struct slot *s)
{
    enum op op = below(s, OPS);
    int n = 1 + (int)below(s, below(s, 2) ? RUN_MAX : 3),
        a = (int)below(s, PAGES - (unsigned)n + 1);
    s->done[op]++;
    switch (op) {
    case MAP_A:
    case MAP_F:
        map(s, a, n, op == MAP_F);
        break;
    case UNMAP:
        want(s, "munmap", munmap(address(s->number, a), (size_t)n * PAGE), 0);
        make_holes(s, a, n);
        break;
    case PROTECT:
        protect(s, a, n);
        break;
    case DISCARD:
        discard(s, a, n);
        break;
    case MOVE:
        move(s, a, n);
        break;
    case GROW:
        grow(s, a, n);
        break;
    case SHRINK:
        shrink(s, a, n);
        break;
    case STORE:
        for (int i = a; i < a + n; i++)
            if (may_write(&s->page[i])) {
                set(s, i, tag(s->number, OWN, ++s->count));
                fill(address(s->number, i), expected(s, &s->page[i]));
            }
        break;
    case READ_IN:
        read_in(s, a);
        break;
    case WRITE_OUT:
        write_out(s, a);
        break;
    default:
        rewrite(s, (int)below(s, FILE_PAGES));
    }
}

// All owners at once, so nothing is known but that words belong there.
static void change_common(struct slot *s)
{
    int n = 1 + (int)below(s, RUN_MAX), a = (int)below(s, PAGES - (unsigned)n + 1);
    char *p = address(COMMON, a), *to = address(COMMON, (int)below(s, PAGES - (unsigned)n + 1));
    size_t len = (size_t)n * PAGE;
    switch (below(s, 5)) {
    case 0:
        munmap(p, len);
        break;
    case 1:
        mprotect(p, len, some_prot(s));
        break;
    case 2:
        mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
        break;
    case 3:
        madvise(p, len, MADV_DONTNEED);
        break;
    default:
        want(s, "mmap",
             mmap(p, len, some_prot(s), MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p ? 0
                                                                                             : -1,
             0);
    }
}

static void *own(void *arg)
{
    struct slot *s = arg;
    pthread_barrier_wait(&start);
    for (unsigned step = 0; step < steps && wrong < 8; step++) {
        change(s);
        if (step % 4 == 0)
            change_common(s);
        for (int i = 0; i < 4; i++)
            check_page(s, (int)below(s, PAGES));
        for (int i = 0; i < PAGES && step % 64 == 0; i++)
            check_page(s, i);
    }
    running--;
    return NULL;
}

// ---- the others

static void check_other(uint64_t w, unsigned slot, unsigned lane, const char *how)
{
    if (!belongs(w, slot, lane))
        WRONG("another %s %lx from lane %u of slot %u\n", how, w, lane, slot);
}

// Again and again, so that some come with a translation that has just been taken back. Ends with a fault, if not before.
static void load_often(unsigned slot, char *at, unsigned lane)
{
    may_fault = true;
    for (volatile int i = 0; i < BURST && !sigsetjmp(after_fault, 0); i++)
        check_other(*word_at(at, i % PLACES, lane), slot, lane, "loads");
    may_fault = false;
}

static void store_often(unsigned slot, char *at, uint32_t n)
{
    may_fault = true;
    for (volatile int i = 0; i < BURST && !sigsetjmp(after_fault, 0); i++)
        *word_at(at, i % PLACES, OTHER) = tag(slot, OTHER, n);
    may_fault = false;
}

static void copy_out(int *pipe_fd, unsigned slot, char *at)
{
    ssize_t n = write(pipe_fd[1], at, PAGE);
    if (n < 0 && errno != EFAULT)
        WRONG("write: %s\n", errno_name(errno));
    if (n <= 0)
        return;
    memset(buffer, 0, sizeof buffer);
    if (read(pipe_fd[0], buffer, PAGE) != n)
        WRONG("read from the pipe: short\n");
    for (size_t i = 0; i < sizeof buffer; i += 8) {
        uint64_t w = *(uint64_t *)(buffer + i);
        check_other(w, slot, i % (PAGE / PLACES) ? OTHER : OWN, "writes out");
        if (w && i % (PAGE / PLACES) > OTHER_WORDS * 8)
            WRONG("%lx where nobody writes\n", w);
    }
}

// So many words that kernels copy them by words: a word alone may come byte by byte, and be seen half new.
static void copy_in(int *pipe_fd, uint64_t w, void *at)
{
    uint64_t words[OTHER_WORDS];
    for (int i = 0; i < OTHER_WORDS; i++)
        words[i] = w;
    if (write(pipe_fd[1], words, sizeof words) != sizeof words)
        WRONG("write to the pipe: %s\n", errno_name(errno));
    ssize_t n = read(pipe_fd[0], at, sizeof words);
    size_t left = sizeof words - (n < 0 ? 0 : (size_t)n);
    if ((n < 0 && errno != EFAULT) ||
        (left && read(pipe_fd[0], words, sizeof words) != (ssize_t)left))
        WRONG("read: %s\n", errno_name(errno));
}

static void *copy(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    uint32_t n = seed << 24;
    int pipe_fd[2];
    if (pipe(pipe_fd))
        WRONG("pipe: %s\n", errno_name(errno));
    pthread_barrier_wait(&start);
    while (running && wrong < 8) {
        unsigned slot = (unsigned)rand_r(&seed) % (OWNERS + 1),
                 lane = 1 + (unsigned)rand_r(&seed) % 2;
        char *at = address(slot, rand_r(&seed) % PAGES);
        void *word = word_at(at, rand_r(&seed) % PLACES, OTHER);
        switch (rand_r(&seed) % 4) {
        case 0:
            load_often(slot, at, lane);
            break;
        case 1:
            store_often(slot, at, ++n);
            break;
        case 2:
            copy_out(pipe_fd, slot, at);
            break;
        default:
            copy_in(pipe_fd, tag(slot, OTHER, ++n), word);
        }
    }
    return NULL;
}

static void begin(struct slot *s, unsigned number)
{
    s->number = number;
    s->seed = first_seed * 100 + number;
    s->fd = memfd_create("slot", 0);
    make_holes(s, 0, PAGES);
    if (s->fd < 0 || ftruncate(s->fd, FILE_PAGES * PAGE) || pipe(s->pipe))
        WRONG("begin: %s\n", errno_name(errno));
}

int main(int argc, char **argv)
{
    pthread_t thread[OWNERS + OTHERS];
    struct sigaction act = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    if (argc > 1)
        first_seed = (unsigned)strtoul(argv[1], NULL, 0);
    if (argc > 2)
        steps = (unsigned)strtoul(argv[2], NULL, 0);
    sigaction(SIGSEGV, &act, NULL);
    area = mmap(NULL, (OWNERS + 1) * PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_barrier_init(&start, NULL, OWNERS + OTHERS + 1);
    for (unsigned i = 0; i < OWNERS; i++) {
        begin(&slots[i], i);
        pthread_create(&thread[i], NULL, own, &slots[i]);
    }
    for (uintptr_t i = 0; i < OTHERS; i++)
        pthread_create(&thread[OWNERS + i], NULL, copy, (void *)(first_seed * 16 + i + 1));
    munmap(area,
           (OWNERS + 1) * PAGES * PAGE); // every thread has its stack: nothing else comes here
    pthread_barrier_wait(&start);
    for (int i = 0; i < OWNERS + OTHERS; i++)
        pthread_join(thread[i], NULL);
    unsigned least = UINT32_MAX;
    for (int i = 0; i < OWNERS; i++)
        for (int op = 0; op < OPS; op++)
            least = slots[i].done[op] < least ? slots[i].done[op] : least;
    say("everything was done", "%s", least ? "yes" : "no");
    say("spaces and copies", "%s", wrong ? "wrong" : "right");
    return 0;
}
