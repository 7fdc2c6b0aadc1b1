// SPDX-License-Identifier: MIT
// Rings that end with operations under way: by exit, a kill, close, exec, the end of a thread; and storms of cancellation.
// An argument N makes it N rounds of each (4).
#include "uring.h"
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

enum { READS = 12, STORM = 400, THREADS = 4, SETUPS = 2000 };
static struct __kernel_timespec late = {1000, 0};
static int pipe_ends[2];

// Reads of an empty pipe, polls, timeouts, a chain.
static void fill(struct ring *r, int from)
{
    static char in[READS];
    struct io_uring_sqe *s;

    for (unsigned long i = 0; i < READS; i++) {
        prepare_rw(r, IORING_OP_READ, from, &in[i], 1, 0, i);
        prepare(r, IORING_OP_POLL_ADD, from, 100 + i)->poll32_events = POLL_IN;
        prepare_rw(r, IORING_OP_TIMEOUT, -1, &late, 1, 0, 200 + i);
        s = prepare_rw(r, IORING_OP_READ, from, &in[i], 1, 0, 300 + i);
        s->flags = IOSQE_IO_LINK;
        prepare(r, IORING_OP_NOP, -1, 400 + i);
    }
    if (submit(r, 0) < 0)
        _exit(98);
}

static void begin(struct ring *r, int p[2])
{
    if (pipe(p))
        _exit(97);
    ring_open(r, 128, 0, 0);
    fill(r, p[0]);
    prepare(r, IORING_OP_NOP, -1, 500)->flags = IOSQE_IO_DRAIN; // waits for them all
    submit(r, 0);
}

static int ends(pid_t pid, int want)
{
    int status = -1;

    return waitpid(pid, &status, 0) == pid && status == want;
}

static int by_exit(void)
{
    pid_t pid = fork();
    struct ring r;
    int p[2];

    if (pid == 0) {
        begin(&r, p);
        _exit(0);
    }
    return ends(pid, 0);
}

static int by_kill(void)
{
    int told[2], p[2];
    struct ring r;
    pid_t pid;
    char c;

    if (pipe(told) || (pid = fork()) < 0)
        return 0;
    if (pid == 0) {
        begin(&r, p);
        write(told[1], "a", 1);
        uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
        _exit(99);
    }
    close(told[1]);
    read(told[0], &c, 1);
    close(told[0]);
    kill(pid, SIGKILL);
    return ends(pid, SIGKILL);
}

// The reads are over soon after: who writes then finds that nobody took it.
static int by_close(void)
{
    struct timespec nap = {0, 1000000};
    struct ring r;
    int p[2], left = 0;

    begin(&r, p);
    ring_close(&r);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 10000 && !left; i++) {
        char c = 0;
        write(p[1], "a", 1);
        left = read(p[0], &c, 1) == 1 && c == 'a';
        nanosleep(&nap, NULL);
    }
    close(p[0]);
    close(p[1]);
    return left;
}

static int by_exec(void)
{
    pid_t pid = fork();
    struct ring r;
    int p[2];

    if (pid == 0) {
        begin(&r, p);
        execl("/proc/self/exe", "uring_storm", "end", NULL);
        _exit(96);
    }
    return ends(pid, 0);
}

static void cancel_any(struct ring *r)
{
    prepare(r, IORING_OP_ASYNC_CANCEL, -1, 600)->cancel_flags = IORING_ASYNC_CANCEL_ANY;
    submit(r, 0);
}

static void *submit_and_leave(void *arg)
{
    fill(arg, pipe_ends[0]);
    return NULL;
}

// What a thread leaves under way is cancelled by its end, or by another thread.
static int by_thread(void)
{
    int cancelled = 0;
    struct ring r;
    pthread_t th;

    if (pipe(pipe_ends))
        return 0;
    ring_open(&r, 128, 0, 0);
    pthread_create(&th, NULL, submit_and_leave, &r);
    pthread_join(th, NULL);
    cancel_any(&r);
    for (int i = 0; i < 5 * READS + 1; i++)
        cancelled += reap(&r).res == -ECANCELED;
    ring_close(&r);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return cancelled >= 5 * READS;
}

