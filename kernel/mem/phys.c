// SPDX-License-Identifier: MIT
// Memory objects: finding, making, dirtying, dropping and evicting their pages. Waiting is in
// phys_io.c.
//
// The tree holds one reference on each page. A page leaves the tree only under the object's lock;
// if somebody still has it (a mapping, a reader), it lives on without an owner and never comes back.
// Eviction walks all frames like the hand of a clock and takes clean pages that only the tree
// holds; reclaim_lock keeps it from an object that is being destroyed.
#include "mem/phys.h"
#include "lib/init.h"
#include "mem/phys_internal.h"
#include "page/heap.h"

struct phys_totals phys_totals;
struct spinlock phys_dirty_lock = SPINLOCK_INIT("dirty objects");
struct list phys_dirty_list = LIST_INIT(phys_dirty_list);
static struct spinlock reclaim_lock = SPINLOCK_INIT("page reclaim");

void phys_init(struct phys *ph, enum phys_kind kind, const struct phys_ops *ops, void *owner,
               uint64_t size)
{
    *ph = (struct phys){.kind = kind, .ops = ops, .owner = owner, .size = size};
    spin_init(&ph->lock, "phys");
    waitq_init(&ph->waiters);
    list_init(&ph->dirty_link);
}

struct phys *phys_new_shared(uint64_t size)
{
    struct phys *ph = kmalloc(sizeof *ph);
    if (!ph)
        return NULL;
    phys_init(ph, PHYS_SHARED_ANON, NULL, NULL, size);
    ph->refs = 1;
    return ph;
}

void phys_get(struct phys *ph)
{
    if (ph->kind == PHYS_SHARED_ANON)
        atomic_add32(&ph->refs, 1);
    else
        ph->ops->get(ph);
}

void phys_put(struct phys *ph)
{
    if (ph->kind == PHYS_FILE)
        ph->ops->put(ph);
    else if (atomic_add32(&ph->refs, (uint32_t)-1) == 1)
        phys_reap(ph);
}

// ---- pages; lock held

// Puts a fresh frame (one reference, the tree's) at index. The page has no contents yet.
int phys_insert(struct phys *ph, uint64_t index, struct page *pg, uint16_t flags)
{
    if (radix_put(&ph->tree, index, pg))
        return -ENOMEM;
    pg->kind = FRAME_CACHE;
    pg->order = FRAME_NO_ORDER;
    pg->flags = flags;
    pg->index = (uint32_t)index;
    pg->owner = ph;
    ph->pages++;
    if (ph->kind == PHYS_FILE)
        phys_totals.cached++;
    else
        phys_totals.shared_anon++;
    return 0;
}

void phys_clear_dirty(struct phys *ph, struct page *pg)
{
    if (!(pg->flags & PAGE_DIRTY))
        return;
    pg->flags &= (uint16_t)~PAGE_DIRTY;
    ph->dirty--;
    phys_totals.dirty--;
}

// Cuts the page off; the tree's reference is the caller's now.
struct page *phys_remove(struct phys *ph, uint64_t index)
{
    struct page *pg = radix_remove(&ph->tree, index);
    if (!pg)
        return NULL;
    phys_clear_dirty(ph, pg);
    pg->flags |= PAGE_GONE;
    pg->owner = NULL;
    ph->pages--;
    if (ph->kind == PHYS_FILE)
        phys_totals.cached--;
    else
        phys_totals.shared_anon--;
    return pg;
}

void phys_mark_dirty(struct phys *ph, struct page *pg)
{
    pg->order = FRAME_NO_ORDER; // instruction fetch has not seen these contents
    if (pg->flags & (PAGE_DIRTY | PAGE_GONE) || ph->kind != PHYS_FILE || !ph->ops->write)
        return;
    pg->flags |= PAGE_DIRTY;
    phys_totals.dirty++;
    if (ph->dirty++ == 0) {
        spin_lock(&phys_dirty_lock);
        if (list_empty(&ph->dirty_link))
            list_push_back(&phys_dirty_list, &ph->dirty_link);
        spin_unlock(&phys_dirty_lock);
    }
}

static inline struct page *ready_page(struct phys *ph, uint64_t index)
{
    struct page *pg = radix_get(&ph->tree, index);
    if (!pg || !(pg->flags & PAGE_UPTODATE))
        return NULL;
    pg->flags |= PAGE_RECENT;
    page_ref(pg);
    return pg;
}

