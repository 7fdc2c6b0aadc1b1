// SPDX-License-Identifier: MIT
// Making other harts forget translations (architecture.md, invariant 11).
//
// Join: set the hart's bit in the space's mask, full fence, write satp, sfence. Change: write the
// entry, full fence, read the mask, shoot down those harts; only then free frames and tables. No
// entry needs a flush when it was invalid before: one spurious fault is accepted instead.
#pragma once

#include "arch/atomic.h"
#include "arch/cpu.h"
#include "arch/types.h"
#include "lib/translations.h"

#include <stdbool.h>

static inline void tlb_flush_page(va_t va)
{
    __asm__ volatile("sfence.vma %0, zero" ::"r"(va) : "memory");
    translations_forget(1ul << hart_index(), va, PAGE_SIZE);
}

static inline void tlb_flush_all(void)
{
    __asm__ volatile("sfence.vma zero, zero" ::: "memory");
    translations_forget(1ul << hart_index(), 0, 0);
}

// Loads satp and drops what the old one left behind (no ASIDs).
static inline void satp_load(uint64_t satp)
{
    translations_load(satp);
    __asm__ volatile("csrw satp, %0\n   sfence.vma zero, zero" ::"r"(satp) : "memory");
}

static inline void icache_flush_local(void)
{
    __asm__ volatile("fence.i" ::: "memory");
}

// Drops [va, va+len) from the TLBs of the harts in the mask, this one included if its bit is set.
// len 0 or UINT64_MAX: everything. Waits for all of them; serves incoming requests meanwhile, so it
// may be called under a spinlock. By IPI, or by SBI RFENCE.
void shootdown_harts(uint64_t harts, va_t va, uint64_t len);

// A hart that has been idle and has run nothing but kernel tasks since is not interrupted: the kernel
// uses no translation of a user address. It flushes before it runs a thread again.
static inline void shootdown_leave_lazy(void)
{
    store_relaxed(&hart_self.lazy, 0);
    fence_full();
    if (load_relaxed(&hart_self.tlb_stale)) {
        store_relaxed(&hart_self.tlb_stale, 0);
        fence_full();
        tlb_flush_all();
    }
}

// Executes fence.i on this hart now, and on the others in the mask before their next user
// instruction. For harts that do not run the space now, set hart.icache_stale instead.
void icache_shootdown(uint64_t harts);

struct shootdown_stats {
    uint64_t local, remote, pages, all; // calls that stayed here, that left; pages or everything
};
extern struct shootdown_stats shootdown_stats; // approximate: not atomic
