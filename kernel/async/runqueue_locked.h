// SPDX-License-Identifier: MIT
// A run queue under a spinlock: one list, first in, first out. The reference for the other.
#pragma once

#include "async/runqueue_ring.h"

struct locked_queue {
    struct spinlock lock;
    struct task_fifo tasks;
};

void locked_init(struct locked_queue *q);
void locked_push(struct locked_queue *q, struct task *t); // any hart
struct task *locked_pop(struct locked_queue *q);
// The first task that may run on the hart that calls; NULL also when somebody has the lock.
struct task *locked_steal(struct locked_queue *q);

static inline uint32_t locked_length(const struct locked_queue *q)
{
    return load_relaxed(&q->tasks.count);
}
