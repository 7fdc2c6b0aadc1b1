// SPDX-License-Identifier: MIT
// Memory objects: reading pages in, writing them back, truncation, destruction.
//
// A page being read is BUSY and in the tree, so that everyone else waits for the same read; one
// being written is WRITEBACK and may be used and even dirtied again. All waits are on the object's
// one queue: completions wake everybody, who look again. A reader that is cancelled takes its BUSY
// pages out of the tree; the device keeps its own references on the frames.
#include "async/wait_async.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys_internal.h"
#include "page/heap.h"

ASYNC_IFACE_DEFINE(phys_fill);
ASYNC_IFACE_DEFINE(phys_write);

enum { DROP_STEP = 128, FIRST_WINDOW = 4 };

// ---- reading

// How many pages the read at index should take.
static uint32_t read_window(struct phys *ph, uint64_t index)
{
    if (index && index != ph->next_read)
        ph->window = 1;
    else if (ph->window < FIRST_WINDOW)
        ph->window = FIRST_WINDOW;
    else if (ph->window < PHYS_RUN)
        ph->window *= 2;
    return ph->window < PHYS_RUN ? ph->window : PHYS_RUN;
}

// Lock held. Puts BUSY pages at index and behind it where none are; returns how many, 0: no memory.
static uint32_t claim_run(struct phys *ph, uint64_t index, uint32_t want, struct page **pages)
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
    ph->next_read = index + n;
    return n;
}

// The read is over: pages become valid, or leave the tree. The first stays referenced on success.
static void finish_run(struct phys *ph, uint64_t index, uint32_t count, struct page **pages,
                       bool ok)
{
    spin_lock(&ph->lock);
    for (uint32_t i = 0; i < count; i++) {
        pages[i]->flags &= (uint16_t)~PAGE_BUSY;
        if (ok)
            pages[i]->flags |= PAGE_UPTODATE | PAGE_RECENT;
        else if (pages[i]->owner == ph)
            page_put(phys_remove(ph, index + i));
        if (i || !ok)
            page_put(pages[i]);
    }
    waitq_wake_all(&ph->waiters);
    spin_unlock(&ph->lock);
}

// Reads a run that begins with index and is claimed already.
ASYNC_DECL(read_run, struct phys *ph; uint64_t index; struct page **pages; uint32_t count;);
ASYNC(read_run, long r; bool over;)
{
    ASYNC_BEGIN(read_run);
    f->over = false;
    AWAIT_VIA(f->r, phys_fill, f->ph->ops->fill, f->ph, f->index, f->pages, f->count);
    f->over = true;
    finish_run(f->ph, f->index, f->count, f->pages, f->r >= 0);
    ASYNC_RETURN(f->r < 0 ? f->r : 0);
    ASYNC_FINALLY;
    if (!f->over)
        finish_run(f->ph, f->index, f->count, f->pages, false);
    ASYNC_END;
}

ASYNC(phys_page, struct waiter w; struct page *pages[PHYS_RUN]; uint32_t count; uint32_t want;
      long r;)
{
    ASYNC_BEGIN(phys_page);
    waiter_init(&f->w);
    f->want = 0;
    for (;;) {
        *f->out = f->how & PHYS_OVERWRITE ? phys_page_try(f->ph, f->index)
                                          : phys_page_now(f->ph, f->index);
        if (*f->out)
            ASYNC_RETURN(0);
        spin_lock(&f->ph->lock);
        f->pages[0] = radix_get(&f->ph->tree, f->index);
        if (f->pages[0] && !(f->pages[0]->flags & PAGE_UPTODATE)) { // others read it
            waitq_add(&f->ph->waiters, &f->w, t);
            spin_unlock(&f->ph->lock);
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
            pa_t pa = frame_alloc(FRAME_ZERO | FRAME_USER);
            f->r = pa ? phys_insert(f->ph, f->index, page_of(pa), PAGE_UPTODATE | PAGE_RECENT)
                      : -ENOMEM;
            spin_unlock(&f->ph->lock);
            if (f->r < 0) {
                if (pa)
                    frame_unref(pa);
                ASYNC_RETURN(f->r);
            }
            continue;
        }
        f->ph->misses++;
        f->want = f->want ? 1 : read_window(f->ph, f->index);
        f->count = claim_run(f->ph, f->index, f->want, f->pages);
        spin_unlock(&f->ph->lock);
        if (!f->count)
            ASYNC_RETURN(-ENOMEM);
        AWAIT(f->r, read_run, f->ph, f->index, f->pages, f->count);
        if (f->r == 0) {
            *f->out = f->pages[0];
            ASYNC_RETURN(0);
        }
        if (f->count == 1)
            ASYNC_RETURN(f->r);
        // Part of the run cannot be read: once more for this page alone.
    }
    ASYNC_FINALLY;
    waiter_finish(&f->ph->lock, &f->ph->waiters, &f->w);
    ASYNC_END;
}

