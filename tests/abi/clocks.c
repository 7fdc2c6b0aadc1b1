// SPDX-License-Identifier: MIT
// Which clocks can be slept by, and what processor time is counted, whose, and when.
#include "clocks.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

enum { MS = 1000000 };
static volatile int over, times_told;
static volatile pid_t spinning;

static void *spin(void *unused)
{
    spinning = gettid();
    while (!over)
        ;
    return unused;
}

static void nap(long ms)
{
    clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ms / 1000, ms % 1000 * MS}, NULL);
}

static long sleep_by(int clock, int flags, int64_t ns, struct timespec *left)
{
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    return syscall(SYS_clock_nanosleep, clock, flags, &t, left);
}

// The number of a clock of processor time: 2 by the scheduler, 4 of a thread.
static int cpu_clock(pid_t pid, int kind)
{
    return ((unsigned)~pid << 3) | kind;
}

static void say_clock(const char *name, int clock)
{
    char key[64];

    snprintf(key, sizeof key, "%s, a moment", name);
    VALUE(key, sleep_by(clock, 0, 1000, NULL));
    snprintf(key, sizeof key, "%s, until long ago", name);
    VALUE(key, sleep_by(clock, TIMER_ABSTIME, 1000, NULL));
    snprintf(key, sizeof key, "%s, odd time", name);
    VALUE(key, sleep_by(clock, 0, -1, NULL));
    snprintf(key, sizeof key, "%s, from nowhere", name);
    VALUE(key, syscall(SYS_clock_nanosleep, clock, 0, 8, NULL));
}

// While another thread works.
static void test_which(void)
{
    char name[16];

    for (int clock = 0; clock <= 13; clock++) {
        snprintf(name, sizeof name, "%d", clock);
        say_clock(name, clock);
    }
    for (int kind = 0; kind < 8; kind++) {
        snprintf(name, sizeof name, "own %d", kind);
        say_clock(name, cpu_clock(0, kind));
    }
    say_clock("the process's own", cpu_clock(getpid(), 2));
    say_clock("the thread's own", cpu_clock(gettid(), 6));
    say_clock("a sibling's", cpu_clock(spinning, 6));
    say_clock("nobody's", cpu_clock(0x3ffffff, 2));
}

static void test_cpu_sleep(void)
{
    int64_t start = now(CLOCK_PROCESS_CPUTIME_ID);

    VALUE("by what the process works", sleep_by(CLOCK_PROCESS_CPUTIME_ID, 0, 30 * MS, NULL));
    YES("not too short", now(CLOCK_PROCESS_CPUTIME_ID) - start >= 30 * MS);
    int64_t end = now(CLOCK_PROCESS_CPUTIME_ID) + 20 * MS;
    VALUE("until it has worked", sleep_by(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, end, NULL));
    YES("and not before", now(CLOCK_PROCESS_CPUTIME_ID) >= end);
    int sibling = cpu_clock(spinning, 6);
    start = now(sibling);
    VALUE("by what a sibling works", sleep_by(sibling, 0, 20 * MS, NULL));
    YES("which it does", now(sibling) - start >= 20 * MS);
}

static void on_alarm(int sig)
{
    (void)sig;
    times_told++;
}

// Tells the caller once it sleeps.
static pid_t who_tells(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        until_state(getppid(), 'S');
        kill(getppid(), SIGALRM);
        _exit(0);
    }
    return pid;
}

// Nobody works meanwhile: it never ends by itself.
static void test_interrupted(void)
{
    struct timespec left = {0, 0};

    signal(SIGALRM, on_alarm);
    pid_t pid = who_tells();
    VALUE("a signal ends it", sleep_by(CLOCK_PROCESS_CPUTIME_ID, 0, 1000LL * 1000 * MS, &left));
    YES("and it says what is left", left.tv_sec > 900 && left.tv_sec < 1001);
    waitpid(pid, NULL, 0);
    pid = who_tells();
    left.tv_sec = 7;
    VALUE("also until a time",
          sleep_by(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, 1000LL * 1000 * MS, &left));
    say("which leaves nothing", "%ld", (long)left.tv_sec);
    waitpid(pid, NULL, 0);
    CHILD("stopped and continued", {
        pid_t me = getpid();
        if (fork() == 0) {
            until_state(me, 'S');
            kill(me, SIGSTOP);
            until_state(me, 'T');
            kill(me, SIGCONT);
            until_state(me, 'S');
            kill(me, SIGALRM);
            _exit(0);
        }
        VALUE("it goes on", sleep_by(CLOCK_PROCESS_CPUTIME_ID, 0, 1000LL * 1000 * MS, NULL));
    });
}

// ---- the real time clock is set while somebody waits for a time of it

static void set_clock(int64_t by)
{
    int64_t to = now(CLOCK_REALTIME) + by;
    struct timespec ts = {to / 1000000000, to % 1000000000};

    clock_settime(CLOCK_REALTIME, &ts);
}

static long wait_word(int64_t until)
{
    static uint32_t word;
    struct timespec t = {until / 1000000000, until % 1000000000};

    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &t, NULL,
                   1);
}

static long wait_time(int64_t until)
{
    return sleep_by(CLOCK_REALTIME, TIMER_ABSTIME, until, NULL);
}

static long wait_tai(int64_t until)
{
    return sleep_by(CLOCK_TAI, TIMER_ABSTIME, until, NULL);
}

static volatile int64_t *set_at; // the monotonic time by which the clock was set

