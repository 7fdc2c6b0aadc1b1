// SPDX-License-Identifier: MIT
// Timers that are files: what is refused, one shot and periodic, absolute ones, poll, and the clock being set.
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#define MS 1000000L

static struct itimerspec after(long ns, long interval)
{
    return (struct itimerspec){{interval / 1000000000, interval % 1000000000},
                               {ns / 1000000000, ns % 1000000000}};
}

static int set(int fd, long ns, long interval)
{
    struct itimerspec new = after(ns, interval);
    return timerfd_settime(fd, 0, &new, NULL);
}

static long now_ns(int clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void pass_ns(long ns)
{
    long until = now_ns(CLOCK_MONOTONIC) + ns;
    struct timespec ts = {until / 1000000000, until % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}

static long left(int fd)
{
    struct itimerspec it;
    return timerfd_gettime(fd, &it) < 0 ? -1
                                        : it.it_value.tv_sec * 1000000000 + it.it_value.tv_nsec;
}

static void test_refusals(void)
{
    int fds[2], fd;
    struct itimerspec good = after(MS, 0), bad = after(MS, 0);
    char buf[8], path[40], text[64] = "";

    if (pipe(fds) < 0)
        return;
    for (int clock = -1; clock < 13; clock++) {
        char key[40];
        snprintf(key, sizeof key, "of clock %d", clock);
        OK(key, fd = timerfd_create(clock, 0));
        close(fd);
    }
    VALUE("with unknown flags", timerfd_create(CLOCK_MONOTONIC, 1));
    OK("with flags", fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    VALUE("its flags", fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    VALUE("closes on exec", fcntl(fd, F_GETFD));
    CHILD("a child that is nobody", {
        OK("becomes nobody", setresuid(65534, 65534, 65534));
        OK("nobody's wakes no machine", timerfd_create(CLOCK_BOOTTIME_ALARM, 0));
        OK("nobody's", timerfd_create(CLOCK_BOOTTIME, 0));
    });
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    OK("readlink", readlink(path, text, sizeof text - 1));
    say("its name", "%s", text);

    VALUE("set a pipe", timerfd_settime(fds[0], 0, &good, NULL));
    VALUE("set nothing open", timerfd_settime(99, 0, &good, NULL));
    VALUE("set with unknown flags", timerfd_settime(fd, 4, &good, NULL));
    VALUE("set to nothing", syscall(SYS_timerfd_settime, fd, 0, NULL, NULL));
    VALUE("set nothing open to nothing", syscall(SYS_timerfd_settime, 99, 0, NULL, NULL));
    bad.it_value.tv_nsec = 1000000000;
    VALUE("too many ns", timerfd_settime(fd, 0, &bad, NULL));
    VALUE("too many ns of nothing", timerfd_settime(99, 0, &bad, NULL));
    bad = after(MS, -1);
    VALUE("a negative interval", timerfd_settime(fd, 0, &bad, NULL));
    bad.it_value = (struct timespec){-1, 0};
    VALUE("a time before", timerfd_settime(fd, 0, &bad, NULL));
    VALUE("get a pipe", timerfd_gettime(fds[0], &bad));
    VALUE("get nothing open", timerfd_gettime(99, &bad));
    VALUE("get to nowhere", syscall(SYS_timerfd_gettime, fd, 8));
    VALUE("set, what was goes nowhere", syscall(SYS_timerfd_settime, fd, 0, &good, 8));
    say_count("not run out", fd);
    VALUE("short read", read(fd, buf, 7));
    VALUE("write", write(fd, "12345678", 8));
    VALUE("pread", pread(fd, buf, 8, 0));
    close(fd);
    close(fds[0]);
    close(fds[1]);
}

static void test_once(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec it, was;
    struct pollfd p = {fd, 0x3ff, 0};

    say_count("never set", fd);
    VALUE("left of none", left(fd));
    long from = now_ns(CLOCK_MONOTONIC);
    VALUE("set for 20 ms", set(fd, 20 * MS, 0));
    long rest = left(fd);
    bool late =
        now_ns(CLOCK_MONOTONIC) - from >= 20 * MS; // a slow machine; then there may be nothing left
    YES("so much is left, or less", rest <= 20 * MS && (rest > 0 || late));
    int ready = poll(&p, 1, 0);
    late = now_ns(CLOCK_MONOTONIC) - from >= 20 * MS;
    VALUE("poll now", ready == 1 && late ? 0 : ready);
    VALUE("poll until it runs out", poll(&p, 1, -1));
    say("it shows", "0x%x", p.revents);
    YES("not before its time", now_ns(CLOCK_MONOTONIC) - from >= 20 * MS);
    VALUE("nothing is left", left(fd));
    say_count("once", fd);
    say_count("no more", fd);
    set(fd, 1, 0);
    pass_ns(MS);
    VALUE("set again unread", set(fd, 3600000 * MS, 0));
    say_count("what was not read is gone", fd);
    VALUE("stop it", set(fd, 0, 5 * MS));
    VALUE("get it", timerfd_gettime(fd, &it));
    say("stopped", "%ld %ld", it.it_value.tv_sec + it.it_value.tv_nsec, it.it_interval.tv_nsec);
    set(fd, 7200000 * MS, 3 * MS);
    it = after(0, 0);
    VALUE("stop it and look", timerfd_settime(fd, 0, &it, &was));
    say("what was", "%ld s, %ld ns", was.it_value.tv_sec, was.it_interval.tv_nsec);
    close(fd);
    fd = timerfd_create(CLOCK_MONOTONIC, 0);
    set(fd, 10 * MS, 0);
    say_count("a read waits", fd);
    close(fd);
}

static void test_periodic(void)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, 0);
    long from = now_ns(CLOCK_MONOTONIC), total = 0, late;

    set(fd, 5 * MS, 5 * MS);
    for (int i = 0; i < 4; i++)
        total += get_count(fd);
    late = now_ns(CLOCK_MONOTONIC) - from;
    YES("as many as time allows", total >= 4 && total <= late / (5 * MS));
    pass_ns(30 * MS);
    long rest;
    while ((rest = left(fd)) == 0) // a period is over that is not counted yet
        sched_yield();
    YES("left of one period", rest > 0 && rest <= 5 * MS);
    total += get_count(fd);
    YES("what was missed is counted",
        total >= 10 && total <= (now_ns(CLOCK_MONOTONIC) - from) / (5 * MS));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    set(fd, 1, 1);
    pass_ns(MS);
    YES("the shortest period", get_count(fd) >= MS);
    YES("again", get_count(fd) >= 1);
    set(fd, 1, 3600000 * MS);
    pass_ns(MS);
    say_count("a long period", fd);
    YES("the next one", left(fd) > 3500000 * MS);
    close(fd);
}

static void test_absolute(void)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    long first = now_ns(CLOCK_REALTIME) - 100 * MS;
    struct itimerspec it = after(first, 10 * MS);
    struct pollfd p = {fd, POLLIN, 0};

    VALUE("set to a time before", timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
    poll(&p, 1, -1);
    long n = (long)get_count(fd);
    YES("all since are counted", n >= 11 && n <= (now_ns(CLOCK_REALTIME) - first) / (10 * MS) + 1);
    it = after(now_ns(CLOCK_REALTIME) + 15 * MS, 0);
    VALUE("set to a time to come", timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
    VALUE("wait for it", poll(&p, 1, -1));
    YES("it has come",
        now_ns(CLOCK_REALTIME) >= it.it_value.tv_sec * 1000000000 + it.it_value.tv_nsec);
    say_count("one", fd);
    close(fd);
}

static void set_clock(long by)
{
    long to = now_ns(CLOCK_REALTIME) + by;
    struct timespec ts = {to / 1000000000, to % 1000000000};

    clock_settime(CLOCK_REALTIME, &ts);
}

enum { HOUR = 3600 };

static void test_clock_set(void)
{
    int wall = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), fd = timerfd_create(CLOCK_REALTIME, 0),
        plain = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    struct itimerspec it = after(now_ns(CLOCK_REALTIME) + HOUR * 1000 * MS, 0), far = it;
    int flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;

    far.it_value.tv_sec += 10 * HOUR;
    VALUE("cancelled if the clock is set", timerfd_settime(wall, flags, &far, NULL));
    VALUE("a relative one is not", (it = after(HOUR * 1000 * MS, 0),
                                    timerfd_settime(plain, TFD_TIMER_CANCEL_ON_SET, &it, NULL)));
    it = after(now_ns(CLOCK_REALTIME) + HOUR * 1000 * MS, 0);
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL);
    say_count("not set yet", wall);
    pid_t pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        set_clock(2 * HOUR * 1000 * MS);
        _exit(0);
    }
    say_count("its time has come since the clock was set", fd);
    say_end("who set it", pid);
    struct pollfd p = {wall, POLLIN, 0};
    VALUE("poll", poll(&p, 1, 0));
    say_count("cancelled", wall);
    VALUE("poll after that", poll(&p, 1, 0));
    say_count("cancelled once", wall);
    say_count("a relative one goes on", plain);
    YES("with what is left", left(plain) > 3500000 * MS && left(plain) <= 3600000 * MS);
    set_clock(-2 * HOUR * 1000 * MS);
    say_count("cancelled again", wall);
    set_clock(0);
    VALUE("set it after that", timerfd_settime(wall, flags, &far, NULL));
    say_count("it runs all the same", wall);
    close(wall);
    close(fd);
    close(plain);
}

