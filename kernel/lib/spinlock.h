// SPDX-License-Identifier: MIT
// Spinlocks that know their holder.
//
// Kernel mode runs with interrupts off, so a spinlock excludes this hart's interrupt work too and
// needs no flags word. While spinning, a waiter serves shootdown and stop requests, so a holder
// that waits for an acknowledgement cannot deadlock with it. After 10 s of spinning: panic with
// the holder's pc and hart. No await, no Lua call and no user access while one is held.
#pragma once

#include "arch/atomic.h"
#include "arch/cpu.h"

#include <stddef.h>

struct spinlock {
    uint32_t taken;
    uint32_t contended;  // acquisitions that had to spin
    struct hart *holder; // NULL while free
    const void *pc;      // where the holder took it
    const char *name;    // for the monitor; NULL: unnamed
};

#define SPINLOCK_INIT(name_)                                                                       \
    {                                                                                              \
        .name = (name_)                                                                            \
    }

static inline void spin_init(struct spinlock *l, const char *name)
{
    *l = (struct spinlock)SPINLOCK_INIT(name);
}

void spin_lock_contended(struct spinlock *l);

// Through a stub that keeps all registers, so that taking a lock does not make a leaf function save
// its own.
static inline __attribute__((always_inline)) void spin_contended_(struct spinlock *l)
{
#ifdef __riscv
    register struct spinlock *a0 __asm__("a0") = l;
    __asm__ volatile("jal t0, spin_contended_stub" ::"r"(a0) : "t0", "memory");
#else
    spin_lock_contended(l);
#endif
}

// Locks held by this hart, for the assertions of debug builds: nothing awaits, nothing enters Lua.
static inline void spin_count_(uint32_t by)
{
#ifdef DEBUG
    hart_self.lock_depth += by;
#else
    (void)by;
#endif
}

#define spin_here_()                                                                               \
    ({                                                                                             \
        void *pc_;                                                                                 \
        SPIN_PC_(pc_);                                                                             \
        pc_;                                                                                       \
    })
#ifdef __riscv
#define SPIN_PC_(v) __asm__("auipc %0, 0" : "=r"(v))
#else
#define SPIN_PC_(v) ((v) = __builtin_return_address(0))
#endif

static inline __attribute__((always_inline)) void spin_lock(struct spinlock *l)
{
    if (unlikely(!atomic_try_acquire32(&l->taken)))
        spin_contended_(l);
    store_relaxed(&l->holder, this_hart());
    store_relaxed(&l->pc, spin_here_());
    spin_count_(1);
}

static inline bool spin_trylock(struct spinlock *l)
{
    if (!atomic_try_acquire32(&l->taken))
        return false;
    store_relaxed(&l->holder, this_hart());
    store_relaxed(&l->pc, spin_here_());
    spin_count_(1);
    return true;
}

static inline void spin_unlock(struct spinlock *l)
{
    spin_count_(-1u);
    store_relaxed(&l->holder, NULL);
    atomic_release32(&l->taken, 0);
}

static inline bool spin_held(const struct spinlock *l)
{
    return load_relaxed(&l->taken) && load_relaxed(&l->holder) == this_hart();
}
