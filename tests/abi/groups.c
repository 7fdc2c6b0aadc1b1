// SPDX-License-Identifier: MIT
// Process groups and sessions: who may change what, groups of which only zombies are left, numbers of threads in
// the place of those of processes, and what waitid and wait4 write.
#include "abi.h"
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static struct gate threads_gate;
static volatile int thread_tid;

static void *stay(void *unused)
{
    thread_tid = gettid();
    wait_for_pass(&threads_gate);
    return unused;
}

// A child with a second thread, whose number is returned. It ends when `go` is passed.
static pid_t child_with_thread(struct gate *go, pid_t *tid)
{
    struct gate up = gate_make();
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t thread;
        int number;
        threads_gate = gate_make();
        thread_tid = 0;
        pthread_create(&thread, NULL, stay, NULL);
        while (!(number = thread_tid))
            sched_yield();
        if (write(up.fds[1], &number, sizeof number) < 0)
            _exit(1);
        wait_for_pass(go);
        _exit(21);
    }
    if (read(up.fds[0], tid, sizeof *tid) != sizeof *tid)
        say("harness", "no tid");
    return pid;
}

static void test_thread_numbers(void)
{
    struct gate go = gate_make();
    struct rlimit limit;
    pid_t tid, pid = child_with_thread(&go, &tid);
    cpu_set_t set;
    int policy;

    VALUE("setpgid of a thread", setpgid(tid, 0));
    VALUE("setpgid into a thread", setpgid(pid, tid));
    YES("getpgid of a thread", getpgid(tid) == getpgrp());
    YES("getsid of a thread", getsid(tid) == getsid(0));
    VALUE("kill of a thread, 0", kill(tid, 0));
    VALUE("waitpid of a thread", waitpid(tid, NULL, WNOHANG));
    VALUE("prlimit of a thread", prlimit(tid, RLIMIT_NOFILE, NULL, &limit));
    VALUE("getpriority of a thread", getpriority(PRIO_PROCESS, tid));
    VALUE("sched_getaffinity of a thread", sched_getaffinity(tid, sizeof set, &set));
    VALUE("sched_getscheduler of a thread", policy = sched_getscheduler(tid));
    VALUE("tgkill, another's thread", syscall(SYS_tgkill, getpid(), tid, 0));
    VALUE("tgkill, its own", syscall(SYS_tgkill, pid, tid, 0));
    VALUE("tkill", syscall(SYS_tkill, tid, 0));
    VALUE("kill of a thread's group", kill(-tid, 0));
    VALUE("kill of a thread", kill(tid, SIGTERM));
    say_end("ends its process", pid);
    VALUE("kill of the gone thread", kill(tid, 0));
    pass(&go);
}

// ---- groups

static pid_t group_child(struct gate *go, pid_t pgid)
{
    struct gate ready = gate_make();
    pid_t pid = fork();

    if (pid == 0) {
        if (pgid >= 0)
            setpgid(0, pgid);
        pass(&ready);
        wait_for_pass(go);
        _exit(22);
    }
    wait_for_pass(&ready);
    return pid;
}

static void test_zombies(void)
{
    struct gate go = gate_make();
    siginfo_t info;
    pid_t leader = group_child(&go, 0);

    pass(&go);
    waitid(P_PID, leader, &info, WEXITED | WNOWAIT);
    VALUE("signal to a zombie", kill(leader, SIGTERM));
    VALUE("signal to a group of zombies", kill(-leader, SIGTERM));
    YES("group of a zombie", getpgid(leader) == leader);
    YES("session of a zombie", getsid(leader) == getsid(0));
    VALUE("setpgid of a zombie", setpgid(leader, getpgrp()));
    VALUE("and back", setpgid(leader, leader));
    pid_t member = group_child(&go, -1);
    VALUE("into a zombie's group", setpgid(member, leader));
    waitpid(leader, NULL, 0);
    VALUE("a group without its leader", kill(-leader, 0));
    YES("its member", getpgid(member) == leader);
    pid_t other = group_child(&go, -1);
    VALUE("into a group without its leader", setpgid(other, leader));
    CHILD("setsid", YES("elsewhere", setsid() > 0));
    pass(&go);
    pass(&go);
    waitid(P_PID, member, &info, WEXITED | WNOWAIT);
    waitid(P_PID, other, &info, WEXITED | WNOWAIT);
    pid_t late = group_child(&go, -1);
    VALUE("into a group of zombies without a leader", setpgid(late, leader));
    setpgid(late, 0);
    waitpid(member, NULL, 0);
    waitpid(other, NULL, 0);
    VALUE("then it is gone", setpgid(late, leader));
    VALUE("signals reach nobody", kill(-leader, 0));
    pass(&go);
    waitpid(late, NULL, 0);
}

