// SPDX-License-Identifier: MIT
// Scheduling calls: policies and priorities that are kept and inherited, and who may set whose.
#include "abi.h"
#include <sys/resource.h>
#include <time.h>

struct sched_attr {
    uint32_t size, sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t runtime, deadline, period;
};
enum { SETATTR = 274, GETATTR = 275, RESET_ON_FORK = 0x40000000 };

static long set(pid_t pid, int policy, int priority)
{
    return syscall(SYS_sched_setscheduler, pid, policy, &priority);
}

static long get_parameter(pid_t pid)
{
    int priority = -77;
    return syscall(SYS_sched_getparam, pid, &priority) < 0 ? -1 : priority;
}

static void test_policies(void)
{
    static const int policies[] = {0, 1, 2, 3, 4, 5, 6, 7, 0x40000000, 0x40000003};
    int priority = 0;

    for (size_t i = 0; i < COUNT(policies); i++)
        for (int p = 0; p <= 100; p += p == 1 ? 98 : 1) {
            char key[48];
            snprintf(key, sizeof key, "policy 0x%x, priority %d", policies[i], p);
            pid_t pid = fork();
            if (pid == 0) {
                syscall(SYS_setresuid, 9, 9, 9);
                errno = 0;
                long r = set(0, policies[i], p);
                say(key, "%s, then 0x%x %ld", errno_name(r < 0 ? errno : 0), sched_getscheduler(0),
                    get_parameter(0));
                _exit(0);
            }
            waitpid(pid, NULL, 0);
        }
    for (int i = -1; i < 8; i++) {
        char key[48];
        snprintf(key, sizeof key, "range of policy %d", i);
        int low = sched_get_priority_min(i);
        if (low < 0)
            say(key, "%s", errno_name(errno));
        else
            say(key, "%d to %d", low, sched_get_priority_max(i));
    }
    VALUE("parameters from nowhere", syscall(SYS_sched_setscheduler, 0, 0, 8));
    VALUE("no parameters", syscall(SYS_sched_setscheduler, 0, 0, NULL));
    VALUE("no parameters, odd pid", syscall(SYS_sched_setscheduler, -1, 0, NULL));
    VALUE("odd policy", set(0, -1, 0));
    VALUE("pid -1", set(-1, 0, 0));
    VALUE("nobody", set(0x3fffffff, 0, 0));
    VALUE("nobody, odd priority", set(0x3fffffff, 0, 5));
    VALUE("getscheduler, pid -1", sched_getscheduler(-1));
    VALUE("getscheduler, nobody", sched_getscheduler(0x3fffffff));
    VALUE("getparam to nowhere", syscall(SYS_sched_getparam, 0, 8));
    VALUE("getparam to NULL", syscall(SYS_sched_getparam, 0, NULL));
    VALUE("getparam, pid -1", get_parameter(-1));
    VALUE("getparam, nobody", get_parameter(0x3fffffff));
    VALUE("setparam 0", syscall(SYS_sched_setparam, 0, &priority));
    priority = 1;
    VALUE("setparam 1", syscall(SYS_sched_setparam, 0, &priority));
    VALUE("setparam from NULL", syscall(SYS_sched_setparam, 0, NULL));
    VALUE("setparam, nobody", syscall(SYS_sched_setparam, 0x3fffffff, &priority));
}

static void test_interval(void)
{
    struct timespec ts = {9, 9};

    VALUE("interval", sched_rr_get_interval(0, &ts));
    YES("of an ordinary one", ts.tv_sec == 0 && ts.tv_nsec < 1000000000);
    VALUE("interval, pid -1", sched_rr_get_interval(-1, &ts));
    VALUE("interval, nobody", sched_rr_get_interval(0x3fffffff, &ts));
    VALUE("interval to nowhere", syscall(SYS_sched_rr_get_interval, 0, 8));
}

