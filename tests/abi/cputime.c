// SPDX-License-Identifier: MIT
// Whose processor time is: a program that computes spends it in user mode, one that has the kernel work for it does not; the
// two are together what the clock says, never go back, and are the same wherever they are asked for.
#include "abi.h"
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

#define MS      1000000LL
#define ENOUGH  (240 * MS) // some 60 looks at what runs
#define SAMPLED (80 * MS)  // how far a count of looks may be from the time that goes by

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int64_t ns_of(struct timeval tv)
{
    return tv.tv_sec * 1000000000LL + tv.tv_usec * 1000;
}

struct parts {
    int64_t user, system;
};

static struct parts parts_in(const struct rusage *r)
{
    return (struct parts){ns_of(r->ru_utime), ns_of(r->ru_stime)};
}

static struct parts parts_of(int who)
{
    struct rusage r;
    getrusage(who, &r);
    return parts_in(&r);
}

static int64_t sum(struct parts p)
{
    return p.user + p.system;
}

// In percent, the kernel's; -1: there is nothing to divide.
static int system_share(struct parts p)
{
    return sum(p) > 0 ? (int)(100 * p.system / sum(p)) : -1;
}

static bool near(int64_t a, int64_t b, int64_t by)
{
    return a - b <= by && b - a <= by;
}

// ---- works, each for a bit

static volatile uint64_t sink;

static void compute(void)
{
    for (int i = 0; i < 200000; i++)
        sink = sink * 6364136223846793005u + 1;
}

// No call for longer than from one look to the next: it is always interrupted at the same place.
static void compute_long(void)
{
    for (int i = 0; i < 20000000; i++)
        sink++;
}

static void read_zeroes(void)
{
    static char block[1 << 20];
    int fd = open("/dev/zero", O_RDONLY);
    for (int i = 0; i < 4; i++)
        if (read(fd, block, sizeof block) != sizeof block)
            _exit(9);
    close(fd);
}

static void ask_for_parent(void)
{
    for (int i = 0; i < 20000; i++)
        syscall(SYS_getppid);
}

static void touch_pages(void)
{
    enum { SIZE = 2 << 20 };
    char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; p != MAP_FAILED && i < SIZE; i += 4096)
        p[i] = 1;
    munmap(p, SIZE);
}

static void fork_children(void)
{
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
}

static void copy_through_pipe(void)
{
    static char block[60000];
    int fds[2];
    if (pipe(fds) < 0)
        _exit(8);
    for (int i = 0; i < 40; i++)
        if (write(fds[1], block, sizeof block) != sizeof block ||
            read(fds[0], block, sizeof block) != sizeof block)
            _exit(7);
    close(fds[0]);
    close(fds[1]);
}

// The other one never waits: it is asked, answers, and is asked again.
static void ping_pong(void)
{
    struct gate there = gate_make(), back = gate_make();
    pid_t pid = fork();
    for (int i = 0; i < 2000; i++) {
        if (pid == 0) {
            wait_for_pass(&there);
            pass(&back);
        } else {
            pass(&there);
            wait_for_pass(&back);
        }
    }
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 2; i++) {
        close(there.fds[i]);
        close(back.fds[i]);
    }
}

static void on_signal(int sig)
{
    (void)sig;
}

static void signal_itself(void)
{
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < 1000; i++)
        kill(getpid(), SIGUSR1);
}

static void work_until(clockid_t clock, int64_t until, void (*work)(void))
{
    while (clock_ns(clock) < until)
        work();
}

// Works until the thread or the process, new, has used enough, and no call took a tenth of that longer than another: what a virtual
// machine's processor waits is taken for used, as a whole where it ends, and would decide. What is used by then.
static struct parts work_enough(clockid_t clock, int who, void (*work)(void))
{
    int64_t at = clock_ns(clock), shortest = INT64_MAX, longest = at;
    struct parts used;

    do {
        do {
            int64_t before = at;
            work();
            at = clock_ns(clock);
            if (at - before < shortest)
                shortest = at - before;
            if (at - before > longest)
                longest = at - before;
        } while (at < ENOUGH || at < 10 * (longest - shortest));
        used = parts_of(who);
    } while (10 * (sum(used) - at) > sum(used));
    return used;
}

// In a process of its own. Bounds in percent, with room for how seldom it is looked.
static void one(const char *name, void (*work)(void), int low, int high)
{
    CHILD(name, {
        int share = system_share(work_enough(CLOCK_PROCESS_CPUTIME_ID, RUSAGE_SELF, work));
        if (share < low || share > high)
            say(name, "%d percent are the kernel's", share);
    });
}

// ---- the whole and its parts

