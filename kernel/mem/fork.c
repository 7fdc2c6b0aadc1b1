// SPDX-License-Identifier: MIT
// Copying a space for fork: mappings are copied, frames are shared, writable ones by copy on write.
//
// The parent's entries lose W, its harts forget them, and only then is the lock dropped: afterwards
// any write faults and copies. `mutate` keeps the set of mappings still while the copy takes several
// polls. A frame with I/O under way is copied at once, so that a device and the child never share it.
#include "mem/shortage.h"
#include "mem/space_internal.h"

struct fork_step {
    struct space *from, *to;
    const struct mapping *m;
    unsigned budget;
    bool downgraded; // an entry of the parent lost W
};

static int copy_pinned(struct page *pg, pte_t e, pte_t *dst)
{
    pa_t pa = frame_alloc(FRAME_USER);
    if (!pa)
        return -ENOMEM;
    page_copy(pa_to_kva(pa), page_kva(pg));
    page_of(pa)->kind = FRAME_ANON;
    *dst = pte_make(pa, e & PTE_FLAGS);
    return 0;
}

static inline bool loses_write(const struct fork_step *w, pte_t e)
{
    return e & PTE_W && !(w->m->flags & MAPPING_SHARED);
}

// Somebody listens to pt.set: which of these entries of the parent will lose W. Those of pinned frames keep it.
static cold void trace_shared(const struct fork_step *w, const pte_t *table, va_t va, va_t hi)
{
    for (; va < hi; va += PAGE_SIZE) {
        pte_t e = table[pt_index(va, 0)];
        if (!loses_write(w, e)) // nothing that is no entry has a frame
            continue;
        const struct page *pg = page_of(pte_pa(e));
        if (!load_relaxed(&pg->pins) || pg->kind != FRAME_ANON)
            trace_entry(w->from, va, e, e & ~(pte_t)(PTE_W | PTE_D), PAGE_SIZE);
    }
}

static inline int copy_entry(struct fork_step *w, va_t va, pte_t *src, pte_t *dst)
{
    pte_t e = *src;
    struct page *pg = page_of(pte_pa(e));
    if (!(w->m->flags & MAPPING_SHARED)) {
        if (unlikely(load_relaxed(&pg->pins) != 0 && pg->kind == FRAME_ANON))
            return copy_pinned(pg, e, dst);
        if (e & PTE_W) {
            e &= ~(pte_t)(PTE_W | PTE_D);
            entry_put(w->from, src, va, e);
            w->downgraded = true;
        }
    }
    page_ref(pg);
    *dst = e;
    return 0;
}

// One leaf table's share of [va, hi). Returns 0 or -ENOMEM.
static int copy_leaves(struct fork_step *w, pte_t *table, va_t va, va_t hi)
{
    pte_t *dst = NULL;
    unsigned n = 0;
    va_t base = va - pt_index(va, 0) * PAGE_SIZE;
    if (TRACE_ON(pt_set))
        trace_shared(w, table, va, hi);
    for (unsigned i = pt_index(va, 0), end = i + (unsigned)((hi - va) >> PAGE_SHIFT); i < end;
         i++) {
        if (!table[i]) { // runs of nothing, four at a time
            while (i + 5 <= end && !(table[i + 1] | table[i + 2] | table[i + 3] | table[i + 4]))
                i += 4;
            continue;
        }
        if (!dst) {
            dst = space_slot(w->to, va);
            if (!dst)
                return -ENOMEM;
            dst -= pt_index(va, 0);
        }
        int e = copy_entry(w, base + i * PAGE_SIZE, &table[i], &dst[i]);
        if (e)
            return e;
        n++;
    }
    w->to->resident += n;
    pay(&w->budget, n + (dst ? 2 * TABLE_COST : TABLE_COST)); // as much again for a new one
    return 0;
}

