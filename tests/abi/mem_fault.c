// SPDX-License-Identifier: MIT
// What a forbidden access brings: the signal, its si_code and si_addr, and death without a handler.
#include "abi.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf after_fault;
static volatile siginfo_t seen;
static volatile uintptr_t seen_pc;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    seen.si_signo = info->si_signo;
    seen.si_code = info->si_code;
    seen.si_addr = info->si_addr;
    seen_pc = ((ucontext_t *)context)->uc_mcontext.__gregs[REG_PC];
    siglongjmp(after_fault, 1);
}

static const char *code_name(int sig, int code)
{
    if (sig == SIGSEGV)
        return code == SEGV_MAPERR ? "MAPERR" : code == SEGV_ACCERR ? "ACCERR" : "other";
    if (sig == SIGBUS)
        return code == BUS_ADRALN ? "ADRALN" : code == BUS_ADRERR ? "ADRERR" : "other";
    if (sig == SIGILL)
        return code == ILL_ILLOPC ? "ILLOPC" : "other";
    if (sig == SIGTRAP)
        return code == TRAP_BRKPT ? "BRKPT" : "other";
    return "other";
}

// Runs the statement; says which fault it had and whether si_addr is `at`.
#define FAULT(key, at, ...)                                                                        \
    do {                                                                                           \
        if (sigsetjmp(after_fault, 1) == 0) {                                                      \
            __VA_ARGS__;                                                                           \
            say(key, "nothing");                                                                   \
        } else {                                                                                   \
            say(key, "SIG%s %s, si_addr %s", signal_name(seen.si_signo),                           \
                code_name(seen.si_signo, seen.si_code),                                            \
                (uintptr_t)seen.si_addr == (uintptr_t)(at) ? "right" : "wrong");                   \
        }                                                                                          \
    } while (0)

static void *map_page(int prot)
{
    return mmap(NULL, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

extern char illegal_at[], break_at[], csr_at[];

static void test_data(void)
{
    volatile uint8_t *volatile p = map_page(PROT_NONE);
    volatile uint8_t *volatile ro = map_page(PROT_READ);
    volatile uint8_t *volatile gone = map_page(PROT_READ);
    volatile uint8_t *volatile low = (uint8_t *)0x10;
    volatile uint8_t *volatile kernel = (uint8_t *)0xffffffc080200000UL;
    volatile uint8_t *volatile top = (uint8_t *)0x4000000000UL;
    volatile uint8_t *volatile wild = (uint8_t *)0x1234567890abcdefUL;

    munmap((void *)gone, PAGE);
    FAULT("read near null", low, (void)*low);
    FAULT("write near null", low, *low = 1);
    FAULT("read without permission", p, (void)*p);
    FAULT("write to read-only", ro + 5, ro[5] = 1);
    FAULT("read unmapped", gone, (void)*gone);
    FAULT("write to text", test_data, *(volatile uint8_t *)test_data = 1);
    FAULT("read kernel", kernel, (void)*kernel);
    FAULT("write kernel", kernel, *kernel = 1);
    FAULT("read above user space", top, (void)*top);
    FAULT("read a wild address", wild, (void)*wild);
    FAULT("atomic on read-only", ro, __atomic_fetch_add((uint32_t *)ro, 1, __ATOMIC_SEQ_CST));
}

static void test_unaligned(void)
{
    uint8_t *p = map_page(PROT_READ | PROT_WRITE);
    uint64_t value = 0;

    p[3] = 0x11;
    p[10] = 0x22;
    __asm__ volatile("ld %0, 3(%1)" : "=r"(value) : "r"(p) : "memory");
    say("unaligned load", "%#lx", value);
    __asm__ volatile("sd %0, 11(%1)" : : "r"(value), "r"(p) : "memory");
    say("unaligned store", "%#x %#x", p[11], p[18]);
    __asm__ volatile("sd %0, 0(%1)\n ld %0, 0(%1)" : "+r"(value) : "r"(p + 21) : "memory");
    say("unaligned both", "%#lx", value);
    // Linux says the place of the instruction, not of the word
    FAULT("unaligned atomic", seen_pc,
          __asm__ volatile("amoadd.w zero, zero, (%0)"
                           :
                           : "r"(p + 5)
                           : "memory"));
    FAULT("unaligned reservation", seen_pc,
          __asm__ volatile("lr.w zero, (%0)"
                           :
                           : "r"(p + 6)
                           : "memory"));
}

__attribute__((noinline)) static void illegal(void)
{
    __asm__ volatile(".globl illegal_at\nillegal_at: .word 0xffffffff");
}

__attribute__((noinline)) static void read_sstatus(void)
{
    __asm__ volatile(".globl csr_at\ncsr_at: csrr t0, sstatus" ::: "t0");
}

__attribute__((noinline)) static void breakpoint(void)
{
    __asm__ volatile(".option push\n.option norvc\n.globl break_at\nbreak_at: ebreak\n.option pop");
}

static void test_instructions(void)
{
    uint32_t *page = map_page(PROT_READ | PROT_WRITE);
    void (*volatile jump_low)(void) = (void (*)(void))0x10;
    void (*volatile jump_kernel)(void) = (void (*)(void))0xffffffc080200000UL;
    void (*volatile jump_data)(void) = (void (*)(void))page;

    page[0] = 0x00008067; // ret
    FAULT("illegal instruction", illegal_at, illegal());
    FAULT("supervisor register", csr_at, read_sstatus());
    FAULT("breakpoint", break_at, breakpoint());
    FAULT("jump near null", 0x10, jump_low());
    YES("pc is there", seen_pc == 0x10);
    FAULT("jump into the kernel", 0xffffffc080200000UL, jump_kernel());
    FAULT("jump into data", page, jump_data());
    mprotect(page, PAGE, PROT_READ | PROT_EXEC);
    __builtin___clear_cache((char *)page, (char *)page + PAGE);
    FAULT("jump into code made at run time", 0, jump_data());
    volatile long zero = 0, five = 5;
    say("division by zero", "%ld, remainder %ld", five / zero, five % zero);
}

static void test_death(void)
{
    volatile int *volatile null = (int *)0x10;

    signal(SIGSEGV, SIG_DFL);
    signal(SIGILL, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
    CHILD("death by SIGSEGV", *null = 1);
    CHILD("death by SIGILL", illegal());
    CHILD("death by SIGTRAP", breakpoint());
    CHILD("ignored SIGSEGV kills all the same", signal(SIGSEGV, SIG_IGN); *null = 1);
    CHILD("blocked SIGSEGV kills all the same", {
        sigset_t set;
        sigfillset(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
        *null = 1;
    });
    CHILD("kill with SIGSEGV can be ignored", signal(SIGSEGV, SIG_IGN); raise(SIGSEGV));
}

static void test_file_end(void)
{
    int fd = open("short", O_RDWR | O_CREAT, 0600);
    OK("short file", ftruncate(fd, 100));
    volatile uint8_t *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

    say("within the file", "%d", p[50]);
    say("rest of its last page", "%d", p[PAGE - 1]);
    FAULT("page behind the end of the file", p + PAGE, (void)p[PAGE]);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    test_data();
    test_unaligned();
    test_instructions();
    test_file_end();
    test_death();
    return 0;
}
