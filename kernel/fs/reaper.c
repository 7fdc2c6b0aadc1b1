// SPDX-License-Identifier: MIT
// Letting go of vnodes.
//
// The last vnode_put may happen anywhere, also in a FINALLY; what letting go involves (write-back, freeing clusters,
// dropping thousands of pages) may wait. So a vnode that needs more than kfree is queued to a reaper task. Each super on
// a device has one of its own, since a device may not answer: then only what lies there is not let go of. All that lies
// in memory have one in common.
#include "dev/block.h"
#include "fs/vnode_impl.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys.h"
#include "page/heap.h"

#include <stdio.h>

// Out of its super. Who waits until that has none left may then free it: so the last one goes, and tells, in one step.
static void leave_super(struct vnode *v)
{
    struct super *super = v->super;
    spin_lock(&super->lock);
    bool last = super->vnodes.next == super->vnodes.prev;
    if (!last)
        list_remove(&v->in_super);
    spin_unlock(&super->lock);
    if (likely(!last))
        return;
    spin_lock(&vnode_lock);
    spin_lock(&super->lock);
    list_remove(&v->in_super);
    spin_unlock(&super->lock);
    waitq_wake_all(&super->reaper->waiters);
    spin_unlock(&vnode_lock);
}

static void free_memory(struct vnode *v)
{
    leave_super(v);
    if (v->ops->free_vnode)
        v->ops->free_vnode(v);
    else
        kfree(v);
}

void vnode_release(struct vnode *v)
{
    v->flags |= VNODE_DYING;
    bool no_pages = !v->pages || (!v->pages->ops->fill && !v->pages->tree.root &&
                                  list_empty(&v->pages->dirty_link)); // reads may be in flight
    if (!v->ops->evict && no_pages && !(v->flags & VNODE_HASHED)) {
        free_memory(v);
        return;
    }
    struct reaper *r = v->super->reaper;
    spin_lock(&vnode_lock);
    list_push_back(&r->queue, &v->reap);
    r->pending++;
    waitq_wake_all(&r->waiters);
    spin_unlock(&vnode_lock);
}

ASYNC_DECL(vnode_dispose, struct vnode *v;);
ASYNC(vnode_dispose, long r;)
{
    ASYNC_BEGIN(vnode_dispose);
    if (f->v->ops->evict) {
        AWAIT_VIA(f->r, vnode_evict, f->v->ops->evict, f->v);
        if (f->r < 0)
            log_error("%s: letting go of inode %lu: error %ld", f->v->super->source,
                      (unsigned long)f->v->ino, -f->r);
    }
    if (f->v->pages)
        AWAIT(f->r, phys_destroy, f->v->pages);
    vnode_hash_remove(f->v);
    free_memory(f->v);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// vnode_lock held. NULL: there is none.
static struct vnode *next_locked(struct reaper *r)
{
    struct list *it = list_pop_front(&r->queue);
    return it ? list_entry(it, struct vnode, reap) : NULL;
}

ASYNC_DECL(vnode_reaper, struct reaper *reaper;);
ASYNC(vnode_reaper, struct waiter w; struct vnode *v; long r;)
{
    ASYNC_BEGIN(vnode_reaper);
    waiter_init(&f->w);
    for (;;) {
        spin_lock(&vnode_lock);
        while (list_empty(&f->reaper->queue) && !f->reaper->over) {
            waitq_add(&f->reaper->waiters, &f->w, t);
            spin_unlock(&vnode_lock);
            SUSPEND("vnodes to let go of");
            spin_lock(&vnode_lock);
            waitq_remove(&f->reaper->waiters, &f->w);
        }
        f->v = next_locked(f->reaper);
        spin_unlock(&vnode_lock);
        if (!f->v)
            break;
        AWAIT(f->r, vnode_dispose, f->v);
        spin_lock(&vnode_lock);
        f->reaper->pending--;
        waitq_wake_all(&f->reaper->waiters);
        spin_unlock(&vnode_lock);
    }
    kfree(f->reaper);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// vnode_lock held.
static bool has_gone(struct super *super, bool all)
{
    return !super->reaper->pending && !(all && !list_empty(&super->vnodes));
}

ASYNC(vnode_reaper_flush, struct reaper *reaper; struct waiter w;)
{
    ASYNC_BEGIN(vnode_reaper_flush);
    waiter_init(&f->w);
    f->reaper = f->super->reaper;
    spin_lock(&vnode_lock);
    while (!has_gone(f->super, f->all)) {
        waitq_add(&f->reaper->waiters, &f->w, t);
        spin_unlock(&vnode_lock);
        SUSPEND("the vnode reaper");
        spin_lock(&vnode_lock);
        waitq_remove(&f->reaper->waiters, &f->w);
    }
    spin_unlock(&vnode_lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&vnode_lock, &f->reaper->waiters, &f->w);
    ASYNC_END;
}

// ---- reapers

static struct reaper of_memory = {
    LIST_INIT(of_memory.queue), {LIST_INIT(of_memory.waiters.head)}, 0, false};

struct reaper *reaper_for(const struct block_device *bdev)
{
    if (!bdev)
        return &of_memory;
    struct reaper *r = kzalloc(sizeof *r);
    if (!r)
        return NULL;
    list_init(&r->queue);
    waitq_init(&r->waiters);
    char name[24];
    snprintf(name, sizeof name, "reaper %s", bdev->name);
    if (SPAWN(name, vnode_reaper, r))
        return r;
    kfree(r);
    return NULL;
}

void reaper_end(struct reaper *r)
{
    if (r == &of_memory)
        return;
    spin_lock(&vnode_lock);
    r->over = true;
    waitq_wake_all(&r->waiters);
    spin_unlock(&vnode_lock);
}

static void reaper_start(void)
{
    if (!SPAWN("reaper", vnode_reaper, &of_memory))
        panic("no memory for the vnode reaper");
}
INIT(INIT_DRIVERS, reaper_start);
