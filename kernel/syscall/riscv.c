// SPDX-License-Identifier: MIT
// The calls that only RISC-V has: what a hart can do, and code that was made at run time.
#include "arch/shootdown.h"
#include "lib/dt.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/thread.h"

#define US thread_current()->space

enum {
    HWPROBE_MVENDORID,
    HWPROBE_MARCHID,
    HWPROBE_MIMPID,
    HWPROBE_BASE_BEHAVIOR,
    HWPROBE_IMA_EXT_0,
    HWPROBE_CPUPERF_0,
    HWPROBE_PAIRS = 16
};

struct hwprobe_pair {
    int64_t key;
    uint64_t value;
};

static void hwprobe_fill(struct hwprobe_pair *p)
{
    p->value = 0;
    if (p->key == HWPROBE_BASE_BEHAVIOR)
        p->value = 1; // IMA
    else if (p->key == HWPROBE_IMA_EXT_0)
        p->value = (dt_isa_has("d") ? 1 : 0) | (dt_isa_has("c") ? 2 : 0);
    else if (p->key < 0 || p->key > HWPROBE_CPUPERF_0)
        p->key = -1; // unknown to this kernel
}

long sys_riscv_hwprobe(va_t pairs, uint64_t count, uint64_t cpu_size, va_t cpus, uint32_t flags)
{
    (void)cpu_size;
    (void)cpus;
    struct hwprobe_pair p[HWPROBE_PAIRS] = {0};
    if (flags || count > HWPROBE_PAIRS)
        return -EINVAL;
    long e = user_copy_in(US, p, pairs, count * sizeof *p);
    if (e)
        return e;
    for (uint64_t i = 0; i < count; i++)
        hwprobe_fill(&p[i]);
    return user_copy_out(US, pairs, p, count * sizeof *p);
}
SYSCALL(258, riscv_hwprobe, 5);

long sys_riscv_flush_icache(va_t lo, va_t hi, uint64_t flags)
{
    (void)lo;
    (void)hi;
    if (flags & ~1ul)
        return -EINVAL;
    icache_flush_local();
    for (uint32_t i = 0; i < hart_count; i++) // those that run this space later
        if (i != hart_self.index && harts[i])
            store_relaxed(&harts[i]->icache_stale, 1);
    fence_full();
    if (!(flags & 1))
        icache_shootdown(load_relaxed(&US->harts) & ~(1ul << hart_self.index));
    return 0;
}
SYSCALL(259, riscv_flush_icache, 3);
