// SPDX-License-Identifier: MIT
// What a siginfo says, by its source; how many signals of a user may wait; who of several threads takes one.
#include "abi.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

static siginfo_t seen[64];
static volatile int calls;
static volatile int *volatile nowhere = (volatile int *)8;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    if (calls < (int)COUNT(seen))
        seen[calls] = *info;
    calls++;
}

static void handle(int sig, int flags)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};

    sigaction(sig, &action, NULL);
    calls = 0;
}

static const char *code_name(const siginfo_t *info)
{
    static char number[16];
    static const struct {
        int sig, code;
        const char *name;
    } names[] = {
        {0, SI_USER, "USER"},
        {0, SI_KERNEL, "KERNEL"},
        {0, SI_QUEUE, "QUEUE"},
        {0, SI_TIMER, "TIMER"},
        {0, SI_TKILL, "TKILL"},
        {SIGCHLD, CLD_EXITED, "EXITED"},
        {SIGCHLD, CLD_KILLED, "KILLED"},
        {SIGCHLD, CLD_STOPPED, "STOPPED"},
        {SIGCHLD, CLD_CONTINUED, "CONTINUED"},
        {SIGSEGV, SEGV_MAPERR, "MAPERR"},
        {SIGSEGV, SEGV_ACCERR, "ACCERR"},
        {SIGBUS, BUS_ADRERR, "ADRERR"},
        {SIGILL, ILL_ILLOPC, "ILLOPC"},
        {SIGTRAP, TRAP_BRKPT, "BRKPT"},
    };

    for (size_t i = 0; i < COUNT(names); i++)
        if (info->si_code == names[i].code && (!names[i].sig || names[i].sig == info->si_signo))
            return names[i].name;
    snprintf(number, sizeof number, "%d", info->si_code);
    return number;
}

static void say_info(const char *key)
{
    const siginfo_t *info = &seen[0];

    say(key, "%d call, %s, code %s, pid %s, uid %d, value %d", calls, signal_name(info->si_signo),
        code_name(info),
        info->si_pid == getpid() ? "mine"
        : info->si_pid           ? "other"
                                 : "0",
        info->si_uid, info->si_value.sival_int);
}

static void test_sources(void)
{
    siginfo_t forged = {.si_code = SI_USER}, odd = {.si_code = -60, .si_errno = 5};

    handle(SIGUSR1, 0);
    kill(getpid(), SIGUSR1);
    say_info("kill");
    handle(SIGUSR1, 0);
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
    say_info("tgkill");
    handle(SIGUSR1, 0);
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 42});
    say_info("sigqueue");
    handle(SIGSEGV, 0);
    sigqueue(getpid(), SIGSEGV, (union sigval){.sival_int = 43});
    say_info("sigqueue of SIGSEGV");
    handle(SIGUSR1, 0);
    odd.si_value.sival_int = 44;
    VALUE("rt_sigqueueinfo", syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &odd));
    say("its code and errno", "%d %d %d", seen[0].si_code, seen[0].si_errno,
        seen[0].si_value.sival_int);
    handle(SIGUSR1, 0);
    VALUE("rt_tgsigqueueinfo", syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &odd));
    say("its value", "%d", seen[0].si_value.sival_int);
    VALUE("as kill to oneself", syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &forged));
    VALUE("as kill to another", syscall(SYS_rt_sigqueueinfo, getppid(), 0, &forged));
    VALUE("as kill to another with an odd signal",
          syscall(SYS_rt_sigqueueinfo, getppid(), 65, &forged));
    VALUE("rt_tgsigqueueinfo without a thread",
          syscall(SYS_rt_tgsigqueueinfo, getpid(), 0, SIGUSR1, &odd));
}

static void step_over(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    note(sig, info, context);
    u->uc_mcontext.__gregs[REG_PC] += 4;
}

