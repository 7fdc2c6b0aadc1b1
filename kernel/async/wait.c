// SPDX-License-Identifier: MIT
// Events, sleeps and the async mutex: the waits most code awaits instead of suspending itself.
#include "async/wait_async.h"

#include "async/wait_look.h"
#include "lib/log.h"

unsigned waitq_wake_all(struct waitq *q)
{
    unsigned n = 0;
    while (!list_empty(&q->head)) {
        struct waiter *w = list_entry(q->head.next, struct waiter, link);
        struct task *t = w->task;
        list_remove(&w->link);
        task_wake(t);
        store_release(&w->queued, 0); // not a grant: everybody was told
        n++;
    }
    return n;
}

void waiter_finish(struct spinlock *lock, struct waitq *q, struct waiter *w)
{
    if (!load_acquire(&w->queued) && !w->granted)
        return;
    spin_lock(lock);
    if (w->queued) {
        list_remove(&w->link);
        w->queued = 0;
    } else if (w->granted) {
        waitq_wake_one(q);
    }
    w->granted = 0;
    spin_unlock(lock);
}

void event_init(struct event *e)
{
    spin_init(&e->lock, "event");
    waitq_init(&e->waiters);
    e->set = 0;
}

void event_set(struct event *e)
{
    spin_lock(&e->lock);
    e->set = 1;
    waitq_wake_all(&e->waiters);
    spin_unlock(&e->lock);
}

void event_clear(struct event *e)
{
    spin_lock(&e->lock);
    e->set = 0;
    spin_unlock(&e->lock);
}

ASYNC(event_wait, struct waiter w;)
{
    ASYNC_BEGIN(event_wait);
    waiter_init(&f->w);
    spin_lock(&f->e->lock);
    while (!f->e->set) {
        if (f->interruptible && task_interrupted(t)) {
            spin_unlock(&f->e->lock);
            ASYNC_RETURN(-EINTR);
        }
        waitq_add(&f->e->waiters, &f->w, t);
        spin_unlock(&f->e->lock);
        SUSPEND("event");
        spin_lock(&f->e->lock);
    }
    waitq_remove(&f->e->waiters, &f->w);
    spin_unlock(&f->e->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->e->lock, &f->e->waiters, &f->w);
    ASYNC_END;
}

WAIT_LOOK(event_wait)
{
    const struct event_wait_frame *f = frame;
    v->kind = "event";
    v->object = f->e;
    spin_lock(&f->e->lock);
    wait_view_all(v, &f->w, f->e->set);
    spin_unlock(&f->e->lock);
}

struct sleeper {
    struct timer timer;
    struct task *task;
};

static void sleeper_fire(struct timer *tm)
{
    task_wake(container_of(tm, struct sleeper, timer)->task);
}

ASYNC(sleep_until_ticks, struct sleeper s;)
{
    ASYNC_BEGIN(sleep_until_ticks);
    f->s.timer.armed = 0;
    f->s.timer.hart = 0;
    f->s.task = t;
    while (time_ticks() < f->when) {
        if (f->interruptible && task_interrupted(t))
            ASYNC_RETURN(-EINTR);
        if (!load_acquire(&f->s.timer.armed))
            timer_arm_ticks(&f->s.timer, f->when, sleeper_fire);
        SUSPEND("timer");
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    timer_cancel(&f->s.timer);
    ASYNC_END;
}

WAIT_LOOK(sleep_until_ticks)
{
    const struct sleep_until_ticks_frame *f = frame;
    v->kind = "time";
    v->until = f->when;
    v->told = true;
    v->queued = load_acquire(&f->s.timer.armed);
    v->ready = !v->queued;
}

ASYNC(sleep_ns, long r;)
{
    ASYNC_BEGIN(sleep_ns);
    AWAIT(f->r, sleep_until_ticks, time_ticks() + ns_to_ticks(f->ns), f->interruptible);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

void mutex_init(struct mutex *m, const char *name)
{
    *m = (struct mutex){.name = name};
    spin_init(&m->lock, name);
    waitq_init(&m->waiters);
}

bool mutex_trylock(struct mutex *m, struct task *t)
{
    spin_lock(&m->lock);
    bool free = !m->holder;
    if (free) {
        m->holder = t;
        lock_order_mutex_taken(m, t);
    }
    spin_unlock(&m->lock);
    return free;
}

void mutex_unlock(struct mutex *m, struct task *t)
{
    spin_lock(&m->lock);
    if (m->holder != t)
        panic("mutex %s: unlocked by %s, held by %s", m->name, t->name,
              m->holder ? m->holder->name : "nobody");
    m->holder = NULL;
    lock_order_mutex_dropped(m, t);
    waitq_wake_one(&m->waiters);
    spin_unlock(&m->lock);
}

ASYNC(mutex_lock, struct waiter w;)
{
    ASYNC_BEGIN(mutex_lock);
    waiter_init(&f->w);
    spin_lock(&f->m->lock);
    if (f->m->holder == t)
        panic("mutex %s: %s locks it twice", f->m->name, t->name);
    lock_order_mutex_wait(f->m, t);
    while (f->m->holder) {
        if (f->interruptible && task_interrupted(t)) {
            spin_unlock(&f->m->lock);
            ASYNC_RETURN(-EINTR);
        }
        f->m->contended++;
        waitq_add(&f->m->waiters, &f->w, t);
        spin_unlock(&f->m->lock);
        SUSPEND("mutex");
        spin_lock(&f->m->lock);
    }
    waitq_remove(&f->m->waiters, &f->w);
    f->m->holder = t;
    lock_order_mutex_taken(f->m, t);
    spin_unlock(&f->m->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->m->lock, &f->m->waiters, &f->w);
    ASYNC_END;
}

WAIT_LOOK(mutex_lock)
{
    const struct mutex_lock_frame *f = frame;
    v->kind = "mutex";
    v->name = f->m->name;
    v->object = f->m;
    spin_lock(&f->m->lock);
    v->holder = f->m->holder ? f->m->holder->id : 0;
    wait_view_one(v, &f->m->waiters, &f->w, !f->m->holder);
    spin_unlock(&f->m->lock);
}
