// SPDX-License-Identifier: MIT
// Birth and death of processes: fork, vfork, wait4 and its statuses, orphans, groups and sessions.
#include "abi.h"
#include <pthread.h>
#include <sys/resource.h>

static void test_wait(void)
{
    int status;
    struct gate g = gate_make();

    VALUE("wait without children", wait(&status));
    CHILD("exit 7", _exit(7));
    CHILD("exit 256+3", _exit(256 + 3));
    CHILD("killed", raise(SIGKILL));
    CHILD("terminated", kill(getpid(), SIGTERM));
    CHILD("aborted", abort());

    pid_t pid = fork();
    if (pid == 0) {
        wait_for_pass(&g);
        _exit(9);
    }
    VALUE("wnohang while it lives", waitpid(pid, &status, WNOHANG));
    VALUE("wait for a stranger", waitpid(1, &status, 0));
    VALUE("wait with a wrong option", waitpid(pid, &status, 0x100));
    VALUE("wait for another group", waitpid(-0x3ffffff, &status, WNOHANG));
    pass(&g);
    struct rusage usage;
    YES("wait4 gives the pid", wait4(pid, &status, 0, &usage) == pid);
    say_status("wait4 gives the status", status);
    VALUE("wait twice", waitpid(pid, &status, 0));
    VALUE("signal to a reaped one", kill(pid, 0));
}

static void test_zombie(void)
{
    struct gate g = gate_make();
    int status;
    char c;

    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    close(g.fds[1]);
    YES("pipe ends when its last writer is gone", read(g.fds[0], &c, 1) == 0);
    while (waitpid(pid, &status, WNOHANG) == 0)
        sched_yield();
    say_status("reaped without blocking", status);

    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    VALUE("signal 0", kill(pid, 0));
    VALUE("kill", kill(pid, SIGKILL));
    say_end("killed in pause", pid);
    close(g.fds[0]);
}

static void test_fork_copies(void)
{
    static int data = 1;
    int stack = 2;
    int *heap = malloc(sizeof *heap);
    pid_t parent = getpid();

    *heap = 3;
    CHILD("child sees", say("child's values", "%d %d %d", data, stack, *heap);
          YES("child's parent is its parent", getppid() == parent);
          YES("child has a pid of its own", getpid() != parent); data = stack = *heap = 0);
    say("parent's values afterwards", "%d %d %d", data, stack, *heap);
    free(heap);
}

static void test_vfork(void)
{
    volatile int seen = 0;

    pid_t pid = vfork();
    if (pid == 0) {
        seen = 42;
        _exit(5);
    }
    say("vfork shares memory and the parent waits", "%d", seen);
    say_end("vfork child", pid);
}

static void test_orphan(void)
{
    struct gate g = gate_make();
    char answer = '?';

    CHILD("middle one", {
        pid_t middle = getpid();
        if (fork() == 0) {
            while (getppid() == middle)
                sched_yield();
            pass(&g);
            _exit(0);
        }
    });
    YES("orphan finds a new parent", read(g.fds[0], &answer, 1) == 1 && answer == 'x');
    VALUE("and is not ours", waitpid(-1, NULL, 0));
}

static void test_groups(void)
{
    struct gate ready = gate_make(), go = gate_make();
    int status;

    CHILD("session", {
        YES("setsid", setsid() == getpid());
        YES("leader of its group", getpgid(0) == getpid());
        YES("getsid", getsid(0) == getpid());
        VALUE("setsid twice", setsid());
        VALUE("setpgid of a session leader", setpgid(0, 0));
    });
    pid_t pid = fork();
    if (pid == 0) {
        pass(&ready);
        wait_for_pass(&go);
        _exit(4);
    }
    wait_for_pass(&ready);
    VALUE("setpgid of a child", setpgid(pid, pid));
    YES("getpgid of a child", getpgid(pid) == pid);
    VALUE("setpgid into no group", setpgid(pid, 0x3fffffff));
    VALUE("setpgid negative", setpgid(pid, -1));
    VALUE("getpgid of nobody", getpgid(0x3fffffff));
    VALUE("wait for own group has nobody", waitpid(0, &status, WNOHANG));
    VALUE("signal to the group", kill(-pid, SIGTERM));
    YES("wait for that group", waitpid(-pid, &status, 0) == pid);
    say_status("group's end", status);
    VALUE("signal to a gone group", kill(-pid, SIGTERM));
}

static void test_many(void)
{
    int sum = 0, status;

    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(i);
        if (pid < 0)
            break;
    }
    while (wait(&status) > 0)
        sum += WEXITSTATUS(status);
    say("sum of 100 exit codes", "%d", sum);
}

static void test_clone_flags(void)
{
    VALUE("clone SIGHAND without VM", syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0));
    VALUE("clone THREAD without SIGHAND",
          syscall(SYS_clone, CLONE_VM | CLONE_THREAD | SIGCHLD, 0, 0, 0, 0));
    VALUE("clone FS with NEWNS", syscall(SYS_clone, CLONE_FS | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
}

int main(void)
{
    test_wait();
    test_zombie();
    test_fork_copies();
    test_vfork();
    test_orphan();
    test_groups();
    test_many();
    test_clone_flags();
    return 0;
}
