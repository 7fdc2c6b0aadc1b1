// SPDX-License-Identifier: MIT
// pidfds of threads: made by number and by clone, what they say at the end of the thread, signals through them, descriptors got
// through them, and what becomes of them when a thread runs a program.
#include "abi.h"
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>

enum { PIDFD_SEND = 424, PIDFD_OPEN = 434, CLONE3 = 435, PIDFD_GETFD = 438, STACK = 64 << 10 };
enum { PIDFD_THREAD = O_EXCL, TO_THREAD = 1, TO_PROCESS = 2, TO_GROUP = 4 };
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

static char self[4096];

static int events_of(int fd, int timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, timeout) < 0 ? -1 : p.revents;
}

static int open_thread(pid_t tid)
{
    return syscall(PIDFD_OPEN, tid, PIDFD_THREAD);
}

// ---- a thread that waits until it is let go

struct waiting {
    pthread_t thread;
    pid_t tid;
    struct gate ready, go;
    int code; // of the siginfo with which USR1 came to it; 0: it did not wait for that
};

static void *wait_until_let_go(void *arg)
{
    struct waiting *w = arg;

    w->tid = gettid();
    pass(&w->ready);
    wait_for_pass(&w->go);
    return NULL;
}

static void *wait_for_usr1(void *arg)
{
    struct waiting *w = arg;
    siginfo_t info = {0};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    w->tid = gettid();
    pass(&w->ready);
    wait_for_pass(&w->go);
    // By the call itself: the C library makes a SI_USER of SI_TKILL.
    struct timespec none = {0};
    w->code = syscall(SYS_rt_sigtimedwait, &set, &info, &none, 8) == SIGUSR1 ? info.si_code : 99;
    return NULL;
}

static void begin(struct waiting *w, void *(*fn)(void *))
{
    *w = (struct waiting){.ready = gate_make(), .go = gate_make()};
    pthread_create(&w->thread, NULL, fn, w);
    wait_for_pass(&w->ready);
}

static void end(struct waiting *w)
{
    pass(&w->go);
    pthread_join(w->thread, NULL);
}

static void say_fdinfo(const char *key, int fd, pid_t tid)
{
    char path[40], line[80];
    int pid = 0;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "Pid: %d", &pid);
    fclose(file);
    say(key, "%s", pid == tid ? "its number" : pid == -1 ? "-1" : "another");
}

