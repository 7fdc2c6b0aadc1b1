// SPDX-License-Identifier: MIT
// Stop and continue: what cancels what, what a stopped process still does, and calls that a stop interrupts.
#include "abi.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/select.h>
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

// One that has ended by then is left for who waits for its end.
static void stop(pid_t pid)
{
    siginfo_t info;

    kill(pid, SIGSTOP);
    waitid(P_PID, pid, &info, WSTOPPED);
}

// A child runs the statements; it is stopped when it sleeps and continued, and then sleeps again or ends.
// Then `after` happens to it.
#define INTERRUPTED(key, after, ...)                                                               \
    do {                                                                                           \
        pid_t child_ = fork();                                                                     \
        if (child_ == 0) {                                                                         \
            __VA_ARGS__;                                                                           \
            _exit(0);                                                                              \
        }                                                                                          \
        until_state(child_, 'S');                                                                  \
        stop(child_);                                                                              \
        kill(child_, SIGCONT);                                                                     \
        after;                                                                                     \
        say_end(key " ends", child_);                                                              \
    } while (0)

static void test_calls(void)
{
    struct timespec far = {1000, 0}, near = {0, 100 * 1000000}, rest;
    struct pollfd none = {.fd = -1};
    struct timeval tv = {0, 100000};
    sigset_t usr, empty;
    int fds[2], word = 0;
    char c;

    sigemptyset(&usr);
    sigemptyset(&empty);
    sigaddset(&usr, SIGUSR2);
    if (pipe(fds) < 0)
        return;
    INTERRUPTED("nanosleep that is stopped", (void)0,
                VALUE("nanosleep goes on", nanosleep(&near, NULL)));
    INTERRUPTED("poll that is stopped", (void)0, VALUE("poll goes on", poll(&none, 1, 100)));
    INTERRUPTED("select that is stopped", (void)0,
                VALUE("select goes on", select(0, NULL, NULL, NULL, &tv)));
    INTERRUPTED("futex that is stopped", (void)0,
                VALUE("futex goes on", syscall(SYS_futex, &word, FUTEX_WAIT, 0, &near, NULL, 0)));
    INTERRUPTED("read that is stopped", c = (char)write(fds[1], "x", 1),
                VALUE("read goes on", read(fds[0], &c, 1)));
    INTERRUPTED("sigtimedwait that is stopped", (void)0, signal_mask(SIG_BLOCK, SIGUSR2);
                VALUE("sigtimedwait", sigtimedwait(&usr, NULL, &far)));
    INTERRUPTED("sigsuspend that is stopped", until_state(child_, 'S');
                kill(child_, SIGUSR1), set(SIGUSR1, SA_RESTART);
                VALUE("sigsuspend goes on", sigsuspend(&empty)));
    INTERRUPTED("nanosleep with a handler", (void)0, set(SIGCONT, SA_RESTART);
                VALUE("nanosleep and a handler of SIGCONT", nanosleep(&far, &rest));
                say("that handler of SIGCONT", "%d", calls));
    INTERRUPTED("read with a handler", (void)0, set(SIGCONT, 0);
                VALUE("read and a handler of SIGCONT", read(fds[0], &c, 1)));
    INTERRUPTED("read with a restarting handler", c = (char)write(fds[1], "x", 1),
                set(SIGCONT, SA_RESTART);
                VALUE("read and a restarting handler of SIGCONT", read(fds[0], &c, 1)));
}

static void *read_one(void *arg)
{
    char c;

    if (read(*(int *)arg, &c, 1) != 1)
        _exit(9);
    return NULL;
}

