// SPDX-License-Identifier: MIT
// What a handler finds and what it leaves: registers, floating point, the alternate stack, and what it
// changes in its frame.
#include "abi.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static volatile int calls;

static double spoil(double x)
{
    double sum = 0;

    for (int i = 0; i < 40; i++)
        sum += x / (i + 1.5);
    __asm__ volatile(
        "fmv.d.x fs0, zero\n fmv.d.x fs5, zero\n fmv.d.x ft3, zero\n fmv.d.x fa2, zero\n"
        "fscsr zero" ::
            : "fs0", "fs5", "ft3", "fa2");
    return sum;
}

static void on_signal(int sig)
{
    calls++;
    if (spoil(sig) < 0)
        calls = 0;
}

// Sends itself a signal with every kind of register loaded, without a call in between.
static void test_registers(void)
{
    uint64_t f[6], x[6], fcsr;
    pid_t pid = getpid();

    signal(SIGUSR1, on_signal);
    __asm__ volatile("li t0, 0x1111\n fmv.d.x ft3, t0\n li t0, 0x2222\n fmv.d.x fs0, t0\n"
                     "li t0, 0x3333\n fmv.d.x fs5, t0\n li t0, 0x4444\n fmv.d.x fa2, t0\n"
                     "li t0, 0x61\n fscsr t0\n"
                     "li s2, 0x5551\n li s11, 0x5552\n li t3, 0x5553\n li t6, 0x5554\n"
                     "li a5, 0x5555\n li a6, 0x5556\n"
                     "mv a0, %[pid]\n li a1, 10\n li a7, 129\n ecall\n"
                     "fmv.x.d t0, ft3\n sd t0, 0(%[f])\n fmv.x.d t0, fs0\n sd t0, 8(%[f])\n"
                     "fmv.x.d t0, fs5\n sd t0, 16(%[f])\n fmv.x.d t0, fa2\n sd t0, 24(%[f])\n"
                     "frcsr %[fcsr]\n"
                     "sd s2, 0(%[x])\n sd s11, 8(%[x])\n sd t3, 16(%[x])\n sd t6, 24(%[x])\n"
                     "sd a5, 32(%[x])\n sd a6, 40(%[x])\n fscsr zero\n"
                     : [fcsr] "=&r"(fcsr)
                     : [pid] "r"(pid), [f] "r"(f), [x] "r"(x)
                     : "memory", "a0", "a1", "a5", "a6", "a7", "t0", "t3", "t6", "s2", "s11", "ft3",
                       "fs0", "fs5", "fa2");
    say("handler", "%d", calls);
    say("float registers", "%lx %lx %lx %lx", f[0], f[1], f[2], f[3]);
    say("fcsr", "%#lx", fcsr);
    say("integer registers", "%lx %lx %lx %lx %lx %lx", x[0], x[1], x[2], x[3], x[4], x[5]);
}

// Two processes that keep different values in floating point registers while they take turns.
static void test_switches(void)
{
    int there[2], back[2];
    uint64_t mine = 0x4000000000000000, got;
    char c;

    if (pipe(there) < 0 || pipe(back) < 0)
        return;
    pid_t pid = fork();
    int child = pid == 0, in = child ? there[0] : back[0], out = child ? back[1] : there[1];
    if (child)
        mine = 0x4100000000000000;
    int wrong = 0;
    for (int i = 0; i < 200; i++) {
        if (!child && write(out, "x", 1) != 1)
            break;
        register long a0 __asm__("a0") = in;
        register long a1 __asm__("a1") = (long)&c;
        register long a2 __asm__("a2") = 1;
        register long a7 __asm__("a7") = SYS_read;
        __asm__ volatile("fmv.d.x fs3, %[mine]\n ecall\n fmv.x.d %[got], fs3\n"
                         : "+r"(a0), [got] "=&r"(got)
                         : "r"(a1), "r"(a2), "r"(a7), [mine] "r"(mine + i)
                         : "memory", "fs3");
        wrong += got != mine + i || a0 != 1;
        if (child && write(out, "x", 1) != 1)
            break;
    }
    if (child)
        _exit(wrong);
    say("wrong floating point values after 200 turns", "%d", wrong);
    say_end("and in the child", pid);
}

static stack_t alternate;
static volatile int on_alternate;

static void on_stack(int sig)
{
    char here;
    stack_t now, refused = {.ss_flags = SS_DISABLE};

    (void)sig;
    on_alternate =
        &here >= (char *)alternate.ss_sp && &here < (char *)alternate.ss_sp + alternate.ss_size;
    sigaltstack(NULL, &now);
    say("flags inside", "%s", now.ss_flags & SS_ONSTACK ? "ONSTACK" : "0");
    VALUE("changing it while on it", sigaltstack(&refused, NULL));
}