static void say_fault(const char *key, uintptr_t address)
{
    say(key, "%s %s, address %s, errno %d", signal_name(seen[0].si_signo), code_name(&seen[0]),
        (uintptr_t)seen[0].si_addr == address ? "right" : "wrong", seen[0].si_errno);
    calls = 0;
}

static void test_fault_info(void)
{
    struct sigaction action = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO};
    char *page = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t pc;
    int fd = open("short", O_RDWR | O_CREAT, 0600);

    for (const int *sig = (const int[]){SIGSEGV, SIGBUS, SIGILL, SIGTRAP, 0}; *sig; sig++)
        sigaction(*sig, &action, NULL);
    munmap(page + PAGE, PAGE);
    calls = 0;
    __asm__ volatile(".option push\n.option norvc\n sw zero, 8(%0)\n.option pop" ::"r"(page)
                     : "memory");
    say_fault("store to a read-only page", (uintptr_t)page + 8);
    __asm__ volatile(".option push\n.option norvc\n lw zero, 12(%0)\n.option pop" ::"r"(page + PAGE)
                     : "memory");
    say_fault("load from nowhere", (uintptr_t)page + PAGE + 12);
    __asm__ volatile(".option push\n.option norvc\n la %0, 1f\n1: ebreak\n.option pop" : "=&r"(pc));
    say_fault("ebreak", pc);
    __asm__ volatile("la %0, 1f\n1: .word 0xffffffff" : "=&r"(pc));
    say_fault("an illegal instruction", pc);
    if (ftruncate(fd, 0) == 0)
        page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    __asm__ volatile(".option push\n.option norvc\n lw zero, 16(%0)\n.option pop" ::"r"(page)
                     : "memory");
    say_fault("load beyond the end of a file", (uintptr_t)page + 16);
    CHILD("a fault that is blocked kills", signal_mask(SIG_BLOCK, SIGSEGV); *nowhere = 1);
    CHILD("a fault that is ignored kills", signal(SIGSEGV, SIG_IGN); *nowhere = 1);
    CHILD("a fault in its own handler kills", handle(SIGSEGV, 0); signal_mask(SIG_BLOCK, SIGUSR1);
          action.sa_handler = (void (*)(int))8; sigaction(SIGSEGV, &action, NULL); *nowhere = 1);
}

static void say_child(const char *key, pid_t pid)
{
    say(key, "%d call, code %s, pid %s, uid %d, status %d", calls, code_name(&seen[0]),
        seen[0].si_pid == pid ? "right" : "wrong", seen[0].si_uid, seen[0].si_status);
    calls = 0;
}

static void test_children(void)
{
    sigset_t empty;
    int status;

    sigemptyset(&empty);
    handle(SIGCHLD, 0);
    signal_mask(SIG_BLOCK, SIGCHLD);
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    sigsuspend(&empty);
    say_child("a child that exits", pid);
    waitpid(pid, &status, 0);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    sigsuspend(&empty);
    say_child("that is stopped", pid);
    VALUE("it can be waited for", waitpid(pid, &status, WUNTRACED) == pid);
    kill(pid, SIGCONT);
    sigsuspend(&empty);
    say_child("that is continued", pid);
    kill(pid, SIGTERM);
    sigsuspend(&empty);
    say_child("that is killed", pid);
    waitpid(pid, &status, 0);
    handle(SIGCHLD, SA_NOCLDSTOP);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGCONT);
    waitpid(pid, &status, WCONTINUED);
    kill(pid, SIGKILL);
    sigsuspend(&empty);
    say_child("with SA_NOCLDSTOP only the end is told", pid);
    waitpid(pid, &status, 0);
    handle(SIGCHLD, SA_NOCLDWAIT);
    pid = fork();
    if (pid == 0)
        _exit(8);
    sigsuspend(&empty);
    say_child("with SA_NOCLDWAIT as well", pid);
    VALUE("but there is nobody to wait for", waitpid(pid, &status, 0));
    signal(SIGCHLD, SIG_IGN);
    pid = fork();
    if (pid == 0)
        _exit(9);
    VALUE("one that is ignored is awaited", waitpid(pid, &status, 0));
    sigpending(&empty);
    say("blocked and ignored SIGCHLD is pending", "%d", sigismember(&empty, SIGCHLD));
    signal(SIGCHLD, SIG_DFL);
    signal_mask(SIG_UNBLOCK, SIGCHLD);
}

