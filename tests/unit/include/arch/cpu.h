// SPDX-License-Identifier: MIT
// Host version: a hart is a thread; time stands still unless the test moves it (host.c).
#pragma once

#include "arch/types.h"

#include <stdbool.h>
#include <stdint.h>

enum { MAX_HARTS = 64 }; // width of hart masks; the number in use comes from the device tree

struct hart;
struct task;
struct trap_frame;
struct space;

// What other harts and assembly need of a hart. One per hart, in its thread-local block.
struct hart {
    struct trap_frame *tf; // trap frame of the thread in (or last in) user mode; asm offset 0
    struct task *current;  // task being polled, NULL in idle
    struct space *space;   // whose satp is loaded; NULL: kernel root
    uint32_t index;        // 0 .. hart_count-1, boot hart is 0
    uint32_t lock_depth;   // spinlocks held: no await, no Lua, no fault while > 0
    uint64_t id;           // mhartid
    uint64_t stack_lo, stack_hi;
    uint64_t started_ns;
    uint32_t slice_armed; // the timer of the present slice runs
    uint32_t online;      // set by the hart itself
    uint32_t ipi_pending; // bits of enum ipi, set by others
    uint32_t idle;        // 1 while it may sleep in wfi
    uint32_t stop;        // panic asks it to stop
    uint64_t polls, steals, ipis_sent, ipis_taken, switches;
    // Asleep; while it sleeps, less when that began: below 0 (executor_idle_ns).
    uint64_t idle_ticks;
    uint64_t poll_start;   // time CSR at the start of the running poll, 0 when none
    uint32_t icache_stale; // fence.i before the next sret
    uint32_t fs_on;        // sstatus.FS is not Off: the thread in user mode has its FP registers
    uint32_t lazy;
    uint32_t tlb_stale;
    uint64_t sample_at;
    uint64_t user_samples, system_samples;
};
// Of a fiber; none runs here.
struct cpu_context {
    uint64_t sp;
};
extern _Thread_local struct hart hart_self;
extern struct hart *harts[MAX_HARTS]; // by index; filled at boot, never changes afterwards
extern uint32_t hart_count;

#define this_hart() (&hart_self)
static inline uint32_t hart_index(void)
{
    return hart_self.index;
}

// Time: the `time` CSR counts ticks of the device tree's timebase-frequency.
uint64_t time_ticks(void);
extern uint64_t timebase_hz;
uint64_t ticks_to_ns(uint64_t ticks);
uint64_t ns_to_ticks(uint64_t ns); // rounds up
// Programs this hart's timer interrupt for an absolute tick count; UINT64_MAX: none.
void timer_program(uint64_t ticks);

static inline bool cpu_interrupts_on(void)
{
    return false;
}

static inline void cpu_relax(void)
{
}

static inline void cpu_relax_long(uint32_t *turns)
{
    (void)turns;
}

static inline void irq_poll(void)
{
}

static inline void cpu_wait_for_interrupt(void)
{
}

enum ipi {
    IPI_WAKE = 1,      // look at the run queue and at the running task's attention word
    IPI_SHOOTDOWN = 2, // serve the shootdown request (arch/riscv/shootdown.c)
    IPI_STOP = 4,      // panic or halt: stop this hart
    IPI_FENCE_I = 8,
    IPI_PARK = 16,      // a freezer wants this hart between polls
    IPI_GIVE_BACK = 32, // give back what this hart keeps of frames and heap (lib/stock.h)
    IPI_QUEUE = 64,     // move to the run queue that was chosen (async/runqueue.h)
};
void ipi_send(uint32_t hart, uint32_t what);
// Serves IPI_SHOOTDOWN and IPI_STOP only; safe under a spinlock. Called by everything that spins.
void ipi_serve(void);
// Room above arch registers what a bit does. handler runs with interrupts off.
void ipi_register(uint32_t what, void (*handler)(void));

_Noreturn void machine_poweroff(void);
