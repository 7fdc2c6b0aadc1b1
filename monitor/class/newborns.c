// SPDX-License-Identifier: MIT
// Who is born while there are constructors in Lua: each waits in a list, in its own await, until the monitor lets it go.
#include "class/newborns.h"

#include "async/task.h"
#include "async/wait_async.h"
#include "class/constructors.h"
#include "lib/errno.h"
#include "task/newborn.h"

struct waiting {
    struct list link; // in `waiting` while queued
    uint32_t task;
    bool queued, taken; // taken: the monitor has begun with it
    struct event done;
};
static struct spinlock lock = SPINLOCK_INIT("monitor newborns"); // guards these
static struct list waiting = LIST_INIT(waiting);
static uint64_t missed; // that were not even begun with

// False: nobody is asked any more.
static bool line_up(struct waiting *w, uint32_t task)
{
    event_init(&w->done);
    w->task = task;
    spin_lock(&lock);
    if ((w->queued = load_relaxed(&newborn_wait) != NULL))
        list_push_back(&waiting, &w->link);
    spin_unlock(&lock);
    return w->queued;
}

static void leave(struct waiting *w, bool late)
{
    spin_lock(&lock);
    if (w->queued)
        list_remove(&w->link);
    w->queued = false;
    missed += late && !w->taken;
    spin_unlock(&lock);
}

ASYNC_IMPL(constructors, newborn, struct waiting w; struct deadline d; long r;)
{
    ASYNC_BEGIN(constructors);
    f->w = (struct waiting){0};
    f->r = 0;
    if (!line_up(&f->w, t->id))
        ASYNC_RETURN(0);
    AWAIT_WITHIN(f->r, &f->d, CONSTRUCTOR_MS * 1000000ul, event_wait, &f->w.done, false);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    leave(&f->w, f->r == -ETIMEDOUT);
    ASYNC_END;
}

uint32_t newborns_take(void)
{
    uint32_t task = 0;
    spin_lock(&lock);
    for (struct list *it = waiting.next; it != &waiting && !task; it = it->next) {
        struct waiting *w = list_entry(it, struct waiting, link);
        if (!w->taken)
            task = w->task;
        w->taken = true;
    }
    spin_unlock(&lock);
    return task;
}

void newborns_let_go(uint32_t task)
{
    spin_lock(&lock);
    for (struct list *it = waiting.next; it != &waiting; it = it->next) {
        struct waiting *w = list_entry(it, struct waiting, link);
        if (task && w->task != task)
            continue;
        event_set(&w->done);
    }
    spin_unlock(&lock);
}

bool newborns_wait_still(uint32_t task)
{
    bool found = false;
    spin_lock(&lock);
    for (struct list *it = waiting.next; it != &waiting && !found; it = it->next)
        found = list_entry(it, struct waiting, link)->task == task;
    spin_unlock(&lock);
    return found;
}

uint64_t newborns_missed(void)
{
    return load_relaxed(&missed);
}

void newborns_ask(bool ask)
{
    store_relaxed(&newborn_wait, ask ? &constructors_fn : NULL);
    if (!ask)
        newborns_let_go(0);
}

bool newborns_asked(void)
{
    return load_relaxed(&newborn_wait) != NULL;
}
