// SPDX-License-Identifier: MIT
// Giving up clean pages of files: which have been used least lately, in two lists.
//
// A page comes to the end of the inactive list. At the list's front it goes, unless it was used since
// the last look (RECENT: once more round) or again after that (HOT: it moves to the active list, whose
// front comes back to the inactive one, slowly, or fast when the active is the longer). So pages read once in
// passing leave before those that are used again and again.
//
// A list is linked by frame numbers in page.data. list_lock is inside phys.lock; eviction, which
// goes the other way, and may run under any lock of an allocating caller, only tries.
#include "lib/init.h"
#include "mem/phys_internal.h"

enum { INACTIVE, ACTIVE, LOOK_MAX = 256 };

struct page_list {
    uint32_t first, last; // frame number + 1; 0: none
    uint64_t count;
};
static struct spinlock list_lock = SPINLOCK_INIT("page lists");
static struct page_list lists[2];

// ---- lists; list_lock held

static uint32_t *next_of(struct page *pg)
{
    return (uint32_t *)&pg->data;
}

static uint32_t *prev_of(struct page *pg)
{
    return (uint32_t *)&pg->data + 1;
}

static uint32_t number_of(const struct page *pg)
{
    return (uint32_t)(pg - frame_pages) + 1;
}

static struct page *page_at(uint32_t number)
{
    return &frame_pages[number - 1];
}

static void push(struct page_list *l, struct page *pg)
{
    *next_of(pg) = 0;
    *prev_of(pg) = l->last;
    if (l->last)
        *next_of(page_at(l->last)) = number_of(pg);
    else
        l->first = number_of(pg);
    l->last = number_of(pg);
    l->count++;
}

static void unlink(struct page_list *l, struct page *pg)
{
    uint32_t next = *next_of(pg), prev = *prev_of(pg);
    if (next)
        *prev_of(page_at(next)) = prev;
    else
        l->last = prev;
    if (prev)
        *next_of(page_at(prev)) = next;
    else
        l->first = next;
    l->count--;
}

static struct page_list *list_of(const struct page *pg)
{
    return &lists[pg->flags & PAGE_ACTIVE ? ACTIVE : INACTIVE];
}

void evict_list_add(struct page *pg)
{
    spin_lock(&list_lock);
    push(list_of(pg), pg);
    spin_unlock(&list_lock);
}

void evict_list_remove(struct page *pg)
{
    spin_lock(&list_lock);
    unlink(list_of(pg), pg);
    spin_unlock(&list_lock);
}

void evict_leave(void)
{
    spin_lock(&list_lock);
    spin_unlock(&list_lock);
}

uint64_t phys_evictable(void)
{
    return load_relaxed(&lists[INACTIVE].count) + load_relaxed(&lists[ACTIVE].count);
}

// ---- eviction; list_lock held, phys.lock too

static void move(struct page *pg, uint16_t clear, uint16_t set)
{
    unlink(list_of(pg), pg);
    pg->flags = (uint16_t)((pg->flags & ~clear) | set);
    push(list_of(pg), pg);
}

// Nobody uses it, or can be made to find it absent. The latter not from within an allocation.
static enum evicted is_idle(struct phys *ph, struct page *pg, bool unmap)
{
    if ((pg->flags & (PAGE_UPTODATE | PAGE_DIRTY | PAGE_BUSY | PAGE_WRITEBACK)) != PAGE_UPTODATE)
        return EVICT_NOT;
    if (load_relaxed(&pg->refs) == 1)
        return EVICT_DONE;
    return unmap && !load_relaxed(&pg->pins) ? rmap_evict(ph, pg) : EVICT_NOT;
}

static enum evicted evict(struct phys *ph, struct page *pg, bool unmap)
{
    if (pg->flags & PAGE_HOT) {
        move(pg, PAGE_HOT | PAGE_RECENT, PAGE_ACTIVE);
        return EVICT_NOT;
    }
    enum evicted done = pg->flags & PAGE_RECENT ? EVICT_NOT : is_idle(ph, pg, unmap);
    if (done != EVICT_DONE) {
        move(pg, PAGE_RECENT, 0);
        return done;
    }
    unlink(list_of(pg), pg);
    radix_remove(&ph->tree, pg->index);
    phys_cut_off(ph, pg);
    page_put(pg);
    return EVICT_DONE;
}

static enum evicted cool(struct phys *ph, struct page *pg, bool unmap)
{
    (void)ph, (void)unmap;
    bool used = pg->flags & (PAGE_HOT | PAGE_RECENT);
    move(pg, used ? PAGE_HOT | PAGE_RECENT : PAGE_ACTIVE, 0);
    return EVICT_NOT;
}

// The front page of a list, with its object locked, is dealt with. Who holds that lock now is passed by.
static enum evicted deal_with_front(struct page_list *l,
                                    enum evicted (*fn)(struct phys *, struct page *, bool),
                                    bool unmap)
{
    struct page *pg = page_at(l->first);
    struct phys *ph = pg->owner;    // in a list: it has one
    if (!spin_trylock(&ph->lock)) { // may be this hart's own
        unlink(l, pg);
        push(l, pg);
        return EVICT_LOCKED;
    }
    enum evicted done = fn(ph, pg, unmap);
    spin_unlock(&ph->lock);
    return done;
}

// list_lock stays held: an object whose last page goes here cannot be freed before evict_leave. A page behind
// a lock that another hart has now was not looked at: that hart may be one whose host does not run it.
static size_t reclaim(size_t want, uint64_t *looked, bool unmap)
{
    size_t got = 0;
    unsigned tries = 0, locked = 0;
    if (!spin_trylock(&list_lock))
        return 0;
    for (; got < want && tries < LOOK_MAX && phys_evictable(); tries++) {
        enum evicted done = EVICT_NOT;
        if (lists[ACTIVE].count > lists[INACTIVE].count || (lists[ACTIVE].first && tries % 4 == 0))
            done = deal_with_front(&lists[ACTIVE], cool, unmap);
        if (lists[INACTIVE].first)
            done = deal_with_front(&lists[INACTIVE], evict, unmap);
        got += done == EVICT_DONE;
        locked += done == EVICT_LOCKED;
    }
    spin_unlock(&list_lock);
    atomic_add64(&phys_totals.evicted, got);
    *looked += tries - locked + !phys_evictable();
    return got;
}

size_t phys_reclaim(size_t want, uint64_t *looked)
{
    return reclaim(want, looked, true);
}

static size_t shrink(size_t want)
{
    uint64_t looked = 0;
    return phys_evictable() ? reclaim(want, &looked, false) : 0;
}

static void evict_start(void)
{
    frame_set_shrinker(shrink);
}
INIT(INIT_CORE, evict_start);