static void on_no_stack(int sig, siginfo_t *info, void *context)
{
    const stack_t *seen = &((ucontext_t *)context)->uc_stack;

    (void)sig, (void)info;
    say("the frame's stack, where there is none", "%d %zu", seen->ss_flags, seen->ss_size);
}

static sigjmp_buf out;

static void on_overflow(int sig)
{
    (void)sig;
    siglongjmp(out, 1);
}

static volatile int bottom = -1;

static int overflow(int n)
{
    volatile char room[4096];

    room[0] = (char)n;
    return n == bottom ? 0 : overflow(n + 1) + room[0];
}

static void test_alternate_stack(void)
{
    stack_t now, tiny = {.ss_sp = on_stack, .ss_size = 100};
    struct sigaction action = {.sa_handler = on_stack, .sa_flags = SA_ONSTACK};

    VALUE("too small a stack", sigaltstack(&tiny, NULL));
    struct sigaction none = {.sa_sigaction = on_no_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGUSR1, &none, NULL);
    raise(SIGUSR1);
    alternate.ss_size = 64 << 10;
    alternate.ss_sp = malloc(alternate.ss_size);
    VALUE("sigaltstack", sigaltstack(&alternate, NULL));
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    YES("handler on the alternate stack", on_alternate);
    action.sa_flags = 0;
    sigaction(SIGUSR1, &action, NULL);
    sigaltstack(NULL, &now);
    say("flags outside", "%d", now.ss_flags);
    action.sa_handler = on_overflow;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGSEGV, &action, NULL);
    if (sigsetjmp(out, 1) == 0)
        overflow(0);
    else
        say("overflow of the stack", "caught");
    now.ss_flags = SS_DISABLE;
    VALUE("disable", sigaltstack(&now, NULL));
    CHILD("overflow without a place for the frame", overflow(0));
}

static stack_t inside;
static int set_inside;

static void on_disarmed(int sig)
{
    stack_t other = {.ss_sp = alternate.ss_sp, .ss_size = alternate.ss_size / 2};

    (void)sig;
    sigaltstack(NULL, &inside);
    set_inside = sigaltstack(&other, NULL);
}

// A stack that disarms itself is none while it is used, and comes back with the return.
static void test_autodisarm(void)
{
    const int autodisarm = (int)(1u << 31);
    struct sigaction action = {.sa_handler = on_disarmed, .sa_flags = SA_ONSTACK}, old;
    stack_t now, stack = {alternate.ss_sp, autodisarm, alternate.ss_size};

    VALUE("a stack that disarms itself", sigaltstack(&stack, NULL));
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    say("inside there is none", "%#x %zu", (unsigned)inside.ss_flags, inside.ss_size);
    say("and another can be set", "%d", set_inside);
    sigaltstack(NULL, &now);
    say("outside it is back", "%#x %zu", (unsigned)now.ss_flags, now.ss_size);
    now.ss_flags = SS_DISABLE | SS_ONSTACK;
    VALUE("odd flags", sigaltstack(&now, NULL));
    now.ss_flags = SS_DISABLE;
    VALUE("and off", sigaltstack(&now, NULL));
    action.sa_flags = (int)0x400 | SA_NODEFER;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR1, NULL, &old);
    say("sa_flags read back without what is not supported", "%#x", (unsigned)old.sa_flags);
}

static void skip(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    (void)sig;
    (void)info;
    u->uc_mcontext.__gregs[REG_PC] += 4;
    u->uc_mcontext.__gregs[REG_A0] = 77;
    sigaddset(&u->uc_sigmask, SIGHUP);
}

static void test_change_frame(void)
{
    struct sigaction action = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO};
    register long a0 __asm__("a0") = 1;
    sigset_t now;

    sigaction(SIGILL, &action, NULL);
    __asm__ volatile(".word 0xffffffff" : "+r"(a0)::"memory");
    say("after the skipped instruction a0 is", "%ld", a0);
    sigprocmask(SIG_SETMASK, NULL, &now);
    YES("the mask of the frame holds", sigismember(&now, SIGHUP));
}

static void spoil_frame(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    (void)sig;
    (void)info;
    ((uint32_t *)&u->uc_mcontext.__fpregs)[130] =
        0x1234; // the magic word after the q registers' place
}

int main(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};

    test_registers();
    test_switches();
    test_alternate_stack();
    test_change_frame();
    test_autodisarm();
    CHILD("a frame with an unknown extension", signal(SIGSEGV, SIG_DFL);
          action.sa_sigaction = spoil_frame; sigaction(SIGUSR1, &action, NULL); raise(SIGUSR1));
    CHILD("sigreturn without a frame", signal(SIGSEGV, SIG_DFL);
          __asm__ volatile("li sp, 0x1000\n li a7, 139\n ecall\n" ::
                               : "memory"));
    return 0;
}
