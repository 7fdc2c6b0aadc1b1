// SPDX-License-Identifier: MIT
// pidfds: what they say of a process while it lives and when it is gone, signals through them and to whom, and the
// descriptors that are got through them.
#include "abi.h"
#include <poll.h>
#include <sys/mman.h>

enum { PIDFD_SEND = 424, PIDFD_OPEN = 434, PIDFD_GETFD = 438 };
enum { TO_THREAD = 1, TO_PROCESS = 2, TO_GROUP = 4 };

static int events_of(int fd, int timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, timeout) < 0 ? -1 : p.revents;
}

static void test_life(void)
{
    struct gate g = gate_make();
    siginfo_t info = {0};
    int fd = -1, status, file = open("/dev/null", O_RDONLY);
    char byte;

    VALUE("pidfd of pid 0", syscall(PIDFD_OPEN, 0, 0));
    VALUE("pidfd of pid -1", syscall(PIDFD_OPEN, -1, 0));
    VALUE("pidfd of nobody", syscall(PIDFD_OPEN, 29871, 0));
    VALUE("pidfd with odd flags", syscall(PIDFD_OPEN, getpid(), 1));
    VALUE("signal through a file", syscall(PIDFD_SEND, file, 0, NULL, 0));
    VALUE("signal through nothing", syscall(PIDFD_SEND, 99, 0, NULL, 0));
    VALUE("wait for a file", waitid(P_PIDFD, file, &info, WEXITED));
    VALUE("wait for nothing", waitid(P_PIDFD, 99, &info, WEXITED));

    pid_t pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0);
    if (pid == 0) {
        wait_for_pass(&g);
        _exit(17);
    }
    YES("clone gives a pidfd", fd > 2);
    VALUE("closed on exec", fcntl(fd, F_GETFD));
    VALUE("blocking, for reading and writing", fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    VALUE("reading it", read(fd, &byte, 1));
    VALUE("signal 0 through it", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    VALUE("odd signal through it", syscall(PIDFD_SEND, fd, 99, NULL, 0));
    VALUE("odd flags of the signal", syscall(PIDFD_SEND, fd, 0, NULL, 0x100));
    say("events while it lives", "%x", events_of(fd, 0));
    VALUE("WNOHANG through it", waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    int other = syscall(PIDFD_OPEN, pid, O_NONBLOCK);
    VALUE("wait without blocking", waitid(P_PIDFD, other, &info, WEXITED));
    pass(&g);
    say("events at its end", "%x", events_of(fd, -1));
    VALUE("signal 0 to a zombie", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    VALUE("waitid", waitid(P_PIDFD, fd, &info, WEXITED));
    say("siginfo", "%s %d %d", signal_name(info.si_signo), info.si_code, info.si_status);
    YES("of that child", info.si_pid == pid);
    VALUE("signal to a reaped one", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    VALUE("waitid again", waitid(P_PIDFD, fd, &info, WEXITED));
    say("events when it is gone", "%x", events_of(fd, 0));
    close(fd);
    close(other);

    int mine = syscall(PIDFD_OPEN, getpid(), 0);
    VALUE("wait for oneself", waitid(P_PIDFD, mine, &info, WEXITED));
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    fd = syscall(PIDFD_OPEN, pid, 0);
    siginfo_t forged = {.si_signo = SIGTERM, .si_code = SI_USER};
    VALUE("forged siginfo", syscall(PIDFD_SEND, fd, SIGTERM, &forged, 0));
    forged.si_code = SI_QUEUE;
    VALUE("another signal in the siginfo", syscall(PIDFD_SEND, fd, SIGKILL, &forged, 0));
    VALUE("kill through it", syscall(PIDFD_SEND, fd, SIGTERM, &forged, 0));
    say("events when killed", "%x", events_of(fd, -1));
    waitpid(pid, &status, 0);
    say_status("killed through a pidfd", status);
    close(fd);
    close(mine);
    close(file);
}

// ---- to whom a signal goes

// The siginfo code with which USR1 reaches a child, sent with these flags by its own pidfd.
static void scope(const char *key, uint32_t flags)
{
    struct gate ready = gate_make();
    siginfo_t info = {0};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        sigprocmask(SIG_BLOCK, &set, NULL);
        pass(&ready);
        // By the call itself: the C library makes a SI_USER of SI_TKILL.
        long sig = syscall(SYS_rt_sigtimedwait, &set, &info, NULL, 8);
        _exit(sig == SIGUSR1 ? info.si_code & 0xff : 1);
    }
    wait_for_pass(&ready);
    int fd = syscall(PIDFD_OPEN, pid, 0);
    VALUE(key, syscall(PIDFD_SEND, fd, SIGUSR1, NULL, flags));
    if (errno)
        kill(pid, SIGKILL);
    char end[64];
    snprintf(end, sizeof end, "%s, code", key);
    say_end(end, pid);
    close(fd);
}

static void test_scope(void)
{
    struct gate ready = gate_make();
    siginfo_t queued = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    int mine = syscall(PIDFD_OPEN, getpid(), 0), status;

    scope("to whom it is", 0);
    scope("to its thread", TO_THREAD);
    scope("to its process", TO_PROCESS);
    scope("to its group", TO_GROUP);
    scope("to two of them", TO_THREAD | TO_PROCESS);
    scope("to nobody known", 8);
    VALUE("another signal in the siginfo for a group",
          syscall(PIDFD_SEND, mine, SIGUSR2, &queued, TO_GROUP));

    // A group of two, and one that leads none.
    pid_t first = fork();
    if (first == 0) {
        setpgid(0, 0);
        pass(&ready);
        for (;;)
            pause();
    }
    wait_for_pass(&ready);
    pid_t second = fork();
    if (second == 0) {
        setpgid(0, first);
        pass(&ready);
        for (;;)
            pause();
    }
    wait_for_pass(&ready);
    int leader = syscall(PIDFD_OPEN, first, 0), member = syscall(PIDFD_OPEN, second, 0);
    VALUE("to the group of one that leads none",
          syscall(PIDFD_SEND, member, SIGTERM, NULL, TO_GROUP));
    VALUE("0 to a group", syscall(PIDFD_SEND, leader, 0, NULL, TO_GROUP));
    VALUE("an odd signal to a group", syscall(PIDFD_SEND, leader, 99, NULL, TO_GROUP));
    VALUE("TERM to a group", syscall(PIDFD_SEND, leader, SIGTERM, NULL, TO_GROUP));
    waitpid(second, &status, 0);
    say_status("the one that leads none", status);
    waitpid(first, &status, 0);
    say_status("its leader", status);
    VALUE("to the thread of a reaped one", syscall(PIDFD_SEND, leader, SIGTERM, NULL, TO_THREAD));
    VALUE("to the group of nobody", syscall(PIDFD_SEND, leader, SIGTERM, NULL, TO_GROUP));
    VALUE("an odd signal to a reaped one", syscall(PIDFD_SEND, leader, 99, NULL, 0));
    close(leader);
    close(member);
    close(mine);
}

// ---- descriptors of another

static void test_getfd(void)
{
    struct gate ready = gate_make(), over = gate_make();
    int mine = syscall(PIDFD_OPEN, getpid(), 0), file = open("/dev/null", O_RDONLY), ends[2];
    char text[8] = "";
    int *const number = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    VALUE("getfd with flags", syscall(PIDFD_GETFD, mine, 0, 1));
    VALUE("getfd through a file", syscall(PIDFD_GETFD, file, 0, 0));
    VALUE("getfd through nothing", syscall(PIDFD_GETFD, 99, 0, 0));
    VALUE("getfd of nothing", syscall(PIDFD_GETFD, mine, 99, 0));
    VALUE("getfd of -1", syscall(PIDFD_GETFD, mine, -1, 0));
    OK("getfd of oneself", syscall(PIDFD_GETFD, mine, file, 0));

    pid_t pid = fork();
    if (pid == 0) {
        OK("a pipe of its own", pipe(ends));
        *number = ends[1];
        pass(&ready);
        read(ends[0], text, 5);
        say("what came through it", "%s", text);
        wait_for_pass(&over);
        _exit(0);
    }
    wait_for_pass(&ready);
    int fd = syscall(PIDFD_OPEN, pid, 0), got = syscall(PIDFD_GETFD, fd, *number, 0);
    YES("its descriptor", got > 2);
    VALUE("it is closed on exec", fcntl(got, F_GETFD));
    VALUE("written to", write(got, "hello", 5));
    CHILD("another user", setgid(1000); setuid(1000);
          VALUE("getfd of another user's", syscall(PIDFD_GETFD, fd, *number, 0)));
    pass(&over);
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    VALUE("getfd of a zombie's", syscall(PIDFD_GETFD, fd, *number, 0));
    VALUE("what was got lives on", fcntl(got, F_GETFD));
    waitpid(pid, NULL, 0);
    VALUE("getfd of a reaped one's", syscall(PIDFD_GETFD, fd, *number, 0));
    CHILD("another user, later", setgid(1000); setuid(1000);
          VALUE("getfd of another user's reaped one", syscall(PIDFD_GETFD, fd, *number, 0)));
    close(fd);
    close(got);
    close(file);
    close(mine);
}

int main(void)
{
    test_life();
    test_scope();
    test_getfd();
    return 0;
}