static void test_rules(void)
{
    struct gate go = gate_make(), up = gate_make();
    pid_t pid = group_child(&go, 0), inner = 0;

    VALUE("own group to a child's", setpgid(0, pid));
    VALUE("and back to nobody's", setpgid(0, 0));
    VALUE("setpgid of nobody", setpgid(0x3fffffff, 0));
    VALUE("setpgid -5", setpgid(-5, 0));
    VALUE("getpgid -5", getpgid(-5));
    VALUE("getsid -5", getsid(-5));
    VALUE("getsid of nobody", getsid(0x3fffffff));
    VALUE("setsid by the leader of a group", setsid());
    VALUE("kill -1000000", kill(-1000000, 0));
    VALUE("kill, least number", kill((pid_t)0x80000000, 0));
    VALUE("kill, odd signal and nobody", kill(0x3fffffff, 65));
    pass(&go);
    waitpid(pid, NULL, 0);
    pid = fork();
    if (pid == 0) {
        inner = group_child(&go, 0);
        if (write(up.fds[1], &inner, sizeof inner) < 0)
            _exit(1);
        waitpid(inner, NULL, 0);
        _exit(0);
    }
    if (read(up.fds[0], &inner, sizeof inner) < 0)
        say("harness", "no pid");
    VALUE("setpgid of a grandchild", setpgid(inner, 0));
    VALUE("into a grandchild's group", setpgid(pid, inner));
    pass(&go);
    waitpid(pid, NULL, 0);
    CHILD("leader of a group with its member's number", {
        struct gate held = gate_make(), told = gate_make();
        setpgid(0, 0);
        pid_t me = getpid(), grandchild = fork();
        if (grandchild == 0) {
            while (getppid() == me)
                sched_yield();
            pass(&told);
            wait_for_pass(&held);
            _exit(0);
        }
        setpgid(0, getpgid(getppid()));
        VALUE("setsid of one whose group lives on without it", setsid());
        kill(grandchild, SIGKILL);
        waitpid(grandchild, NULL, 0);
        YES("and then", setsid() == me);
    });
}

// ---- what waiting writes

static void say_written(const char *key, const unsigned char *p, size_t n)
{
    char text[160] = "";

    for (size_t i = 0; i < n && strlen(text) < 150; i += 4)
        strcat(text, p[i] == 0xa5 && p[i + 1] == 0xa5 && p[i + 2] == 0xa5 ? "-" : "w");
    say(key, "%s", text);
}

static long wait_id(int which, long id, void *info, int options, void *usage)
{
    return syscall(SYS_waitid, which, id, info, options, usage);
}

