// SPDX-License-Identifier: MIT
// Floating-point state, switched lazily. Lock-free: only the running thread and its hart touch it.
//
// Before a poll returns, a thread whose FS is Dirty has its registers saved (once queued it may be
// stolen). They are loaded only when hart and thread do not remember each other; and a thread that
// has not written one in its last turns runs with FS Off, until its next FP instruction traps.
#pragma once

#include "arch/cpu.h"

#include <stdbool.h>
#include <stdint.h>

struct fpu_state {
    uint64_t f[32];
    uint64_t fcsr;
};

// Part of struct thread. state is allocated at the first use of FP.
struct fpu {
    struct fpu_state *state; // NULL: never used FP (registers read as zero)
    uint32_t hart;           // that may still hold the registers
    uint32_t generation;     // of that hart's ownership
    uint8_t used;
    uint8_t quiet;  // turns in a row without a write
    uint8_t wanted; // used and not quiet: enter user mode with the registers loaded
};

struct thread;
// User loop: sets sstatus.FS for the coming user entry.
void fpu_enter_slow(struct fpu *fp);
static inline void fpu_enter(struct fpu *fp)
{
    if (unlikely(fp->wanted | hart_self.fs_on))
        fpu_enter_slow(fp);
}
// Saves if Dirty. Before a suspend, fork, signal delivery.
void fpu_save_slow(struct fpu *fp);
static inline void fpu_save(struct fpu *fp)
{
    if (unlikely(hart_self.fs_on))
        fpu_save_slow(fp);
}
// The first FP instruction with FS Off traps as illegal instruction: gives FP to the thread.
// True: it was that, run the instruction again. -ENOMEM is reported as false with oom set.
bool fpu_fault(struct fpu *fp, bool *oom);
void fpu_reset(struct fpu *fp);   // new image: registers zero
void fpu_forget(struct fpu *fp);  // state was changed in memory: load it at the next entry
void fpu_release(struct fpu *fp); // end of the thread
int fpu_copy(struct fpu *to, struct fpu *from); // fork
