// SPDX-License-Identifier: MIT
// clone with its flags, and vfork: what is shared, what is refused, who is told. clone3 is in clone3.c.
#include "abi.h"
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { STACK = 64 << 10 };
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

static char *stack;

static int nothing(void *code)
{
    return (int)(long)code;
}

static pid_t start(int (*fn)(void *), void *arg, int flags)
{
    return clone(fn, stack + STACK, flags, arg);
}

// ---- what is refused

static void test_refused(void)
{
    static const struct {
        const char *key;
        unsigned long flags;
    } bad[] = {
        {"SIGHAND without VM", CLONE_SIGHAND},
        {"THREAD without SIGHAND", CLONE_THREAD | CLONE_VM},
        {"FS with NEWNS", CLONE_FS | CLONE_NEWNS},
        {"PIDFD with DETACHED", CLONE_PIDFD | CLONE_DETACHED},
        {"PIDFD with PARENT_SETTID", CLONE_PIDFD | CLONE_PARENT_SETTID},
        {"THREAD with NEWPID", THREAD_FLAGS | CLONE_NEWPID},
        {"FS with NEWUSER", CLONE_FS | CLONE_NEWUSER},
        {"SYSVSEM with NEWIPC", CLONE_SYSVSEM | CLONE_NEWIPC},
    };
    static int word;

    for (size_t i = 0; i < COUNT(bad); i++)
        VALUE(bad[i].key, syscall(SYS_clone, bad[i].flags | SIGCHLD, 0, &word, 0, &word));
    VALUE("PIDFD to nowhere", syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, 8, 0, 0));
    VALUE("no child came of it", waitpid(-1, NULL, __WALL));
    static const unsigned long fine[] = {CLONE_PTRACE, CLONE_DETACHED, CLONE_UNTRACED, CLONE_IO,
                                         CLONE_SYSVSEM};
    for (size_t i = 0; i < COUNT(fine); i++) {
        char key[32];
        pid_t pid = syscall(SYS_clone, fine[i] | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0)
            _exit(20 + i);
        snprintf(key, sizeof key, "fine with flag %zu", i);
        say_end(key, pid);
    }
}

// ---- what is shared

static int change_all(void *fd)
{
    chdir("/");
    umask(0);
    close((int)(long)fd);
    return open("/dev/null", O_RDONLY) == (int)(long)fd ? 3 : 4;
}

static void test_shared(int flags, const char *name)
{
    char key[64], here[256];
    int fd = dup(1);

    umask(022);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    chdir("/tmp");
    snprintf(key, sizeof key, "child with %s", name);
    say_end(key, start(change_all, (void *)(long)fd, flags | SIGCHLD));
    snprintf(key, sizeof key, "directory and mask after %s", name);
    say(key, "%s %o", getcwd(here, sizeof here), umask(022));
    snprintf(key, sizeof key, "descriptor flags after %s", name);
    VALUE(key, fcntl(fd, F_GETFD));
    close(fd);
}

static void on_signal(int sig)
{
    (void)sig;
}

static int set_handler(void *unused)
{
    (void)unused;
    signal(SIGUSR2, on_signal);
    return 0;
}

static void test_handlers(void)
{
    struct sigaction now;

    signal(SIGUSR2, SIG_DFL);
    say_end("handler set by a copy", start(set_handler, NULL, CLONE_VM | SIGCHLD));
    sigaction(SIGUSR2, NULL, &now);
    YES("is the copy's alone", now.sa_handler == SIG_DFL);
    say_end("handler set with SIGHAND",
            start(set_handler, NULL, CLONE_VM | CLONE_SIGHAND | SIGCHLD));
    sigaction(SIGUSR2, NULL, &now);
    YES("is everybody's", now.sa_handler == on_signal);
    signal(SIGUSR2, SIG_DFL);
}

static volatile int shared_word;

static int set_word(void *unused)
{
    (void)unused;
    shared_word = 1;
    return 0;
}

static int check_tls(void *tls)
{
    void *tp;

    __asm__ volatile("mv %0, tp" : "=r"(tp));
    return tp == tls ? 0 : 1;
}

