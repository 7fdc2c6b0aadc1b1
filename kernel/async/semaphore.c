// SPDX-License-Identifier: MIT
// The counting semaphore.
#include "async/semaphore.h"

#include "async/wait_look.h"

void semaphore_init(struct semaphore *s, const char *name, uint64_t units)
{
    *s = (struct semaphore){.units = units, .name = name};
    spin_init(&s->lock, name);
    waitq_init(&s->waiters);
}

// Hands units to the first waiters as far as they go. Lock held.
static void hand_out(struct semaphore *s)
{
    while (!waitq_empty(&s->waiters)) {
        uint64_t wanted = list_entry(s->waiters.head.next, struct waiter, link)->key;
        if (wanted > s->units)
            return;
        s->units -= wanted;
        waitq_wake_one(&s->waiters);
    }
}

static bool take_locked(struct semaphore *s, uint64_t n)
{
    if (!waitq_empty(&s->waiters) || s->units < n)
        return false;
    s->units -= n;
    return true;
}

bool semaphore_try_take(struct semaphore *s, uint64_t n)
{
    spin_lock(&s->lock);
    bool taken = take_locked(s, n);
    spin_unlock(&s->lock);
    return taken;
}

void semaphore_give(struct semaphore *s, uint64_t n)
{
    spin_lock(&s->lock);
    s->units += n;
    hand_out(s);
    spin_unlock(&s->lock);
}

// Out of the queue, or units that were handed over but never used go back; either may let others in.
static void leave(struct semaphore *s, struct waiter *w, uint64_t n)
{
    if (!load_acquire(&w->queued) && !w->granted)
        return;
    spin_lock(&s->lock);
    if (w->granted)
        s->units += n;
    waitq_remove(&s->waiters, w);
    hand_out(s);
    spin_unlock(&s->lock);
}

ASYNC(semaphore_take, struct waiter w; long r;)
{
    ASYNC_BEGIN(semaphore_take);
    waiter_init(&f->w);
    spin_lock(&f->s->lock);
    if (take_locked(f->s, f->n)) {
        spin_unlock(&f->s->lock);
        ASYNC_RETURN(0);
    }
    f->s->contended++;
    f->w.key = f->n;
    waitq_add(&f->s->waiters, &f->w, t);
    while (f->w.queued && !(f->interruptible && task_interrupted(t))) {
        spin_unlock(&f->s->lock);
        SUSPEND("semaphore");
        spin_lock(&f->s->lock);
    }
    f->r = f->w.queued ? -EINTR : 0;
    if (f->r == 0)
        f->w.granted = 0; // used
    spin_unlock(&f->s->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    leave(f->s, &f->w, f->n);
    ASYNC_END;
}

WAIT_LOOK(semaphore_take)
{
    const struct semaphore_take_frame *f = frame;
    v->kind = "semaphore";
    v->name = f->s->name;
    v->object = f->s;
    spin_lock(&f->s->lock);
    wait_view_one(v, &f->s->waiters, &f->w, f->s->units >= f->n);
    spin_unlock(&f->s->lock);
}