// ---- writing back

// Takes the next run of dirty pages at or behind *index, below hi. Returns how many.
static uint32_t claim_dirty(struct phys *ph, uint64_t *index, uint64_t hi, struct page **pages)
{
    uint32_t n = 0;
    struct page *pg;
    spin_lock(&ph->lock);
    while ((pg = radix_next(&ph->tree, index)) && *index < hi &&
           (!(pg->flags & PAGE_DIRTY) || pg->flags & PAGE_WRITEBACK))
        ++*index;
    for (; pg && *index + n < hi && n < PHYS_RUN; n++) {
        pg = radix_get(&ph->tree, *index + n);
        if (!pg || !(pg->flags & PAGE_DIRTY) || pg->flags & PAGE_WRITEBACK)
            break;
        phys_clear_dirty(ph, pg);
        pg->flags |= PAGE_WRITEBACK;
        ph->writing++;
        page_ref(pg);
        pages[n] = pg;
    }
    spin_unlock(&ph->lock);
    return n;
}

static void finish_write(struct phys *ph, uint32_t count, struct page **pages, long r)
{
    spin_lock(&ph->lock);
    for (uint32_t i = 0; i < count; i++) {
        struct page *pg = pages[i];
        pg->flags &= (uint16_t)~PAGE_WRITEBACK;
        ph->writing--;
        // A page somebody can write through a shared mapping is dirty as long as it is mapped.
        bool mapped = load_relaxed(&ph->shared_writable) && load_relaxed(&pg->refs) > 2;
        if (pg->owner == ph && (r < 0 || mapped))
            phys_mark_dirty(ph, pg);
        page_put(pg);
    }
    if (r < 0 && r != -EINTR)
        ph->error = (int32_t)r;
    ph->written += count;
    waitq_wake_all(&ph->waiters);
    spin_unlock(&ph->lock);
}

ASYNC_DECL(write_run, struct phys *ph; uint64_t index; struct page **pages; uint32_t count;);
ASYNC(write_run, long r; bool over;)
{
    ASYNC_BEGIN(write_run);
    f->over = false;
    AWAIT_VIA(f->r, phys_write, f->ph->ops->write, f->ph, f->index, f->pages, f->count);
    f->over = true;
    finish_write(f->ph, f->count, f->pages, f->r);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (!f->over)
        finish_write(f->ph, f->count, f->pages, -EINTR);
    ASYNC_END;
}

// Waits until nothing of the object is being written.
ASYNC_DECL(wait_written, struct phys *ph;);
ASYNC(wait_written, struct waiter w;)
{
    ASYNC_BEGIN(wait_written);
    waiter_init(&f->w);
    spin_lock(&f->ph->lock);
    while (f->ph->writing) {
        waitq_add(&f->ph->waiters, &f->w, t);
        spin_unlock(&f->ph->lock);
        SUSPEND("page being written");
        spin_lock(&f->ph->lock);
    }
    waitq_remove(&f->ph->waiters, &f->w);
    spin_unlock(&f->ph->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->ph->lock, &f->ph->waiters, &f->w);
    ASYNC_END;
}

