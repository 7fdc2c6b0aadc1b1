// SPDX-License-Identifier: MIT
// Memory objects: finding, making, dirtying and dropping their pages. Waiting is in phys_io.c, eviction
// in evict.c.
//
// The tree holds one reference on each page. A page leaves the tree only under the object's lock;
// if somebody still has it (a mapping, a reader), it lives on without an owner and never comes back.
#include "mem/phys.h"
#include "mem/phys_internal.h"
#include "page/heap.h"

struct phys_totals phys_totals;

void phys_init(struct phys *ph, enum phys_kind kind, const struct phys_ops *ops, void *owner,
               uint64_t size)
{
    *ph = (struct phys){.kind = kind, .ops = ops, .owner = owner, .size = size};
    ph->ahead.trigger = AHEAD_NOWHERE;
    spin_init(&ph->lock, "phys");
    waitq_init(&ph->waiters);
    list_init(&ph->dirty_link);
    list_init(&ph->mappings);
}

struct phys *phys_new_shared(uint64_t size)
{
    static uint64_t last_number;
    struct phys *ph = kmalloc(sizeof *ph);
    if (!ph)
        return NULL;
    phys_init(ph, PHYS_SHARED_ANON, NULL, NULL, size);
    ph->number = atomic_add64(&last_number, 1) + 1;
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

static uint64_t *total_of(const struct phys *ph)
{
    return ph->kind == PHYS_FILE ? &phys_totals.cached : &phys_totals.shared_anon;
}

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
    atomic_add64(total_of(ph), 1);
    if (phys_can_evict(ph))
        evict_list_add(pg);
    return 0;
}

void phys_clear_dirty(struct phys *ph, struct page *pg)
{
    if (!(pg->flags & PAGE_DIRTY))
        return;
    pg->flags &= (uint16_t)~PAGE_DIRTY;
    ph->dirty--;
    atomic_add64(&phys_totals.dirty, -1ul);
}

// Cuts the page off; the tree's reference is the caller's now.
struct page *phys_remove(struct phys *ph, uint64_t index)
{
    struct page *pg = radix_remove(&ph->tree, index);
    if (!pg)
        return NULL;
    phys_clear_dirty(ph, pg);
    if (phys_can_evict(ph))
        evict_list_remove(pg);
    phys_cut_off(ph, pg);
    return pg;
}

// What is left to do once the page is out of the tree and of the eviction list.
void phys_cut_off(struct phys *ph, struct page *pg)
{
    pg->flags |= PAGE_GONE;
    pg->owner = NULL;
    ph->pages--;
    atomic_add64(total_of(ph), -1ul);
}

void phys_mark_dirty(struct phys *ph, struct page *pg)
{
    pg->order = FRAME_NO_ORDER; // instruction fetch has not seen these contents
    if (pg->flags & (PAGE_DIRTY | PAGE_GONE) || ph->kind != PHYS_FILE || !ph->ops->write)
        return;
    pg->flags |= PAGE_DIRTY;
    atomic_add64(&phys_totals.dirty, 1);
    if (ph->dirty++ == 0)
        phys_now_dirty(ph);
}

static inline struct page *ready_page(struct phys *ph, uint64_t index)
{
    struct page *pg = radix_get(&ph->tree, index);
    if (!pg || !(pg->flags & PAGE_UPTODATE))
        return NULL;
    pg->flags |= PAGE_RECENT | (pg->flags & PAGE_RECENT) * (PAGE_HOT / PAGE_RECENT);
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

uint32_t phys_pages_try(struct phys *ph, uint64_t index, uint32_t want, struct page **pages)
{
    uint32_t found = 0;
    spin_lock(&ph->lock);
    uint64_t end = page_round_up(ph->size) >> PAGE_SHIFT, trigger = ph->ahead.trigger - index;
    if (unlikely(trigger < 32)) // who touches it is to be noticed
        want &= ~(1u << trigger);
    for (; want; want &= want - 1) {
        unsigned i = (unsigned)__builtin_ctz(want);
        struct page *pg = index + i < end ? radix_get(&ph->tree, index + i) : NULL;
        if (!pg || !(pg->flags & PAGE_UPTODATE))
            continue;
        page_ref(pg);
        pages[i] = pg;
        found |= 1u << i;
    }
    spin_unlock(&ph->lock);
    return found;
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
        !phys_insert(ph, index, page_of(pa), PAGE_UPTODATE)) {
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

void phys_stored(struct phys *ph, struct page *pg)
{
    phys_dirty(ph, pg);
    if (ph->kind == PHYS_FILE && ph->ops->stored)
        ph->ops->stored(ph);
}

void phys_wrote(struct phys *ph, struct page *pg, uint64_t end)
{
    spin_lock(&ph->lock);
    if (end > ph->size)
        ph->size = end;
    phys_mark_dirty(ph, pg);
    spin_unlock(&ph->lock);
}

void phys_zero_tail(struct phys *ph)
{
    uint64_t size = load_relaxed(&ph->size);
    struct page *pg = size & PAGE_MASK ? phys_page_try(ph, size >> PAGE_SHIFT) : NULL;
    if (!pg)
        return;
    memset((char *)page_kva(pg) + (size & PAGE_MASK), 0, PAGE_SIZE - (size & PAGE_MASK));
    phys_dirty(ph, pg);
    page_put(pg);
}

void phys_grow(struct phys *ph, uint64_t size)
{
    phys_zero_tail(ph);
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
    if (!more)
        evict_leave();
    return more;
}

bool phys_forget_some(struct phys *ph, uint64_t *next, uint64_t hi, unsigned max)
{
    const uint16_t clean = PAGE_UPTODATE | PAGE_DIRTY | PAGE_BUSY | PAGE_WRITEBACK;
    struct page *pg = NULL;
    if (!phys_can_evict(ph))
        return false;
    spin_lock(&ph->lock);
    for (; (pg = radix_next(&ph->tree, next)) && *next < hi && max; max--, ++*next)
        if ((pg->flags & clean) == PAGE_UPTODATE && load_relaxed(&pg->refs) == 1)
            page_put(phys_remove(ph, *next));
    spin_unlock(&ph->lock);
    return pg && *next < hi;
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

// Past pages of which each has the next number, at most `max`. False: *index is of no page.
static bool skip_pages(struct phys *ph, uint64_t *index, unsigned max)
{
    uint64_t at = *index;
    spin_lock(&ph->lock);
    while (max && radix_next(&ph->tree, &at) && at == *index) {
        at = ++*index;
        max--;
    }
    spin_unlock(&ph->lock);
    return max == 0;
}

uint64_t phys_seek(struct phys *ph, uint64_t from, bool hole)
{
    enum { AT_ONCE = 256 };
    uint64_t index = from >> PAGE_SHIFT, size = load_relaxed(&ph->size);
    bool found = true;
    if (hole) {
        while (skip_pages(ph, &index, AT_ONCE))
            continue;
    } else {
        spin_lock(&ph->lock);
        found = radix_next(&ph->tree, &index);
        spin_unlock(&ph->lock);
    }
    uint64_t at = index << PAGE_SHIFT;
    at = at > from ? at : from;
    return found && at < size ? at : size;
}
