// SPDX-License-Identifier: MIT
// The trap frame: a thread's user registers and what the trap path needs to find the kernel.
//
// Offsets are shared with trap.S. x[0] holds sepc. `table` is per thread: pointing it at a table
// full of slow-path entries traces or filters the thread at no cost to others. x[10] keeps the
// first argument until a call is over, so restarting one only moves sepc back.
#pragma once

#define TF_X(n)   (8 * (n))
#define TF_SEPC   0
#define TF_TP     256
#define TF_KSP    264
#define TF_KRA    272
#define TF_TABLE  280
#define TF_FLAGS  288
#define TF_RESULT 296
#define TF_CAUSE  304
#define TF_STVAL  312
#define TF_SIZE   320

#define CAUSE_SYSCALL     8
#define CAUSE_FLAGGED     64 // a plain handler ran, its result is in tf.result, flags are set
#define CAUSE_INTERRUPTED 65 // an interrupt or fault was served, and flags are set

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct trap_frame {
    uint64_t x[32];    // x[0]: sepc
    uint64_t tp;       // kernel tp of the hart that entered user mode
    uint64_t ksp, kra; // kernel stack pointer and return address of user_enter
    const void *table; // entry per system call number
    uint64_t *flags;   // &task.flags
    uint64_t result;   // of a flagged plain call
    uint64_t cause, stval;
};
_Static_assert(offsetof(struct trap_frame, tp) == TF_TP &&
                   offsetof(struct trap_frame, ksp) == TF_KSP &&
                   offsetof(struct trap_frame, kra) == TF_KRA &&
                   offsetof(struct trap_frame, table) == TF_TABLE &&
                   offsetof(struct trap_frame, flags) == TF_FLAGS &&
                   offsetof(struct trap_frame, result) == TF_RESULT &&
                   offsetof(struct trap_frame, cause) == TF_CAUSE &&
                   offsetof(struct trap_frame, stval) == TF_STVAL &&
                   sizeof(struct trap_frame) == TF_SIZE,
               "trap.S knows these offsets");

#define tf_sepc(tf) ((tf)->x[0])

// TF_SEPC is where user mode was entered, until the next trap. An interrupt that comes there, before the first instruction, was
// pending in the kernel, unless this bit is set: then it was not.
enum { SEPC_CLEAN = 1 };
// For what has interrupted user code and goes back to it: it may be interrupted at the same place again. Just before that.
void tf_goes_on(struct trap_frame *tf);
#define tf_sp(tf)   ((tf)->x[2])
#define tf_a(tf, n) ((tf)->x[10 + (n)])

// Enters user mode; returns the cause of the trap that needs the user loop: CAUSE_SYSCALL (async
// handler or traced thread), CAUSE_FLAGGED, or an exception code. Clobbers all but sp and tp.
static inline long user_enter(struct trap_frame *tf)
{
    register long a0 __asm__("a0") = (long)tf;
    __asm__ volatile("call user_enter"
                     : "+r"(a0)::"ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a1", "a2", "a3",
                       "a4", "a5", "a6", "a7", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8",
                       "s9", "s10", "s11", "memory");
    return a0;
}

// Label of the slow path, for tables; never called from C.
void trap_slow_syscall(void);
#endif
