// SPDX-License-Identifier: MIT
// One wait on several events: a waiter in the queue of each, then a look at all of them.
//
// An event wakes everybody, so that no wake can be consumed and need passing on.
#include "async/select.h"

#include "async/wait_look.h"

// The index of the first that is set, else n with a waiter in each queue.
static uint32_t look(struct choice *any, uint32_t n, struct task *t)
{
    for (uint32_t i = 0; i < n; i++) {
        struct event *e = any[i].event;
        spin_lock(&e->lock);
        bool set = e->set;
        if (!set)
            waitq_add(&e->waiters, &any[i].w, t);
        spin_unlock(&e->lock);
        if (set)
            return i;
    }
    return n;
}

ASYNC(event_wait_any, uint32_t first;)
{
    ASYNC_BEGIN(event_wait_any);
    for (uint32_t i = 0; i < f->n; i++)
        waiter_init(&f->any[i].w);
    while ((f->first = look(f->any, f->n, t)) == f->n) {
        if (f->interruptible && task_interrupted(t))
            ASYNC_RETURN(-EINTR);
        SUSPEND("one of several events");
    }
    ASYNC_RETURN(f->first);
    ASYNC_FINALLY;
    for (uint32_t i = 0; i < f->n; i++)
        waiter_finish(&f->any[i].event->lock, &f->any[i].event->waiters, &f->any[i].w);
    ASYNC_END;
}

WAIT_LOOK(event_wait_any)
{
    const struct event_wait_any_frame *f = frame;
    v->kind = "events";
    v->object = f->any;
    v->told = true;
    v->queued = true;
    for (uint32_t i = 0; i < f->n; i++) {
        struct event *e = f->any[i].event;
        spin_lock(&e->lock);
        v->queued &= f->any[i].w.queued;
        v->ready |= e->set || !f->any[i].w.queued;
        spin_unlock(&e->lock);
    }
}