// Copies entries from *at on, table by table, while the budget lasts. 0 or -ENOMEM.
static int copy_entries(struct fork_step *w, va_t *at, va_t hi)
{
    const uint64_t span = PAGE_SIZE * PT_ENTRIES;
    unsigned skipped = 0;
    while (*at < hi && w->budget) {
        pte_t e = w->from->root[pt_index(*at, 2)];
        uint64_t step = e & PTE_V ? span : span * PT_ENTRIES;
        va_t end = (*at | (step - 1)) + 1;
        if (end > hi)
            end = hi;
        pte_t *slot = e & PTE_V ? &pte_table(e)[pt_index(*at, 1)] : NULL;
        if (slot && *slot & PTE_V) {
            if (unlikely(pte_is_leaf(*slot))) // its pages will be copied one by one
                huge_split(w->from, *at);
            int r = copy_leaves(w, pte_table(*slot), *at, end);
            if (r)
                return r;
        } else {
            pay_skipped(&w->budget, &skipped);
        }
        *at = end;
    }
    return 0;
}

// Goes on at *at. 1: more to do, 0: done, -ENOMEM.
static int fork_some(struct space *from, struct space *to, va_t *at)
{
    struct fork_step w = {from, to, NULL, STEP_PAGES, false};
    int r = 0;
    spin_lock(&from->lock);
    spin_lock_nested(
        &to->lock); // a child, after its parent; against who comes from a memory object
    while (w.budget) {
        struct range *src = range_map_from(&from->map, *at);
        if (!src)
            break;
        w.m = mapping_of(src);
        if (*at < src->lo)
            *at = src->lo;
        if (w.m->flags & MAPPING_NOFORK) {
            *at = src->hi;
            pay(&w.budget, 1);
            continue;
        }
        if (!range_map_find(&to->map, *at)) { // not yet begun
            struct mapping *m = mapping_copy(w.m, src->lo, to);
            if (!m) {
                r = -ENOMEM;
                break;
            }
            m->range.lo = src->lo;
            m->range.hi = src->hi;
            range_map_insert(&to->map, &m->range);
            pay(&w.budget, COPY_COST);
            to->mapped += src->hi - src->lo;
        }
        if (w.m->flags & MAPPING_WIPE)
            *at = src->hi;
        else
            r = copy_entries(&w, at, src->hi);
        if (r)
            break;
    }
    if (!r && range_map_from(&from->map, *at))
        r = 1;
    if (w.downgraded)
        space_flush(from, 0, 0);
    spin_unlock(&to->lock);
    spin_unlock(&from->lock);
    return r;
}

static void inherit(struct space *to, const struct space *from)
{
    to->stack_top = from->stack_top;
    to->mmap_top = from->mmap_top;
    to->brk_start = from->brk_start;
    to->brk = from->brk;
    to->stack_limit = from->stack_limit;
    to->limit = from->limit;
    to->data_limit = from->data_limit;
    to->no_huge = from->no_huge;
}

static struct space *begin_child(struct space *parent)
{
    struct space *s = space_new();
    if (s)
        inherit(s, parent);
    return s;
}

ASYNC(space_fork, struct space *s; va_t at; long r; uint32_t tries;)
{
    ASYNC_BEGIN(space_fork);
    f->s = NULL;
    AWAIT(f->r, mutex_lock, &f->parent->mutate, false);
    f->tries = 0;
    for (;;) { // short of memory: what there is goes back, and once it is there, from the start
        f->s = begin_child(f->parent);
        f->at = 0;
        while (f->s && (f->r = fork_some(f->parent, f->s, &f->at)) == 1)
            YIELD();
        if (f->s && f->r != -ENOMEM)
            break;
        if (f->s)
            space_unref(f->s);
        f->s = NULL;
        if (f->tries++ == MEMORY_TRIES)
            ASYNC_RETURN(-ENOMEM);
        AWAIT(f->r, memory_wait, 0);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    f->s->peak = f->s->resident;
    *f->out = f->s;
    f->s = NULL;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->s)
        space_unref(f->s);
    if (mutex_held(&f->parent->mutate, t))
        mutex_unlock(&f->parent->mutate, t);
    ASYNC_END;
}
