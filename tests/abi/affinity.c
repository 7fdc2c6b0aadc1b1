// SPDX-License-Identifier: MIT
// Which harts a thread may run on: what is refused and in which order, what is inherited, and that it holds.
#include "abi.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define SET(tid, size, mask) syscall(SYS_sched_setaffinity, tid, size, mask)
#define GET(tid, size, mask) syscall(SYS_sched_getaffinity, tid, size, mask)
#define NOBODY               0x3fffffff

enum { WORDS = 16 }; // harts: 1024, as glibc has it

static uint64_t first[WORDS]; // what the test was started with

// The only bit set in the caller's mask; -1: there is not exactly one.
static int only_hart(pid_t tid)
{
    uint64_t mask[WORDS] = {0};
    int hart = -1;

    if (GET(tid, sizeof mask, mask) < 0)
        return -2;
    for (int i = 0; i < WORDS * 64; i++)
        if (mask[i / 64] >> i % 64 & 1) {
            if (hart >= 0)
                return -1;
            hart = i;
        }
    return hart;
}

static int same_as_first(void)
{
    uint64_t mask[WORDS] = {0};
    return GET(0, sizeof mask, mask) > 0 && memcmp(mask, first, sizeof mask) == 0;
}

static void test_refusals(void)
{
    uint64_t none[WORDS] = {0}, one[WORDS] = {1}, beyond[WORDS] = {0}, all[WORDS];

    memset(all, 0xff, sizeof all);
    beyond[WORDS - 1] = 1ul << 63;
    VALUE("no hart", SET(0, sizeof none, none));
    VALUE("a hart that is not there", SET(0, sizeof beyond, beyond));
    VALUE("a mask of no bytes", SET(0, 0, one));
    VALUE("a mask that is nowhere", SET(0, 8, NULL));
    VALUE("of nobody", SET(NOBODY, 8, one));
    VALUE("of nobody, no hart", SET(NOBODY, 8, none));
    VALUE("of nobody, nowhere", SET(NOBODY, 8, NULL));
    VALUE("of a negative thread", SET(-1, 8, one));
    VALUE("get into three bytes", GET(0, 3, one));
    VALUE("get into nowhere", GET(0, sizeof one, NULL));
    VALUE("get of nobody", GET(NOBODY, sizeof one, one));
    VALUE("get of a negative thread", GET(-1, sizeof one, one));
    YES("nothing has changed", same_as_first());
    VALUE("all harts there could be", SET(0, sizeof all, all));
    YES("are those there are", same_as_first());
    all[0] = 1;
    VALUE("one byte says it", SET(0, 1, all));
    VALUE("and leaves the rest zero", only_hart(0));
    VALUE("back", SET(0, sizeof first, first));
    CHILD("a child that is nobody", {
        OK("becomes nobody", setresuid(65534, 65534, 65534));
        VALUE("may not place its parent", SET(getppid(), sizeof first, first));
        VALUE("may not even ask for no hart", SET(getppid(), sizeof none, none));
        YES("may look at its parent", only_hart(getppid()) > -2);
        VALUE("may place itself", SET(0, sizeof first, first));
    });
}

static void *in_thread(void *arg)
{
    uint64_t any[WORDS];

    VALUE("a new thread has its creator's", only_hart(0));
    memcpy(any, first, sizeof any);
    VALUE("it leaves that hart", SET(0, sizeof any, any));
    YES("and may run anywhere", same_as_first());
    return arg;
}

static void test_inheritance(void)
{
    uint64_t one[WORDS] = {1};
    pthread_t thread;

    VALUE("bound to hart 0", SET(0, sizeof one, one));
    VALUE("its mask", only_hart(0));
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    VALUE("the creator stays bound", only_hart(0));
    CHILD("a child", {
        VALUE("a child has its parent's", only_hart(0));
        VALUE("it looks at its parent's", only_hart(getppid()));
        VALUE("it frees its parent", SET(getppid(), sizeof first, first));
        VALUE("not itself", only_hart(0));
        execl("/proc/self/exe", "affinity", "executed", NULL);
    });
    YES("the parent is free", same_as_first());
}

