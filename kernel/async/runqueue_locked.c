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

static void put_first(struct locked_queue *q, struct task *t)
{
    if (!(t->queue_next = q->tasks.head))
        q->tasks.tail = &t->queue_next;
    q->tasks.head = t;
    store_relaxed(&q->tasks.count, q->tasks.count + 1);
}

void locked_push_first(struct locked_queue *q, struct task *t)
{
    spin_lock(&q->lock);
    put_first(q, t);
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

static bool may_run_here(const struct task *t)
{
    return task_may_run_on(t, hart_index());
}

// On any: who is called to help may be whoever sleeps.
static bool may_run_anywhere(const struct task *t)
{
    return load_relaxed(&t->affinity) == AFFINITY_ANY;
}

// Where the first for which it is true hangs, or NULL; the lock is held.
static struct task **find(struct locked_queue *q, bool (*is_it)(const struct task *))
{
    struct task *t;
    for (struct task **p = &q->tasks.head; (t = *p); p = &t->queue_next)
        if (is_it(t))
            return p;
    return NULL;
}

static struct task *take(struct locked_queue *q, struct task **p)
{
    struct task *t = *p;
    if (!(*p = t->queue_next))
        q->tasks.tail = p;
    store_relaxed(&q->tasks.count, q->tasks.count - 1);
    return t;
}

struct task *locked_steal(struct locked_queue *q)
{
    if (!locked_length(q) || !spin_trylock(&q->lock))
        return NULL;
    struct task **p = find(q, may_run_here), *t = p ? take(q, p) : NULL;
    spin_unlock(&q->lock);
    return t;
}

bool locked_stealable(struct locked_queue *q)
{
    spin_lock(&q->lock);
    bool some = find(q, may_run_here);
    spin_unlock(&q->lock);
    return some;
}

bool locked_helpable(struct locked_queue *q)
{
    spin_lock(&q->lock);
    bool some = find(q, may_run_anywhere);
    spin_unlock(&q->lock);
    return some;
}

bool locked_hurry(struct locked_queue *q, bool (*is_urgent)(const struct task *))
{
    spin_lock(&q->lock);
    struct task **p = find(q, is_urgent);
    if (p)
        put_first(q, take(q, p));
    spin_unlock(&q->lock);
    return p;
}

void locked_list(struct locked_queue *q, struct task_ids *ids)
{
    spin_lock(&q->lock);
    task_ids_add_list(ids, &q->tasks.head);
    spin_unlock(&q->lock);
}
