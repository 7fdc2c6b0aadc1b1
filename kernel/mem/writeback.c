// SPDX-License-Identifier: MIT
// Memory objects: writing dirty pages back, when somebody syncs, when they are old, when they are many.
//
// A page being written is WRITEBACK and may be used and even dirtied again: then it is written once
// more. One task, the flusher, writes what has been dirty for an age, and everything
// when more than a tenth of the memory that could be cache is dirty; from a fifth on, writers wait for
// it. A page whose write failed is clean afterwards, as in Linux: its contents are lost with the
// cache, and each open file that syncs is told once (phys_error_since). Only a write that ended for
// want of memory, or was cancelled, leaves it dirty.
#include "async/wait_async.h"
#include "async/wait_look.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys_internal.h"

ASYNC_IFACE_DEFINE(phys_write);

enum { BACKGROUND_SHARE = 10, THROTTLE_SHARE = 5 };
#define DIRTY_AGE_NS 30000000000ull // until it is set
#define PAUSE_NS     10000000ull    // of the flusher, when nothing that is dirty can be written
#define THROTTLE_NS  100000000ull   // of a writer, before it looks again

struct spinlock phys_dirty_lock = SPINLOCK_INIT("dirty objects");
struct list phys_dirty_list = LIST_INIT(phys_dirty_list); // the one dirty for longest first

static struct {
    struct event wanted; // something became dirty, or is to be written now
    uint32_t now;        // atomic: write whatever is dirty, once
    uint64_t age_ns;     // atomic
    struct spinlock lock;
    struct waitq progress; // waiters for phys_totals.written or .dirty to change
} flusher = {.age_ns = DIRTY_AGE_NS};

// ---- how much may be dirty

static bool dirty_beyond(unsigned share)
{
    uint64_t dirty = load_relaxed(&phys_totals.dirty);
    return dirty > 64 && dirty * share > phys_evictable() + frame_free_count();
}

bool phys_dirty_excess(const struct phys *ph)
{
    if (!ph->ops || !ph->ops->write || !dirty_beyond(BACKGROUND_SHARE))
        return false;
    if (!load_relaxed(&flusher.wanted.set))
        event_set(&flusher.wanted);
    return dirty_beyond(THROTTLE_SHARE);
}

uint64_t phys_dirty_age(void)
{
    return load_relaxed(&flusher.age_ns);
}

void phys_set_dirty_age(uint64_t ns)
{
    store_relaxed(&flusher.age_ns, ns);
    event_set(&flusher.wanted);
}

void phys_write_soon(void)
{
    store_relaxed(&flusher.now, 1);
    event_set(&flusher.wanted);
}

// phys.lock held: the object has its first dirty page.
void phys_now_dirty(struct phys *ph)
{
    spin_lock(&phys_dirty_lock);
    if (list_empty(&ph->dirty_link)) {
        ph->dirty_since_ns = clock_monotonic_ns();
        list_push_back(&phys_dirty_list, &ph->dirty_link);
    }
    spin_unlock(&phys_dirty_lock);
    if (!load_relaxed(&flusher.wanted.set))
        event_set(&flusher.wanted);
}

void phys_undirty(struct phys *ph)
{
    spin_lock(&ph->lock);
    spin_lock(&phys_dirty_lock);
    if (!ph->dirty)
        list_remove(&ph->dirty_link);
    spin_unlock(&phys_dirty_lock);
    spin_unlock(&ph->lock);
}

// ---- one run of pages