// Every thread stops, also one that waits in the kernel: it takes nothing while it is stopped.
static void test_threads(void)
{
    int fds[2], left = 0, status;
    pthread_t thread;

    if (pipe2(fds, O_NONBLOCK) < 0)
        return;
    fcntl(fds[0], F_SETFL, 0);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_create(&thread, NULL, read_one, &fds[0]);
        pthread_join(thread, NULL);
        _exit(4);
    }
    char path[40];
    int threads = 0;
    while (threads < 2) { // the reader is there, and asleep
        char text[1024];
        snprintf(path, sizeof path, "/proc/%d/status", pid);
        int fd = open(path, O_RDONLY);
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        text[n > 0 ? n : 0] = 0;
        char *line = strstr(text, "Threads:");
        threads = line ? atoi(line + 8) : 0;
        sched_yield();
    }
    usleep(20000);
    kill(pid, SIGSTOP);
    VALUE("wait for the stop of two threads", waitpid(pid, &status, WUNTRACED) == pid);
    if (write(fds[1], "x", 1) != 1)
        return;
    usleep(20000);
    syscall(SYS_ioctl, fds[0], 0x541b, &left); // FIONREAD
    say("bytes that a stopped thread leaves", "%d", left);
    kill(pid, SIGCONT);
    say_end("continued, it reads", pid);
}

static void test_cancel(void)
{
    sigset_t pending;
    int status;

    signal_mask(SIG_BLOCK, SIGTSTP);
    signal_mask(SIG_BLOCK, SIGTTIN);
    signal_mask(SIG_BLOCK, SIGCONT);
    raise(SIGTSTP);
    kill(getpid(), SIGTTIN);
    sigpending(&pending);
    say("pending stops", "%d %d", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGTTIN));
    kill(getpid(), SIGCONT);
    sigpending(&pending);
    say("after SIGCONT", "%d %d %d", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGTTIN),
        sigismember(&pending, SIGCONT));
    kill(getpid(), SIGTSTP);
    sigpending(&pending);
    say("after SIGTSTP", "%d %d", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGCONT));
    kill(getpid(), SIGCONT);
    set(SIGCONT, 0);
    signal_mask(SIG_UNBLOCK, SIGCONT);
    signal_mask(SIG_UNBLOCK, SIGTSTP);
    signal_mask(SIG_UNBLOCK, SIGTTIN);
    signal(SIGCONT, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    stop(pid);
    kill(pid, SIGUSR1);
    VALUE("a signal to a stopped one waits", waitpid(pid, &status, WNOHANG));
    VALUE("stopping it again", kill(pid, SIGSTOP));
    VALUE("tells nobody", waitpid(pid, &status, WNOHANG | WUNTRACED));
    kill(pid, SIGCONT);
    say_end("an ignored SIGCONT continues, and then the signal kills", pid);
    signal(SIGCONT, SIG_DFL);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    stop(pid);
    kill(pid, SIGKILL);
    say_end("a stopped one is killed", pid);
}

// Members of an orphaned group are not stopped from the terminal.
static void test_orphaned(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        for (const int *sig = (const int[]){SIGTSTP, SIGTTIN, SIGTTOU, 0}; *sig; sig++)
            raise(*sig);
        _exit(5);
    }
    waitpid(pid, &status, WUNTRACED);
    say_status("stops in an orphaned group", status);
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    pid = fork();
    if (pid == 0) {
        raise(SIGTSTP);
        _exit(6);
    }
    waitpid(pid, &status, WUNTRACED);
    say_status("in one that is not", status);
    kill(pid, SIGCONT);
    say_end("and it goes on", pid);
}

// A stop and a continue that come at any moment, also between the taking of the stop and its beginning: the
// child runs after each.
static void test_race(void)
{
    volatile int *turns =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            if (++*turns % 64 == 0)
                sched_yield();
    for (int i = 0; i < 2000; i++) {
        kill(pid, i % 3 ? SIGTSTP : SIGSTOP);
        for (volatile int wait = i % 50 * 8; wait > 0; wait--)
            ;
        kill(pid, SIGCONT);
        for (int seen = *turns; *turns == seen;)
            sched_yield();
    }
    say("after each of 2000 stops and continues", "it runs");
    kill(pid, SIGKILL);
    say_end("and is killed", pid);
}

// ---- each stop and each continue is told once

static void *read_for_ever(void *fd)
{
    char c;

    while (read(*(int *)fd, &c, 1) == 1)
        ;
    return NULL;
}

