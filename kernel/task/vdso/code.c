// SPDX-License-Identifier: MIT
// The vDSO's code: runs in user mode, in every program (vdso(7), "riscv functions").
//
// Clocks are read from the time CSR and the data page behind the text, by the same arithmetic as the
// kernel's, so that the two never run backwards against each other. What needs the kernel calls it.
// The image's entry point is __vdso_rt_sigreturn: that is how the kernel finds it.
#include "data.h"

#include <stddef.h>

extern const volatile struct vdso_data vdso_data __attribute__((visibility("hidden")));

enum { SYS_CLOCK_GETRES = 114, SYS_CLOCK_GETTIME = 113, SYS_GETCPU = 168, SYS_FLUSH_ICACHE = 259 };
enum {
    REALTIME = 1 << 0 | 1 << 5,                    // with CLOCK_REALTIME_COARSE
    MONOTONIC = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7, // RAW, COARSE, BOOTTIME
};

struct timespec {
    int64_t sec, nsec;
};
struct timeval {
    int64_t sec, usec;
};

static long call(long nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
    register long n __asm__("a7") = nr;
    register uint64_t x0 __asm__("a0") = a0, x1 __asm__("a1") = a1, x2 __asm__("a2") = a2;
    __asm__ volatile("ecall" : "+r"(x0) : "r"(n), "r"(x1), "r"(x2) : "memory");
    return (long)x0;
}

static uint64_t monotonic_ns(void)
{
    uint64_t ticks, hz = vdso_data.timebase_hz;
    __asm__ volatile("rdtime %0" : "=r"(ticks)::"memory");
    return ticks / hz * 1000000000 + ticks % hz * 1000000000 / hz;
}

long __vdso_clock_gettime(int32_t clock, struct timespec *ts)
{
    if ((uint32_t)clock > 7 || !((REALTIME | MONOTONIC) >> clock & 1))
        return call(SYS_CLOCK_GETTIME, (uint64_t)clock, (uint64_t)ts, 0);
    uint64_t ns = monotonic_ns();
    if (REALTIME >> clock & 1)
        ns += vdso_data.realtime_offset;
    ts->sec = (int64_t)(ns / 1000000000);
    ts->nsec = (int64_t)(ns % 1000000000);
    return 0;
}

long __vdso_gettimeofday(struct timeval *tv, uint64_t *tz)
{
    uint64_t ns = monotonic_ns() + vdso_data.realtime_offset;
    if (tv) {
        tv->sec = (int64_t)(ns / 1000000000);
        tv->usec = (int64_t)(ns % 1000000000 / 1000);
    }
    if (tz)
        *tz = 0;
    return 0;
}

long __vdso_clock_getres(int32_t clock, struct timespec *ts)
{
    return call(SYS_CLOCK_GETRES, (uint64_t)clock, (uint64_t)ts, 0);
}

long __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused)
{
    (void)unused;
    return call(SYS_GETCPU, (uint64_t)cpu, (uint64_t)node, 0);
}

long __vdso_flush_icache(void *start, void *end, uint64_t flags)
{
    return call(SYS_FLUSH_ICACHE, (uint64_t)start, (uint64_t)end, flags);
}

// Debuggers and unwinders know a signal frame by these two instructions, uncompressed.
__asm__(".section .text.sigreturn, \"ax\"\n"
        ".option push\n.option norvc\n"
        ".globl __vdso_rt_sigreturn\n.type __vdso_rt_sigreturn, @function\n"
        "nop\n" // unwinders look up the return address less one
        "__vdso_rt_sigreturn: li a7, 139\necall\n"
        ".size __vdso_rt_sigreturn, . - __vdso_rt_sigreturn\n"
        ".option pop\n");
