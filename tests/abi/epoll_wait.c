// SPDX-License-Identifier: MIT
// Waiting at an epoll: for time, for signals, in several threads and processes, while watches come and go.
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

enum { WORKERS = 4, ROUNDS = 3000 };

static int put(int fd, uint64_t n)
{
    return write(fd, &n, sizeof n) == sizeof n;
}

static int add(int ep, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event ev = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

// What the wait comes back with: data=events of one, or the error.
static void say_wait(const char *key, int ep, int ms)
{
    struct epoll_event ev;
    int n = epoll_wait(ep, &ev, 1, ms);

    if (n < 0)
        say(key, "%s", errno_name(errno));
    else if (n == 0)
        say(key, "nothing");
    else
        say(key, "%lu=0x%x", (unsigned long)ev.data.u64, ev.events);
}

static pid_t
    parent; // by number: of a child that was left behind it is process 1, whom SIGUSR1 asks to halt

// A child that runs the statements once its parent sleeps.
#define THEN(...)                                                                                  \
    ({                                                                                             \
        pid_t child_ = fork();                                                                     \
        if (child_ == 0) {                                                                         \
            until_state(parent, 'S');                                                              \
            __VA_ARGS__;                                                                           \
            _exit(0);                                                                              \
        }                                                                                          \
        child_;                                                                                    \
    })

static long ms_since(const struct timespec *from)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void test_time(void)
{
    int ep = epoll_create1(0), event = eventfd(0, 0);
    struct epoll_event ev;
    struct timespec from, nap = {0, 20000000};

    clock_gettime(CLOCK_MONOTONIC, &from);
    say_wait("an empty one, for a while", ep, 30);
    YES("it took its time", ms_since(&from) >= 30);
    add(ep, event, EPOLLIN, 1);
    say_wait("nothing comes", ep, 1);
    VALUE("pwait2", epoll_pwait2(ep, &ev, 1, &nap, NULL));
    YES("both took their time", ms_since(&from) >= 51);
    VALUE("pwait2 of no time", epoll_pwait2(ep, &ev, 1, &(struct timespec){0, 0}, NULL));
    VALUE("pwait2 with a bad time", epoll_pwait2(ep, &ev, 1, &(struct timespec){0, -1}, NULL));
    VALUE("pwait2 with a time before", epoll_pwait2(ep, &ev, 1, &(struct timespec){-1, 0}, NULL));
    VALUE("pwait2 with too many ns",
          epoll_pwait2(ep, &ev, 1, &(struct timespec){0, 1000000000}, NULL));
    VALUE("pwait2 with a time nowhere", syscall(SYS_epoll_pwait2, ep, &ev, 1, 8, NULL, 8));
    pid_t pid = THEN(put(event, 1));
    VALUE("pwait2 without an end", epoll_pwait2(ep, &ev, 1, NULL, NULL));
    say_end("who wrote", pid);
    get_count(event);
    pid = THEN(put(event, 1));
    say_wait("with a far end", ep, INT32_MAX);
    say_end("who wrote then", pid);
    pid = THEN(get_count(event); until_state(parent, 'S'); put(event, 1));
    struct pollfd p = {ep, 0, 0};
    VALUE("poll for no event of it", poll(&p, 1, 5));
    waitpid(pid, NULL, 0);
    get_count(event);
    p.events = POLLIN;
    VALUE("poll when there is none", poll(&p, 1, 0));
    pid = THEN(put(event, 1));
    VALUE("poll waits for it", poll(&p, 1, -1));
    say("poll shows", "0x%x", p.revents);
    say_end("who wrote at last", pid);
    close(event);
    close(ep);
}

static volatile int calls;

static void count(int sig)
{
    (void)sig;
    calls++;
}

static void test_signals(void)
{
    int ep = epoll_create1(0), event = eventfd(0, 0);
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    struct epoll_event ev;
    sigset_t none, usr1;

    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigaction(SIGUSR1, &action, NULL);
    add(ep, event, EPOLLIN, 1);
    pid_t pid = THEN(kill(parent, SIGUSR1));
    say_wait("a signal ends it, restart or not", ep, -1);
    say_end("who signalled", pid);
    pid = THEN(kill(parent, SIGUSR1));
    say_wait("and one with an end", ep, 100000);
    say_end("who signalled then", pid);
    say("handled", "%d", calls);

    signal_mask(SIG_BLOCK, SIGUSR1);
    pid = THEN(kill(parent, SIGUSR1); put(event, 1));
    say_wait("a blocked one does not", ep, -1);
    say_end("who signalled and wrote", pid);
    VALUE("unblocked for a wait that has something", epoll_pwait(ep, &ev, 1, -1, &none));
    say("not handled", "%d", calls);
    get_count(event);
    VALUE("unblocked for one that has nothing", epoll_pwait(ep, &ev, 1, -1, &none));
    say("handled now", "%d", calls);
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    say("blocked as before", "%d", sigismember(&now, SIGUSR1));
    signal_mask(SIG_UNBLOCK, SIGUSR1);
    pid = THEN(kill(parent, SIGUSR1); put(event, 1));
    VALUE("blocked for a wait", epoll_pwait(ep, &ev, 1, -1, &usr1));
    say("handled after it", "%d", calls);
    say_end("who did so", pid);

    get_count(event);
    pid = fork();
    if (pid == 0)
        _exit(epoll_wait(ep, &ev, 1, -1) < 0 ? errno : 0);
    until_state(pid, 'S');
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    kill(pid, SIGCONT);
    int status = 0;
    waitpid(pid, &status, 0);
    say("stopped and continued", "%s", errno_name(WEXITSTATUS(status)));
    close(event);
    close(ep);
}

static void test_changes(void)
{
    int ep = epoll_create1(0), event = eventfd(0, 0), full = eventfd(1, 0), copy;
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 3};

    pid_t pid = THEN(add(ep, full, EPOLLIN, 2));
    say_wait("a ready one is added", ep, -1);
    say_end("who added", pid);
    epoll_ctl(ep, EPOLL_CTL_DEL, full, NULL);
    add(ep, full, 0, 3);
    pid = THEN(epoll_ctl(ep, EPOLL_CTL_MOD, full, &ev));
    say_wait("an idle one is changed", ep, -1);
    say_end("who changed it", pid);
    epoll_ctl(ep, EPOLL_CTL_DEL, full, NULL);

    add(ep, event, EPOLLIN, 4);
    pid = THEN(epoll_ctl(ep, EPOLL_CTL_DEL, event, NULL); put(event, 1));
    say_wait("the last one is removed", ep, 200);
    say_end("who removed it", pid);
    add(ep, event, EPOLLIN | EPOLLONESHOT, 5);
    say_wait("one shot", ep, -1);
    pid = THEN(ev.events = EPOLLIN | EPOLLONESHOT; epoll_ctl(ep, EPOLL_CTL_MOD, event, &ev));
    say_wait("is armed again meanwhile", ep, -1);
    say_end("who armed it", pid);
    close(event);

    event = eventfd(0, 0);
    copy = dup(ep);
    add(ep, event, EPOLLIN, 6);
    pid = fork();
    if (pid == 0) {
        close(copy);
        close(event);
        _exit(epoll_wait(ep, &ev, 1, -1) == 1 && ev.data.u64 == 6 ? 0 : 1);
    }
    until_state(pid, 'S');
    close(ep);
    put(event, 1);
    say_end("one that others closed", pid);
    say_wait("by another descriptor", copy, -1);
    close(copy);
    close(event);
    close(full);
}