// ---- storms: threads submit reads of one pipe to one ring and cancel what they find

static struct ring shared;
static pthread_mutex_t submitting = PTHREAD_MUTEX_INITIALIZER;
static unsigned long submitted, ended;

static void reap_all(void)
{
    while (ready(&shared)) {
        reap(&shared);
        ended++;
    }
}

static void *storm(void *arg)
{
    static char in;
    unsigned seed = (unsigned)(unsigned long)arg;

    for (int i = 0; i < STORM; i++) {
        pthread_mutex_lock(&submitting);
        prepare_rw(&shared, IORING_OP_READ, pipe_ends[0], &in, 1, 0, rand_r(&seed) % 8);
        prepare_rw(&shared, IORING_OP_TIMEOUT, -1, &late, 1, 0, rand_r(&seed) % 8);
        struct io_uring_sqe *s = prepare(&shared, IORING_OP_ASYNC_CANCEL, -1, 9);
        s->addr = rand_r(&seed) % 8;
        s->cancel_flags = i % 3 ? 0 : IORING_ASYNC_CANCEL_ALL;
        submitted += (unsigned long)submit(&shared, 0);
        if (i % 8 == 0)
            write(pipe_ends[1], "a", 1);
        reap_all();
        pthread_mutex_unlock(&submitting);
    }
    return NULL;
}

