// SPDX-License-Identifier: MIT
// The end of threads and processes, and waiting for it.
#pragma once

#include "async/async.h"
#include "task/thread.h"

// Marks the process as ending with this wait status and cancels its other threads. Any context.
void process_exit_group(struct process *p, uint32_t status);
// Runs at the end of every thread, shielded: gives back what it holds, tells parent and waiters.
ASYNC_DECL(thread_exit, struct thread *th;);
// First code of a new thread: stores of CLONE_CHILD_SETTID.
ASYNC_DECL(thread_born, struct thread *th;);

static inline uint32_t status_exited(uint32_t code)
{
    return (code & 255) << 8;
}
static inline uint32_t status_signaled(int sig)
{
    return (uint32_t)sig & 127;
}
