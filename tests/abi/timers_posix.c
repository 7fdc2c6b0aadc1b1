// SPDX-License-Identifier: MIT
// timer_create(2) and its kin on every clock, and the interval timers of processor time.
#include "clocks.h"
#include <pthread.h>
#include <stdbool.h>
#include <sys/time.h>
#include <ucontext.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static siginfo_t last;
static volatile int calls;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    last = *info;
    calls++;
}

// And once only: the signal is blocked where the handler returns to, so that a slow machine sees no second one.
static void note_once(int sig, siginfo_t *info, void *context)
{
    note(sig, info, context);
    sigaddset(&((ucontext_t *)context)->uc_sigmask, sig);
}

static struct itimerspec spec(int64_t value, int64_t interval)
{
    return (struct itimerspec){{interval / 1000000000, interval % 1000000000},
                               {value / 1000000000, value % 1000000000}};
}

static int make(clockid_t clock, int how, int sig, int *id)
{
    struct sigevent ev = {.sigev_notify = how, .sigev_signo = sig, .sigev_value.sival_int = 4711};

    ev.sigev_notify_thread_id = gettid();
    return (int)syscall(SYS_timer_create, clock, &ev, id);
}

static int set(int id, int flags, int64_t value, int64_t interval)
{
    struct itimerspec s = spec(value, interval);

    return (int)syscall(SYS_timer_settime, id, flags, &s, NULL);
}

static int64_t left(int id)
{
    struct itimerspec s = {{-1, 0}, {-1, 0}};

    syscall(SYS_timer_gettime, id, &s);
    return s.it_value.tv_sec * 1000000000LL + s.it_value.tv_nsec;
}

// It was set to so much after `start`: no more than that is left, and nothing only if it has passed by now.
static bool plausible(int id, clockid_t clock, int64_t start, int64_t value)
{
    int64_t rest = left(id);

    return rest <= value && (rest > 0 || now(clock) - start >= value);
}

// Waits for SIGUSR1, at work, so that processor time passes as well.
static void work(int until)
{
    while (calls < until)
        ;
}

#define MS 1000000LL

static void test_clocks(void)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    clockid_t own, main_thread;
    char key[60];

    sigaction(SIGUSR1, &action, NULL);
    for (size_t i = 0; i < CLOCKS_WITH_TIMERS; i++) {
        int id = -1;
        calls = 0;
        snprintf(key, sizeof key, "%s create", clocks[i].name);
        VALUE(key, make(clocks[i].clock, SIGEV_SIGNAL, SIGUSR1, &id));
        snprintf(key, sizeof key, "%s not set", clocks[i].name);
        say(key, "%d", (int)left(id));
        int64_t start = now(clocks[i].clock);
        set(id, 0, 10 * MS, 0);
        bool good = plausible(id, clocks[i].clock, start, 10 * MS);
        work(1);
        snprintf(key, sizeof key, "%s fires", clocks[i].name);
        say(key, "%s, left %s", now(clocks[i].clock) - start >= 10 * MS ? "not too early" : "early",
            good ? "plausible" : "odd");
        snprintf(key, sizeof key, "%s info", clocks[i].name);
        say(key, "%s code %d value %d id %s overrun %d", signal_name(last.si_signo), last.si_code,
            last.si_value.sival_int, last.si_timerid == id ? "right" : "wrong", last.si_overrun);
        calls = 0;
        start = now(clocks[i].clock) + 10 * MS;
        set(id, TIMER_ABSTIME, start, 0);
        work(1);
        snprintf(key, sizeof key, "%s at a time", clocks[i].name);
        YES(key, now(clocks[i].clock) >= start);
        calls = 0;
        set(id, TIMER_ABSTIME, start, 0);
        work(1);
        snprintf(key, sizeof key, "%s at a time that was", clocks[i].name);
        say(key, "%d", calls);
        calls = 0;
        set(id, 0, 3 * MS, 3 * MS);
        work(4);
        snprintf(key, sizeof key, "%s stop", clocks[i].name);
        VALUE(key, set(id, 0, 0, 3 * MS));
        snprintf(key, sizeof key, "%s after it", clocks[i].name);
        say(key, "%d", (int)left(id));
        snprintf(key, sizeof key, "%s delete", clocks[i].name);
        VALUE(key, syscall(SYS_timer_delete, id));
        snprintf(key, sizeof key, "%s delete again", clocks[i].name);
        VALUE(key, syscall(SYS_timer_delete, id));
    }
    VALUE("clock of a process", clock_getcpuclockid(0, &own));
    say("clock of a thread", "%d", pthread_getcpuclockid(pthread_self(), &main_thread));
    YES("they go", now(own) > 0 && now(main_thread) > 0);
    VALUE("clock of nobody", clock_gettime(-(0x3ffffff << 3) + 2, &(struct timespec){0, 0}));
}

