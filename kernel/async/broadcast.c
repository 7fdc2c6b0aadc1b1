// SPDX-License-Identifier: MIT
// Broadcasts and oneshots.
#include "async/broadcast.h"

#include "async/wait_async.h"
#include "async/wait_look.h"

void broadcast_init(struct broadcast *b, const char *name, uint64_t *ring, uint64_t size)
{
    *b = (struct broadcast){.ring = ring, .size = size};
    spin_init(&b->lock, name);
    waitq_init(&b->waiters);
}

void broadcast_join(struct broadcast *b, struct broadcast_receiver *r)
{
    spin_lock(&b->lock);
    r->next = b->sent;
    spin_unlock(&b->lock);
}

void broadcast_send(struct broadcast *b, uint64_t value)
{
    spin_lock(&b->lock);
    b->ring[b->sent++ % b->size] = value;
    waitq_wake_all(&b->waiters);
    spin_unlock(&b->lock);
}

void broadcast_close(struct broadcast *b)
{
    spin_lock(&b->lock);
    b->closed = true;
    waitq_wake_all(&b->waiters);
    spin_unlock(&b->lock);
}

// The next value that is still kept; how many before it are not.
static long receive_locked(struct broadcast *b, struct broadcast_receiver *r, uint64_t *out)
{
    uint64_t oldest = b->sent > b->size ? b->sent - b->size : 0;
    uint64_t lost = r->next < oldest ? oldest - r->next : 0;
    r->next += lost;
    *out = b->ring[r->next++ % b->size];
    return (long)lost;
}

ASYNC(broadcast_receive, struct waiter w; long got;)
{
    ASYNC_BEGIN(broadcast_receive);
    waiter_init(&f->w);
    spin_lock(&f->b->lock);
    while (f->r->next == f->b->sent) {
        f->got = f->b->closed ? -EPIPE : f->interruptible && task_interrupted(t) ? -EINTR : 0;
        if (f->got) {
            spin_unlock(&f->b->lock);
            ASYNC_RETURN(f->got);
        }
        waitq_add(&f->b->waiters, &f->w, t);
        spin_unlock(&f->b->lock);
        SUSPEND("broadcast");
        spin_lock(&f->b->lock);
    }
    f->got = receive_locked(f->b, f->r, f->out);
    spin_unlock(&f->b->lock);
    ASYNC_RETURN(f->got);
    ASYNC_FINALLY;
    waiter_finish(&f->b->lock, &f->b->waiters, &f->w);
    ASYNC_END;
}

WAIT_LOOK(broadcast_receive)
{
    const struct broadcast_receive_frame *f = frame;
    v->kind = "broadcast";
    v->object = f->b;
    v->name = f->b->lock.name;
    spin_lock(&f->b->lock);
    wait_view_all(v, &f->w, f->r->next != f->b->sent || f->b->closed);
    spin_unlock(&f->b->lock);
}

// ---- oneshot

void oneshot_init(struct oneshot *o)
{
    *o = (struct oneshot){0};
    event_init(&o->ready);
}

int oneshot_send(struct oneshot *o, uint64_t value)
{
    if (atomic_cas32(&o->state, ONESHOT_OPEN, ONESHOT_SETTING) != ONESHOT_OPEN)
        return -EBUSY;
    o->value = value;
    store_release(&o->state, ONESHOT_SET);
    event_set(&o->ready);
    return 0;
}

void oneshot_drop(struct oneshot *o)
{
    if (atomic_cas32(&o->state, ONESHOT_OPEN, ONESHOT_DROPPED) == ONESHOT_OPEN)
        event_set(&o->ready);
}

ASYNC(oneshot_receive, long r;)
{
    ASYNC_BEGIN(oneshot_receive);
    AWAIT(f->r, event_wait, &f->o->ready, f->interruptible);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (load_acquire(&f->o->state) == ONESHOT_DROPPED)
        ASYNC_RETURN(-EPIPE);
    *f->out = f->o->value;
    ASYNC_FINALLY;
    ASYNC_END;
}

WAIT_LOOK(oneshot_receive)
{
    const struct oneshot_receive_frame *f = frame;
    v->kind = "oneshot";
    v->object = f->o;
}
