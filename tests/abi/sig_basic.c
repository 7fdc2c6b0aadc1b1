// SPDX-License-Identifier: MIT
// Signals between processes and to oneself: handlers, masks, pending ones, sa_flags, stop and continue.
#include "abi.h"
#include <ucontext.h>

static volatile int calls, last, depth, deepest;
static volatile sigset_t mask_inside;

static void count(int sig)
{
    calls++;
    last = sig;
}

static void nest(int sig)
{
    depth++;
    if (depth > deepest)
        deepest = depth;
    calls++;
    if (calls < 3)
        raise(sig);
    depth--;
}

static void look(int sig, siginfo_t *info, void *context)
{
    (void)context;
    sigset_t now;

    sigprocmask(SIG_SETMASK, NULL, &now);
    YES("handler gets its number", sig == info->si_signo);
    say("si_code of kill", "%s",
        info->si_code == SI_USER    ? "SI_USER"
        : info->si_code == SI_TKILL ? "SI_TKILL"
                                    : "other");
    YES("si_pid", info->si_pid == getpid());
    YES("own signal is blocked in its handler", sigismember(&now, sig));
    YES("sa_mask is blocked too", sigismember(&now, SIGUSR2));
    YES("others are not", !sigismember(&now, SIGHUP));
}

static void set(int sig, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    if (sigaction(sig, &action, NULL) < 0)
        say("harness", "sigaction %d", sig);
}

