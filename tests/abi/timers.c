// SPDX-License-Identifier: MIT
// Clocks, sleeps and interval timers: never what time it is, only that it behaves.
#include "clocks.h"
#include <sys/time.h>
#include <sys/times.h>

static volatile int alarms;

static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

static void test_clocks(void)
{
    struct timespec t;
    int backwards = 0;

    for (size_t i = 0; i < COUNT(clocks); i++)
        OK(clocks[i].name, clock_gettime(clocks[i].clock, &t));
    VALUE("no such clock", clock_gettime(77, &t));
    VALUE("setting a clock that cannot be",
          clock_settime(CLOCK_MONOTONIC, &(struct timespec){1, 0}));
    for (int64_t i = 0, last = 0, next; i < 1000; i++, last = next) {
        next = now(CLOCK_MONOTONIC);
        backwards += next < last;
    }
    say("steps backwards", "%d", backwards);
    YES("it is after 2020", now(CLOCK_REALTIME) / 1000000000 > 1577836800);
    struct timeval tv;
    OK("gettimeofday", gettimeofday(&tv, NULL));
    YES("both agree", llabs(tv.tv_sec - now(CLOCK_REALTIME) / 1000000000) < 5);
    OK("clock_getres", clock_getres(CLOCK_MONOTONIC, &t));
    YES("is fine", t.tv_sec == 0 && t.tv_nsec > 0 && t.tv_nsec <= 4000000);
    struct tms tms;
    YES("times", times(&tms) != -1);
    int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    long work = 0;
    while (now(CLOCK_PROCESS_CPUTIME_ID) - cpu < 2000000 && work < 100000000)
        work++;
    YES("processor time passes while working", work < 100000000);
}

static void test_sleep(void)
{
    struct timespec t = {0, 20000000}, rest;
    int64_t start = now(CLOCK_MONOTONIC);

    VALUE("nanosleep", nanosleep(&t, NULL));
    YES("not too short", now(CLOCK_MONOTONIC) - start >= 20000000);
    VALUE("no time at all", nanosleep(&(struct timespec){0, 0}, NULL));
    VALUE("odd nanoseconds", nanosleep(&(struct timespec){0, 1000000000}, NULL));
    VALUE("negative", nanosleep(&(struct timespec){-1, 0}, &rest));
    int64_t end = now(CLOCK_MONOTONIC) + 20000000;
    struct timespec at = {end / 1000000000, end % 1000000000};
    say("until a time", "%d", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
    YES("not before it", now(CLOCK_MONOTONIC) >= end);
    say("until a time that was", "%d", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
    say("by the wall clock", "%d", clock_nanosleep(CLOCK_REALTIME, 0, &t, NULL));
    say("by no clock", "%s", errno_name(clock_nanosleep(77, 0, &t, NULL)));
    say("odd sleep", "%s",
        errno_name(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, -1}, NULL)));
}

static void test_interval(void)
{
    struct itimerval timer = {.it_value = {0, 10000}}, old;
    sigset_t alarm_only, before;

    signal(SIGALRM, on_alarm);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm_only, &before);
    OK("setitimer", setitimer(ITIMER_REAL, &timer, NULL));
    while (alarms < 1)
        sigsuspend(&before);
    OK("getitimer", getitimer(ITIMER_REAL, &old));
    say("run out", "%ld %ld", (long)old.it_value.tv_sec, (long)old.it_value.tv_usec);
    timer.it_interval.tv_usec = 5000;
    alarms = 0;
    OK("repeating", setitimer(ITIMER_REAL, &timer, NULL));
    while (alarms < 3)
        sigsuspend(&before);
    timer.it_value = (struct timeval){100, 0}; // it does not run out in between
    OK("far away", setitimer(ITIMER_REAL, &timer, NULL));
    timer.it_value.tv_sec = 0;
    OK("stop", setitimer(ITIMER_REAL, &timer, &old));
    YES("it was running", old.it_value.tv_sec >= 90 && old.it_interval.tv_usec == 5000);
    VALUE("odd timer", setitimer(77, &timer, NULL));
    timer.it_value.tv_usec = 1000000;
    VALUE("odd microseconds", setitimer(ITIMER_REAL, &timer, NULL));
    alarm(100);
    YES("alarm tells what was left", alarm(0) > 50);
    sigprocmask(SIG_SETMASK, &before, NULL);
    CHILD("a child has no timer", {
        getitimer(ITIMER_REAL, &old);
        _exit(old.it_value.tv_sec || old.it_value.tv_usec);
    });
    CHILD("the signal kills who does not handle it", signal(SIGALRM, SIG_DFL);
          timer.it_value.tv_usec = 1000; setitimer(ITIMER_REAL, &timer, NULL); for (;;) pause());
}

int main(void)
{
    test_clocks();
    test_sleep();
    test_interval();
    return 0;
}
