// SPDX-License-Identifier: MIT
// Wait queues: intrusive waiters in frames, guarded by the lock of the object they wait on.
//
// Pattern of a leaf wait (register, test last, suspend, test again):
//
//     spin_lock(&p->lock);
//     while (p->len == 0) {
//         waitq_add(&p->readable, &f->w, t);
//         spin_unlock(&p->lock);
//         SUSPEND("pipe readable");
//         spin_lock(&p->lock);
//         waitq_remove(&p->readable, &f->w);
//         if (task_interrupted(t)) { spin_unlock(&p->lock); ASYNC_RETURN(-ERESTARTSYS); }
//     }
//     ...
//     ASYNC_FINALLY;
//     waiter_finish(&p->lock, &p->readable, &f->w);
//
// The consumed wake: waitq_wake_one chooses a waiter; if that one is unwound before it acted,
// waiter_finish passes the grant on to the next. A waiter that returns early for another reason
// (signal) passes it on through the same call. Zero a waiter before its first use (waiter_init).
#pragma once

#include "async/task.h"
#include "lib/list.h"
#include "lib/spinlock.h"

struct waiter {
    struct list link; // in waitq.head while queued
    struct task *task;
    uint32_t queued;  // in the list
    uint32_t granted; // chosen by wake_one and not yet consumed
    uint64_t key;     // user's: futex address, poll mask
};

struct waitq {
    struct list head;
};

static inline void waitq_init(struct waitq *q)
{
    list_init(&q->head);
}

static inline void waiter_init(struct waiter *w)
{
    w->queued = 0;
    w->granted = 0;
}

// All four: the owner's lock is held.
static inline void waitq_add(struct waitq *q, struct waiter *w, struct task *t)
{
    if (w->queued)
        return;
    w->task = t;
    w->granted = 0;
    w->queued = 1;
    list_push_back(&q->head, &w->link);
}

// Takes w out and consumes its grant.
static inline void waitq_remove(struct waitq *q, struct waiter *w)
{
    (void)q;
    if (w->queued) {
        list_remove(&w->link);
        w->queued = 0;
    }
    w->granted = 0;
}

static inline void waiter_grant_(struct waiter *w)
{
    struct task *t = w->task;
    list_remove(&w->link);
    w->granted = 1;
    task_wake(t); // first: from queued = 0 on it may end without our lock
    store_release(&w->queued, 0);
}

static inline bool waitq_wake_one(struct waitq *q)
{
    if (list_empty(&q->head))
        return false;
    waiter_grant_(list_entry(q->head.next, struct waiter, link));
    return true;
}

unsigned waitq_wake_all(struct waitq *q);

static inline bool waitq_empty(const struct waitq *q)
{
    return list_empty(&q->head);
}

// For FINALLY, lock not held: leaves the queue, or passes an unconsumed grant on.
void waiter_finish(struct spinlock *lock, struct waitq *q, struct waiter *w);

// An event: a flag with its own lock. Set stays set until cleared.
struct event {
    struct spinlock lock;
    struct waitq waiters;
    uint32_t set;
};
void event_init(struct event *e);
void event_set(struct event *e);   // wakes all; any context
void event_clear(struct event *e); // a set that comes later is not lost; any context
