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
void locked_push_first(struct locked_queue *q, struct task *t);
struct task *locked_pop(struct locked_queue *q);
// The first task that may run on the hart that calls; NULL also when somebody has the lock.
struct task *locked_steal(struct locked_queue *q);
// Whether there is one that may run on the hart that calls.
bool locked_stealable(struct locked_queue *q);
// Whether there is one that any hart may run.
bool locked_helpable(struct locked_queue *q);
// The first for which it is true is popped next. False: there is none.
bool locked_hurry(struct locked_queue *q, bool (*is_urgent)(const struct task *));

void locked_list(struct locked_queue *q, struct task_ids *ids);

static inline uint32_t locked_length(const struct locked_queue *q)
{
    return load_relaxed(&q->tasks.count);
}