static void test_errors(void)
{
    int id = -1, other = -1;
    struct itimerspec odd = {{0, 0}, {0, 1000000000}};

    VALUE("no such clock", make(77, SIGEV_SIGNAL, SIGUSR1, &id));
    VALUE("a clock that wakes the machine", make(CLOCK_REALTIME_ALARM, SIGEV_SIGNAL, SIGUSR1, &id));
    VALUE("another", make(CLOCK_BOOTTIME_ALARM, SIGEV_NONE, 0, &id));
    VALUE("a raw clock", make(CLOCK_MONOTONIC_RAW, SIGEV_SIGNAL, SIGUSR1, &id));
    VALUE("no such signal", make(CLOCK_MONOTONIC, SIGEV_SIGNAL, 65, &id));
    VALUE("signal 0", make(CLOCK_MONOTONIC, SIGEV_SIGNAL, 0, &id));
    VALUE("no such way", make(CLOCK_MONOTONIC, 9, SIGUSR1, &id));
    VALUE("nothing to tell", make(CLOCK_MONOTONIC, SIGEV_NONE, 0, &id));
    VALUE("and a second", make(CLOCK_MONOTONIC, SIGEV_NONE, 0, &other));
    YES("with another id", id != other);
    set(id, 0, 1, 0);
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    ev.sigev_notify_thread_id = 1;
    VALUE("to a thread of another", syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &other));
    usleep(1000);
    say("it runs out", "%ld", (long)left(id));
    int64_t start = now(CLOCK_MONOTONIC);
    set(id, 0, 100 * MS, 0);
    YES("it runs", plausible(id, CLOCK_MONOTONIC, start, 100 * MS));
    set(id, 0, 1, 40000 * MS);
    usleep(1000);
    YES("and again", left(id) > 30000 * MS && left(id) <= 40000 * MS);
    VALUE("odd nanoseconds", syscall(SYS_timer_settime, id, 0, &odd, NULL));
    VALUE("no setting", syscall(SYS_timer_settime, id, 0, NULL, NULL));
    VALUE("of no timer", syscall(SYS_timer_settime, 12345, 0, &(struct itimerspec){0}, NULL));
    VALUE("getoverrun of no timer", syscall(SYS_timer_getoverrun, 12345));
    VALUE("gettime of no timer", syscall(SYS_timer_gettime, 12345, &odd));
    VALUE("create without an event", syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id));
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigaction(SIGALRM, &action, NULL);
    calls = 0;
    set(id, 0, MS, 0);
    work(1);
    say("its signal and value", "%s %d", signal_name(last.si_signo), last.si_value.sival_int == id);
}

static void test_overrun(void)
{
    struct sigaction action = {.sa_sigaction = note_once, .sa_flags = SA_SIGINFO};
    int id;

    sigaction(SIGRTMIN, &action, NULL);
    signal_mask(SIG_BLOCK, SIGRTMIN);
    make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, &id);
    calls = 0;
    set(id, 0, 2 * MS, 2 * MS);
    usleep(50000);
    while (left(id) <= 1) // a period that is over has not been counted yet
        sched_yield();
    signal_mask(SIG_UNBLOCK, SIGRTMIN);
    say("signals of 25 periods", "%d", calls);
    YES("the others are overruns", last.si_overrun >= 22);
    YES("as getoverrun says", syscall(SYS_timer_getoverrun, id) == last.si_overrun);
    set(id, 0, 0, 0);
    VALUE("none when it is set anew", syscall(SYS_timer_getoverrun, id));
    while (calls && sigtimedwait(&(sigset_t){{~0ul}}, NULL, &(struct timespec){0, 0}) > 0)
        ;
    set(id, 0, 1, 0);
    usleep(1000);
    int pid = fork();
    if (pid == 0)
        _exit(syscall(SYS_timer_gettime, id, &(struct itimerspec){0}) < 0 ? 3 : 4);
    say_end("a child has no timers", pid);
    VALUE("deleted with its signal waiting", syscall(SYS_timer_delete, id));
    signal_mask(SIG_UNBLOCK, SIGRTMIN);
}