static void test_by_number(void)
{
    struct waiting w;
    siginfo_t info;

    begin(&w, wait_until_let_go);
    VALUE("a thread by its number", syscall(PIDFD_OPEN, w.tid, 0));
    VALUE("with another flag", syscall(PIDFD_OPEN, w.tid, PIDFD_THREAD | 1));
    VALUE("nobody", open_thread(29871));
    int fd = open_thread(w.tid);
    YES("a thread as a thread", fd > 2);
    VALUE("closed on exec", fcntl(fd, F_GETFD));
    say("flags", "%x", fcntl(fd, F_GETFL) & 07777);
    int other = syscall(PIDFD_OPEN, w.tid, PIDFD_THREAD | O_NONBLOCK);
    say("flags of one that does not block", "%x", fcntl(other, F_GETFL) & 07777);
    say_fdinfo("fdinfo while it lives", fd, w.tid);
    say("events while it lives", "%x", events_of(fd, 0));
    VALUE("waitid of a thread", waitid(P_PIDFD, fd, &info, WEXITED));
    VALUE("waitid of a thread, not blocking", waitid(P_PIDFD, other, &info, WEXITED));
    VALUE("signal 0", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    VALUE("signal 0 to its process", syscall(PIDFD_SEND, fd, 0, NULL, TO_PROCESS));
    VALUE("signal 0 to its group", syscall(PIDFD_SEND, fd, 0, NULL, TO_GROUP));
    VALUE("odd signal", syscall(PIDFD_SEND, fd, 99, NULL, 0));
    int got = syscall(PIDFD_GETFD, fd, 1, 0);
    YES("getfd through it", got > 2);
    VALUE("getfd of nothing", syscall(PIDFD_GETFD, fd, 999, 0));
    end(&w);
    say("events when it has ended", "%x", events_of(fd, -1));
    say_fdinfo("fdinfo when it has ended", fd, w.tid);
    VALUE("signal 0 when it has ended", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    VALUE("signal 0 to its process then", syscall(PIDFD_SEND, fd, 0, NULL, TO_PROCESS));
    VALUE("getfd when it has ended", syscall(PIDFD_GETFD, fd, 1, 0));
    VALUE("waitid when it has ended", waitid(P_PIDFD, fd, &info, WEXITED));
    VALUE("by its number when it has ended", open_thread(w.tid));
    close(fd);
    close(other);
    close(got);
}

// USR1 is blocked everywhere: who it was sent to has it pending.
static void scope(const char *key, uint32_t flags)
{
    struct waiting w;
    sigset_t set;
    char more[80];

    begin(&w, wait_for_usr1);
    int fd = open_thread(w.tid);
    VALUE(key, syscall(PIDFD_SEND, fd, SIGUSR1, NULL, flags));
    sigpending(&set);
    snprintf(more, sizeof more, "%s, another thread has it", key);
    YES(more, sigismember(&set, SIGUSR1));
    end(&w);
    snprintf(more, sizeof more, "%s, code", key);
    say(more, "%d", w.code);
    close(fd);
}

static void test_signals(void)
{
    siginfo_t forged = {.si_signo = SIGUSR1, .si_code = SI_TKILL};
    struct waiting w;

    signal_mask(SIG_BLOCK, SIGUSR1);
    scope("a thread's", 0);
    scope("a thread's, to the thread", TO_THREAD);
    scope("a thread's, to the process", TO_PROCESS);
    begin(&w, wait_for_usr1);
    int fd = open_thread(w.tid), first = open_thread(getpid());
    VALUE("forged to another thread", syscall(PIDFD_SEND, fd, SIGUSR1, &forged, 0));
    VALUE("forged to oneself", syscall(PIDFD_SEND, first, SIGUSR1, &forged, 0));
    end(&w);
    say("it came to the other", "%d", w.code);
    sigset_t set;
    sigpending(&set);
    YES("it came to oneself", sigismember(&set, SIGUSR1));
    close(fd);
    close(first);
}

// ---- by clone

static int wait_raw(void *arg)
{
    char c;

    syscall(SYS_read, ((struct gate *)arg)->fds[0], &c, 1);
    return 0;
}

static void test_by_clone(void)
{
    struct gate go = gate_make();
    char *stack = malloc(STACK);
    int fd = -1;

    int tid = clone(wait_raw, stack + STACK, THREAD_FLAGS | CLONE_PIDFD, &go, &fd);
    YES("clone, a thread with a pidfd", tid > 0 && fd > 2);
    say("clone, flags", "%x", fcntl(fd, F_GETFL) & 07777);
    say_fdinfo("clone, fdinfo", fd, tid);
    say("clone, events while it lives", "%x", events_of(fd, 0));
    VALUE("clone, signal 0", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    pass(&go);
    say("clone, events at its end", "%x", events_of(fd, -1));
    VALUE("clone, signal 0 when it has ended", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    close(fd);
    free(stack);

    struct clone_args args = {.flags = THREAD_FLAGS | CLONE_PIDFD, .pidfd = 8};
    VALUE("clone3, a pidfd to nowhere", syscall(CLONE3, &args, sizeof args));
    args.flags |= CLONE_DETACHED;
    VALUE("clone3, and DETACHED", syscall(CLONE3, &args, sizeof args));
}

// ---- of a first thread

static void *outlive(void *arg)
{
    struct gate *go = arg;

    wait_for_pass(go);
    _exit(7);
}

static void test_first(void)
{
    struct gate started = gate_make(), leave = gate_make(), go = gate_make();

    pid_t pid = fork();
    if (pid == 0) {
        pthread_t other;
        pthread_create(&other, NULL, outlive, &go);
        pass(&started);
        wait_for_pass(&leave);
        pthread_exit(NULL);
    }
    wait_for_pass(&started);
    int all = syscall(PIDFD_OPEN, pid, 0), first = open_thread(pid);
    say("first, events", "%x %x", events_of(first, 0), events_of(all, 0));
    pass(&leave);
    until_state(pid, 'Z');
    say("first, events when it has ended", "%x", events_of(first, 0));
    say("first, its process's then", "%x", events_of(all, 0));
    VALUE("first, signal 0 then", syscall(PIDFD_SEND, first, 0, NULL, 0));
    YES("first, opened then", open_thread(pid) > 2);
    pass(&go);
    say("first, events at the end", "%x %x", events_of(first, -1), events_of(all, -1));
    siginfo_t info = {0};
    VALUE("first, waitid", waitid(P_PIDFD, first, &info, WEXITED));
    say("first, status", "%d", info.si_status);
    say("first, events when it is reaped", "%x %x", events_of(first, 0), events_of(all, 0));
    close(all);
    close(first);
}

// ---- a thread that runs a program takes the number of the first one

struct running {
    struct gate told, go;
    pid_t tid;
};

static void *run_program(void *arg)
{
    struct running *r = arg;
    char *argv[] = {self, "wait", NULL};

    r->tid = gettid();
    write(r->told.fds[1], &r->tid, sizeof r->tid);
    wait_for_pass(&r->go);
    execv(self, argv);
    return NULL;
}

static void test_exec(void)
{
    struct running r = {gate_make(), gate_make(), 0};
    int hold[2];

    if (pipe(hold))
        return;
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t other;
        dup2(hold[0], 0);
        close(hold[1]);
        pthread_create(&other, NULL, run_program, &r);
        for (;;)
            pause();
    }
    close(hold[0]);
    read(r.told.fds[0], &r.tid, sizeof r.tid);
    int thread = open_thread(r.tid), all = syscall(PIDFD_OPEN, pid, 0);
    say("exec, events before", "%x %x", events_of(thread, 0), events_of(all, 0));
    pass(&r.go);
    say("exec, events of who ran it", "%x", events_of(thread, -1));
    say("exec, of its process", "%x", events_of(all, 0));
    VALUE("exec, signal 0 to who ran it", syscall(PIDFD_SEND, thread, 0, NULL, 0));
    VALUE("exec, signal 0 to its process", syscall(PIDFD_SEND, all, 0, NULL, 0));
    close(hold[1]);
    say_end("exec, its end", pid);
    close(thread);
    close(all);
}

int main(int argc, char **argv)
{
    char c;

    (void)argv;
    if (argc > 1)
        return read(0, &c, 1) == 0 ? 9 : 1;
    readlink("/proc/self/exe", self, sizeof self - 1);
    test_by_number();
    test_signals();
    test_by_clone();
    test_first();
    test_exec();
    return 0;
}
