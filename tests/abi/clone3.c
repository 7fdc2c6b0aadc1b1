// SPDX-License-Identifier: MIT
// clone3: sizes of its argument, what is refused, chosen ids, stacks, signal handlers.
#include "abi.h"
#include <linux/sched.h>
#include <sys/mman.h>

enum { STACK = 64 << 10, CLONE3 = 435 };
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

static char *stack;

static long clone3(void *args, size_t size)
{
    return syscall(CLONE3, args, size);
}

static struct clone_args args_of(unsigned long flags)
{
    return (struct clone_args){.flags = flags, .exit_signal = SIGCHLD};
}

static void say_clone3(const char *key, struct clone_args *args, size_t size)
{
    errno = 0;
    long pid = clone3(args, size);
    if (pid == 0)
        _exit(30);
    if (pid < 0)
        say(key, "%s", errno_name(errno));
    else
        say_end(key, pid);
}

static void test_clone3_sizes(void)
{
    struct {
        struct clone_args args;
        uint64_t more[600];
    } big = {.args = args_of(0)};

    say_clone3("clone3, 0 bytes", &big.args, 0);
    say_clone3("clone3, 63 bytes", &big.args, 63);
    say_clone3("clone3, 64 bytes", &big.args, 64);
    say_clone3("clone3, 80 bytes", &big.args, 80);
    say_clone3("clone3, 88 bytes", &big.args, 88);
    say_clone3("clone3, 4096 bytes", &big.args, 4096);
    say_clone3("clone3, 4097 bytes", &big.args, 4097);
    big.more[3] = 1;
    say_clone3("clone3, unknown field", &big.args, 200);
    say_clone3("clone3, unknown field beyond", &big.args, 96);
    VALUE("clone3 from nowhere", clone3(NULL, 88));
}

static void test_clone3_rules(void)
{
    static const struct {
        const char *key;
        struct clone_args args;
    } bad[] = {
        {"clone3, exit signal 65", {.exit_signal = 65}},
        {"clone3, exit signal 64", {.exit_signal = 64, .stack = 1}},
        {"clone3, exit signal 256", {.exit_signal = 256}},
        {"clone3, signal in flags", {.flags = SIGCHLD, .exit_signal = SIGCHLD}},
        {"clone3, DETACHED", {.flags = CLONE_DETACHED, .exit_signal = SIGCHLD}},
        {"clone3, unknown flag", {.flags = 1ul << 40, .exit_signal = SIGCHLD}},
        {"clone3, THREAD with exit signal", {.flags = THREAD_FLAGS, .exit_signal = SIGCHLD}},
        {"clone3, PARENT with exit signal", {.flags = CLONE_PARENT, .exit_signal = SIGCHLD}},
        {"clone3, stack without size", {.exit_signal = SIGCHLD, .stack = 4096}},
        {"clone3, size without stack", {.exit_signal = SIGCHLD, .stack_size = 4096}},
        {"clone3, stack nowhere", {.exit_signal = SIGCHLD, .stack = -4096ul, .stack_size = 4096}},
        {"clone3, SIGHAND with CLEAR_SIGHAND",
         {.flags = CLONE_VM | CLONE_SIGHAND | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD}},
        {"clone3, set_tid without size", {.exit_signal = SIGCHLD, .set_tid = 4096}},
        {"clone3, size without set_tid", {.exit_signal = SIGCHLD, .set_tid_size = 1}},
        {"clone3, set_tid too deep", {.exit_signal = SIGCHLD, .set_tid = 8, .set_tid_size = 33}},
        {"clone3, set_tid nowhere", {.exit_signal = SIGCHLD, .set_tid = 8, .set_tid_size = 1}},
        {"clone3, into no cgroup",
         {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = 77}},
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct clone_args args = bad[i].args;
        say_clone3(bad[i].key, &args, sizeof args);
    }
    VALUE("still no child", waitpid(-1, NULL, __WALL));
}

static void test_set_tid(void)
{
    int32_t tid[2] = {29876, 29877};
    struct clone_args args = args_of(0);

    args.set_tid = (uintptr_t)tid;
    args.set_tid_size = 1;
    long pid = clone3(&args, sizeof args);
    if (pid == 0)
        _exit(getpid() == 29876 ? 0 : 1);
    VALUE("set_tid", pid);
    say_end("chosen pid", pid);
    tid[0] = 1;
    VALUE("set_tid that is taken", clone3(&args, sizeof args));
    tid[0] = 0;
    VALUE("set_tid 0", clone3(&args, sizeof args));
    tid[0] = -5;
    VALUE("set_tid negative", clone3(&args, sizeof args));
    tid[0] = 29876;
    args.set_tid_size = 2;
    VALUE("set_tid in two namespaces", clone3(&args, sizeof args));
    args.set_tid_size = 1;
    CHILD("set_tid by nobody", {
        if (setuid(1000) == 0)
            VALUE("set_tid without right", clone3(&args, sizeof args));
    });
}

// A clone3 with a stack of its own: the child runs fn(arg) there.
static long clone3_run(struct clone_args *args, int (*fn)(void *), void *arg)
{
    register long a0 __asm__("a0") = (long)args;
    register long a1 __asm__("a1") = sizeof *args;
    register long a7 __asm__("a7") = CLONE3;
    register void *s2 __asm__("s2") = fn;
    register void *s3 __asm__("s3") = arg;

    __asm__ volatile("ecall\n bnez a0, 1f\n mv a0, s3\n jalr s2\n li a7, 93\n ecall\n 1:"
                     : "+r"(a0), "+r"(a1), "+r"(a7)
                     : "r"(s2), "r"(s3)
                     : "ra", "memory");
    return a0;
}

static int sp_is_inside(void *base)
{
    char here;
    return (uintptr_t)&here - (uintptr_t)base < STACK ? 0 : 1;
}

static void on_signal(int sig)
{
    (void)sig;
}

static int is_default(void *unused)
{
    struct sigaction a, b;

    (void)unused;
    sigaction(SIGUSR1, NULL, &a);
    sigaction(SIGUSR2, NULL, &b);
    return (a.sa_handler == SIG_DFL ? 0 : 1) + (b.sa_handler == SIG_IGN ? 0 : 2);
}

static void test_clone3_run(void)
{
    struct clone_args args = args_of(CLONE_VM | CLONE_VFORK);

    args.stack = (uintptr_t)stack;
    args.stack_size = STACK;
    say_end("clone3 with a stack", clone3_run(&args, sp_is_inside, stack));
    args.flags |= CLONE_CLEAR_SIGHAND;
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, SIG_IGN);
    say_end("CLEAR_SIGHAND", clone3_run(&args, is_default, NULL));
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

int main(void)
{
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    test_clone3_sizes();
    test_clone3_rules();
    test_set_tid();
    test_clone3_run();
    return 0;
}