static volatile pid_t taker;

static void who(int sig)
{
    (void)sig;
    taker = gettid();
}

static void *second(void *arg)
{
    int id;
    sigset_t none;

    (void)arg;
    sigemptyset(&none);
    signal_mask(SIG_BLOCK, SIGUSR2); // it comes while it waits, not before
    make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR2, &id);
    set(id, 0, MS, 0);
    while (!taker)
        sigsuspend(&none);
    YES("the thread that was named takes it", taker == gettid());
    return NULL;
}

static void test_thread(void)
{
    pthread_t thread;

    signal(SIGUSR2, who);
    pthread_create(&thread, NULL, second, NULL);
    pthread_join(thread, NULL);
}

// An idle thread's process does not run: its timers of processor time stand still, and go on with it. What a virtual machine's
// processor has to wait before it sleeps or after that is used by the process.
static void test_idle(void)
{
    int id;

    make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, &id);
    calls = 0;
    int64_t start = now(CLOCK_PROCESS_CPUTIME_ID);
    set(id, 0, 20 * MS, 0);
    usleep(100000);
    int asleep = calls;
    say("calls while asleep", "%d", now(CLOCK_PROCESS_CPUTIME_ID) - start < 20 * MS ? asleep : 0);
    work(1);
    say("and at work", "%d", calls);
}

static void test_interval(void)
{
    static const struct {
        const char *name;
        int which, sig;
    } timers[] = {{"VIRTUAL", ITIMER_VIRTUAL, SIGVTALRM}, {"PROF", ITIMER_PROF, SIGPROF}};
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    char key[60];

    for (size_t i = 0; i < COUNT(timers); i++) {
        struct itimerval v = {{0, 5000}, {0, 10000}}, old;
        sigaction(timers[i].sig, &action, NULL);
        calls = 0;
        snprintf(key, sizeof key, "%s set", timers[i].name);
        int64_t start = now(CLOCK_PROCESS_CPUTIME_ID);
        VALUE(key, setitimer(timers[i].which, &v, NULL));
        work(3);
        snprintf(key, sizeof key, "%s three times", timers[i].name);
        say(key, "%s code %s", signal_name(last.si_signo),
            last.si_code == SI_KERNEL ? "KERNEL" : "other");
        snprintf(key, sizeof key, "%s took its time", timers[i].name);
        YES(key, now(CLOCK_PROCESS_CPUTIME_ID) - start >= 15 * MS);
        getitimer(timers[i].which, &old);
        snprintf(key, sizeof key, "%s runs", timers[i].name);
        say(key, "%ld, left %s", (long)old.it_interval.tv_usec,
            old.it_value.tv_usec > 0 ? "something" : "nothing");
        v.it_value.tv_usec = 0;
        setitimer(timers[i].which, &v, &old);
        getitimer(timers[i].which, &old);
        snprintf(key, sizeof key, "%s stopped", timers[i].name);
        say(key, "%ld %ld", (long)old.it_value.tv_usec, (long)old.it_interval.tv_usec);
    }
}

static void test_exec(void)
{
    struct itimerval v = {{0, 0}, {1000, 0}};
    char number[16];
    int id;

    make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, &id);
    set(id, 0, 1000 * MS, 0);
    setitimer(ITIMER_REAL, &v, NULL);
    snprintf(number, sizeof number, "%d", id);
    execl("/proc/self/exe", "timers_posix", number, NULL);
    say("exec", "%s", errno_name(errno));
}

static void after_exec(int id)
{
    struct itimerval v;

    VALUE("exec deletes a timer", syscall(SYS_timer_gettime, id, &(struct itimerspec){0}));
    getitimer(ITIMER_REAL, &v);
    YES("and keeps the interval timer", v.it_value.tv_sec > 900);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        after_exec(atoi(argv[1]));
        return 0;
    }
    test_clocks();
    test_errors();
    test_overrun();
    test_thread();
    test_idle();
    test_interval();
    test_exec();
    return 0;
}
