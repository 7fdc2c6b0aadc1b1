// SPDX-License-Identifier: MIT
// Slices, for the executor itself: when somebody is ready, a timer runs.
//
// A woken task stays on the waker's hart, which often waits next and then runs it without a word to anybody. A sleeping hart is
// called to steal when the same task still runs a kick later while somebody is ready; and where tasks come and go meanwhile,
// when several kicks in a row somebody was: two that take turns, as a parent and the child it waits for, stay here. If the same
// user code still runs a slice later while somebody is ready, it yields. The timer is left to run over switches, so that
// ping-pong does not pay for it.
// Invariant: a hart whose queue is not empty while it runs a task has a slice armed.
#pragma once

#include "async/executor.h"

extern uint64_t idle_harts;                // bit per hart that sleeps or is about to
extern _Thread_local uint32_t slice_kicks; // in a row that found somebody ready
// Who gives way, but has not had its turn (policy.h); NULL: nobody. Compared only: it may have ended.
extern _Thread_local struct task *turn_kept;

void slice_begin(bool helpable);
// The next so many polls belong to the slice and turn of who runs: after them it goes on.
void slice_goes_on(unsigned polls);

static inline void arm_slice(void)
{
    if (unlikely(!hart_self.slice_armed))
        slice_begin(true);
}

// Others may have been queued here by harts that could not arm our slice.
static inline void catch_up_slice(void)
{
    if (!hart_self.slice_armed && executor_has_ready())
        slice_begin(true);
}

// Who gives way is in no hurry.
static inline void slice_given(void)
{
    slice_kicks = 0;
}
