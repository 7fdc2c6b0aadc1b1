// SPDX-License-Identifier: MIT
// Signals that are read from a file: what is refused, what they tell, waiting, poll and epoll, other threads.
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>

static sigset_t set_of(int a, int b)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, a);
    if (b)
        sigaddset(&set, b);
    return set;
}

static int make(int fd, int a, int b, int flags)
{
    sigset_t set = set_of(a, b);
    return signalfd(fd, &set, flags);
}

static void say_get(const char *key, int fd)
{
    struct signalfd_siginfo si;
    ssize_t n = read(fd, &si, sizeof si);

    if (n < 0)
        say(key, "%s", errno_name(errno));
    else
        say(key, "%zd: %s, code %d, from %s, int %d ptr 0x%lx status %d overrun %u", n,
            si.ssi_signo < 32 ? signal_name(si.ssi_signo) : "real time", si.ssi_code,
            si.ssi_pid == (uint32_t)getpid() ? "itself"
            : si.ssi_pid                     ? "another"
                                             : "nobody",
            si.ssi_int, (unsigned long)si.ssi_ptr, si.ssi_status, si.ssi_overrun);
}

static void test_refusals(void)
{
    int fds[2], fd;
    sigset_t set = set_of(SIGUSR1, SIGUSR2), kill_too = set_of(SIGKILL, SIGSTOP);
    char path[40], text[64] = "", small[127];

    if (pipe(fds) < 0)
        return;
    VALUE("a mask of seven bytes", syscall(SYS_signalfd4, -1, &set, 7, 0));
    VALUE("a mask that is nowhere", syscall(SYS_signalfd4, -1, NULL, 8, 0));
    VALUE("nowhere, and unknown flags", syscall(SYS_signalfd4, -1, NULL, 8, 1));
    VALUE("unknown flags", syscall(SYS_signalfd4, -1, &set, 8, 1));
    VALUE("change nothing open", syscall(SYS_signalfd4, 99, &set, 8, 0));
    VALUE("change a pipe", syscall(SYS_signalfd4, fds[0], &set, 8, 0));
    VALUE("change what is below", syscall(SYS_signalfd4, -2, &set, 8, 0));
    OK("of what cannot be blocked", fd = signalfd(-1, &kill_too, SFD_NONBLOCK));
    say_get("has none", fd);
    close(fd);
    OK("make one", fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    VALUE("its flags", fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    VALUE("closes on exec", fcntl(fd, F_GETFD));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    OK("readlink", readlink(path, text, sizeof text - 1));
    say("its name", "%s", text);
    VALUE("short read", read(fd, small, sizeof small));
    VALUE("write", write(fd, small, sizeof small));
    VALUE("change it", make(fd, SIGUSR1, 0, 0) == fd);
    close(fd);
    close(fds[0]);
    close(fds[1]);
}

static void test_reads(void)
{
    int fd = make(-1, SIGUSR1, SIGUSR2, SFD_NONBLOCK), rt = SIGRTMIN + 1;
    struct signalfd_siginfo si[4];
    struct pollfd p = {fd, 0x3ff, 0};

    say_get("nothing is pending", fd);
    VALUE("poll", poll(&p, 1, 0));
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    VALUE("poll when they are", poll(&p, 1, 0));
    say("it shows", "0x%x", p.revents);
    say_get("the lower one", fd);
    say_get("the other", fd);
    say_get("each once", fd);
    raise(SIGUSR1);
    say_get("sent to the thread", fd);
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_ptr = (void *)0x123456789aul});
    say_get("queued", fd);
    make(fd, rt, SIGUSR2, 0);
    sigqueue(getpid(), rt, (union sigval){.sival_int = 1});
    sigqueue(getpid(), rt, (union sigval){.sival_int = 2});
    kill(getpid(), SIGUSR2);
    sigqueue(getpid(), rt, (union sigval){.sival_int = 3});
    VALUE("several at once", read(fd, si, sizeof si - 1) / (long)sizeof *si);
    say("the first ones", "%s %d %d", signal_name(si[0].ssi_signo), si[1].ssi_int, si[2].ssi_int);
    say_get("the last one", fd);
    kill(getpid(), SIGUSR1);
    say_get("not of the set now", fd);
    make(fd, SIGUSR1, 0, 0);
    VALUE("poll when the set is another", poll(&p, 1, 0));
    say_get("of the set again", fd);
    kill(getpid(), SIGUSR1);
    VALUE("one where there is room for more", read(fd, si, sizeof si) / (long)sizeof *si);

    make(fd, SIGCHLD, 0, 0);
    signal_mask(SIG_BLOCK, SIGCHLD);
    CHILD("a child", _exit(7));
    say_get("of a child", fd);
    signal_mask(SIG_UNBLOCK, SIGCHLD);
    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 5};
    timer_t timer;
    make(fd, SIGUSR2, 0, 0);
    fcntl(fd, F_SETFL, 0);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &(struct itimerspec){.it_value.tv_nsec = 1000000}, NULL);
    say_get("of a timer", fd);
    timer_delete(timer);
    close(fd);
}