static void test_memory(void)
{
    static char tls[64];
    static volatile int ptid, ctid;

    shared_word = 0;
    say_end("copy of memory", start(set_word, NULL, SIGCHLD));
    say("word after a copy", "%d", shared_word);
    say_end("shared memory", start(set_word, NULL, CLONE_VM | SIGCHLD));
    say("word after sharing", "%d", shared_word);
    pid_t pid = clone(check_tls, stack + STACK, CLONE_VM | CLONE_SETTLS | SIGCHLD, tls, NULL, tls);
    say_end("SETTLS", pid);

    pid =
        syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &ptid, 0, &ctid);
    if (pid == 0)
        _exit(ctid == getpid() ? 0 : 1);
    YES("PARENT_SETTID", ptid == pid);
    YES("CHILD_SETTID is in the child's copy only", ctid == 0);
    say_end("CHILD_SETTID", pid);
    pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, 8, 0, 8);
    if (pid == 0)
        _exit(9);
    say_end("tids to nowhere are lost", pid);
}

// ---- exit signals

static volatile sig_atomic_t told, told_code, told_pid;

static void on_told(int sig, siginfo_t *info, void *context)
{
    (void)context;
    told = sig;
    told_code = info->si_code;
    told_pid = info->si_pid;
}

static void test_exit_signal(void)
{
    struct sigaction action = {.sa_sigaction = on_told, .sa_flags = SA_SIGINFO}, old;
    sigset_t usr1, before;
    int status = 0;

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigaction(SIGUSR1, &action, &old);
    pid_t pid = start(nothing, (void *)5, SIGUSR1);
    while (!told)
        sched_yield();
    say("exit signal", "%s, code %d", signal_name(told), told_code);
    YES("from the child", told_pid == pid);
    VALUE("wait does not see it", waitpid(pid, &status, 0));
    VALUE("nor without pid", waitpid(-1, &status, WNOHANG));
    YES("__WCLONE sees it", waitpid(pid, &status, __WCLONE) == pid);
    say_status("its status", status);
    pid = start(nothing, (void *)6, 0);
    YES("__WALL sees one without exit signal", waitpid(pid, &status, __WALL) == pid);
    pid = start(nothing, (void *)7, SIGCHLD);
    VALUE("__WCLONE does not see an ordinary one", waitpid(pid, &status, __WCLONE));
    YES("__WALL sees an ordinary one", waitpid(pid, &status, __WALL) == pid);
    pid = start(nothing, (void *)8, 200);
    YES("an exit signal that is none", waitpid(pid, &status, __WALL) == pid);
    say_status("status of that", status);
    sigaction(SIGUSR1, &old, NULL);
    sigprocmask(SIG_UNBLOCK, &usr1, &before);
}

static void test_parent(void)
{
    int status = 0, pids[2] = {0, 0};
    struct gate g = gate_make();

    pid_t pid = fork();
    if (pid == 0) {
        pids[0] = syscall(SYS_clone, CLONE_PARENT | SIGUSR1, 0, 0, 0, 0);
        if (pids[0] == 0)
            _exit(11);
        pids[1] = waitpid(pids[0], NULL, __WALL) < 0 ? errno : 0;
        if (write(g.fds[1], pids, sizeof pids) != sizeof pids)
            _exit(1);
        _exit(12);
    }
    if (read(g.fds[0], pids, sizeof pids) != sizeof pids)
        say("harness", "no pids");
    say("the cloner's own wait", "%s", errno_name(pids[1]));
    YES("a sibling is the parent's child", waitpid(pids[0], &status, 0) == pids[0]);
    say_status("with its cloner's exit signal", status);
    say_end("its cloner", pid);
}

// ---- vfork

static int late(void *word)
{
    for (int i = 0; i < 200; i++)
        sched_yield();
    *(volatile int *)word = 1;
    return 0;
}

static int raw_late(void *word)
{
    late(word);
    syscall(SYS_exit, 0);
    return 0;
}

static volatile sig_atomic_t handled;

static void on_alarm(int sig)
{
    (void)sig;
    handled = 1;
}

static void test_vfork(void)
{
    volatile int word = 0;
    int status;

    pid_t pid = start(late, (void *)&word, CLONE_VM | CLONE_VFORK | SIGCHLD);
    say("after a vforked child", "%d", word);
    say_end("vforked", pid);
    volatile int *shared =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid = start(late, (void *)shared, CLONE_VFORK | SIGCHLD);
    YES("VFORK without VM waits, too", *shared == 1);
    waitpid(pid, &status, 0);
    word = 0;
    int tid = start(raw_late, (void *)&word, THREAD_FLAGS | CLONE_VFORK | CLONE_SYSVSEM);
    YES("a vforked thread", tid > 0);
    say("has ended", "%d", word);

    signal(SIGUSR1, on_alarm);
    pid_t me = getpid();
    pid = vfork();
    if (pid == 0) {
        kill(me, SIGUSR1);
        for (int i = 0; i < 100; i++)
            sched_yield();
        _exit(handled ? 1 : 0);
    }
    YES("then its signal is handled", handled);
    say_end("no signal while it waits", pid);
    signal(SIGUSR1, SIG_DFL);
}

