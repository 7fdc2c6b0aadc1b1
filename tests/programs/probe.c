// SPDX-License-Identifier: MIT
// Facts that a program can tell about how it was loaded: linked in every way there is, it prints the
// same under Linux. Times and addresses are judged here, not printed.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef ALONE // linked with library.c's shared object
extern int library_value(void);
extern __thread int library_local;
#endif

static __thread int local = 41;
static int constructed;

static __attribute__((constructor)) void construct(void)
{
    constructed = 1;
}

static const char *yes(int right)
{
    return right ? "yes" : "no";
}

static long long ns(const struct timespec *ts)
{
    return ts->tv_sec * 1000000000ll + ts->tv_nsec;
}

// ---- the auxiliary vector

static void say_auxv(void)
{
    extern char __executable_start[] __attribute__((visibility("hidden"), weak));
    const char *execfn = (const char *)getauxval(AT_EXECFN);
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    const ElfW(Phdr) *phdr = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    unsigned long n = getauxval(AT_PHNUM), loads = 0, interp = 0;
    int other = 0;

    for (unsigned long i = 0; i < n; i++) {
        loads += phdr[i].p_type == PT_LOAD;
        interp += phdr[i].p_type == PT_INTERP;
    }
    for (int i = 1; i < 16; i++)
        other |= random[i] != random[0];
    printf("program headers: %s\n", yes(loads >= 1 && getauxval(AT_PHENT) == sizeof *phdr));
    printf("interpreter's base, if there is one: %s\n", yes(interp ? getauxval(AT_BASE) != 0 : 1));
    printf("entry lies behind the start: %s\n",
           yes(getauxval(AT_ENTRY) > (unsigned long)__executable_start));
    printf("file name: %s\n", strrchr(execfn, '/') + 1);
    printf("16 random bytes: %s\n", yes(other));
    printf("page size, clock ticks: %lu %lu\n", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK));
    printf("imafdc: %lx\n", getauxval(AT_HWCAP) & 0x112d);
    printf("secure: %lu\n", getauxval(AT_SECURE));
    printf("ids: %s\n", yes(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid() &&
                            getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid()));
}

// ---- the vDSO, by its own dynamic section: what a C library does

static void *vdso_symbol(const char *name)
{
    const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)base;
    const ElfW(Phdr) *phdr = (const ElfW(Phdr) *)(base + header->e_phoff);
    const ElfW(Dyn) *dyn = NULL;
    const ElfW(Sym) *sym = NULL;
    const char *names = NULL;
    const uint32_t *hash = NULL;

    for (int i = 0; i < header->e_phnum; i++)
        if (phdr[i].p_type == PT_DYNAMIC)
            dyn = (const ElfW(Dyn) *)(base + phdr[i].p_offset);
    for (; dyn && dyn->d_tag; dyn++) {
        if (dyn->d_tag == DT_SYMTAB)
            sym = (const ElfW(Sym) *)(base + dyn->d_un.d_ptr);
        if (dyn->d_tag == DT_STRTAB)
            names = base + dyn->d_un.d_ptr;
        if (dyn->d_tag == DT_HASH)
            hash = (const uint32_t *)(base + dyn->d_un.d_ptr);
    }
    for (uint32_t i = 0; hash && i < hash[1]; i++)
        if (sym[i].st_shndx && !strcmp(names + sym[i].st_name, name))
            return (void *)(base + sym[i].st_value);
    return NULL;
}

static void say_clock(const char *name, int clock)
{
    int (*get)(clockid_t, struct timespec *) = vdso_symbol("__vdso_clock_gettime");
    struct timespec a, b;
    long long last = 0;
    int right = 1;

    for (int i = 0; i < 1000; i++) { // the call's and the vDSO's answers never run backwards
        right &= get(clock, &a) == 0 && syscall(SYS_clock_gettime, clock, &b) == 0;
        right &= ns(&a) >= last && ns(&b) >= ns(&a) && a.tv_nsec < 1000000000;
        last = ns(&b);
    }
    printf("vdso %s: %s\n", name, yes(right));
}

static void say_vdso(void)
{
    int (*get)(clockid_t, struct timespec *) = vdso_symbol("__vdso_clock_gettime");
    int (*res)(clockid_t, struct timespec *) = vdso_symbol("__vdso_clock_getres");
    int (*day)(struct timeval *, void *) = vdso_symbol("__vdso_gettimeofday");
    long (*cpu)(unsigned *, unsigned *, void *) = vdso_symbol("__vdso_getcpu");
    const uint32_t *trampoline = vdso_symbol("__vdso_rt_sigreturn");
    struct timespec ts, was;
    struct timeval tv;
    cpu_set_t set;
    unsigned hart = 99, node = 99;

    if (!get || !res || !day || !cpu || !trampoline || !vdso_symbol("__vdso_flush_icache")) {
        printf("vdso: symbols are missing\n");
        return;
    }
    say_clock("monotonic", CLOCK_MONOTONIC);
    say_clock("realtime", CLOCK_REALTIME);
    say_clock("boottime", CLOCK_BOOTTIME);
    say_clock("process time", CLOCK_PROCESS_CPUTIME_ID);
    printf("vdso bad clock: %d\n", get(77, &ts));
    clock_gettime(CLOCK_REALTIME, &was);
    day(&tv, NULL);
    clock_gettime(CLOCK_REALTIME, &ts);
    printf("vdso gettimeofday: %s\n", yes(ns(&was) / 1000 <= tv.tv_sec * 1000000ll + tv.tv_usec &&
                                          tv.tv_sec * 1000000ll + tv.tv_usec <= ns(&ts) / 1000));
    printf("vdso getres: %d %s\n", res(CLOCK_MONOTONIC, &ts), yes(ns(&ts) > 0));
    sched_getaffinity(0, sizeof set, &set);
    printf("vdso getcpu: %ld %s %u\n", cpu(&hart, &node, NULL), yes(CPU_ISSET(hart, &set)), node);
    printf("vdso trampoline: %s\n", yes(trampoline[0] == 0x08b00893 && trampoline[1] == 0x73));
}

// ---- the rest

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    caught = sig;
}

static void *thread(void *arg)
{
    local++;
#ifndef ALONE
    local += library_local;
#endif
    return (char *)arg + local;
}

static void say_heap(void)
{
    unsigned long was = syscall(SYS_brk, 0), want = was + (64 << 20); // musl's sbrk only tells

    int right = (unsigned long)syscall(SYS_brk, want) == want;
    if (right)
        memset((char *)(want - (1 << 20)), 1, 1 << 20);
    printf("64 MiB of heap: %s\n", yes(right));
}

int main(int argc, char **argv)
{
    pthread_t other;
    void *result = NULL;

    if (argc > 1 && !strcmp(argv[1], "where")) { // for the test of random placing
        printf("%p %p\n", (void *)main, (void *)getauxval(AT_SYSINFO_EHDR));
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("arguments: %d %s\n", argc, argc > 1 ? argv[1] : "");
    printf("constructor: %s\n", yes(constructed));
    say_auxv();
    if (getauxval(AT_SYSINFO_EHDR))
        say_vdso();
    else
        printf("vdso: there is none\n");
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    printf("signal: %s\n", yes(caught == SIGUSR1));
    pthread_create(&other, NULL, thread, NULL);
    pthread_join(other, &result);
    printf("thread's own data: %ld, mine: %d\n", (long)result, local);
#ifndef ALONE
    printf("library: %d\n", library_value());
#endif
    say_heap();
    return 0;
}
