// SPDX-License-Identifier: MIT
// Workers: tasks that act for a thread, beside it: with its credentials, its memory, its descriptors, its directory.
//
// A worker has a struct thread, so that all that is written for the calling thread serves it; but no table and no thread list
// has it, no signal is meant for it, and it never enters user mode. What asks for the signals of who calls asks thread_served.
// Its maker waits for it before it gives up what they share: at its exit, and at exec. So a worker's maker is alive, and its
// process has the space that it works in.
#pragma once

#include "async/async.h"
#include "task/thread.h"

enum { WORKERS_MAX = 2048 }; // of a process

// A worker of the calling thread whose root is fn(args), still new: it begins with executor_poll_now, or with task_start. NULL: no memory, or the process has WORKERS_MAX. A cancel unwinds down to the root's frame,
// which calls worker_finish as its last act.
struct thread *worker_new(const char *name, const struct async_fn *fn, const void *args, size_t n);
void worker_finish(struct thread *worker);

// Cancels the workers of the calling thread and waits until they have finished. Shielded by the caller; none are made meanwhile.
ASYNC_DECL(workers_end, struct thread *maker;);
static inline bool workers_maybe(const struct thread *maker) // false: it has none
{
    return load_acquire(&maker->process->nworkers);
}