enum { READERS = 3 };

static void *reader(void *arg)
{
    uint64_t sum = 0;

    for (int i = 0; i < 20; i++)
        sum += get_count(*(int *)arg);
    return (void *)sum;
}

static void test_shared(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = 7};
    pthread_t thread[READERS];
    void *n;

    long from = now_ns(CLOCK_MONOTONIC), total = 0;
    set(fd, MS, MS);
    for (int i = 0; i < READERS; i++)
        pthread_create(&thread[i], NULL, reader, &fd);
    for (int i = 0; i < READERS; i++) {
        pthread_join(thread[i], &n);
        total += (long)n;
    }
    YES("each period is read once",
        total >= READERS * 20 && total <= (now_ns(CLOCK_MONOTONIC) - from) / MS);
    set(fd, 0, 0);
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    VALUE("epoll, nothing", epoll_wait(ep, &ev, 1, 0));
    set(fd, MS, MS);
    VALUE("epoll, run out", epoll_wait(ep, &ev, 1, -1));
    VALUE("epoll, by edge, unread", epoll_wait(ep, &ev, 1, 20));
    get_count(fd);
    VALUE("epoll, read, run out again", epoll_wait(ep, &ev, 1, -1));
    close(ep);
    pid_t pid = fork();
    if (pid == 0)
        _exit(get_count(fd) ? 0 : 1);
    say_end("a child reads it", pid);
    set(fd, 3600000 * MS, 0);
    pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        set(fd, 1, 0);
        _exit(0);
    }
    say_count("a child sets it while it is read", fd);
    say_end("the child", pid);
    close(fd);
}

static void nothing(int sig)
{
    (void)sig;
}

static void test_signal(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct sigaction action = {.sa_handler = nothing};

    sigaction(SIGUSR1, &action, NULL);
    set(fd, 3600000 * MS, 0);
    pid_t pid = fork();
    if (pid == 0) {
        until_state(getppid(), 'S');
        _exit(kill(getppid(), SIGUSR1) != 0);
    }
    say_count("a read that a signal ends", fd);
    say_end("who signalled", pid);
    close(fd);
}

int main(void)
{
    test_refusals();
    test_once();
    test_periodic();
    test_absolute();
    test_clock_set();
    test_shared();
    test_signal();
    return 0;
}
