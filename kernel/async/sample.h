// SPDX-License-Identifier: MIT
// What threads spend their time with: the program, or the kernel for it.
//
// How long a task runs is known exactly, from poll to poll, and no trap pays for it. What with is sampled: while threads run,
// each hart looks at the points of a grid in time that follows nothing programs do, not their slices either. User mode takes
// the timer's interrupt at such a point. Kernel code is not interrupted: points that have gone by are found when a poll ends,
// or at the first instruction of user mode, where the interrupt was pending when that was entered. All are counted,
// so a long call is seen as often as a program that computes as long.
//
// Invariant: a hart whose sample_at is not SAMPLE_NEVER has a timer that ends at sample_at or before. An idle hart takes none
// but the one it had.
#pragma once

#include "async/task.h"

enum { SAMPLE_US = 4000 };
#define SAMPLE_NEVER UINT64_MAX // of hart.sample_at: no thread runs

// Counts the points that have gone by until now, one at least, as t's.
void sample_take(struct task *t, uint64_t now, bool user);
void sample_begin(void);

static inline void sample_poll_begins(const struct task *t)
{
    if (unlikely(hart_self.sample_at == SAMPLE_NEVER) && t->thread)
        sample_begin();
}

static inline bool sample_is_due(uint64_t now)
{
    return now >= hart_self.sample_at;
}

static inline void sample_poll_ends(struct task *t, uint64_t now)
{
    if (unlikely(sample_is_due(now)))
        sample_take(t, now, false);
}

// The current task's hart takes an interrupt. user: it came to a program that ran, not to one that was about to.
static inline void sample_interrupt(bool user)
{
    uint64_t now = time_ticks();
    if (sample_is_due(now))
        sample_take(hart_self.current, now, user);
}