static void test_inherited(void)
{
    CHILD("batch", {
        set(0, SCHED_BATCH, 0);
        CHILD("its child", VALUE("a child's policy", sched_getscheduler(0)));
        VALUE("batch to idle", set(0, SCHED_IDLE, 0));
        VALUE("idle to other", set(0, SCHED_OTHER, 0));
    });
    CHILD("batch, reset", {
        setpriority(PRIO_PROCESS, 0, -5);
        set(0, SCHED_BATCH | RESET_ON_FORK, 0);
        CHILD("its other child", VALUE("a child's policy, reset", sched_getscheduler(0));
              VALUE("its niceness", syscall(SYS_getpriority, PRIO_PROCESS, 0)));
    });
    CHILD("by nobody", {
        syscall(SYS_setresuid, 9, 9, 9);
        VALUE("real time by nobody", set(0, SCHED_FIFO, 1));
        VALUE("of init by nobody", set(1, SCHED_OTHER, 0));
        VALUE("idle by nobody", set(0, SCHED_IDLE, 0));
        VALUE("and back", set(0, SCHED_OTHER, 0));
    });
}

// ---- niceness

static void test_nice(void)
{
    struct gate ready = gate_make(), go = gate_make();

    VALUE("nice", syscall(SYS_getpriority, PRIO_PROCESS, 0));
    VALUE("getpriority, odd kind", syscall(SYS_getpriority, 3, 0));
    VALUE("setpriority, odd kind", syscall(SYS_setpriority, -1, 0, 0));
    VALUE("getpriority of nobody", syscall(SYS_getpriority, PRIO_PROCESS, 0x3fffffff));
    VALUE("getpriority of no group", syscall(SYS_getpriority, PRIO_PGRP, 0x3fffffff));
    VALUE("getpriority of no user", syscall(SYS_getpriority, PRIO_USER, 54321));
    VALUE("setpriority of nobody", syscall(SYS_setpriority, PRIO_PROCESS, 0x3fffffff, 0));
    VALUE("setpriority of no group", syscall(SYS_setpriority, PRIO_PGRP, 0x3fffffff, 0));
    VALUE("setpriority of no user", syscall(SYS_setpriority, PRIO_USER, 54321, 0));
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        setpriority(PRIO_PROCESS, 0, 100);
        VALUE("as far as it goes", syscall(SYS_getpriority, PRIO_PROCESS, 0));
        pid_t inner = fork();
        if (inner == 0) {
            setpriority(PRIO_PROCESS, 0, -100);
            VALUE("and the other way", syscall(SYS_getpriority, PRIO_PROCESS, 0));
            syscall(SYS_setresuid, 9, 9, 9);
            pass(&ready);
            wait_for_pass(&go);
            _exit(0);
        }
        pass(&ready);
        waitpid(inner, NULL, 0);
        _exit(0);
    }
    wait_for_pass(&ready);
    wait_for_pass(&ready);
    VALUE("the best of a group", syscall(SYS_getpriority, PRIO_PGRP, pid));
    VALUE("the best of a user", syscall(SYS_getpriority, PRIO_USER, 9));
    VALUE("set for a group", syscall(SYS_setpriority, PRIO_PGRP, pid, 3));
    VALUE("of one in it", syscall(SYS_getpriority, PRIO_PROCESS, pid));
    VALUE("of that user", syscall(SYS_getpriority, PRIO_USER, 9));
    VALUE("set for a user", syscall(SYS_setpriority, PRIO_USER, 9, 7));
    VALUE("of that user then", syscall(SYS_getpriority, PRIO_USER, 9));
    VALUE("of the other", syscall(SYS_getpriority, PRIO_PROCESS, pid));
    CHILD("nobody's niceness", {
        syscall(SYS_setresuid, 9, 9, 9);
        VALUE("of root's by nobody", syscall(SYS_setpriority, PRIO_PROCESS, pid, 10));
        VALUE("of root's by nobody, the same", syscall(SYS_setpriority, PRIO_PROCESS, pid, 3));
        VALUE("of a group of two users", syscall(SYS_setpriority, PRIO_PGRP, pid, 10));
        VALUE("nobody's own are nicer", syscall(SYS_setpriority, PRIO_USER, 0, 12));
        VALUE("nicer", syscall(SYS_setpriority, PRIO_PROCESS, 0, 15));
        VALUE("less nice", syscall(SYS_setpriority, PRIO_PROCESS, 0, 14));
        CHILD("nice is inherited", VALUE("the child's", syscall(SYS_getpriority, PRIO_PROCESS, 0)));
    });
    VALUE("what nobody could set", syscall(SYS_getpriority, PRIO_PROCESS, pid));
    pass(&go);
    waitpid(pid, NULL, 0);
}