// ---- the end of a parent that waits in vfork

static volatile int counted;

static int wait_for_ever(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return 0;
}

static int compute(void *unused)
{
    (void)unused;
    for (;;)
        counted++;
    return 0;
}

static void beside_waiting(void)
{
    start(wait_for_ever, NULL, THREAD_FLAGS | CLONE_SYSVSEM);
}

static void beside_computing(void)
{
    start(compute, NULL, THREAD_FLAGS | CLONE_SYSVSEM);
    while (!counted)
        sched_yield();
}

static void with_handler(void)
{
    signal(SIGUSR1, on_alarm);
}

// Sends the signals in turn, SIGKILL last: who was not killed by one of the others before its vforked child has ended is by that.
static void test_killed(const char *key, void (*prepare)(void), int sig, int next)
{
    struct gate up = gate_make(), down = gate_make();

    pid_t pid = fork();
    if (pid == 0) {
        if (prepare)
            prepare();
        if (vfork() == 0) {
            pass(&up);
            wait_for_pass(&down);
            _exit(0);
        }
        _exit(1);
    }
    wait_for_pass(&up);
    kill(pid, sig);
    kill(pid, next);
    kill(pid, SIGKILL);
    say_end(key, pid);
    pass(&down);
}

static void test_vfork_killed(void)
{
    test_killed("a vforking parent can be killed", NULL, SIGKILL, SIGTERM);
    test_killed("terminated", NULL, SIGTERM, SIGINT);
    test_killed("ended by a real-time signal", NULL, 40, SIGTERM);
    test_killed("interrupted with a thread that waits", beside_waiting, SIGINT, SIGTERM);
    test_killed("terminated with one that computes", beside_computing, SIGTERM, SIGINT);
    test_killed("what dumps core comes later", NULL, SIGQUIT, SIGABRT);
    test_killed("and what comes after a signal with a handler", with_handler, SIGUSR1, SIGTERM);
    test_killed("or after a stop", NULL, SIGSTOP, SIGTERM);
}

// ---- exit signals and exec

enum { PASS_FD = 9 };

// The program that its parent has become.
static int become(const char *key)
{
    int status = 0;
    char line[64];
    siginfo_t info = {0};
    sigset_t both;

    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGCHLD);
    if (write(PASS_FD, "x", 1) != 1)
        return 1;
    sigwaitinfo(&both, &info);
    say(key, "%s, code %d", signal_name(info.si_signo), info.si_code);
    snprintf(line, sizeof line, "wait, %s", key);
    VALUE(line, waitpid(info.si_pid, &status, WNOHANG));
    snprintf(line, sizeof line, "status, %s", key);
    if (waitpid(info.si_pid, &status, __WCLONE) == info.si_pid)
        say_status(line, status);
    return 0;
}

static void test_exec(char *key, int exit_signal)
{
    char self[4096] = "";
    char *const argv[] = {self, key, NULL};
    struct gate g = gate_make();

    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        say("harness", "no /proc/self/exe");
    pid_t pid = fork();
    if (pid == 0) {
        signal_mask(SIG_BLOCK, SIGUSR1);
        signal_mask(SIG_BLOCK, SIGCHLD);
        if (syscall(SYS_clone, exit_signal, 0, 0, 0, 0) == 0) {
            wait_for_pass(&g);
            _exit(13);
        }
        dup2(g.fds[1], PASS_FD);
        execv(self, argv);
        _exit(98);
    }
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return become(argv[1]);
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    test_refused();
    test_shared(CLONE_VM, "VM");
    test_shared(CLONE_VM | CLONE_FS, "VM FS");
    test_shared(CLONE_VM | CLONE_FILES, "VM FILES");
    test_handlers();
    test_memory();
    test_exit_signal();
    test_parent();
    test_vfork();
    test_vfork_killed();
    test_exec("USR1 of a parent that ran exec", SIGUSR1);
    test_exec("none of a parent that ran exec", 0);
    return 0;
}