// Takes the next run of dirty pages at or behind *index, below hi. Returns how many. A page that is
// being written already and has been dirtied again ends it: *again is where to go on once it is free.
static uint32_t claim_dirty(struct phys *ph, uint64_t *index, uint64_t hi, struct page **pages,
                            bool *again)
{
    uint32_t n = 0;
    struct page *pg;
    spin_lock(&ph->lock);
    while ((pg = radix_next(&ph->tree, index)) && *index < hi && !(pg->flags & PAGE_DIRTY))
        ++*index;
    *again = pg && *index < hi && pg->flags & PAGE_WRITEBACK;
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

static bool transient(long r)
{
    return r == -ENOMEM || r == -EINTR || r == -ECANCELED;
}

static void finish_write(struct phys *ph, uint32_t count, struct page **pages, uint32_t why, long r)
{
    spin_lock(&ph->lock);
    for (uint32_t i = 0; i < count; i++) {
        struct page *pg = pages[i];
        pg->flags &= (uint16_t)~PAGE_WRITEBACK;
        ph->writing--;
        if (pg->owner == ph && transient(r))
            phys_mark_dirty(ph, pg);
        page_put(pg);
    }
    if (r < 0 && !transient(r)) {
        ph->error = (int32_t)r;
        ph->error_count++;
    }
    ph->written += count;
    waitq_wake_all(&ph->waiters);
    spin_unlock(&ph->lock);
    spin_lock(&flusher.lock);
    atomic_add64(&phys_totals.written, count);
    atomic_add64(&phys_totals.written_for[why], count);
    waitq_wake_all(&flusher.progress);
    spin_unlock(&flusher.lock);
}

ASYNC_DECL(write_run, struct phys *ph; uint64_t index; struct page **pages; uint32_t count;
           uint32_t why;);
ASYNC(write_run, long r; bool over;)
{
    ASYNC_BEGIN(write_run);
    f->over = false;
    if (load_relaxed(&f->ph->shared_writable)) // who writes from now on makes it dirty again
        AWAIT(f->r, rmap_protect, f->ph, f->index, f->count);
    AWAIT_VIA(f->r, phys_write, f->ph->ops->write, f->ph, f->index, f->pages, f->count);
    f->over = true;
    finish_write(f->ph, f->count, f->pages, f->why, f->r);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (!f->over)
        finish_write(f->ph, f->count, f->pages, f->why, -EINTR);
    ASYNC_END;
}

// ---- an object

// Lock held. Is a page of [lo, hi) being written?
static bool being_written(struct phys *ph, uint64_t lo, uint64_t hi)
{
    struct page *pg;
    if (!ph->writing)
        return false;
    if (lo == 0 && hi == UINT64_MAX)
        return true;
    for (; (pg = radix_next(&ph->tree, &lo)) && lo < hi; lo++)
        if (pg->flags & PAGE_WRITEBACK)
            return true;
    return false;
}

// Waits until nothing of [lo, hi) is being written.
ASYNC_DECL(wait_written, struct phys *ph; uint64_t lo; uint64_t hi;);
ASYNC(wait_written, struct waiter w;)
{
    ASYNC_BEGIN(wait_written);
    waiter_init(&f->w);
    spin_lock(&f->ph->lock);
    while (being_written(f->ph, f->lo, f->hi)) {
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

WAIT_LOOK(wait_written)
{
    const struct wait_written_frame *f = frame;
    v->kind = "page being written";
    v->object = f->ph;
    spin_lock(&f->ph->lock);
    wait_view_all(v, &f->w, !being_written(f->ph, f->lo, f->hi));
    spin_unlock(&f->ph->lock);
}

// As phys_sync, and why.
ASYNC_DECL(write_range, struct phys *ph; uint64_t lo; uint64_t hi; uint32_t why;);
ASYNC(write_range, struct page *pages[PHYS_RUN]; uint64_t at; uint32_t count; bool again; long r;
      long first;)
{
    ASYNC_BEGIN(write_range);
    if (!f->ph->ops || !f->ph->ops->write)
        ASYNC_RETURN(0);
    f->first = 0;
    for (f->at = f->lo;; f->at += f->count) {
        f->count = claim_dirty(f->ph, &f->at, f->hi, f->pages, &f->again);
        if (f->count) {
            AWAIT(f->r, write_run, f->ph, f->at, f->pages, f->count, f->why);
            f->first = f->first ? f->first : f->r;
        } else if (f->again) {
            AWAIT(f->r, wait_written, f->ph, f->at, f->at + 1);
        } else {
            break;
        }
    }
    AWAIT(f->r, wait_written, f->ph, f->lo, f->hi);
    phys_undirty(f->ph);
    ASYNC_RETURN(f->first);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(phys_sync, long r;)
{
    ASYNC_BEGIN(phys_sync);
    AWAIT(f->r, write_range, f->ph, f->lo, f->hi, PHYS_SYNC);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

long phys_error_since(struct phys *ph, uint32_t *seen)
{
    spin_lock(&ph->lock);
    long e = *seen != ph->error_count ? ph->error : 0;
    *seen = ph->error_count;
    spin_unlock(&ph->lock);
    return e;
}

// ---- all objects

// The object dirty for longest, referenced, and moved to the list's end as if it had become dirty
// now. Only one that has been dirty since `before_ns`, while *left lasts.
static struct phys *next_dirty(uint32_t *left, uint64_t before_ns)
{
    struct phys *found = NULL;
    uint64_t now = clock_monotonic_ns();
    spin_lock(&phys_dirty_lock);
    while (*left && !found && !list_empty(&phys_dirty_list)) {
        struct phys *ph = list_entry(phys_dirty_list.next, struct phys, dirty_link);
        if (ph->dirty_since_ns > before_ns)
            break;
        list_remove(&ph->dirty_link);
        list_push_back(&phys_dirty_list, &ph->dirty_link);
        ph->dirty_since_ns = now;
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

// Those that have been dirty since before_ns.
ASYNC_DECL(sync_old, uint64_t before_ns; uint32_t why;);
ASYNC(sync_old, struct phys *ph; uint32_t left; long r; long first;)
{
    ASYNC_BEGIN(sync_old);
    f->ph = NULL;
    f->first = 0;
    f->left = dirty_objects();
    while ((f->ph = next_dirty(&f->left, f->before_ns))) {
        AWAIT(f->r, write_range, f->ph, 0, UINT64_MAX, f->why);
        if (f->r < 0 && !f->first)
            f->first = f->r;
        phys_put(f->ph);
        f->ph = NULL;
    }
    ASYNC_RETURN(f->first);
    ASYNC_FINALLY;
    if (f->ph)
        phys_put(f->ph);
    ASYNC_END;
}

ASYNC(phys_sync_all, long r;)
{
    ASYNC_BEGIN(phys_sync_all);
    AWAIT(f->r, sync_old, UINT64_MAX, PHYS_SYNC);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- the flusher

ASYNC(phys_wait_written, struct waiter w;)
{
    ASYNC_BEGIN(phys_wait_written);
    waiter_init(&f->w);
    spin_lock(&flusher.lock);
    while (phys_totals.written == f->before && phys_totals.dirty) {
        waitq_add(&flusher.progress, &f->w, t);
        spin_unlock(&flusher.lock);
        SUSPEND("dirty pages being written");
        spin_lock(&flusher.lock);
    }
    waitq_remove(&flusher.progress, &f->w);
    spin_unlock(&flusher.lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&flusher.lock, &flusher.progress, &f->w);
    ASYNC_END;
}

// What is dirty may also go unwritten, with a file that is removed: that wakes nobody.
ASYNC(phys_throttle, uint64_t before; struct deadline d; long r;)
{
    ASYNC_BEGIN(phys_throttle);
    while (dirty_beyond(THROTTLE_SHARE)) {
        atomic_add64(&phys_totals.throttled, 1);
        f->before = load_relaxed(&phys_totals.written);
        phys_write_soon();
        AWAIT_WITHIN(f->r, &f->d, THROTTLE_NS, phys_wait_written, f->before);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// When the object dirty for longest is due. UINT64_MAX: nothing is dirty.
static uint64_t due_ns(void)
{
    uint64_t due = UINT64_MAX;
    spin_lock(&phys_dirty_lock);
    if (!list_empty(&phys_dirty_list))
        due = list_entry(phys_dirty_list.next, struct phys, dirty_link)->dirty_since_ns +
              phys_dirty_age();
    spin_unlock(&phys_dirty_lock);
    return due;
}

// Until something is to be written now, or is old enough.
ASYNC_DECL(flusher_wait, int unused;);
ASYNC(flusher_wait, struct deadline d; uint64_t due; uint64_t now; long r;)
{
    ASYNC_BEGIN(flusher_wait);
    for (;;) {
        event_clear(&flusher.wanted);
        f->due = due_ns();
        f->now = clock_monotonic_ns();
        if (load_relaxed(&flusher.now) || f->due <= f->now || dirty_beyond(BACKGROUND_SHARE))
            break;
        if (f->due == UINT64_MAX)
            AWAIT(f->r, event_wait, &flusher.wanted, false);
        else
            AWAIT_WITHIN(f->r, &f->d, f->due - f->now, event_wait, &flusher.wanted, false);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(flush_loop, int unused;);
ASYNC(flush_loop, uint64_t before; long r;)
{
    ASYNC_BEGIN(flush_loop);
    for (;;) {
        AWAIT(f->r, flusher_wait, 0);
        f->before = load_relaxed(&phys_totals.written);
        if (atomic_swap32(&flusher.now, 0) || dirty_beyond(BACKGROUND_SHARE))
            AWAIT(f->r, sync_old, UINT64_MAX, PHYS_PRESSURE);
        else
            AWAIT(f->r, sync_old, clock_monotonic_ns() - phys_dirty_age(), PHYS_AGE);
        if (f->before == load_relaxed(&phys_totals.written))
            AWAIT(f->r, sleep_ns, PAUSE_NS, false);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void writeback_start(void)
{
    spin_init(&flusher.lock, "flusher");
    waitq_init(&flusher.progress);
    event_init(&flusher.wanted);
    if (!SPAWN("flusher", flush_loop, 0))
        panic("no memory for the flusher");
}
INIT(INIT_CORE, writeback_start);