static struct parts stat_of(const char *path)
{
    char text[512], *at;
    int64_t value[2] = {-1, -1};
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = 0;
    at = strrchr(text, ')');
    for (int field = 3; at && field <= 15; field++) {
        at = strchr(at + 1, ' ');
        if (at && field >= 14)
            value[field - 14] = atoll(at + 1) * 10 * MS;
    }
    return (struct parts){value[0], value[1]};
}

// What a coarser clock says of what was `then` and is `now`: between the two, less what it cuts off.
static bool between(struct parts then, struct parts said, struct parts now)
{
    return said.user >= then.user - 10 * MS && said.user <= now.user &&
           said.system >= then.system - 10 * MS && said.system <= now.system;
}

static void test_sum(void)
{
    int back = 0, wrong = 0, turns = 0;
    struct parts last = {0, 0}, said, now;
    struct tms tms;

    for (int64_t before = 0; before < ENOUGH || turns < 20;) { // as much of the one as of the other
        work_until(CLOCK_PROCESS_CPUTIME_ID, before + 10 * MS, turns++ & 1 ? compute : read_zeroes);
        before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        now = parts_of(RUSAGE_SELF);
        int64_t after = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        back += now.user < last.user || now.system < last.system;
        wrong += sum(now) < before - 2000 || sum(now) > after;
        last = now;
    }
    say("went back", "%d", back);
    say("sums that are not the clock's", "%d", wrong);
    YES("both have some", last.user > ENOUGH / 20 && last.system > ENOUGH / 20);
    times(&tms);
    said = (struct parts){tms.tms_utime * 10 * MS, tms.tms_stime * 10 * MS};
    YES("times says so", between(last, said, parts_of(RUSAGE_SELF)));
    said = stat_of("/proc/self/stat");
    YES("stat says so", between(last, said, parts_of(RUSAGE_SELF)));
    said = stat_of("/proc/thread-self/stat");
    now = parts_of(RUSAGE_SELF); // the parts of a thread are divided on their own
    YES("so does the thread's", sum(said) >= sum(last) - 20 * MS && sum(said) <= sum(now) &&
                                    said.user > ENOUGH / 20 && said.system > ENOUGH / 20);
}

// It is asked after every bit of work, when what was used since is about to be told apart.
static void test_back(void)
{
    struct parts last[2] = {{0, 0}, {0, 0}};
    int back = 0;

    for (int turn = 0; clock_ns(CLOCK_PROCESS_CPUTIME_ID) < ENOUGH; turn++) {
        for (int i = 0; i < 200; i++) { // user mode first, then the kernel
            if (turn & 1)
                syscall(SYS_getppid);
            else
                sink++;
        }
        for (int who = 0; who < 2; who++) {
            struct parts now = parts_of(who ? RUSAGE_THREAD : RUSAGE_SELF);
            back += now.user < last[who].user || now.system < last[who].system;
            last[who] = now;
        }
    }
    say("small steps back", "%d", back);
    int64_t before = sum(parts_of(RUSAGE_SELF)), own = sum(parts_of(RUSAGE_THREAD));
    YES("alone, it is the process",
        before <= own + 2000 && own <= sum(parts_of(RUSAGE_SELF)) + 2000);
}