static volatile int calls;

static void count(int sig)
{
    (void)sig;
    calls++;
}

static pid_t send_when_asleep(int sig)
{
    pid_t pid = fork();

    if (pid == 0) {
        until_state(getppid(), 'S');
        _exit(kill(getppid(), sig) != 0);
    }
    return pid;
}

static void test_waits(void)
{
    int fd = make(-1, SIGUSR1, 0, 0), ep = epoll_create1(0);
    struct pollfd p = {fd, POLLIN, 0};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = 3};
    struct sigaction action = {.sa_handler = count};

    sigaction(SIGALRM, &action, NULL);
    pid_t pid = send_when_asleep(SIGUSR1);
    say_get("a read waits", fd);
    say_end("who sent", pid);
    pid = send_when_asleep(SIGALRM);
    say_get("another signal ends it", fd);
    say_end("who sent another", pid);
    say("handled", "%d", calls);
    pid = send_when_asleep(SIGUSR1);
    VALUE("poll waits", poll(&p, 1, -1));
    say_end("who sent for poll", pid);
    say_get("then it is there", fd);
    VALUE("add to an epoll", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    VALUE("epoll, nothing", epoll_wait(ep, &ev, 1, 0));
    pid = send_when_asleep(SIGUSR1);
    VALUE("epoll waits", epoll_wait(ep, &ev, 1, -1));
    say_end("who sent for epoll", pid);
    VALUE("epoll, once", epoll_wait(ep, &ev, 1, 0));
    CHILD("a child has its own", {
        VALUE("a child's epoll", epoll_wait(ep, &ev, 1, 0));
        p.revents = 0;
        VALUE("a child's poll", poll(&p, 1, 0));
        kill(getpid(), SIGUSR1);
        say_get("a child's signal", fd);
    });
    say_get("epoll, read", fd);
    pid = fork();
    if (pid == 0) { // its watch outlives it
        ev.events = EPOLLIN;
        int copy = dup(fd);
        epoll_ctl(ep, EPOLL_CTL_ADD, copy, &ev);
        _exit(0);
    }
    say_end("a child that adds and ends", pid);
    pid = send_when_asleep(SIGUSR1);
    VALUE("epoll after that", epoll_wait(ep, &ev, 1, -1));
    say_end("who sent last", pid);
    say_get("read the last", fd);
    close(fd);
    close(ep);
}

static void *reader(void *arg)
{
    struct signalfd_siginfo si;
    long n = 0;

    while (read(*(int *)arg, &si, sizeof si) == sizeof si && si.ssi_int >= 0)
        n += si.ssi_int;
    return (void *)n;
}

enum { READERS = 3, EACH = 300 };

static void test_threads(void)
{
    int fd, rt = SIGRTMIN + 2;
    pthread_t thread[READERS];
    long total = 0;
    void *n;

    signal_mask(SIG_BLOCK, rt);
    fd = make(-1, rt, 0, 0);
    for (int i = 0; i < READERS; i++)
        pthread_create(&thread[i], NULL, reader, &fd);
    for (int i = 1; i <= EACH; i++)
        while (sigqueue(getpid(), rt, (union sigval){.sival_int = i}) < 0)
            sched_yield();
    for (int i = 0; i < READERS; i++)
        sigqueue(getpid(), rt, (union sigval){.sival_int = -1});
    for (int i = 0; i < READERS; i++) {
        pthread_join(thread[i], &n);
        total += (long)n;
    }
    say("each signal is read once", "%ld", total);
    close(fd);
}

int main(void)
{
    signal_mask(SIG_BLOCK, SIGUSR1);
    signal_mask(SIG_BLOCK, SIGUSR2);
    signal_mask(SIG_BLOCK, SIGRTMIN + 1);
    test_refusals();
    test_reads();
    test_waits();
    test_threads();
    return 0;
}
