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

static void stop(pid_t pid)
{
    int status;

    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
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

int main(void)
{
    test_calls();
    test_threads();
    test_cancel();
    test_orphaned();
    test_race();
    return 0;
}