static int storms(void)
{
    pthread_t th[THREADS];

    submitted = ended = 0;
    if (pipe(pipe_ends))
        return 0;
    ring_open(&shared, 64, 0, 0);
    for (unsigned long i = 0; i < THREADS; i++)
        pthread_create(&th[i], NULL, storm, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(th[i], NULL);
    cancel_any(&shared);
    submitted++;
    while (ended < submitted) {
        reap(&shared);
        ended++;
    }
    ring_close(&shared);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return submitted == 3UL * THREADS * STORM + 1;
}

// ---- a setup that fails leaves the descriptors of other threads alone

static struct io_uring_params *read_only;
static int setups_over;

static void *fail_setups(void *arg)
{
    for (int i = 0; i < SETUPS; i++)
        uring_setup(4, read_only);
    __atomic_store_n(&setups_over, 1, __ATOMIC_RELEASE);
    return arg;
}

static int by_setup(void)
{
    int lost = 0, next = dup(0);
    pthread_t th;

    close(next);
    read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    setups_over = 0;
    pthread_create(&th, NULL, fail_setups, NULL);
    while (!__atomic_load_n(&setups_over, __ATOMIC_ACQUIRE)) {
        dup2(0, next);
        for (int i = 0; i < 20; i++)
            lost += fcntl(next, F_GETFD) < 0;
        close(next);
    }
    pthread_join(th, NULL);
    munmap(read_only, 4096);
    return !lost;
}

// ---- limits, which are this kernel's own (tests/boot/uring.lua)

// Rings until there are no more; how many. What they take is given back with them.
static int take_rings(int *error)
{
    int fd[1024], n = 0;
    struct io_uring_params p;

    do
        memset(&p, 0, sizeof p);
    while (n < 1000 && (fd[n] = uring_setup(4096, &p)) >= 0 && ++n);
    *error = errno;
    for (int i = 0; i < n; i++)
        close(fd[i]);
    return n;
}

// Chains behind reads that wait, until one has no memory: how many.
static int take_chains(void)
{
    static char in;
    struct ring r;
    int p[2], n = 0, error = 0;

    if (pipe(p))
        return 0;
    ring_open(&r, 64, 0, 8192);
    while (!error && n < 4000) {
        prepare_rw(&r, IORING_OP_READ, p[0], &in, 1, 0, 1)->flags = IOSQE_IO_LINK;
        for (int i = 0; i < 63; i++)
            prepare(&r, IORING_OP_NOP, -1, 1)->flags = i < 62 ? IOSQE_IO_LINK : 0;
        int got = submit(&r, 0);
        error = got < 0 ? errno : ready(&r) ? -reap(&r).res : 0;
        n += !error;
    }
    ring_close(&r);
    close(p[0]);
    close(p[1]);
    return error == EAGAIN ? n : -error;
}

// Each of a chain of 100 fails, in order; what comes after it does not.
static int long_chain(void)
{
    struct ring r;
    int good = 0;

    ring_open(&r, 128, IORING_SETUP_SUBMIT_ALL, 0);
    for (unsigned long i = 0; i < 102; i++)
        prepare(&r, IORING_OP_NOP, -1, i)->flags = i < 99 ? IOSQE_IO_LINK : 0;
    submit(&r, 102);
    for (unsigned long i = 0; i < 102; i++) {
        struct completion c = reap(&r);
        good += c.user_data == i && c.res == (i == 64 ? -EINVAL : i < 100 ? -ECANCELED : 0);
    }
    ring_close(&r);
    return good;
}

// Completions that find no room are kept, and come in order.
static int overflow(void)
{
    struct ring r;
    int good = 0;

    ring_open(&r, 256, 0, 256);
    for (unsigned long i = 0; i < 512; i++) {
        prepare(&r, IORING_OP_NOP, -1, i);
        if (i % 256 == 255)
            submit(&r, 0);
    }
    for (unsigned long i = 0; i < 512; i++)
        good += reap(&r).user_data == i;
    ring_close(&r);
    return good;
}

// Cancelled all at once: how many.
static int cancel_many(void)
{
    static char in;
    struct ring r;
    int p[2], n;

    if (pipe(p))
        return 0;
    ring_open(&r, 512, 0, 0);
    for (int i = 0; i < 200; i++)
        prepare_rw(&r, IORING_OP_READ, p[0], &in, 1, 0, 1);
    submit(&r, 0);
    cancel_any(&r);
    do {
        struct completion c = reap(&r);
        n = c.user_data == 600 ? c.res : 0;
    } while (!n);
    ring_close(&r);
    close(p[0]);
    close(p[1]);
    return n;
}

// In a process of its own: when it has ended, so have they.
static int take_chains_apart(void)
{
    int *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();

    if (pid == 0) {
        *n = take_chains();
        _exit(0);
    }
    return ends(pid, 0) ? *n : -1;
}

static void limits(void)
{
    int error, first = take_rings(&error);

    say("rings, then", "%s", errno_name(error));
    say("as many again", "%s", take_rings(&error) == first ? "yes" : "no");
    say("bytes of rings", "%ld", first * (4096L * 64 + 8192L * 16));
    say("chains", "%d", take_chains_apart());
    say("and rings again", "%s", take_rings(&error) == first ? "yes" : "no");
    say("a long chain", "%d", long_chain());
    say("an overflow", "%d", overflow());
    say("cancelled", "%d", cancel_many());
}

static void rounds(const char *key, int n, int (*one)(void))
{
    int good = 0;

    for (int i = 0; i < n; i++)
        good += one();
    say(key, "%s", good == n ? "ok" : "not all");
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 4;

    if (argc > 1 && !strcmp(argv[1], "end"))
        return 0;
    if (argc > 1 && !strcmp(argv[1], "limits")) {
        limits();
        return 0;
    }
    rounds("exit", n, by_exit);
    rounds("kill", n, by_kill);
    rounds("close", n, by_close);
    rounds("exec", n, by_exec);
    rounds("the end of a thread", n, by_thread);
    rounds("storms", (n + 3) / 4, storms);
    rounds("setups that fail", (n + 3) / 4, by_setup);
    return 0;
}