static void test_actions(void)
{
    struct sigaction old, action = {.sa_sigaction = look, .sa_flags = SA_SIGINFO};

    VALUE("sigaction of SIGKILL", sigaction(SIGKILL, &action, NULL));
    VALUE("reading SIGKILL", sigaction(SIGKILL, NULL, &old));
    VALUE("sigaction of SIGSTOP", sigaction(SIGSTOP, &action, NULL));
    VALUE("sigaction of 0", syscall(SYS_rt_sigaction, 0, NULL, NULL, 8));
    VALUE("sigaction of 65", syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
    VALUE("sigaction with an odd set size", syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
    VALUE("sigprocmask with an odd how", syscall(SYS_rt_sigprocmask, 9, &(uint64_t){0}, NULL, 8));
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR1, NULL, &old);
    YES("sigaction reads back", old.sa_sigaction == look && (old.sa_flags & SA_SIGINFO) &&
                                    sigismember(&old.sa_mask, SIGUSR2));
    VALUE("kill myself", kill(getpid(), SIGUSR1));
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    YES("mask is restored", !sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
}

static void test_flags(void)
{
    calls = 0;
    set(SIGUSR1, count, SA_RESETHAND);
    raise(SIGUSR1);
    struct sigaction old;
    sigaction(SIGUSR1, NULL, &old);
    say("resethand", "%d call, then default %s", calls, old.sa_handler == SIG_DFL ? "yes" : "no");
    calls = 0;
    set(SIGUSR1, nest, 0);
    raise(SIGUSR1);
    say("without nodefer", "%d calls, %d deep", calls, deepest);
    calls = deepest = 0;
    set(SIGUSR1, nest, SA_NODEFER);
    raise(SIGUSR1);
    say("with nodefer", "%d calls, %d deep", calls, deepest);
}

static void test_pending(void)
{
    sigset_t pending;

    calls = 0;
    set(SIGUSR1, count, 0);
    signal_mask(SIG_BLOCK, SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigpending(&pending);
    say("while blocked", "%d calls, pending %d", calls, sigismember(&pending, SIGUSR1));
    signal_mask(SIG_UNBLOCK, SIGUSR1);
    say("afterwards", "%d calls", calls);
    calls = 0;
    signal_mask(SIG_BLOCK, SIGRTMIN);
    set(SIGRTMIN, count, 0);
    raise(SIGRTMIN);
    raise(SIGRTMIN);
    signal_mask(SIG_UNBLOCK, SIGRTMIN);
    say("real-time signals queue", "%d calls", calls);
    signal_mask(SIG_BLOCK, SIGUSR1);
    raise(SIGUSR1);
    set(SIGUSR1, SIG_IGN, 0);
    sigpending(&pending);
    say("ignoring drops a pending one", "%d", sigismember(&pending, SIGUSR1));
    CHILD("a child inherits the mask and not what is pending", {
        sigset_t now;
        set(SIGUSR1, count, 0);
        sigprocmask(SIG_SETMASK, NULL, &now);
        sigpending(&pending);
        _exit(sigismember(&now, SIGUSR1) * 2 + sigismember(&pending, SIGUSR1));
    });
    signal_mask(SIG_UNBLOCK, SIGUSR1);
}

static void test_suspend(void)
{
    sigset_t empty, usr;
    siginfo_t info;
    struct timespec none = {0, 0};

    sigemptyset(&empty);
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR2);
    calls = 0;
    set(SIGUSR1, count, 0);
    signal_mask(SIG_BLOCK, SIGUSR1);
    raise(SIGUSR1);
    VALUE("sigsuspend", sigsuspend(&empty));
    say("it ran the handler", "%d", calls);
    raise(SIGUSR1);
    say("and blocks again", "%d", calls);
    signal_mask(SIG_UNBLOCK, SIGUSR1);
    signal_mask(SIG_BLOCK, SIGUSR2);
    VALUE("sigtimedwait with nothing", sigtimedwait(&usr, &info, &none));
    raise(SIGUSR2);
    YES("sigtimedwait", sigtimedwait(&usr, &info, &none) == SIGUSR2);
    say("its si_signo", "%s", signal_name(info.si_signo));
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid == 0)
        _exit(kill(self, SIGUSR2));
    YES("sigwaitinfo waits for another process", sigwaitinfo(&usr, &info) == SIGUSR2);
    YES("and says who", info.si_pid == pid);
    say_end("the sender", pid);
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    signal_mask(SIG_BLOCK, SIGCHLD);
    CHILD("child while SIGCHLD is blocked", (void)0);
    sigpending(&empty);
    say("blocked SIGCHLD is kept, though ignored by default", "%d", sigismember(&empty, SIGCHLD));
    YES("and can be waited for", sigtimedwait(&chld, &info, &none) == SIGCHLD);
    pid = fork();
    if (pid == 0)
        _exit(9);
    YES("so can one that is still to come", sigwaitinfo(&chld, &info) == SIGCHLD);
    say("its status", "%d", info.si_status);
    say_end("who has ended", pid);
    signal_mask(SIG_UNBLOCK, SIGCHLD);
    signal_mask(SIG_UNBLOCK, SIGUSR2);
}

static void test_stop(void)
{
    int status;

    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    YES("wait for a stop", waitpid(pid, &status, WUNTRACED) == pid);
    say_status("stopped", status);
    VALUE("it is reported once", waitpid(pid, &status, WUNTRACED | WNOHANG));
    kill(pid, SIGCONT);
    YES("wait for it to continue", waitpid(pid, &status, WCONTINUED) == pid);
    say_status("continued", status);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGTERM);
    VALUE("a stopped one keeps SIGTERM for later", waitpid(pid, &status, WNOHANG));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    say_status("a stopped one can be killed", status);
}

static void test_sigchld(void)
{
    calls = 0;
    set(SIGCHLD, count, 0);
    CHILD("child", (void)0);
    say("SIGCHLD", "%d", calls);
    CHILD("a child runs its handler", set(SIGUSR1, count, 0); calls = 0; raise(SIGUSR1);
          _exit(calls));
    set(SIGCHLD, SIG_IGN, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(1);
    VALUE("children of one who ignores SIGCHLD", waitpid(pid, NULL, 0));
    set(SIGCHLD, SIG_DFL, 0);
}

int main(void)
{
    test_actions();
    test_flags();
    test_pending();
    test_suspend();
    test_stop();
    test_sigchld();
    VALUE("kill with 65", kill(getpid(), 65));
    VALUE("kill with -1", kill(getpid(), -1));
    VALUE("kill nobody", kill(0x3fffffff, SIGTERM));
    VALUE("tgkill of nobody", syscall(SYS_tgkill, getpid(), 0x3fffffff, SIGTERM));
    VALUE("tgkill without a pid", syscall(SYS_tgkill, 0, getpid(), SIGTERM));
    VALUE("tkill of nobody", syscall(SYS_tkill, 0x3fffffff, 0));
    return 0;
}
