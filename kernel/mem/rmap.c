// SPDX-License-Identifier: MIT
// The reverse map: from a memory object's pages to the page tables that show them.
//
// An object knows its mappings (phys.mappings, under phys.lock), a mapping its space. The lock order is
// space.lock before phys.lock, so who comes from the object only tries the space's lock: when it is
// taken, the caller lets go of everything and comes again. A mapping leaves the list before its
// space can go. What fork copies later it copies from entries that were changed already: the child's
// mapping joins the list first.
#include "lib/log.h"
#include "mem/phys_internal.h"
#include "mem/space_internal.h"

enum { CHUNK_PAGES = 512 };

// lock of the mapping's space held: which addresses show pages [lo, hi). False: none.
static bool shown_at(const struct mapping *m, uint64_t lo, uint64_t hi, va_t *from, va_t *to)
{
    uint64_t first = m->offset >> PAGE_SHIFT;
    uint64_t end = first + ((m->range.hi - m->range.lo) >> PAGE_SHIFT);
    lo = lo > first ? lo : first;
    hi = hi < end ? hi : end;
    if (lo >= hi)
        return false;
    *from = m->range.lo + ((lo - first) << PAGE_SHIFT);
    *to = m->range.lo + ((hi - first) << PAGE_SHIFT);
    return true;
}

static void unmap(struct space *s, va_t from, va_t to)
{
    struct zap z;
    unsigned budget = UINT32_MAX;
    zap_begin(&z, s);
    zap_range(&z, from, to, &budget);
    zap_finish(&z);
}

// The next write of a page faults, and marks it dirty.
static void protect(struct space *s, va_t from, va_t to)
{
    bool lost = false;
    for (va_t va = from; va < to; va += PAGE_SIZE) {
        pte_t *slot = huge_find(s->root, va);
        if (!slot || !(*slot & PTE_W))
            continue;
        entry_set(s, slot, va, *slot & ~(pte_t)(PTE_W | PTE_D));
        lost = true;
    }
    if (lost)
        space_flush(s, from, to - from);
}

static bool walk(struct phys *ph, uint64_t lo, uint64_t hi, bool clean)
{
    bool all = true;
    spin_lock(&ph->lock);
    LIST_FOREACH(it, &ph->mappings) {
        const struct mapping *m = list_entry(it, struct mapping, in_phys);
        va_t from, to;
        if (clean && !(m->flags & MAPPING_SHARED))
            continue;
        if (!spin_trylock(&m->space->lock)) {
            all = false;
            break;
        }
        if (shown_at(m, lo, hi, &from, &to))
            (clean ? protect : unmap)(m->space, from, to);
        spin_unlock(&m->space->lock);
    }
    spin_unlock(&ph->lock);
    return all;
}

struct extent {
    uint64_t first, end; // pages
};

// From the first page at or behind `at` that a mapping shows to the last, as far as can be told without the spaces' locks.
// What lies between may be most of the numbers there are: a mapping may begin anywhere.
static struct extent mapped_behind(struct phys *ph, uint64_t at)
{
    struct extent all = {UINT64_MAX, 0};
    spin_lock(&ph->lock);
    LIST_FOREACH(it, &ph->mappings) {
        const struct mapping *m = list_entry(it, struct mapping, in_phys);
        uint64_t first = load_relaxed(&m->offset) >> PAGE_SHIFT;
        uint64_t end =
            first + ((load_relaxed(&m->range.hi) - load_relaxed(&m->range.lo)) >> PAGE_SHIFT);
        first = first > at ? first : at;
        if (end > at && first < all.first)
            all.first = first;
        all.end = end > all.end ? end : all.end;
    }
    spin_unlock(&ph->lock);
    return all;
}

// Who maps more behind the end meanwhile finds no pages there.
ASYNC(rmap_unmap_from, uint64_t at; uint64_t end;)
{
    ASYNC_BEGIN(rmap_unmap_from);
    f->end = mapped_behind(f->ph, f->from).end;
    f->at = f->from;
    while ((f->at = mapped_behind(f->ph, f->at).first) < f->end) {
        if (walk(f->ph, f->at, f->at + CHUNK_PAGES, false))
            f->at += CHUNK_PAGES;
        YIELD();
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(rmap_protect, )
{
    ASYNC_BEGIN(rmap_protect);
    while (!walk(f->ph, f->lo, f->lo + f->count, true))
        YIELD();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- for eviction; phys.lock held

static pte_t *entry_of(const struct mapping *m, const struct page *pg, va_t *va)
{
    va_t to;
    if (!shown_at(m, pg->index, pg->index + 1ul, va, &to))
        return NULL;
    pte_t *slot = huge_find(m->space->root, *va);
    return slot && *slot && pte_pa(*slot) == page_pa(pg) ? slot : NULL;
}

// Takes note of, and clears, what the hardware noted.
static bool take_used(pte_t *slot)
{
    bool used = *slot & PTE_A;
    *slot &= ~(pte_t)PTE_A;
    return used;
}

enum evicted rmap_evict(struct phys *ph, struct page *pg)
{
    bool used = false;
    LIST_FOREACH(it, &ph->mappings) {
        const struct mapping *m = list_entry(it, struct mapping, in_phys);
        va_t va;
        if (m->flags & MAPPING_LOCKED)
            return EVICT_NOT;
        if (!spin_trylock(&m->space->lock))
            return EVICT_LOCKED;
        pte_t *slot = entry_of(m, pg, &va);
        if (slot && (used || take_used(slot)))
            used = true;
        else if (slot && !(*slot & PTE_W))
            unmap(m->space, va, va + PAGE_SIZE);
        spin_unlock(&m->space->lock);
    }
    return !used && load_relaxed(&pg->refs) == 1 ? EVICT_DONE : EVICT_NOT;
}