static void test_written(void)
{
    union {
        siginfo_t info;
        unsigned char bytes[sizeof(siginfo_t)];
    } u;
    union {
        struct rusage usage;
        unsigned char bytes[sizeof(struct rusage)];
    } r;
    struct gate go = gate_make();
    pid_t pid = group_child(&go, -1);
    int status = 0xa5a5a5a5;

    memset(&u, 0xa5, sizeof u);
    memset(&r, 0xa5, sizeof r);
    VALUE("nothing to report", wait_id(P_PID, pid, &u, WEXITED | WNOHANG, &r));
    say_written("writes of siginfo", u.bytes, sizeof u.bytes);
    say_written("and of the usage", r.bytes, 40);
    VALUE("nothing for wait4", syscall(SYS_wait4, pid, &status, WNOHANG, &r));
    YES("writes no status", status == (int)0xa5a5a5a5);
    say_written("nor usage", r.bytes, 40);
    memset(&u, 0xa5, sizeof u);
    VALUE("no such child", wait_id(P_PID, 0x3fffffff, &u, WEXITED | WNOHANG, &r));
    say_written("writes of siginfo then", u.bytes, sizeof u.bytes);
    VALUE("siginfo nowhere, nothing to report",
          wait_id(P_PID, pid, (void *)8, WEXITED | WNOHANG, NULL));
    VALUE("siginfo nowhere, no such child",
          wait_id(P_PID, 0x3fffffff, (void *)8, WEXITED | WNOHANG, NULL));
    pass(&go);
    memset(&u, 0xa5, sizeof u);
    VALUE("an end", wait_id(P_PID, pid, &u, WEXITED | WNOWAIT, &r));
    say_written("writes of siginfo at the end", u.bytes, sizeof u.bytes);
    say_written("and of the usage at the end", r.bytes, sizeof r.bytes);
    VALUE("usage nowhere", wait_id(P_PID, pid, &u, WEXITED | WNOWAIT, (void *)8));
    VALUE("high bits of the kind", wait_id(0, 1L << 40, &u, WEXITED | WNOWAIT, NULL));
    VALUE("high bits of the id", wait_id(P_PID, pid | 1L << 40, &u, WEXITED | WNOWAIT, NULL));
    VALUE("siginfo nowhere reaps", wait_id(P_PID, pid, (void *)8, WEXITED, NULL));
    VALUE("it is gone", wait_id(P_PID, pid, &u, WEXITED, NULL));
    pid = group_child(&go, -1);
    pass(&go);
    VALUE("status nowhere", syscall(SYS_wait4, pid, (void *)8, 0, NULL));
    VALUE("reaps, too", syscall(SYS_wait4, pid, &status, 0, NULL));
}

static void test_options(void)
{
    struct gate go = gate_make();
    siginfo_t info;
    int status;
    pid_t pid = group_child(&go, 0);

    VALUE("all kinds of children",
          wait_id(P_PID, pid, &info, WEXITED | WNOHANG | __WALL | __WCLONE, NULL));
    VALUE("of clones", wait_id(P_PID, pid, &info, WEXITED | WNOHANG | __WCLONE, NULL));
    VALUE("of this thread", wait_id(P_PID, pid, &info, WEXITED | WNOHANG | __WNOTHREAD, NULL));
    VALUE("wait4 takes no WNOWAIT", waitpid(pid, &status, WNOHANG | WNOWAIT));
    VALUE("nor WEXITED", waitpid(pid, &status, WNOHANG | WEXITED));
    VALUE("wait4, least number", syscall(SYS_wait4, 0x80000000, &status, WNOHANG, NULL));
    VALUE("P_ALL with an id", wait_id(P_ALL, -7, &info, WEXITED | WNOHANG, NULL));
    VALUE("P_PGID of its group", wait_id(P_PGID, pid, &info, WEXITED | WNOHANG, NULL));
    VALUE("P_PGID of ours", wait_id(P_PGID, 0, &info, WEXITED | WNOHANG, NULL));
    VALUE("P_PIDFD of nothing", wait_id(P_PIDFD, -1, &info, WEXITED | WNOHANG, NULL));
    VALUE("WSTOPPED only", wait_id(P_PID, pid, &info, WSTOPPED | WNOHANG, NULL));
    kill(pid, SIGSTOP);
    VALUE("wait4 and a stop", waitpid(pid, &status, WUNTRACED) - pid);
    say_status("its status", status);
    kill(pid, SIGCONT);
    VALUE("wait4 and going on", waitpid(pid, &status, WCONTINUED) - pid);
    say_status("its status then", status);
    kill(pid, SIGSTOP);
    VALUE("stop again", wait_id(P_PID, pid, &info, WSTOPPED | WNOWAIT, NULL));
    kill(pid, SIGCONT);
    VALUE("a stop that is over", wait_id(P_PID, pid, &info, WSTOPPED | WNOHANG, NULL));
    say("is not told", "%d", info.si_pid);
    VALUE("but that it goes on",
          wait_id(P_PID, pid, &info, WCONTINUED | WNOHANG, NULL) ? 1 : info.si_status);
    kill(pid, SIGSTOP);
    wait_id(P_PID, pid, &info, WSTOPPED, NULL);
    kill(pid, SIGTERM); // waits until it goes on
    VALUE("a stopped one does not end", wait_id(P_PID, pid, &info, WEXITED | WNOHANG, NULL));
    kill(pid, SIGCONT);
    say_end("until it goes on", pid);
}

int main(void)
{
    setpgid(0, 0);
    test_thread_numbers();
    test_zombies();
    test_rules();
    test_written();
    test_options();
    return 0;
}