// So many of the children have come back once the others sleep; then all are let go.
static void wake_some(const char *key, uint32_t events, int ep_for_each, int writes)
{
    int ep = epoll_create1(0), event = eventfd(0, EFD_NONBLOCK), done = eventfd(0, EFD_SEMAPHORE),
        end = eventfd(0, 0), got = 0;
    pid_t pid[WORKERS];
    struct epoll_event ev;

    if (!ep_for_each) {
        add(ep, event, events, 1);
        add(ep, end, EPOLLIN, 2);
    }
    for (int i = 0; i < WORKERS; i++)
        if ((pid[i] = fork()) == 0) {
            if (ep_for_each) {
                ep = epoll_create1(0);
                add(ep, event, events, 1);
                add(ep, end, EPOLLIN, 2);
            }
            for (int n = 0; epoll_wait(ep, &ev, 1, -1) == 1 && ev.data.u64 == 1; n++)
                put(done, 1);
            _exit(0);
        }
    for (int i = 0; i < WORKERS; i++)
        until_state(pid[i], 'S');
    for (int i = 0; i < writes; i++) {
        put(event, 1);
        got += get_count(done);
        for (int j = 0; j < WORKERS; j++)
            until_state(pid[j], 'S');
    }
    fcntl(done, F_SETFL, O_NONBLOCK);
    while (get_count(done))
        got++;
    say(key, "%d", got);
    put(end, 1);
    for (int i = 0; i < WORKERS; i++)
        waitpid(pid[i], NULL, 0);
    close(ep);
    close(event);
    close(done);
    close(end);
}

