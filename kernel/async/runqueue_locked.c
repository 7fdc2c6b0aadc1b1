// SPDX-License-Identifier: MIT
// See runqueue_locked.h.
#include "async/runqueue_locked.h"

void locked_init(struct locked_queue *q)
{
    spin_init(&q->lock, "run queue");
}

void locked_push(struct locked_queue *q, struct task *t)
{
    spin_lock(&q->lock);
    fifo_push(&q->tasks, t);
    spin_unlock(&q->lock);
}

struct task *locked_pop(struct locked_queue *q)
{
    if (!locked_length(q))
        return NULL;
    spin_lock(&q->lock);
    struct task *t = fifo_pop(&q->tasks);
    spin_unlock(&q->lock);
    return t;
}

struct task *locked_steal(struct locked_queue *q)
{
    struct task *t = NULL;
    if (!locked_length(q) || !spin_trylock(&q->lock))
        return NULL;
    for (struct task **p = &q->tasks.head; (t = *p); p = &t->queue_next)
        if (task_may_run_on(t, hart_index())) {
            if (!(*p = t->queue_next))
                q->tasks.tail = p;
            store_relaxed(&q->tasks.count, q->tasks.count - 1);
            break;
        }
    spin_unlock(&q->lock);
    return t;
}
