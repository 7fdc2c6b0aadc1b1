// SPDX-License-Identifier: MIT
// The executor: per hart a run queue, stealing when idle, wfi when there is nothing.
#pragma once

#include "async/runqueue.h"

// For how long a task runs while another waits.
enum { EXECUTOR_SLICE_US = HARD_PREEMPT ? 200 : 4000 };

_Noreturn void executor_run(void); // a hart's main loop
bool executor_step(void);          // polls one task; false: there was none
// Polls t once, on behalf of the running task and in its time; t is borrowed (task_borrow) and referenced. Then it is its own: what
// need not wait is done, the rest goes on by itself. No lock held.
void executor_poll_now(struct task *t);
// Time that a hart, by index, has slept, the sleep it may be in included.
uint64_t executor_idle_ns(uint32_t hart);
void executor_init(void); // boot hart, before other harts start
// Somebody else could run on this hart now.
static inline bool executor_has_ready(void)
{
    return run_queue_has_ready();
}
// What idle does before it sleeps: bounded work, returns true if there may be more.
void executor_set_idle_work(bool (*work)(void));
// Trap path, after an interrupt in user mode.
void executor_user_tick(void);