static void *yield_for_ever(void *unused)
{
    for (;;)
        sched_yield();
    return unused;
}

static void *do_nothing(void *unused)
{
    return unused;
}

enum { ALONE, SEVERAL, COMING_AND_GOING };

static pid_t busy_child(int kind)
{
    int fds[2];
    pthread_t thread;
    pid_t pid = pipe(fds) < 0 ? -1 : fork();

    if (pid)
        return pid;
    sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
    if (kind == SEVERAL) {
        pthread_create(&thread, NULL, read_for_ever, fds);
        pthread_create(&thread, NULL, yield_for_ever, NULL);
    }
    for (;;)
        if (kind == COMING_AND_GOING) {
            pthread_create(&thread, NULL, do_nothing, NULL);
            pthread_join(thread, NULL);
        }
}

// The next SIGCHLD is about pid, for this reason.
static int told_of(pid_t pid, int code, int status)
{
    sigset_t set;
    siginfo_t info;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return sigwaitinfo(&set, &info) == SIGCHLD && info.si_pid == pid && info.si_code == code &&
           info.si_status == status;
}

static int nothing_left(pid_t pid)
{
    sigset_t set;
    int status;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return sigtimedwait(&set, NULL, &(struct timespec){0}) < 0 && errno == EAGAIN &&
           waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED) == 0;
}

static void test_counts(void)
{
    static const char *const key[] = {"stops and continues of one thread", "of three threads",
                                      "of threads that come and go"};
    sigset_t chld, before;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, &before);
    for (int kind = ALONE; kind <= COMING_AND_GOING; kind++) {
        int good = 0, status;
        pid_t pid = busy_child(kind);
        for (int i = 0; i < 100; i++) {
            kill(pid, SIGSTOP);
            int ok = told_of(pid, CLD_STOPPED, SIGSTOP);
            ok &= waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED) == pid &&
                  WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
            ok &= nothing_left(pid);
            kill(pid, SIGCONT);
            ok &= told_of(pid, CLD_CONTINUED, SIGCONT);
            ok &= waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED) == pid &&
                  WIFCONTINUED(status);
            good += ok && nothing_left(pid);
        }
        VALUE(key[kind], good);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        told_of(pid, CLD_KILLED, SIGKILL);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

// Another stops the child for a moment, then for good: however they meet, the waiter hears of the last stop.
static void test_last_stop(void)
{
    struct gate next = gate_make();
    int heard = 0, odd = 0, status;
    pid_t pid = busy_child(SEVERAL), other = fork();

    if (other == 0)
        for (;;) {
            wait_for_pass(&next);
            kill(pid, SIGTSTP);
            kill(pid, SIGCONT);
            kill(pid, SIGSTOP);
        }
    for (int i = 0; i < 150; i++) {
        pass(&next);
        do {
            while (waitpid(pid, &status, (i & 1 ? WNOHANG : 0) | WUNTRACED | WCONTINUED) == 0)
                sched_yield();
            odd +=
                !WIFCONTINUED(status) && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTSTP;
        } while (WIFCONTINUED(status) || WSTOPSIG(status) != SIGSTOP);
        kill(pid, SIGCONT);
        heard += waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status);
    }
    VALUE("last stops heard of", heard);
    VALUE("stops by no signal", odd);
    kill(other, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(other, NULL, 0);
    waitpid(pid, NULL, 0);
}

// Who is found dead has been told of: the signal is there.
static void test_death_told(void)
{
    int told = 0;
    sigset_t chld, before;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, &before);
    for (int i = 0; i < 150; i++) {
        siginfo_t info = {0};
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        while (waitpid(pid, NULL, WNOHANG) == 0)
            if (i & 1)
                sched_yield();
        told += sigtimedwait(&chld, &info, &(struct timespec){0}) == SIGCHLD && info.si_pid == pid;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    VALUE("deaths of 150 that were told of before they were found", told);
}

int main(void)
{
    test_calls();
    test_threads();
    test_cancel();
    test_orphaned();
    test_race();
    test_counts();
    test_last_stop();
    test_death_told();
    return 0;
}
