// SPDX-License-Identifier: MIT
// The number of a thread that has ended and leads still, while others of its process go on or nobody has waited for it: calls
// that take the number of a thread know it until then.
#include "abi.h"
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};
static struct gate ready, go;
static const char *who;

static const char *key(const char *what)
{
    static char text[80];
    snprintf(text, sizeof text, "%s, %s", who, what);
    return text;
}

static int harts_of(pid_t pid)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(pid, sizeof set, &set) < 0 ? -1 : CPU_COUNT(&set);
}

static long set_policy(pid_t pid, int policy)
{
    struct sched_param p = {0};
    return sched_setscheduler(pid, policy, &p);
}

static long attr_nice(pid_t pid)
{
    struct attr a = {0};
    return syscall(SYS_sched_getattr, pid, &a, sizeof a, 0) < 0 ? -1
                                                                : 100 * (long)a.policy + a.nice;
}

static void ask_scheduling(pid_t pid)
{
    struct sched_param p = {7};
    struct timespec ts;
    struct attr a = {.size = 48, .policy = SCHED_BATCH, .nice = 6};
    cpu_set_t all, one;

    sched_getaffinity(0, sizeof all, &all);
    int mine = CPU_COUNT(&all);
    YES(key("runs where the caller may"), harts_of(pid) == mine);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    VALUE(key("sched_setaffinity"), sched_setaffinity(pid, sizeof one, &one));
    VALUE(key("harts then"), harts_of(pid));
    VALUE(key("back"), sched_setaffinity(pid, sizeof all, &all));
    VALUE(key("policy"), sched_getscheduler(pid));
    VALUE(key("sched_getparam"), sched_getparam(pid, &p));
    VALUE(key("its priority"), p.sched_priority);
    OK(key("interval"), sched_rr_get_interval(pid, &ts));
    VALUE(key("set to batch"), set_policy(pid, SCHED_BATCH));
    VALUE(key("policy then"), sched_getscheduler(pid));
    VALUE(key("attributes"), attr_nice(pid));
    VALUE(key("set to other attributes"), syscall(SYS_sched_setattr, pid, &a, 0));
    VALUE(key("attributes then"), attr_nice(pid));
    VALUE(key("odd policy"), set_policy(pid, 77));
}

static void ask_priority(pid_t pid)
{
    VALUE(key("getpriority"), getpriority(PRIO_PROCESS, pid));
    VALUE(key("setpriority"), setpriority(PRIO_PROCESS, pid, 9));
    VALUE(key("getpriority then"), getpriority(PRIO_PROCESS, pid));
    errno = 0;
    VALUE(key("best of its group"), getpriority(PRIO_PGRP, getpgid(pid)));
    VALUE(key("the group is set"), setpriority(PRIO_PGRP, getpgid(pid), 12));
    VALUE(key("after the group"), getpriority(PRIO_PROCESS, pid));
}

static void ask_others(pid_t pid)
{
    void *head;
    size_t size;
    struct timespec ts;
    struct rlimit limit;
    pid_t group = getpgid(pid);

    YES(key("has a group"), group > 0);
    YES(key("has a session"), getsid(pid) > 0);
    VALUE(key("tgkill 0"), syscall(SYS_tgkill, pid, pid, 0));
    VALUE(key("tgkill"), syscall(SYS_tgkill, pid, pid, SIGUSR1));
    VALUE(key("tgkill, another's"), syscall(SYS_tgkill, getppid(), pid, SIGUSR1));
    VALUE(key("tkill"), syscall(SYS_tkill, pid, SIGUSR1));
    OK(key("get_robust_list"), syscall(SYS_get_robust_list, pid, &head, &size));
    OK(key("clock of the process"), clock_gettime((~(clockid_t)pid << 3) | 2, &ts));
    OK(key("clock of the thread"), clock_gettime((~(clockid_t)pid << 3) | 6, &ts));
    OK(key("prlimit"), prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
}

static void ask_all(const char *name, pid_t pid)
{
    who = name;
    ask_scheduling(pid);
    ask_priority(pid);
    ask_others(pid);
}

static void as_another(const char *name, pid_t pid)
{
    who = name;
    CHILD(key("another user"), if (syscall(SYS_setresuid, 5, 5, 5) < 0) _exit(1);
          VALUE(key("another's policy"), set_policy(pid, SCHED_BATCH));
          VALUE(key("another's priority"), setpriority(PRIO_PROCESS, pid, 19)); cpu_set_t all;
          sched_getaffinity(0, sizeof all, &all);
          VALUE(key("another's harts"), sched_setaffinity(pid, sizeof all, &all));
          VALUE(key("another's tgkill"), syscall(SYS_tgkill, pid, pid, 0)););
}

static void *stay(void *arg)
{
    (void)arg;
    until_state(getpid(), 'Z');
    who = "own";
    setpriority(PRIO_PROCESS, getpid(), 3);
    say("own, thread", "%d", getpriority(PRIO_PROCESS, 0));
    ask_all("own", getpid());
    YES("own, the thread stays as it is", harts_of(0) == harts_of(getpid()));
    say("own, the thread's niceness after its group", "%d", getpriority(PRIO_PROCESS, 0));
    pass(&ready);
    wait_for_pass(&go);
    syscall(SYS_exit_group, 4);
    return NULL;
}

static void test_headless(void)
{
    ready = gate_make();
    go = gate_make();
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        setpgid(0, 0);
        setpriority(PRIO_PROCESS, 0, 2);
        pthread_create(&thread, NULL, stay, NULL);
        syscall(SYS_exit, 1);
    }
    wait_for_pass(&ready);
    ask_all("another's", pid);
    as_another("headless", pid);
    pass(&go);
    say_end("headless", pid);
}

static void test_zombie(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        setpriority(PRIO_PROCESS, 0, 4);
        set_policy(0, SCHED_IDLE);
        _exit(3);
    }
    until_state(pid, 'Z');
    ask_all("zombie", pid);
    as_another("zombie", pid);
    say_end("zombie", pid);
    who = "gone";
    VALUE(key("policy"), sched_getscheduler(pid));
    VALUE(key("harts"), harts_of(pid));
    VALUE(key("getpriority"), getpriority(PRIO_PROCESS, pid));
    VALUE(key("setpriority"), setpriority(PRIO_PROCESS, pid, 1));
    VALUE(key("best of its group"), getpriority(PRIO_PGRP, pid));
}

int main(void)
{
    test_headless();
    test_zombie();
    return 0;
}
