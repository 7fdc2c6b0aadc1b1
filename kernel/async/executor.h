// SPDX-License-Identifier: MIT
// The executor: per hart a locked FIFO of tasks, stealing when idle, wfi when there is nothing.
#pragma once

#include "async/task.h"

_Noreturn void executor_run(void); // a hart's main loop
bool executor_step(void);          // polls one task; false: there was none
void executor_init(void);          // boot hart, before other harts start
// Somebody else could run on this hart now.
static inline bool executor_has_ready(void)
{
    return load_relaxed(&hart_self.ready) != 0;
}
// What idle does before it sleeps: bounded work, returns true if there may be more.
void executor_set_idle_work(bool (*work)(void));
uint32_t executor_queue_length(uint32_t hart);
// Copies ids of queued tasks of a hart, in order.
unsigned executor_queue_snapshot(uint32_t hart, uint32_t *ids, unsigned max);
// Trap path, after an interrupt in user mode.
void executor_user_tick(void);
