// SPDX-License-Identifier: MIT
// Memory objects: reading pages in, truncation, destruction. Which are read is up to readahead.c;
// writing back is in writeback.c.
//
// A page being read is BUSY and in the tree, so that everyone else waits for the same read. All
// waits are on the object's one queue: completions wake everybody, who look again. A reader that is
// cancelled takes its BUSY pages out of the tree; the device keeps its own references on the frames.
#include "async/wait_async.h"
#include "async/wait_look.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys_internal.h"
#include "mem/shortage.h"
#include "page/heap.h"

ASYNC_IFACE_DEFINE(phys_fill);

enum { DROP_STEP = 128 };

// ---- reading

uint32_t phys_claim_run(struct phys *ph, uint64_t index, uint32_t want, struct page **pages)
{
    uint64_t end = page_round_up(ph->size) >> PAGE_SHIFT;
    uint32_t n = 0;
    for (; n < want && index + n < end && !radix_get(&ph->tree, index + n); n++) {
        pa_t pa = frame_alloc(FRAME_USER);
        if (!pa)
            break;
        if (phys_insert(ph, index + n, page_of(pa), PAGE_BUSY)) {
            frame_unref(pa);
            break;
        }
        pages[n] = page_of(pa);
        page_ref(pages[n]);
    }
    atomic_add64(&phys_totals.fills, n != 0);
    atomic_add64(&phys_totals.filled, n);
    return n;
}

// The read is over: pages become valid, or leave the tree.
void phys_finish_run(struct phys *ph, uint64_t index, uint32_t count, struct page **pages, bool ok)
{
    spin_lock(&ph->lock);
    for (uint32_t i = 0; i < count; i++) {
        pages[i]->flags &= (uint16_t)~PAGE_BUSY;
        if (ok)
            pages[i]->flags |= PAGE_UPTODATE;
        else if (pages[i]->owner == ph)
            page_put(phys_remove(ph, index + i));
        page_put(pages[i]);
    }
    waitq_wake_all(&ph->waiters);
    spin_unlock(&ph->lock);
}

ASYNC(phys_read_run, long r; bool over;)
{
    ASYNC_BEGIN(phys_read_run);
    f->over = false;
    AWAIT_VIA(f->r, phys_fill, f->ph->ops->fill, f->ph, f->index, f->pages, f->count);
    f->over = true;
    phys_finish_run(f->ph, f->index, f->count, f->pages, f->r >= 0);
    ASYNC_RETURN(f->r < 0 ? f->r : 0);
    ASYNC_FINALLY;
    if (!f->over)
        phys_finish_run(f->ph, f->index, f->count, f->pages, false);
    ASYNC_END;
}

// Lock held. A page that needs no reading: 0, -ENOMEM.
static int insert_zeroes(struct phys *ph, uint64_t index)
{
    pa_t pa = frame_alloc(FRAME_ZERO | FRAME_USER);
    int r = pa ? phys_insert(ph, index, page_of(pa), PAGE_UPTODATE) : -ENOMEM;
    if (pa && r < 0)
        frame_unref(pa);
    return r;
}

