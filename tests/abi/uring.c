// SPDX-License-Identifier: MIT
// io_uring: rings, their memory, submission and completion of what does nothing, waiting, registration.
#include "uring.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

static void setup_shows(const char *key, unsigned entries, unsigned flags, unsigned cq)
{
    struct io_uring_params p = {.flags = flags, .cq_entries = cq};
    int fd = uring_setup(entries, &p);

    if (fd < 0)
        say(key, "%s", errno_name(errno));
    else
        say(key, "%u and %u", p.sq_entries, p.cq_entries);
    close(fd);
}

static void test_setup(void)
{
    struct io_uring_params p = {.resv = {0, 0, 1}};

    setup_shows("no entries", 0, 0, 0);
    setup_shows("one", 1, 0, 0);
    setup_shows("five", 5, 0, 0);
    setup_shows("the most", 32768, 0, 0);
    setup_shows("one more", 32769, 0, 0);
    setup_shows("clamped", 100000, IORING_SETUP_CLAMP, 0);
    setup_shows("completions of its own", 4, IORING_SETUP_CQSIZE, 100);
    setup_shows("fewer completions", 8, IORING_SETUP_CQSIZE, 4);
    setup_shows("no completions", 8, IORING_SETUP_CQSIZE, 0);
    setup_shows("too many completions", 8, IORING_SETUP_CQSIZE, 65537);
    setup_shows("completions clamped", 8, IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP, 65537);
    setup_shows("unknown setup flags", 8, 1u << 31, 0);
    setup_shows("deferred without a single issuer", 8, IORING_SETUP_DEFER_TASKRUN, 0);
    setup_shows("hints", 8, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0);
    VALUE("reserved words", uring_setup(8, &p));
    VALUE("parameters nowhere", uring_setup(8, NULL));
}

