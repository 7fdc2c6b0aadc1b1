// SPDX-License-Identifier: MIT
// What the ABI tests share: a test prints lines `key: value` and nothing else, each key once.
//
// A value is what the same binary prints under Linux, so it holds errno names, counts and answers to
// yes-or-no questions, never an address, a process number or a time. Lines go out by one write each, so
// that a fork copies no unwritten ones.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED       __attribute__((unused))
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PAGE         4096UL

__attribute__((format(printf, 2, 3))) static UNUSED void say(const char *key, const char *format,
                                                             ...)
{
    char line[512];
    va_list args;

    int n = snprintf(line, sizeof line, "%s: ", key);
    va_start(args, format);
    n += vsnprintf(line + n, sizeof line - n, format, args);
    va_end(args);
    if (n > (int)sizeof line - 1)
        n = sizeof line - 1;
    line[n++] = '\n';
    if (write(1, line, n) != n)
        _exit(125);
}

static UNUSED const char *errno_name(int error)
{
    const char *name = strerrorname_np(error);
    return name ? name : "unknown errno";
}

static UNUSED const char *signal_name(int sig)
{
    const char *name = sigabbrev_np(sig);
    return name ? name : "unknown signal";
}

static UNUSED void say_value(const char *key, long result)
{
    if (result == -1)
        say(key, "%s", errno_name(errno));
    else
        say(key, "%ld", result);
}

static UNUSED void say_ok(const char *key, long result)
{
    say(key, "%s", result == -1 ? errno_name(errno) : "ok");
}

// VALUE prints what a call returned, OK only that it succeeded; both the errno if it did not.
#define VALUE(key, call)                                                                           \
    do {                                                                                           \
        errno = 0;                                                                                 \
        say_value(key, (long)(call));                                                              \
    } while (0)
#define OK(key, call)                                                                              \
    do {                                                                                           \
        errno = 0;                                                                                 \
        say_ok(key, (long)(call));                                                                 \
    } while (0)
#define YES(key, condition) say(key, "%s", (condition) ? "yes" : "no")

static UNUSED void say_status(const char *key, int status)
{
    if (WIFEXITED(status))
        say(key, "exit %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        say(key, "killed by %s", signal_name(WTERMSIG(status)));
    else if (WIFSTOPPED(status))
        say(key, "stopped by %s", signal_name(WSTOPSIG(status)));
    else if (WIFCONTINUED(status))
        say(key, "continued");
    else
        say(key, "status 0x%x", status);
}

static UNUSED void say_end(const char *key, pid_t pid)
{
    int status = 0;
    pid_t ended;

    while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    if (pid < 0 || ended != pid)
        say(key, "no child: %s", errno_name(errno));
    else
        say_status(key, status);
}

// how: SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK.
static inline void signal_mask(int how, int sig)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(how, &set, NULL);
}

// Runs the statements in a child, which ends with 0 unless they end it otherwise, and says how it ended.
#define CHILD(key, ...)                                                                            \
    do {                                                                                           \
        pid_t child_ = fork();                                                                     \
        if (child_ == 0) {                                                                         \
            __VA_ARGS__;                                                                           \
            _exit(0);                                                                              \
        }                                                                                          \
        say_end(key, child_);                                                                      \
    } while (0)

// The count that a read of an eventfd or a timerfd gets; 0: nothing, errno says why.
static UNUSED uint64_t get_count(int fd)
{
    uint64_t n = 0;
    return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

static UNUSED void say_count(const char *key, int fd)
{
    uint64_t n = get_count(fd);

    if (n)
        say(key, "%lu", n);
    else
        say(key, "%s", errno_name(errno));
}

// The letter /proc has for the state of a process or a thread: R, S, T, ...; '?': it is gone.
static UNUSED char state_of(pid_t pid)
{
    char path[40], text[256];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    char *end = strrchr(text, ')');
    return end ? end[2] : '?';
}

// Until it is in this state, or dead or gone. S: it waits in a call.
static UNUSED void until_state(pid_t pid, char state)
{
    for (char now; (now = state_of(pid)) != state && now != 'Z' && now != '?';)
        sched_yield();
}

// A way for one process to wait for another: pass() lets one wait_for_pass() go on.
struct gate {
    int fds[2];
};

static UNUSED struct gate gate_make(void)
{
    struct gate g;

    if (pipe2(g.fds, O_CLOEXEC) < 0)
        _exit(124);
    return g;
}

static UNUSED void pass(struct gate *g)
{
    if (write(g->fds[1], "x", 1) != 1)
        _exit(123);
}

static UNUSED void wait_for_pass(struct gate *g)
{
    char c;

    while (read(g->fds[0], &c, 1) < 0 && errno == EINTR)
        ;
}
