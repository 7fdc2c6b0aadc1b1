// SPDX-License-Identifier: MIT
// The rwlock.
#include "async/rwlock.h"

#include "async/wait_look.h"
#include "lib/log.h"

void rwlock_init(struct rwlock *l, const char *name)
{
    l->writer = NULL;
    semaphore_init(&l->units, name, RWLOCK_WRITE);
}

bool rwlock_trylock(struct rwlock *l, enum rwlock_how how, struct task *t)
{
    if (!semaphore_try_take(&l->units, how))
        return false;
    if (how == RWLOCK_WRITE)
        l->writer = t;
    return true;
}

void rwlock_unlock(struct rwlock *l, enum rwlock_how how, struct task *t)
{
    if (how == RWLOCK_WRITE) {
        if (l->writer != t)
            panic("rwlock %s: unlocked by %s, held by %s", l->units.name, t->name,
                  l->writer ? l->writer->name : "no writer");
        l->writer = NULL;
    }
    semaphore_give(&l->units, how);
}

ASYNC(rwlock_lock, long r;)
{
    ASYNC_BEGIN(rwlock_lock);
    AWAIT(f->r, semaphore_take, &f->l->units, f->how, f->interruptible);
    if (f->r == 0 && f->how == RWLOCK_WRITE)
        f->l->writer = t;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// The writer leaves before it gives the units back.
uint32_t rwlock_writer(const struct rwlock *l)
{
    const struct task *writer = l->units.units ? NULL : load_relaxed(&l->writer);
    return writer ? writer->id : 0;
}

// Readers that have it are not written down.
WAIT_LOOK(rwlock_lock)
{
    const struct rwlock_lock_frame *f = frame;
    v->kind = f->how == RWLOCK_WRITE ? "rwlock, to write" : "rwlock, to read";
    v->object = f->l;
    spin_lock(&f->l->units.lock);
    v->holder = rwlock_writer(f->l);
    spin_unlock(&f->l->units.lock);
}