// Bound to each hart in turn, it is there when the call returns, and still after it has waited and yielded.
static void test_place(void)
{
    int wrong = 0;

    for (int hart = 0; hart < WORDS * 64; hart++) {
        uint64_t mask[WORDS] = {0};
        unsigned cpu = ~0u;
        if (!(first[hart / 64] >> hart % 64 & 1))
            continue;
        mask[hart / 64] = 1ul << hart % 64;
        wrong += SET(0, sizeof mask, mask) != 0;
        for (int i = 0; i < 50; i++) {
            wrong += syscall(SYS_getcpu, &cpu, NULL, NULL) != 0 || cpu != (unsigned)hart;
            struct timespec nap = {0, 20000};
            if (i % 3 == 0)
                nanosleep(&nap, NULL);
            else if (i % 3 == 1)
                sched_yield();
            else
                syscall(SYS_getpid);
        }
    }
    VALUE("times on another hart than bound to", wrong);
    VALUE("free again", SET(0, sizeof first, first));
}

// The mask comes from a page that is not there yet.
static void test_absent_mask(void)
{
    int wrong = 0;

    for (int hart = 0; hart < WORDS * 64; hart++) {
        unsigned cpu = ~0u;
        if (!(first[hart / 64] >> hart % 64 & 1))
            continue;
        int file = memfd_create("mask", 0);
        uint64_t bit = 1ul << hart % 64;
        pwrite(file, &bit, sizeof bit, hart / 64 * 8);
        uint64_t *mask = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0);
        madvise(mask, PAGE, MADV_DONTNEED);
        wrong += SET(0, WORDS * 8, mask) != 0;
        wrong += syscall(SYS_getcpu, &cpu, NULL, NULL) != 0 || cpu != (unsigned)hart;
        munmap(mask, PAGE);
        close(file);
    }
    VALUE("times elsewhere with a mask to be read", wrong);
    VALUE("free from there", SET(0, sizeof first, first));
}

enum { BYTES = 64 * PAGE };
static volatile uint8_t written[BYTES]; // by a thread that the kernel keeps busy
static volatile int over;

static void *keep_writing(void *tid)
{
    int fd = open("/dev/urandom", O_RDONLY);

    *(volatile pid_t *)tid = gettid();
    while (!over)
        if (read(fd, (void *)written, BYTES) != BYTES)
            _exit(97);
    return NULL;
}

static void sample(uint8_t *out)
{
    for (size_t i = 0; i < BYTES / 64; i++)
        out[i] = written[i * 64];
}

// How often the caller has lost its hart.
static long switches(void)
{
    struct rusage used;

    getrusage(RUSAGE_THREAD, &used);
    return used.ru_nvcsw + used.ru_nivcsw;
}

// Bound to the hart that the caller is bound to, another thread does nothing while the caller does not give way.
static void test_another(void)
{
    static uint8_t was[BYTES / 64], is[BYTES / 64];
    volatile pid_t tid = 0;
    pthread_t thread;
    int failed = 0, wrong = 0, judged = 0;
    uint64_t here[WORDS] = {1};

    pthread_create(&thread, NULL, keep_writing, (void *)&tid);
    while (!tid)
        sched_yield();
    failed += SET(0, sizeof here, here) != 0;
    for (int turn = 0; turn < 2000 && judged < 200; turn++) {
        failed += SET(tid, sizeof first, first) != 0;
        sample(was);
        do
            sched_yield();
        while (sample(is), memcmp(was, is, sizeof was) == 0);
        failed += SET(tid, sizeof here, here) != 0;
        long before = switches();
        sample(was);
        for (volatile int i = 0; i < 2000; i++)
            ;
        sample(is);
        if (switches() == before) {
            judged++;
            wrong += memcmp(was, is, sizeof was) != 0;
        }
    }
    over = 1;
    pthread_join(thread, NULL);
    SET(0, sizeof first, first);
    VALUE("binding another that fails", failed);
    VALUE("times another was bound", judged);
    VALUE("times it went on elsewhere", wrong);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        VALUE(argv[1], only_hart(0));
        return 0;
    }
    if (GET(0, sizeof first, first) <= 0)
        return 1;
    test_refusals();
    test_inheritance();
    test_place();
    test_absent_mask();
    test_another();
    return 0;
}