static void test_descriptor(void)
{
    struct ring r;
    char path[40], text[64] = "", byte;

    ring_open(&r, 4, 0, 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", r.fd);
    OK("readlink", readlink(path, text, sizeof text - 1));
    say("its name", "%s", text);
    VALUE("closes on exec", fcntl(r.fd, F_GETFD));
    VALUE("its access mode", fcntl(r.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    VALUE("read", read(r.fd, &byte, 1));
    VALUE("write", write(r.fd, "", 1));
    YES("features",
        (r.p.features & (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG |
                         IORING_FEAT_RW_CUR_POS | IORING_FEAT_CQE_SKIP)) ==
            (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG |
             IORING_FEAT_RW_CUR_POS | IORING_FEAT_CQE_SKIP));
    say("masks", "%u %u", *ring_word(&r, r.p.sq_off.ring_mask),
        *ring_word(&r, r.p.cq_off.ring_mask));
    say("entries", "%u %u", *ring_word(&r, r.p.sq_off.ring_entries),
        *ring_word(&r, r.p.cq_off.ring_entries));
    ring_close(&r);
}

static void map_shows(const char *key, int fd, size_t len, off_t offset)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

    say(key, "%s", p == MAP_FAILED ? errno_name(errno) : "ok");
    if (p != MAP_FAILED)
        munmap(p, len);
}

static void test_mapping(void)
{
    struct ring r;
    char *again;

    ring_open(&r, 4, 0, 0);
    map_shows("map more than the rings", r.fd, 1 << 20, IORING_OFF_SQ_RING);
    map_shows("map more than the submissions", r.fd, 8192, IORING_OFF_SQES);
    CHILD("touch what is beyond", {
        char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_SQES);
        p[4096] = 1;
    });
    map_shows("map what is none of it", r.fd, 4096, 0x20000000);
    again = mmap(NULL, r.len, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_CQ_RING);
    *ring_word(&r, r.p.cq_off.flags) = 1;
    YES("both rings are one", *(unsigned *)(again + r.p.cq_off.flags) == 1);
    munmap(again, r.len);
    close(r.fd);
    *ring_word(&r, r.p.sq_off.tail) = 7; // the memory outlives the descriptor
    say("a word of a closed ring", "%u", *ring_word(&r, r.p.sq_off.tail));
    munmap(r.base, r.len);
}

static void test_nops(void)
{
    struct ring r;
    struct io_uring_sqe *s;
    unsigned bad = 0;

    ring_open(&r, 4, 0, 0);
    for (unsigned long i = 1; i < 5; i++)
        prepare(&r, IORING_OP_NOP, -1, i);
    VALUE("four that do nothing", submit(&r, 4));
    say("ready", "%u", ready(&r));
    say_all(&r, "each", 4);
    VALUE("nothing to submit", submit(&r, 0));
    VALUE("more than there are", uring_enter(r.fd, 3, 0, 0, NULL, 0));
    prepare(&r, IORING_OP_NOP, -1, 1);
    __atomic_store_n(ring_word(&r, r.p.sq_off.tail), r.tail, __ATOMIC_RELEASE);
    VALUE("fewer than asked for do not wait",
          uring_enter(r.fd, 2, 4, IORING_ENTER_GETEVENTS, NULL, 0));
    say_all(&r, "that one", 1);
    for (unsigned round = 0; round < 1000; round++)
        for (unsigned long i = 0; i < 3; i++) {
            prepare(&r, IORING_OP_NOP, -1, round * 3 + i);
            submit(&r, 1);
            bad += reap(&r).user_data != round * 3 + i;
        }
    say("three thousand in order, but for", "%u", bad);
    s = prepare(&r, IORING_OP_NOP, -1, 1);
    s->ioprio = 1;
    say_one(&r, "a priority for nothing");
    s = prepare(&r, IORING_OP_NOP, -1, 1);
    s->personality = 77;
    say_one(&r, "credentials that are not registered");
    s = prepare(&r, IORING_OP_NOP, -1, 1);
    s->flags = 0x80;
    say_one(&r, "an unknown flag");
    s = prepare(&r, IORING_OP_NOP, -1, 1);
    s->flags = IOSQE_CQE_SKIP_SUCCESS;
    VALUE("a success that is not told", submit(&r, 0));
    say("completions of it", "%u", ready(&r));
    prepare(&r, 255, -1, 1);
    say_one(&r, "an unknown operation");
    ring_close(&r);
}

// A submission that is refused ends the call, unless all are to be submitted.
static void test_refusals(void)
{
    struct ring r;

    for (int all = 0; all < 2; all++) {
        ring_open(&r, 8, all ? IORING_SETUP_SUBMIT_ALL : 0, 0);
        prepare(&r, IORING_OP_NOP, -1, 1);
        prepare(&r, 255, -1, 2);
        prepare(&r, IORING_OP_NOP, -1, 3);
        VALUE(all ? "all submitted" : "submitted up to the refused one", submit(&r, 0));
        say_all(&r, all ? "all" : "up to it", all ? 3 : 2);
        ring_close(&r);
    }
    ring_open(&r, 4, 0, 0);
    prepare(&r, IORING_OP_NOP, -1, 1);
    prepare(&r, IORING_OP_NOP, -1, 2);
    ring_word(&r, r.p.sq_off.array)[1] = 4;
    VALUE("an index beyond the ring", submit(&r, 0));
    say("dropped", "%u", *ring_word(&r, r.p.sq_off.dropped));
    say("and complete", "%u", ready(&r));
    ring_close(&r);
}

static void test_arguments(void)
{
    struct io_uring_getevents_arg arg = {0};
    struct timespec soon = {0, 1000000};
    struct ring r;
    sigset_t none;

    sigemptyset(&none);
    ring_open(&r, 4, 0, 0);
    VALUE("enter no descriptor", uring_enter(-1, 0, 0, 0, NULL, 0));
    VALUE("enter no ring", uring_enter(1, 0, 0, 0, NULL, 0));
    VALUE("enter with unknown flags", uring_enter(r.fd, 0, 0, 1u << 30, NULL, 0));
    VALUE("a mask of no size", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, &none, 3));
    VALUE("a mask nowhere", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, (void *)8, 8));
    VALUE("a struct of no size",
          uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, 8));
    VALUE("a struct nowhere", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                          (void *)8, sizeof arg));
    arg.ts = (unsigned long)&soon;
    VALUE("a wait that ends",
          uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
    arg.ts = 8;
    VALUE("a time nowhere",
          uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
    prepare(&r, IORING_OP_NOP, -1, 1);
    submit(&r, 0);
    arg.ts = (unsigned long)&soon;
    VALUE("nothing to wait for",
          uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
    VALUE("one where two are wanted",
          uring_enter(r.fd, 0, 2, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
    ring_close(&r);
}

static void on_signal(int sig)
{
    (void)sig;
}

static void test_signal(void)
{
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct ring r;
    sigset_t usr1, none;

    sigaction(SIGUSR1, &act, NULL);
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    ring_open(&r, 4, 0, 0);
    kill(getpid(), SIGUSR1);
    VALUE("a wait that a signal ends", uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, &none, 8));
    sigprocmask(SIG_BLOCK, NULL, &none);
    VALUE("blocked again", sigismember(&none, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &usr1, NULL);
    ring_close(&r);
}

// Completions that find no room are kept, and told of.
static void test_overflow(void)
{
    struct ring r;
    unsigned n = 0;

    ring_open(&r, 4, 0, 4);
    for (unsigned long i = 0; i < 7; i++) {
        prepare(&r, IORING_OP_NOP, -1, i);
        submit(&r, 0);
    }
    say("in the ring", "%u", ready(&r));
    YES("it says that there are more", *ring_word(&r, r.p.sq_off.flags) & IORING_SQ_CQ_OVERFLOW);
    for (; n < 7; n++)
        if (reap(&r).user_data != n)
            break;
    say("in order", "%u", n);
    YES("and no more", !(*ring_word(&r, r.p.sq_off.flags) & IORING_SQ_CQ_OVERFLOW));
    say("lost", "%u", *ring_word(&r, r.p.cq_off.overflow));
    ring_close(&r);
}

static void test_poll(void)
{
    struct pollfd p = {.events = POLLIN | POLLOUT};
    struct ring r;

    ring_open(&r, 2, 0, 0);
    p.fd = r.fd;
    VALUE("poll a quiet ring", poll(&p, 1, 0));
    say("it shows", "0x%x", p.revents);
    prepare(&r, IORING_OP_NOP, -1, 1);
    submit(&r, 0);
    VALUE("poll a ring with a completion", poll(&p, 1, 0));
    say("then", "0x%x", p.revents);
    prepare(&r, IORING_OP_NOP, -1, 1);
    prepare(&r, IORING_OP_NOP, -1, 1);
    __atomic_store_n(ring_word(&r, r.p.sq_off.tail), r.tail, __ATOMIC_RELEASE);
    VALUE("poll a ring full of submissions", poll(&p, 1, 0));
    say("at last", "0x%x", p.revents);
    ring_close(&r);
}

static void test_register(void)
{
    struct {
        struct io_uring_probe p;
        struct io_uring_probe_op op[64];
    } probe;
    struct ring r;
    int event = eventfd(0, EFD_NONBLOCK), wrong = 1;
    uint64_t count;

    ring_open(&r, 4, 0, 0);
    memset(&probe, 0, sizeof probe);
    OK("probe", uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 64));
    YES("nothing can be done", probe.p.ops[IORING_OP_NOP].flags & IO_URING_OP_SUPPORTED);
    YES("a read can", probe.p.ops[IORING_OP_READ].flags & IO_URING_OP_SUPPORTED);
    YES("the last one is told", probe.p.last_op >= IORING_OP_WRITE && probe.p.ops[5].op == 5);
    VALUE("probe into what is not zero", uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 64));
    VALUE("probe too many", uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 257));
    VALUE("register nothing known", uring_register(r.fd, 1000, NULL, 0));
    VALUE("register with no ring", uring_register(1, IORING_REGISTER_PROBE, &probe, 64));
    VALUE("no eventfd to unregister", uring_register(r.fd, IORING_UNREGISTER_EVENTFD, NULL, 0));
    VALUE("register what is no eventfd", uring_register(r.fd, IORING_REGISTER_EVENTFD, &wrong, 1));
    VALUE("register an eventfd", uring_register(r.fd, IORING_REGISTER_EVENTFD, &event, 1));
    VALUE("and another", uring_register(r.fd, IORING_REGISTER_EVENTFD, &event, 1));
    prepare(&r, IORING_OP_NOP, -1, 1);
    say_one(&r, "nothing, told by an eventfd");
    OK("the eventfd", read(event, &count, sizeof count));
    say("its count", "%lu", (unsigned long)count);
    VALUE("unregister the eventfd", uring_register(r.fd, IORING_UNREGISTER_EVENTFD, NULL, 0));
    VALUE("enable what is enabled", uring_register(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
    ring_close(&r);
    ring_open(&r, 4, IORING_SETUP_R_DISABLED, 0);
    VALUE("enter a disabled ring", uring_enter(r.fd, 0, 0, 0, NULL, 0));
    VALUE("enable it", uring_register(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
    VALUE("enter it", uring_enter(r.fd, 0, 0, 0, NULL, 0));
    ring_close(&r);
}

static void *other_issuer(void *arg)
{
    struct ring *r = arg;

    prepare(r, IORING_OP_NOP, -1, 1);
    VALUE("another issuer", submit(r, 0));
    return NULL;
}

static void test_single_issuer(void)
{
    struct ring r;
    pthread_t other;

    ring_open(&r, 4, IORING_SETUP_SINGLE_ISSUER, 0);
    prepare(&r, IORING_OP_NOP, -1, 1);
    VALUE("the issuer", submit(&r, 0));
    pthread_create(&other, NULL, other_issuer, &r);
    pthread_join(other, NULL);
    ring_close(&r);
}

int main(void)
{
    test_setup();
    test_descriptor();
    test_mapping();
    test_nops();
    test_refusals();
    test_arguments();
    test_signal();
    test_overflow();
    test_poll();
    test_register();
    test_single_issuer();
    return 0;
}
