// SPDX-License-Identifier: MIT
// Light waits (async/task.h) for what a file has: what a thread keeps of one, and how it begins, goes on and ends.
//
// While a thread waits nobody else can close a descriptor of a table that is not shared: only a shared one costs a reference.
#pragma once

#include "async/wait.h"
#include "fs/file.h"
#include "syscall/syscall.h"
#include "task/thread.h"

struct light_file {
    struct waiter w; // key: whether there is a reference to file
    struct file *file;
};

// Plain handlers; the lock that guards q is held, and the condition is not there. What the handler returns.
static inline __attribute__((always_inline)) long light_file_begin(struct thread *th,
                                                                   struct light_file *lf,
                                                                   struct file *file,
                                                                   struct waitq *q,
                                                                   const struct light_wait *wait)
{
    waiter_init(&lf->w);
    lf->file = file;
    if (unlikely(lf->w.key = th->files->refs != 1))
        file_get(file);
    waitq_add(q, &lf->w, &th->task);
    return syscall_wait(&th->task, wait);
}

// light_wait.woken, the lock that guards q held: the condition is still not there, and the thread waits on. What woken returns.
static inline long light_file_again(struct thread *th, struct light_file *lf, struct waitq *q)
{
    waitq_add(q, &lf->w, &th->task);
    th->task.local |= LOCAL_WAIT;
    return 0;
}

// light_wait.woken, no lock held, and lf is out of its queue: the wait is over with r. -ERETRY: the async handler goes on.
static inline long light_file_end(struct light_file *lf, long r, bool leave)
{
    if (unlikely(lf->w.key))
        file_put(lf->file);
    return unlikely(r == -ERETRY) && !leave ? syscall_go_async() : r;
}
