// SPDX-License-Identifier: MIT
// What a suspended task waits for, told by the code that waits: for those who look at a system that stands still.
//
// A leaf wait registers, beside its code, a function that reads its frame and the object it waits on, under the
// object's own lock; a caller of it that knows more (whose event it is) registers one, too. Waits pay nothing.
//
//     WAIT_LOOK(mutex_lock)
//     {
//         const struct mutex_lock_frame *f = frame;
//         spin_lock(&f->m->lock);
//         ...
//         spin_unlock(&f->m->lock);
//     }
#pragma once

#include "async/async.h"
#include "async/wait.h"

struct wait_view {
    const char *kind;    // "mutex", "event", ...; NULL: nobody told
    const char *name;    // the object's; lives for ever. NULL: it has none
    const void *object;  // only to tell objects apart
    uint32_t holder;     // id of the task that has it, 0: unknown, or nobody in particular
    uint32_t holder_pid; // the process that has it, 0: as above
    bool told;           // queued and ready are known
    bool queued;         // a waiter of the task is in the object's queue, or its timer is armed
    bool ready;          // what it waits for is there, and it is its turn
    uint64_t until;      // ticks at which it ends by itself, 0: it does not
};

// Called with t borrowed (or the caller), its frame, no lock held. t->state can gain TASK_QUEUED at any time: what is
// ready then is no mistake.
typedef void wait_look_fn(const struct task *t, const void *frame, struct wait_view *v);

struct wait_look {
    const void *of; // struct async_fn, or struct light_wait
    wait_look_fn *look;
};
SET_DECLARE(wait_looks, struct wait_look);

#define WAIT_LOOK_(id, of)                                                                         \
    static wait_look_fn id##_look;                                                                 \
    SET_ITEM(wait_looks, struct wait_look, id##_wait_look) = {&(of), id##_look};                   \
    static void id##_look(__attribute__((unused)) const struct task *t, const void *frame,         \
                          struct wait_view *v)
// Of an async function. `frame`: its struct NAME_frame.
#define WAIT_LOOK(name) WAIT_LOOK_(name, name##_fn)
// Of a light wait. `frame`: the struct thread.
#define WAIT_LOOK_LIGHT(name) WAIT_LOOK_(name##_light, name##_wait)

// t is borrowed, or the caller's own, and not held (ATTN_HOLD): false when nobody told of its wait.
bool wait_look(const struct task *t, struct wait_view *v);

// For looks; the queue's lock is held.
static inline bool waiter_is_first(const struct waitq *q, const struct waiter *w)
{
    return w->queued && q->head.next == &w->link;
}

// A queue of which one is woken for one thing: only the first has a right to it.
static inline void wait_view_one(struct wait_view *v, const struct waitq *q, const struct waiter *w,
                                 bool there)
{
    v->told = true;
    v->queued = w->queued;
    v->ready = !w->queued || (there && waiter_is_first(q, w));
}

// A queue of which all are woken.
static inline void wait_view_all(struct wait_view *v, const struct waiter *w, bool there)
{
    v->told = true;
    v->queued = w->queued;
    v->ready = !w->queued || there;
}