static void undirty_list(struct phys *ph)
{
    spin_lock(&ph->lock);
    spin_lock(&phys_dirty_lock);
    if (!ph->dirty)
        list_remove(&ph->dirty_link);
    spin_unlock(&phys_dirty_lock);
    spin_unlock(&ph->lock);
}

static long take_error(struct phys *ph)
{
    spin_lock(&ph->lock);
    long e = ph->error;
    ph->error = 0;
    spin_unlock(&ph->lock);
    return e;
}

ASYNC(phys_sync, struct page *pages[PHYS_RUN]; uint64_t at; uint32_t count; long r;)
{
    ASYNC_BEGIN(phys_sync);
    if (!f->ph->ops || !f->ph->ops->write)
        ASYNC_RETURN(0);
    for (f->at = f->lo; (f->count = claim_dirty(f->ph, &f->at, f->hi, f->pages)) != 0;
         f->at += f->count)
        AWAIT(f->r, write_run, f->ph, f->at, f->pages, f->count);
    AWAIT(f->r, wait_written, f->ph);
    undirty_list(f->ph);
    ASYNC_RETURN(take_error(f->ph));
    ASYNC_FINALLY;
    ASYNC_END;
}

// The first object of the list that can be referenced, moved to its end. *left counts down.
static struct phys *next_dirty(uint32_t *left)
{
    struct phys *found = NULL;
    spin_lock(&phys_dirty_lock);
    while (*left && !found && !list_empty(&phys_dirty_list)) {
        struct phys *ph = list_entry(phys_dirty_list.next, struct phys, dirty_link);
        list_remove(&ph->dirty_link);
        list_push_back(&phys_dirty_list, &ph->dirty_link);
        --*left;
        if (ph->ops->write && ph->ops->try_get && ph->ops->try_get(ph))
            found = ph;
    }
    spin_unlock(&phys_dirty_lock);
    return found;
}

static uint32_t dirty_objects(void)
{
    uint32_t n = 0;
    spin_lock(&phys_dirty_lock);
    LIST_FOREACH(it, &phys_dirty_list)
        n++;
    spin_unlock(&phys_dirty_lock);
    return n;
}

ASYNC(phys_sync_all, struct phys *ph; uint32_t left; long r; long first;)
{
    ASYNC_BEGIN(phys_sync_all);
    f->ph = NULL;
    f->first = 0;
    f->left = dirty_objects();
    while ((f->ph = next_dirty(&f->left))) {
        AWAIT(f->r, phys_sync, f->ph, 0, UINT64_MAX);
        if (f->r < 0 && !f->first)
            f->first = f->r;
        phys_put(f->ph);
    }
    ASYNC_RETURN(f->first);
    ASYNC_FINALLY;
    if (f->ph)
        phys_put(f->ph);
    ASYNC_END;
}

// ---- dropping

// Waits for the busy pages from `from` on and drops everything there.
ASYNC_DECL(drop_from, struct phys *ph; uint64_t from;);

static bool any_from(struct phys *ph, uint64_t from, struct waiter *w, struct task *t)
{
    spin_lock(&ph->lock);
    bool any = radix_next(&ph->tree, &from) != NULL;
    if (any)
        waitq_add(&ph->waiters, w, t);
    spin_unlock(&ph->lock);
    return any;
}

ASYNC(drop_from, struct waiter w; uint64_t at;)
{
    ASYNC_BEGIN(drop_from);
    waiter_init(&f->w);
    for (;;) {
        f->at = f->from;
        while (phys_drop_some(f->ph, &f->at, DROP_STEP))
            YIELD();
        if (!any_from(f->ph, f->from, &f->w, t))
            break;
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
    undirty_list(f->ph);
    SHIELD_END();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// What lies behind the new end in its last page is zeroed, now and before the file grows again.
static void zero_tail(struct phys *ph, uint64_t size)
{
    struct page *pg = size & PAGE_MASK ? phys_page_try(ph, size >> PAGE_SHIFT) : NULL;
    if (!pg)
        return;
    memset((char *)page_kva(pg) + (size & PAGE_MASK), 0, PAGE_SIZE - (size & PAGE_MASK));
    page_put(pg);
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
        zero_tail(f->ph, f->size);
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