static void test_queue(void)
{
    char order[80];
    int n = 0;
    struct rlimit limit;

    handle(SIGRTMIN + 1, 0);
    handle(SIGRTMIN + 2, 0);
    handle(SIGUSR1, 0);
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    for (int i = 1; i <= 3; i++) {
        sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 20 + i});
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i});
        sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = i});
    }
    siginfo_t info;
    while (sigtimedwait(&all, &info, &(struct timespec){0, 0}) > 0)
        n += snprintf(order + n, sizeof order - n, " %d", info.si_value.sival_int);
    say("order of nine signals", "%s", order + 1);
    getrlimit(RLIMIT_SIGPENDING, &limit);
    limit.rlim_cur = 3;
    OK("setrlimit", setrlimit(RLIMIT_SIGPENDING, &limit));
    n = 0;
    while (n < 100 && sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = n}) == 0)
        n++;
    say("queued with a limit of 3", "%d, then %s", n, errno_name(errno));
    VALUE("sigqueue of a standard signal", sigqueue(getpid(), SIGUSR2, (union sigval){0}));
    VALUE("kill with a real-time signal", kill(getpid(), SIGRTMIN + 3));
    sigpending(&all);
    say("both are pending", "%d %d", sigismember(&all, SIGUSR2), sigismember(&all, SIGRTMIN + 3));
    n = 0;
    sigfillset(&all);
    order[0] = 0;
    while (sigtimedwait(&all, &info, &(struct timespec){0, 0}) > 0)
        n += snprintf(order + n, sizeof order - n, " %s/%d",
                      info.si_signo < 32 ? signal_name(info.si_signo) : "RT",
                      info.si_value.sival_int);
    say("what comes out", "%s", order + 1);
    VALUE("there is room again", sigqueue(getpid(), SIGRTMIN + 1, (union sigval){0}));
    sigtimedwait(&all, &info, &(struct timespec){0, 0});
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static volatile pid_t taken_by;
static struct gate thread_ready;

static void take(int sig)
{
    (void)sig;
    taken_by = gettid();
}

static void wait_for_sibling(int sig)
{
    (void)sig;
    while (!taken_by)
        sched_yield();
}

static void *sleeper(void *unused)
{
    signal_mask(SIG_BLOCK, SIGHUP);
    pass(&thread_ready);
    while (!taken_by)
        pause();
    return unused;
}

// Both signals come while the main thread cannot take any, and the second may be meant for it too; then
// the first one's handler blocks the second, and the other thread, asleep, is to take that.
static void test_retarget(void)
{
    struct sigaction second = {.sa_handler = take}, first = {.sa_handler = wait_for_sibling};
    pthread_t thread;
    pid_t self = getpid();

    thread_ready = gate_make();
    sigaddset(&first.sa_mask, SIGUSR1);
    sigaction(SIGUSR1, &second, NULL);
    pthread_create(&thread, NULL, sleeper, NULL);
    wait_for_pass(&thread_ready);
    sigaction(SIGHUP, &first, NULL);
    pid_t pid = vfork();
    if (pid == 0) {
        kill(self, SIGHUP);
        kill(self, SIGUSR1);
        _exit(0);
    }
    YES("what the chosen thread comes to block, its sibling takes", taken_by && taken_by != self);
    pthread_join(thread, NULL);
    waitpid(pid, NULL, 0);
}

int main(void)
{
    test_sources();
    test_fault_info();
    test_children();
    test_queue();
    test_retarget();
    return 0;
}