// Every write is told to exactly one of the threads, which arms the watch again.
static int work_ep, work_event;
static uint64_t work_sum;

static void *worker(void *arg)
{
    struct epoll_event ev;

    while (epoll_wait(work_ep, &ev, 1, -1) == 1 && ev.data.u64 == 1) {
        __atomic_fetch_add(&work_sum, get_count(work_event), __ATOMIC_SEQ_CST);
        ev.events = EPOLLIN | EPOLLONESHOT;
        epoll_ctl(work_ep, EPOLL_CTL_MOD, work_event, &ev);
    }
    return arg;
}

static void test_threads(void)
{
    pthread_t thread[WORKERS];
    int end = eventfd(0, 0);

    work_ep = epoll_create1(0);
    work_event = eventfd(0, EFD_NONBLOCK);
    add(work_ep, work_event, EPOLLIN | EPOLLONESHOT, 1);
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&thread[i], NULL, worker, NULL);
    for (int i = 0; i < ROUNDS; i++)
        put(work_event, 1);
    while (__atomic_load_n(&work_sum, __ATOMIC_SEQ_CST) < ROUNDS)
        sched_yield();
    add(work_ep, end, EPOLLIN, 2);
    put(end, 1);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
    say("threads got all that was written", "%lu", work_sum);
    close(work_ep);
    close(work_event);
    close(end);
}

// Descriptors come and go while others wait and write.
static volatile int stop;

static void *come_and_go(void *arg)
{
    int ep = *(int *)arg;

    for (int i = 0; i < ROUNDS; i++) {
        int fds[2], event = eventfd(i & 1, 0);
        if (event < 0 || pipe(fds) < 0)
            return "no descriptors";
        if (add(ep, event, EPOLLIN | (i & 2 ? EPOLLET : 0), 1) < 0 ||
            add(ep, fds[0], EPOLLIN, 1) < 0)
            return "cannot add";
        if (write(fds[1], "x", 1) != 1)
            return "cannot write";
        if (i & 4)
            epoll_ctl(ep, EPOLL_CTL_DEL, event, NULL);
        close(fds[1]);
        close(event);
        close(fds[0]);
    }
    return NULL;
}

static void *wait_on(void *arg)
{
    struct epoll_event ev[8];

    for (int n; !stop && (n = epoll_wait(*(int *)arg, ev, 8, 100000)) >= 0;)
        for (int i = 0; i < n; i++)
            if (ev[i].data.u64 != 1 && ev[i].data.u64 != 2)
                return "an event of nobody";
    return stop ? NULL : "the wait failed";
}

static void test_race(void)
{
    int ep = epoll_create1(0), end = eventfd(0, 0), bad = 0;
    pthread_t thread[WORKERS];
    void *result;

    for (int i = 0; i < WORKERS; i++)
        pthread_create(&thread[i], NULL, i % 2 ? wait_on : come_and_go, &ep);
    for (int i = 0; i < WORKERS; i += 2) {
        pthread_join(thread[i], &result);
        bad += result != NULL;
    }
    stop = 1;
    add(ep, end, EPOLLIN, 2);
    put(end, 1);
    for (int i = 1; i < WORKERS; i += 2) {
        pthread_join(thread[i], &result);
        bad += result != NULL;
    }
    VALUE("files that come and go, failures", bad);
    close(ep);
    close(end);
}

int main(void)
{
    parent = getpid();
    test_time();
    test_signals();
    test_changes();
    wake_some("by edge one of four for each write", EPOLLIN | EPOLLET, 0, 5);
    wake_some("by edge four epolls for each write", EPOLLIN | EPOLLET, 1, 1);
    wake_some("exclusive one of four", EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 1, 5);
    test_threads();
    test_race();
    return 0;
}