// Somebody sets the clock by so much once the caller waits, and back by as much: forward once the caller waits no longer, so
// that it has seen that, else after a while.
static pid_t who_sets(int64_t by, struct gate *g)
{
    *g = gate_make();
    pid_t pid = fork();

    if (pid == 0) {
        close(g->fds[1]); // if the caller ends it goes on as well
        until_state(getppid(), 'S');
        set_clock(by);
        *set_at = now(CLOCK_MONOTONIC);
        if (by > 0)
            wait_for_pass(g);
        else
            nap(500);
        set_clock(-by);
        _exit(0);
    }
    return pid;
}

static void until_set_back(pid_t pid, struct gate *g)
{
    pass(g);
    waitpid(pid, NULL, 0);
    close(g->fds[0]);
    close(g->fds[1]);
}

static void test_clock_set(void)
{
    static const struct {
        const char *key;
        long (*wait)(int64_t until);
    } all[] = {{"a word", wait_word}, {"a time", wait_time}, {"atomic time", wait_tai}};
    const int64_t s = 1000000000;
    struct gate g;
    char key[64];

    set_at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < COUNT(all); i++) {
        alarm(30); // ends what would last for too long
        int64_t until = now(CLOCK_REALTIME) + 1000 * s;
        pid_t pid = who_sets(2000 * s, &g);
        snprintf(key, sizeof key, "waiting for %s, the clock is set forward", all[i].key);
        VALUE(key, all[i].wait(until));
        until_set_back(pid, &g);
        int64_t end = now(CLOCK_MONOTONIC) + s / 4;
        until = now(CLOCK_REALTIME) + s / 4;
        pid = who_sets(-2000 * s, &g);
        snprintf(key, sizeof key, "waiting for %s, the clock is set back", all[i].key);
        VALUE(key, all[i].wait(until));
        bool come = now(CLOCK_REALTIME) >= until, by_itself = now(CLOCK_MONOTONIC) >= end;
        until_set_back(pid, &g);
        snprintf(key, sizeof key, "%s has come", all[i].key);
        // It may have been set back too late, when the wait was over.
        YES(key, come || (by_itself && *set_at >= end));
    }
    alarm(0);
}

// ---- who has worked

static int64_t ns_of(struct timeval t)
{
    return t.tv_sec * 1000000000LL + t.tv_usec * 1000;
}

static int64_t used(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return ns_of(u.ru_utime) + ns_of(u.ru_stime);
}

// utime and stime of stat, in ticks of 10 ms.
static long stat_ticks(const char *path)
{
    char text[1024];
    long user = -1, system = 0;
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = 0;
    char *at = strrchr(text, ')');
    if (at)
        sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system);
    return user + system;
}

enum { NAP_MS = 10, NAPS = 300 }; // in each of which somebody works

// What the caller has used when it comes back.
static int64_t used_in_nap(void)
{
    int64_t before = used(RUSAGE_THREAD);

    nap(NAP_MS);
    return used(RUSAGE_THREAD) - before;
}

// One thread works all the time, and nobody interrupts it: what it has used shows all the same.
static void test_others(void)
{
    char path[64];
    struct tms tms;
    int64_t process = now(CLOCK_PROCESS_CPUTIME_ID), self = used(RUSAGE_SELF);
    times(&tms);
    long ticks = tms.tms_utime + tms.tms_stime;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", spinning);
    long stat = stat_ticks("/proc/self/stat"), of_thread = stat_ticks(path);

    int64_t sibling = now(cpu_clock(spinning, 6)); // at last: the others go at least as far
    bool slept =
        false; // at least once: a virtual machine's processor may have to wait where the thread goes to sleep
    for (int i = 0; i < NAPS && !(slept && now(cpu_clock(spinning, 6)) - sibling >= 50 * MS); i++)
        slept |= used_in_nap() < NAP_MS * MS / 2;
    times(&tms);
    YES("a sibling's clock goes", now(cpu_clock(spinning, 6)) - sibling >= 50 * MS);
    YES("the process's clock goes", now(CLOCK_PROCESS_CPUTIME_ID) - process >= 50 * MS);
    YES("so does getrusage", used(RUSAGE_SELF) - self >= 40 * MS);
    YES("so does times", tms.tms_utime + tms.tms_stime - ticks >= 4);
    YES("so does stat", stat_ticks("/proc/self/stat") - stat >= 4);
    YES("so does the thread's stat", stat_ticks(path) - of_thread >= 4);
    YES("who sleeps uses less", slept);
}

static void test_child(void)
{
    char path[64];
    struct tms tms;
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            ;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int64_t before = used(RUSAGE_CHILDREN);
    for (int i = 0; i < NAPS && stat_ticks(path) < 5; i++)
        nap(NAP_MS);
    YES("a child's time shows while it works", stat_ticks(path) >= 5);
    YES("its clock shows it as well", now(cpu_clock(pid, 2)) >= 50 * MS);
    VALUE("which may be slept by", sleep_by(cpu_clock(pid, 2), 0, 10 * MS, NULL));
    YES("not its parent's yet", used(RUSAGE_CHILDREN) - before < 10 * MS);
    kill(pid, SIGKILL);
    until_state(pid, 'Z');
    YES("nor when it is dead", used(RUSAGE_CHILDREN) - before < 10 * MS);
    waitpid(pid, NULL, 0);
    YES("but when it is waited for", used(RUSAGE_CHILDREN) - before >= 40 * MS);
    times(&tms);
    YES("as times says", tms.tms_cutime + tms.tms_cstime >= 4);
}

int main(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, spin, NULL);
    while (!spinning)
        sched_yield();
    test_which();
    test_cpu_sleep();
    test_others();
    over = 1;
    pthread_join(thread, NULL);
    test_interrupted();
    test_clock_set();
    test_child();
    return 0;
}