// Of the machine: each part grows by as much as this process used of it, or more.
static struct parts parts_of_machine(void)
{
    char text[256];
    long user = -1, nice = 0, system = -1;
    int fd = open("/proc/stat", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = 0;
    sscanf(text, "cpu %ld %ld %ld", &user, &nice, &system);
    return (struct parts){(user + nice) * 10 * MS, system * 10 * MS};
}

static void test_machine(void)
{
    struct parts before = parts_of_machine(), own[2], after;

    work_until(CLOCK_PROCESS_CPUTIME_ID, ENOUGH, read_zeroes);
    own[0] = parts_of(RUSAGE_SELF);
    after = parts_of_machine();
    YES("the machine's system time", after.system - before.system >= own[0].system * 3 / 4);
    work_until(CLOCK_PROCESS_CPUTIME_ID, 2 * ENOUGH, compute);
    own[1] = parts_of(RUSAGE_SELF);
    before = after;
    after = parts_of_machine();
    YES("the machine's user time", after.user - before.user >= (own[1].user - own[0].user) * 3 / 4);
}

// What two timers say went by while the kernel worked for the most part.
static void test_timers(void)
{
    static const int which[] = {ITIMER_VIRTUAL, ITIMER_PROF};
    struct itimerval v = {.it_value.tv_sec = 100};
    struct parts at[4]; // around what sets them, around what asks them
    int64_t went[2];

    at[0] = parts_of(RUSAGE_SELF);
    for (int i = 0; i < 2; i++)
        setitimer(which[i], &v, NULL);
    at[1] = parts_of(RUSAGE_SELF);
    work_until(CLOCK_PROCESS_CPUTIME_ID, sum(at[1]) + ENOUGH, read_zeroes);
    at[2] = parts_of(RUSAGE_SELF);
    for (int i = 0; i < 2; i++) {
        getitimer(which[i], &v);
        went[i] = 100000 * MS - ns_of(v.it_value);
    }
    at[3] = parts_of(RUSAGE_SELF);
    YES("ITIMER_VIRTUAL goes by user time", went[0] >= at[2].user - at[1].user - SAMPLED &&
                                                went[0] <= at[3].user - at[0].user + SAMPLED);
    YES("ITIMER_PROF by both", went[1] >= sum(at[2]) - sum(at[1]) - SAMPLED &&
                                   went[1] <= sum(at[3]) - sum(at[0]) + SAMPLED);
}

// ---- threads, and children

static int share_of_reader;

static void *read_on(void *arg)
{
    (void)arg;
    share_of_reader =
        system_share(work_enough(CLOCK_THREAD_CPUTIME_ID, RUSAGE_THREAD, read_zeroes));
    return NULL;
}

static void test_threads(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, read_on, NULL);
    // Without calls: these may have to wait for the other's.
    int share = system_share(work_enough(CLOCK_THREAD_CPUTIME_ID, RUSAGE_THREAD, compute_long));
    pthread_join(thread, NULL);
    YES("the thread that reads", share_of_reader > 60);
    YES("the thread that computes", share < share_of_reader);
    struct parts own = parts_of(RUSAGE_THREAD), both = parts_of(RUSAGE_SELF);
    YES("the process has both", sum(both) >= sum(own) + ENOUGH - 1 * MS);
    // One of them may be seen more often, where they take turns.
    YES("and of both kinds", both.user > ENOUGH / 10 && both.system > ENOUGH / 10);
}

// False: its end took so long that the shares of what it did before do not show.
static bool end_of(void (*work)(void), struct rusage *r, siginfo_t *info)
{
    volatile int64_t *used =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigset_t set;
    pid_t pid = fork();

    if (pid == 0) {
        *used = sum(work_enough(CLOCK_PROCESS_CPUTIME_ID, RUSAGE_SELF, work));
        _exit(0);
    }
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigwaitinfo(&set, info);
    wait4(pid, NULL, 0, r);
    int64_t all = sum(parts_in(r));
    bool shows = 10 * (all - *used) <= all;
    munmap((void *)used, PAGE);
    return shows;
}

static void test_children(void)
{
    struct parts before = parts_of(RUSAGE_CHILDREN), after, one[2];
    struct rusage r;
    struct tms tms;
    siginfo_t info;

    signal_mask(SIG_BLOCK, SIGCHLD);
    bool shows = end_of(read_zeroes, &r, &info);
    one[0] = parts_in(&r);
    YES("wait4 of who reads", system_share(one[0]) > 60 || !shows);
    YES("the signal says so", info.si_stime > info.si_utime || !shows);
    shows = end_of(compute, &r, &info);
    one[1] = parts_in(&r);
    YES("wait4 of who computes", system_share(one[1]) < 25 || !shows);
    YES("its signal says so", info.si_utime > info.si_stime || !shows);
    after = parts_of(RUSAGE_CHILDREN);
    YES("both are their parent's",
        near(after.user - before.user, one[0].user + one[1].user, 2000) &&
            near(after.system - before.system, one[0].system + one[1].system, 2000));
    times(&tms);
    YES("as times says", near(tms.tms_cutime * 10 * MS, after.user, 10 * MS) &&
                             near(tms.tms_cstime * 10 * MS, after.system, 10 * MS));
}

int main(void)
{
    one("computing", compute, 0, 20);
    one("computing for long", compute_long, 0, 20);
    one("reading zeroes", read_zeroes, 70, 100);
    one("asking for the parent", ask_for_parent, 30, 100);
    one("touching pages", touch_pages, 20, 100); // in a virtual machine much of it is the host's
    one("forking", fork_children, 50, 100);
    one("through a pipe", copy_through_pipe, 70, 100);
    one("ping-pong", ping_pong, 30, 100);
    one("signals", signal_itself, 50, 100);
    CHILD("sum", test_sum());
    CHILD("small steps", test_back());
    CHILD("timers", test_timers());
    CHILD("machine", test_machine());
    CHILD("threads", test_threads());
    CHILD("children", test_children());
    return 0;
}
