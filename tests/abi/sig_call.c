// SPDX-License-Identifier: MIT
// A signal that arrives during a system call: EINTR, SA_RESTART, what was transferred, and the pipe's own.
//
// The sender waits until the receiver is in its call: /proc says so by the state S.
#include "abi.h"
#include <poll.h>
#include <time.h>

static volatile int calls;

static void count(int sig)
{
    (void)sig;
    calls++;
}

static void set(int sig, int flags)
{
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};

    sigaction(sig, &action, NULL);
}

// A child that signals this process once it sleeps, and then writes a byte to `fd`.
static pid_t start_sender(int sig, int fd)
{
    pid_t receiver = getpid(), pid = fork();

    if (pid == 0) {
        until_state(receiver, 'S');
        kill(receiver, sig);
        if (fd >= 0) {
            until_state(receiver, 'S');
            if (write(fd, "data", 4) != 4)
                _exit(1);
        }
        _exit(0);
    }
    return pid;
}

static void test_read(void)
{
    int fds[2];
    char buffer[8];

    if (pipe(fds) < 0)
        return;
    calls = 0;
    set(SIGUSR1, 0);
    pid_t pid = start_sender(SIGUSR1, -1);
    VALUE("read without SA_RESTART", read(fds[0], buffer, 8));
    say("its handler", "%d", calls);
    say_end("sender 1", pid);
    calls = 0;
    set(SIGUSR1, SA_RESTART);
    pid = start_sender(SIGUSR1, fds[1]);
    VALUE("read with SA_RESTART", read(fds[0], buffer, 8));
    say("its handler ran", "%d", calls);
    say_end("sender 2", pid);
    calls = 0;
    signal(SIGUSR1, SIG_IGN);
    pid = start_sender(SIGUSR1, fds[1]);
    VALUE("read and an ignored signal", read(fds[0], buffer, 8));
    say_end("sender 3", pid);
}

static void test_wait(void)
{
    struct gate g = gate_make();
    pid_t self = getpid();
    int status;

    calls = 0;
    set(SIGUSR1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        until_state(self, 'S');
        kill(self, SIGUSR1);
        wait_for_pass(&g);
        _exit(6);
    }
    VALUE("wait4 without SA_RESTART", waitpid(pid, &status, 0));
    pass(&g);
    say_end("the child goes on", pid);
    set(SIGUSR1, SA_RESTART);
    pid = fork();
    if (pid == 0) {
        until_state(self, 'S');
        kill(self, SIGUSR1);
        until_state(self, 'S');
        _exit(7);
    }
    YES("wait4 with SA_RESTART", waitpid(pid, &status, 0) == pid);
    say_status("its status", status);
}

// Calls that end with EINTR even with SA_RESTART.
static void test_never_restarted(void)
{
    struct timespec far_off = {1000, 0}, rest = {0, 0};
    sigset_t empty, usr2;
    struct pollfd none = {.fd = -1};

    sigemptyset(&empty);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    set(SIGUSR1, SA_RESTART);
    pid_t pid = start_sender(SIGUSR1, -1);
    VALUE("nanosleep", nanosleep(&far_off, &rest));
    YES("what remains is plausible", rest.tv_sec > 900 && rest.tv_sec < 1000);
    say_end("sender 4", pid);
    pid = start_sender(SIGUSR1, -1);
    say("clock_nanosleep", "%s", errno_name(clock_nanosleep(CLOCK_MONOTONIC, 0, &far_off, &rest)));
    say_end("sender 5", pid);
    pid = start_sender(SIGUSR1, -1);
    VALUE("pause", pause());
    say_end("sender 6", pid);
    pid = start_sender(SIGUSR1, -1);
    VALUE("poll", poll(&none, 1, 1000000));
    say_end("sender 7", pid);
    pid = start_sender(SIGUSR1, -1);
    VALUE("select", select(0, NULL, NULL, NULL, &(struct timeval){1000, 0}));
    say_end("sender 8", pid);
    pid = start_sender(SIGUSR1, -1);
    VALUE("sigsuspend", sigsuspend(&empty));
    say_end("sender 9", pid);
    pid = start_sender(SIGUSR1, -1);
    VALUE("sigtimedwait", sigtimedwait(&usr2, NULL, &far_off));
    say_end("sender 10", pid);
    pid = start_sender(SIGUSR1, -1);
    int word = 0;
    VALUE("futex with a timeout", syscall(SYS_futex, &word, 0, 0, &far_off, NULL, 0));
    say_end("sender 11", pid);
}

// A blocked signal is waited for even if its default is to be ignored.
static void test_wait_for_ignored(void)
{
    sigset_t set, old;
    siginfo_t info;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &old);
    pid_t pid = fork();
    if (!pid) {
        usleep(50000);
        _exit(3);
    }
    VALUE("sigtimedwait for SIGCHLD", sigtimedwait(&set, &info, &(struct timespec){20, 0}));
    say("status of the child", "%d", info.si_status);
    waitpid(pid, NULL, 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

// A write that a signal stops in the middle says how far it came.
static void test_partial(void)
{
    static char block[256 << 10];
    int fds[2];
    long seen = 0;

    if (pipe(fds) < 0)
        return;
    set(SIGUSR1, 0);
    pid_t pid = start_sender(SIGUSR1, -1);
    long n = write(fds[1], block, sizeof block);
    say("interrupted write", "%ld", n);
    say_end("sender 12", pid);
    close(fds[1]);
    for (long got; (got = read(fds[0], block, sizeof block)) > 0;)
        seen += got;
    YES("exactly that much arrived", seen == n);
}

static void test_sigpipe(void)
{
    int fds[2];

    if (pipe(fds) < 0)
        return;
    close(fds[0]);
    CHILD("write without a reader", signal(SIGPIPE, SIG_DFL);
          _exit(write(fds[1], "x", 1) < 0 ? 1 : 2));
    signal(SIGPIPE, SIG_IGN);
    VALUE("the same, ignored", write(fds[1], "x", 1));
    calls = 0;
    set(SIGPIPE, 0);
    VALUE("the same, handled", write(fds[1], "x", 1));
    say("handler of SIGPIPE", "%d", calls);
}

int main(void)
{
    test_read();
    test_wait();
    test_never_restarted();
    test_wait_for_ignored();
    test_partial();
    test_sigpipe();
    return 0;
}
