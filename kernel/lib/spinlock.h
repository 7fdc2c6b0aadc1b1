// SPDX-License-Identifier: MIT
// Spinlocks that know their holder.
//
// Kernel mode runs with interrupts off, so a spinlock excludes this hart's interrupt work too and
// needs no flags word. While spinning, a waiter serves shootdown and stop requests, so a holder
// that waits for an acknowledgement cannot deadlock with it. After 10 s of spinning: panic with
// the holder's pc and hart. No await, no Lua call and no user access while one is held. Debug builds
// check the order in which locks are taken (lib/lock_order.h).
#pragma once

#include "arch/atomic.h"
#include "arch/cpu.h"
#include "lib/lock_order.h"

#include <stddef.h>

struct spinlock {
    uint32_t taken;
    uint32_t contended;  // acquisitions that had to spin
    struct hart *holder; // NULL while free
    const void *pc;      // where the holder took it
    const char *name;    // for the monitor; NULL: unnamed
#ifdef LOCK_ORDER
    const char *file; // where it is declared or initialised
    uint32_t line;
    uint32_t class; // found by these at the first taking
#endif
};

#ifdef LOCK_ORDER
#define SPIN_PLACE_ .file = __FILE__, .line = __LINE__,
#else
#define SPIN_PLACE_
#endif
#define SPINLOCK_INIT(name_)                                                                       \
    {                                                                                              \
        SPIN_PLACE_.name = (name_)                                                                 \
    }
#define spin_init(l, name_) ((void)(*(l) = (struct spinlock)SPINLOCK_INIT(name_)))

void spin_lock_contended(struct spinlock *l, const void *pc); // pc: of who takes it

// Through a stub that keeps all registers, so that taking a lock does not make a leaf function save
// its own.
static inline __attribute__((always_inline)) void spin_contended_(struct spinlock *l)
{
#ifdef __riscv
    register struct spinlock *a0 __asm__("a0") = l;
    // Not `call t0, ...`: that goes through t1 when the stub is more than 1 MiB away.
    __asm__ volatile("1: auipc t0, %%pcrel_hi(spin_contended_stub)\n\t"
                     "jalr t0, %%pcrel_lo(1b)(t0)" ::"r"(a0)
                     : "t0", "memory");
#else
    spin_lock_contended(l, __builtin_return_address(0));
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

static inline __attribute__((always_inline)) void spin_lock_(struct spinlock *l, enum lock_how how)
{
    lock_order_take(l, how, spin_here_());
    if (unlikely(!atomic_try_acquire32(&l->taken)))
        spin_contended_(l);
    store_relaxed(&l->holder, this_hart());
    store_relaxed(&l->pc, spin_here_());
    spin_count_(1);
}

static inline __attribute__((always_inline)) void spin_lock(struct spinlock *l)
{
    spin_lock_(l, LOCK_ORDERED);
}

// A second lock of a class (lib/lock_order.h), by a caller who knows that nobody takes these two in
// the other order.
static inline __attribute__((always_inline)) void spin_lock_nested(struct spinlock *l)
{
    spin_lock_(l, LOCK_NESTED);
}

static inline bool spin_trylock(struct spinlock *l)
{
    if (!atomic_try_acquire32(&l->taken))
        return false;
    lock_order_take(l, LOCK_TRY, spin_here_());
    store_relaxed(&l->holder, this_hart());
    store_relaxed(&l->pc, spin_here_());
    spin_count_(1);
    return true;
}

static inline void spin_unlock(struct spinlock *l)
{
    lock_order_drop(l);
    spin_count_(-1u);
    store_relaxed(&l->holder, NULL);
    atomic_release32(&l->taken, 0);
}

static inline bool spin_held(const struct spinlock *l)
{
    return load_relaxed(&l->taken) && load_relaxed(&l->holder) == this_hart();
}
