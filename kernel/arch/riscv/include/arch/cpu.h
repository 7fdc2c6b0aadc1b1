// SPDX-License-Identifier: MIT
// The hart as the kernel sees it: identity, time, interrupts, sleeping, stopping.
//
// Kernel mode always runs with sstatus.SIE = 0. Interrupts are taken from user mode, and served by
// irq_poll() between polls and after wfi; so a trap from kernel mode is always an exception.
// tp points at the hart's thread-local block: `_Thread_local` variables are hart-local.
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
    uint32_t lock_depth;   // spinlocks held (counted in debug builds): no await, no Lua
    uint64_t id;           // mhartid
    uint64_t stack_lo, stack_hi;
    uint32_t slice_armed; // the timer of the present slice runs
    uint32_t online;      // set by the hart itself
    uint32_t ipi_pending; // bits of enum ipi, set by others
    uint32_t idle;        // 1 while it may sleep in wfi
    uint32_t stop;        // 2: it has stopped, as panic or halt asked
    uint64_t stopped_at;  // by then: where it spun; 0: in user mode, asleep, or between polls
    uint64_t polls, steals, ipis_sent, ipis_taken, switches;
    // Asleep; while it sleeps, less when that began: below 0 (executor_idle_ns).
    uint64_t idle_ticks;
    uint32_t icache_stale; // fence.i before the next sret
    uint32_t fs_on;        // sstatus.FS is not Off: the thread in user mode has its FP registers
    uint32_t lazy;         // enters user mode only after it has cleared this (arch/shootdown.h)
    uint32_t tlb_stale;    // set by others while it is lazy: flush then
    uint64_t sample_at;    // ticks when it is looked next what its thread does (async/sample.h)
    uint64_t user_samples, system_samples; // what was seen so far
};
extern _Thread_local struct hart hart_self;
extern _Thread_local uint64_t hart_started_ns; // when it came up, since boot
extern struct hart *harts[MAX_HARTS];          // by index; filled at boot, never changes afterwards
// Another hart's instance of a hart-local variable: it lies at the same distance from that hart's block.
#define HART_VAR(hart, var)                                                                        \
    ((__typeof__(&(var)))((char *)&(var) - (char *)&hart_self + (char *)(hart)))
extern uint32_t hart_count;

#define this_hart() (&hart_self)
static inline uint32_t hart_index(void)
{
    return hart_self.index;
}

#define csr_read(r)                                                                                \
    ({                                                                                             \
        uint64_t v_;                                                                               \
        __asm__ volatile("csrr %0, " #r : "=r"(v_)::"memory");                                     \
        v_;                                                                                        \
    })
#define csr_write(r, v) __asm__ volatile("csrw " #r ", %0" ::"rK"((uint64_t)(v)) : "memory")
#define csr_set(r, v)   __asm__ volatile("csrs " #r ", %0" ::"rK"((uint64_t)(v)) : "memory")
#define csr_clear(r, v) __asm__ volatile("csrc " #r ", %0" ::"rK"((uint64_t)(v)) : "memory")

// Never true in the kernel.
static inline bool cpu_interrupts_on(void)
{
    return csr_read(sstatus) & 2; // SIE
}

enum { SIP_SSIP = 1 << 1, SIP_STIP = 1 << 5, SIP_SEIP = 1 << 9 };

// Time: the `time` CSR counts ticks of the device tree's timebase-frequency.
static inline uint64_t time_ticks(void)
{
    uint64_t v;
    __asm__ volatile("rdtime %0" : "=r"(v)::"memory");
    return v;
}
extern uint64_t timebase_hz;
uint64_t ticks_to_ns(uint64_t ticks);
uint64_t ns_to_ticks(uint64_t ns); // rounds up
// Programs this hart's timer interrupt for an absolute tick count; UINT64_MAX: none.
void timer_program(uint64_t ticks);

static inline void cpu_relax(void)
{
    __asm__ volatile("nop");
}

// The same in a loop that waits for another hart; *turns counts its rounds, from 0. QEMU -icount runs harts in turn, each
// until some timer ends, and one that comes second may get no time at all: a long wait sets timers that end soon.
static inline void cpu_relax_long(uint32_t *turns)
{
    cpu_relax();
    if (unlikely(!(++*turns % 256)))
        timer_program(time_ticks() +
                      timebase_hz / 100000); // the interrupt's work sets the right one again
}

// Serves what is pending in sip: IPIs, timer, external. Kernel context, no spinlock held.
void irq_poll_slow(uint64_t pending);
static inline void irq_poll(void)
{
    uint64_t p = csr_read(sip) & csr_read(sie);
    if (unlikely(p))
        irq_poll_slow(p);
}

static inline void cpu_wait_for_interrupt(void)
{
    __asm__ volatile("wfi" ::: "memory");
}

// What a pending external interrupt calls; the interrupt controller's driver sets it.
extern void (*irq_external)(void);

enum ipi {
    IPI_WAKE = 1,      // look at the run queue and at the running task's attention word
    IPI_SHOOTDOWN = 2, // serve the shootdown request (arch/riscv/shootdown.c)
    IPI_STOP = 4,      // panic or halt: stop this hart
    IPI_FENCE_I = 8,
    IPI_PARK = 16,      // a freezer wants this hart between polls
    IPI_GIVE_BACK = 32, // give back what this hart keeps of frames and heap (lib/stock.h)
    IPI_QUEUE = 64,     // move to the run queue that was chosen (async/runqueue.h)
    IPI_PING = 128,     // a linter asks whether this hart comes by
};
void ipi_send(uint32_t hart, uint32_t what);
// Faults on purpose: true when this one gets lost. NULL: none does.
extern bool (*ipi_is_lost)(uint32_t hart, uint32_t what);
// Serves IPI_SHOOTDOWN and IPI_STOP only; safe under a spinlock. Called by everything that spins.
void ipi_serve(void);
// Room above arch registers what a bit does. handler runs with interrupts off.
void ipi_register(uint32_t what, void (*handler)(void));

// Does not return. SBI SRST; halt stops all harts.
_Noreturn void machine_poweroff(void);
_Noreturn void machine_reboot(void);
_Noreturn void machine_halt(void);

// A switch of C stacks for a fiber (monitor): saves s0-s11, ra, sp; tp is untouched.
struct cpu_context {
    uint64_t ra, sp, s[12];
};
void cpu_context_switch(struct cpu_context *save, const struct cpu_context *load);

// Reads kernel memory that may not be there. 0, or -EFAULT after an access or page fault (fixup).
long probe_read(void *dst, const void *src, uint64_t n);