// ---- the plain interface

struct page *phys_page_try(struct phys *ph, uint64_t index)
{
    spin_lock(&ph->lock);
    struct page *pg = ready_page(ph, index);
    if (pg)
        ph->hits++;
    spin_unlock(&ph->lock);
    return pg;
}

struct page *phys_page_now(struct phys *ph, uint64_t index)
{
    struct page *pg = phys_page_try(ph, index);
    if (pg || !phys_needs_no_fill(ph, index))
        return pg;
    pa_t pa = frame_alloc(FRAME_ZERO | FRAME_USER);
    if (!pa)
        return NULL;
    spin_lock(&ph->lock);
    pg = ready_page(ph, index); // somebody may have been faster
    if (!pg && !radix_get(&ph->tree, index) &&
        !phys_insert(ph, index, page_of(pa), PAGE_UPTODATE | PAGE_RECENT)) {
        pg = page_of(pa);
        page_ref(pg);
        pa = 0;
    }
    spin_unlock(&ph->lock);
    if (pa)
        frame_unref(pa);
    return pg;
}

void phys_dirty(struct phys *ph, struct page *pg)
{
    spin_lock(&ph->lock);
    phys_mark_dirty(ph, pg);
    spin_unlock(&ph->lock);
}

void phys_grow(struct phys *ph, uint64_t size)
{
    spin_lock(&ph->lock);
    if (size > ph->size)
        ph->size = size;
    spin_unlock(&ph->lock);
}

// Drops up to `max` pages from `from` on that are not busy; *next is where to go on. Returns false
// when there are none left. Pages being filled or written stay: the caller waits for them.
bool phys_drop_some(struct phys *ph, uint64_t *next, unsigned max)
{
    struct page *pg;
    bool more = false;
    spin_lock(&reclaim_lock);
    spin_lock(&ph->lock);
    while ((pg = radix_next(&ph->tree, next))) {
        if (!max--) {
            more = true;
            break;
        }
        if (!(pg->flags & (PAGE_BUSY | PAGE_WRITEBACK)))
            page_put(phys_remove(ph, *next));
        ++*next;
    }
    spin_unlock(&ph->lock);
    spin_unlock(&reclaim_lock);
    return more;
}

size_t phys_snapshot(struct phys *ph, uint64_t from, struct phys_page_info *out, size_t max)
{
    size_t n = 0;
    struct page *pg;
    spin_lock(&ph->lock);
    for (; n < max && (pg = radix_next(&ph->tree, &from)); from++)
        out[n++] = (struct phys_page_info){from, page_pa(pg), pg->refs, pg->flags};
    spin_unlock(&ph->lock);
    return n;
}

// ---- eviction

static bool evict(struct page *pg)
{
    struct phys *ph = load_relaxed(&pg->owner);
    bool gone = false;
    if (!ph || !spin_trylock(&ph->lock)) // the lock may be this hart's own
        return false;
    if (pg->kind == FRAME_CACHE && pg->owner == ph && ph->kind == PHYS_FILE && ph->ops->fill &&
        (pg->flags & (PAGE_UPTODATE | PAGE_DIRTY | PAGE_BUSY | PAGE_WRITEBACK)) == PAGE_UPTODATE &&
        load_relaxed(&pg->refs) == 1) {
        gone = !(pg->flags & PAGE_RECENT);
        pg->flags &= (uint16_t)~PAGE_RECENT;
        if (gone)
            page_put(phys_remove(ph, pg->index));
    }
    spin_unlock(&ph->lock);
    return gone;
}

// Two turns of the clock at most: the first takes away the second chance. The lock may be held by
// this very hart (destroy frees nodes, which does not allocate), so it is only tried.
static size_t shrink(size_t want)
{
    static uint64_t hand;
    size_t got = 0;
    if (!phys_totals.cached || !spin_trylock(&reclaim_lock))
        return 0;
    uint64_t n = (frame_end - frame_base) >> PAGE_SHIFT;
    for (uint64_t i = 0; i < 2 * n && got < want; i++) {
        struct page *pg = &frame_pages[hand++ % n];
        if (load_relaxed(&pg->kind) == FRAME_CACHE && evict(pg))
            got++;
    }
    spin_unlock(&reclaim_lock);
    return got;
}

static void phys_start(void)
{
    frame_set_shrinker(shrink);
}
INIT(INIT_CORE, phys_start);