ASYNC(phys_page, struct waiter w; struct page *pages[PHYS_RUN]; uint32_t count; uint32_t before;
      uint32_t tries; struct page *mine; bool more; bool single; bool waited; long r;)
{
    ASYNC_BEGIN(phys_page);
    waiter_init(&f->w);
    f->single = f->waited = false;
    f->mine = NULL;
    f->tries = 0;
    if (!f->ahead)
        f->ahead = &f->ph->ahead;
    for (;;) {
        if (unlikely(load_relaxed(&f->ahead->trigger) == f->index) &&
            phys_read_ahead(f->ph, f->ahead, f->index, f->how))
            YIELD(); // it is on its way before this task computes on
        *f->out = f->how & PHYS_OVERWRITE ? phys_page_try(f->ph, f->index)
                                          : phys_page_now(f->ph, f->index);
        if (*f->out)
            ASYNC_RETURN(0);
        spin_lock(&f->ph->lock);
        f->pages[0] = radix_get(&f->ph->tree, f->index);
        if (f->pages[0] && !(f->pages[0]->flags & PAGE_UPTODATE)) { // others read it
            waitq_add(&f->ph->waiters, &f->w, t);
            spin_unlock(&f->ph->lock);
            atomic_add64(&phys_totals.waits, !f->waited);
            f->waited = true;
            SUSPEND("page being read");
            waiter_finish(&f->ph->lock, &f->ph->waiters, &f->w);
            if (f->how & PHYS_KILLABLE && task_killed(t))
                ASYNC_RETURN(-EINTR);
            continue;
        }
        if (f->pages[0]) {
            spin_unlock(&f->ph->lock);
            continue;
        }
        if (f->how & PHYS_OVERWRITE || phys_needs_no_fill(f->ph, f->index)) {
            f->r = insert_zeroes(f->ph, f->index);
            spin_unlock(&f->ph->lock);
            if (f->r < 0)
                goto short_of_memory;
            continue;
        }
        f->ph->misses++;
        f->before = 0;
        f->count =
            f->single ? ahead_failed(f->ahead) : ahead_miss(f->ahead, f->index, f->want, f->how);
        if (f->how & PHYS_AROUND && f->count == 1 && !f->single)
            f->before = ahead_around(f->ph, f->index, &f->count);
        f->count = phys_claim_run(f->ph, f->index - f->before, f->count, f->pages);
        if (f->count <= f->before) {
            spin_unlock(&f->ph->lock);
            phys_finish_run(f->ph, f->index - f->before, f->count, f->pages, false);
            f->single = true;
            goto short_of_memory;
        }
        f->more = !f->single && ahead_claimed(f->ahead, f->index, f->want, f->count - f->before);
        f->mine = f->pages[f->before];
        page_ref(f->mine);
        spin_unlock(&f->ph->lock);
        if (f->more)
            phys_read_ahead(f->ph, f->ahead, f->index + f->count, f->how);
        atomic_add64(&phys_totals.waits, !f->waited);
        f->waited = true;
        AWAIT(f->r, phys_read_run, f->ph, f->index - f->before, f->pages, f->count);
        if (f->r == 0) {
            *f->out = f->mine;
            f->mine = NULL;
            ASYNC_RETURN(0);
        }
        page_put(f->mine);
        f->mine = NULL;
        if (f->count == 1)
            ASYNC_RETURN(f->r);
        f->single = true; // part of the run cannot be read: once more for this page alone
        continue;
short_of_memory:
        if (f->tries++ == MEMORY_TRIES)
            ASYNC_RETURN(-ENOMEM);
        AWAIT(f->r, memory_wait, 0);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    waiter_finish(&f->ph->lock, &f->ph->waiters, &f->w);
    if (f->mine)
        page_put(f->mine);
    ASYNC_END;
}

// ---- dropping

// Waits for the busy pages from `from` on and drops everything there.
ASYNC_DECL(drop_from, struct phys *ph; uint64_t from;);

// 0: there is nothing from `from` on. 1: there is. 2: some of it is under I/O, and w waits for the end.
static int left_from(struct phys *ph, uint64_t from, struct waiter *w, struct task *t)
{
    struct page *pg;
    int left = 0;
    spin_lock(&ph->lock);
    for (; left < 2 && (pg = radix_next(&ph->tree, &from)); from++)
        left = pg->flags & (PAGE_BUSY | PAGE_WRITEBACK) ? 2 : 1;
    if (left == 2)
        waitq_add(&ph->waiters, w, t);
    spin_unlock(&ph->lock);
    return left;
}

ASYNC(drop_from, struct waiter w; uint64_t at; int left;)
{
    ASYNC_BEGIN(drop_from);
    waiter_init(&f->w);
    for (;;) {
        f->at = f->from;
        while (phys_drop_some(f->ph, &f->at, DROP_STEP))
            YIELD();
        f->left = left_from(f->ph, f->from, &f->w, t);
        if (!f->left)
            break;
        if (f->left == 2)
            SUSPEND("page under I/O");
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->ph->lock, &f->ph->waiters, &f->w);
    ASYNC_END;
}

ASYNC(phys_destroy, long r;)
{
    ASYNC_BEGIN(phys_destroy);
    SHIELD_BEGIN();
    AWAIT(f->r, drop_from, f->ph, 0);
    phys_undirty(f->ph);
    SHIELD_END();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Until the page is not being read.
ASYNC_DECL(wait_read, struct phys *ph; uint64_t index;);
ASYNC(wait_read, struct waiter w; bool busy;)
{
    ASYNC_BEGIN(wait_read);
    waiter_init(&f->w);
    for (;;) {
        const struct page *pg;
        spin_lock(&f->ph->lock);
        pg = radix_get(&f->ph->tree, f->index);
        f->busy = pg && pg->flags & PAGE_BUSY;
        if (f->busy)
            waitq_add(&f->ph->waiters, &f->w, t);
        spin_unlock(&f->ph->lock);
        if (!f->busy)
            break;
        SUSPEND("page being read");
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->ph->lock, &f->ph->waiters, &f->w);
    ASYNC_END;
}

ASYNC(phys_truncate, uint64_t old; long r;)
{
    ASYNC_BEGIN(phys_truncate);
    spin_lock(&f->ph->lock);
    f->old = f->ph->size;
    f->ph->size = f->size;
    spin_unlock(&f->ph->lock);
    if (f->size < f->old) {
        SHIELD_BEGIN();
        AWAIT(f->r, rmap_unmap_from, f->ph, page_round_up(f->size) >> PAGE_SHIFT);
        if (f->size & PAGE_MASK) // a read of it may have begun when more of it counted
            AWAIT(f->r, wait_read, f->ph, f->size >> PAGE_SHIFT);
        phys_zero_tail(f->ph);
        AWAIT(f->r, drop_from, f->ph, page_round_up(f->size) >> PAGE_SHIFT);
        SHIELD_END();
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- shared memory that nobody maps any more

static struct list reap_list = LIST_INIT(reap_list); // by dirty_link, under phys_dirty_lock
static struct event reap_event;

void phys_reap(struct phys *ph)
{
    uint64_t at = 0;
    if (!phys_drop_some(ph, &at, DROP_STEP)) {
        kfree(ph);
        return;
    }
    spin_lock(&phys_dirty_lock);
    list_push_back(&reap_list, &ph->dirty_link);
    spin_unlock(&phys_dirty_lock);
    event_set(&reap_event);
}

static struct phys *reap_next(void)
{
    spin_lock(&phys_dirty_lock);
    struct list *it = list_pop_front(&reap_list);
    if (!it)
        event_clear(&reap_event);
    spin_unlock(&phys_dirty_lock);
    return it ? list_entry(it, struct phys, dirty_link) : NULL;
}

ASYNC_DECL(phys_reaper, int unused;);
ASYNC(phys_reaper, struct phys *ph; long r;)
{
    ASYNC_BEGIN(phys_reaper);
    for (;;) {
        AWAIT(f->r, event_wait, &reap_event, false);
        while ((f->ph = reap_next())) {
            AWAIT(f->r, drop_from, f->ph, 0);
            kfree(f->ph);
        }
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void phys_io_start(void)
{
    event_init(&reap_event);
    if (!SPAWN("memory reaper", phys_reaper, 0))
        panic("no memory for the memory reaper");
}
INIT(INIT_CORE, phys_io_start);

static void look(struct phys *ph, const struct waiter *w, struct wait_view *v)
{
    v->object = ph;
    spin_lock(&ph->lock);
    wait_view_all(v, w, false);
    spin_unlock(&ph->lock);
}

WAIT_LOOK(phys_page)
{
    const struct phys_page_frame *f = frame;
    v->kind = "page being read";
    look(f->ph, &f->w, v);
}

WAIT_LOOK(wait_read)
{
    const struct wait_read_frame *f = frame;
    v->kind = "page being read";
    look(f->ph, &f->w, v);
}

WAIT_LOOK(drop_from)
{
    const struct drop_from_frame *f = frame;
    v->kind = "page under I/O";
    look(f->ph, &f->w, v);
}