// ---- sched_setattr

static void say_attr(const char *key, size_t room)
{
    struct sched_attr a;
    unsigned char bytes[256];

    memset(bytes, 0xa5, sizeof bytes);
    errno = 0;
    if (syscall(GETATTR, 0, bytes, room, 0) < 0) {
        say(key, "%s", errno_name(errno));
        return;
    }
    memcpy(&a, bytes, sizeof a);
    say(key, "size %u policy %u flags %llx nice %d priority %u", a.size, a.sched_policy,
        (unsigned long long)a.sched_flags, a.sched_nice, a.sched_priority);
}

static void test_attr(void)
{
    struct sched_attr a = {.size = sizeof a, .sched_policy = SCHED_BATCH, .sched_nice = 4};
    struct {
        struct sched_attr attr;
        uint64_t more[8];
    } big = {.attr = {.size = sizeof big, .sched_nice = 6}};

    say_attr("attributes", 48);
    say_attr("attributes in 47 bytes", 47);
    say_attr("attributes in 200 bytes", 200);
    say_attr("attributes in a page and more", 4097);
    VALUE("getattr with flags", syscall(GETATTR, 0, &a, sizeof a, 1));
    VALUE("getattr of nobody", syscall(GETATTR, 0x3fffffff, &a, sizeof a, 0));
    VALUE("getattr to nowhere", syscall(GETATTR, 0, 8, sizeof a, 0));
    VALUE("getattr to NULL", syscall(GETATTR, 0, NULL, sizeof a, 0));
    a = (struct sched_attr){.size = 48, .sched_policy = SCHED_BATCH, .sched_nice = 4};
    VALUE("setattr", syscall(SETATTR, 0, &a, 0));
    say_attr("then", 48);
    VALUE("its niceness by the other call", syscall(SYS_getpriority, PRIO_PROCESS, 0));
    a.size = 0;
    a.sched_nice = 5;
    VALUE("size 0 is the first", syscall(SETATTR, 0, &a, 0));
    a.size = 47;
    VALUE("size 47", syscall(SETATTR, 0, &a, 0));
    say("wanted instead", "%u", a.size);
    VALUE("larger and zero", syscall(SETATTR, 0, &big, 0));
    big.more[6] = 1;
    VALUE("larger and not zero", syscall(SETATTR, 0, &big, 0));
    a = (struct sched_attr){.size = 48, .sched_nice = 33};
    VALUE("odd niceness", syscall(SETATTR, 0, &a, 0));
    a = (struct sched_attr){.size = 48, .sched_flags = 0x1000};
    VALUE("odd flags in it", syscall(SETATTR, 0, &a, 0));
    a = (struct sched_attr){.size = 48, .sched_policy = 4};
    VALUE("odd policy in it", syscall(SETATTR, 0, &a, 0));
    a = (struct sched_attr){.size = 48, .sched_priority = 3};
    VALUE("priority of an ordinary one", syscall(SETATTR, 0, &a, 0));
    a = (struct sched_attr){.size = 48};
    VALUE("setattr with flags", syscall(SETATTR, 0, &a, 1));
    VALUE("setattr of nobody", syscall(SETATTR, 0x3fffffff, &a, 0));
    VALUE("setattr from nowhere", syscall(SETATTR, 0, 8, 0));
    VALUE("setattr back", syscall(SETATTR, 0, &a, 0));
}

int main(void)
{
    test_policies();
    test_interval();
    test_inherited();
    test_nice();
    test_attr();
    return 0;
}
