// SPDX-License-Identifier: MIT
// 2 MiB pages: made by a first write, split when a part of one is to change, freed whole. See huge.h.
//
// Clearing 2 MiB takes longer than a poll may, so the run is filled before the space is locked, and mapped if
// nothing else has come there. One does it, and others who touch the same 2 MiB meanwhile wait. Whatever is missing, the run, a table, the mapping by then, the fault goes on
// with a page of 4 KiB and says nothing.
#include "mem/huge.h"
#include "mem/space_internal.h"

enum { HUGE_ORDER = 9, CLEAR_STEP = 128 }; // frames a poll clears
_Static_assert(1 << HUGE_ORDER == PT_ENTRIES, "a run fills a table");

uint64_t huge_leaves;

static void count(struct space *s, int n)
{
    s->huge += (uint64_t)n;
    atomic_add64(&huge_leaves, (uint64_t)n);
}

// ---- making

static bool may_have(const struct space *s, const struct mapping *m, va_t va)
{
    return !m->phys && m->pte_bits & PTE_W && !(m->prot & ACCESS_EXEC) && !s->no_huge &&
           huge_would_fit(m, va);
}

cold bool huge_wanted(const struct space *s, const struct mapping *m, va_t va)
{
    return may_have(s, m, va) && frame_plenty() && frame_has_run(HUGE_ORDER);
}

static void clear_some(pa_t run, uint32_t *done)
{
    for (uint32_t end = *done + CLEAR_STEP; *done < end; ++*done) {
        pa_t pa = run + *done * PAGE_SIZE;
        page_of(pa)->kind = FRAME_ANON;
        page_zero(pa_to_kva(pa));
    }
}

// Where the leaf is to be, if nothing is there; NULL: something is, or no memory for a table.
static pte_t *empty_slot(struct space *s, va_t va)
{
    pte_t *e = &s->root[pt_index(va, 2)];
    pte_t *table = *e & PTE_V ? pte_table(*e) : space_table_new(s, e, va, false);
    return table && !table[pt_index(va, 1)] ? &table[pt_index(va, 1)] : NULL;
}

static void fill(pte_t *table, pa_t run, uint64_t bits)
{
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        table[i] = pte_make(run + i * PAGE_SIZE, bits | PTE_PART);
}

// True: the run is the space's now.
static bool map_run(struct space *s, va_t va, pa_t run)
{
    pte_t apart; // the table is the space's, but not linked
    spin_lock(&s->lock);
    struct range *r = range_map_find(&s->map, va);
    pte_t *slot = r && may_have(s, mapping_of(r), va) ? empty_slot(s, va) : NULL;
    pte_t *table = slot ? space_table_new(s, &apart, va, true) : NULL;
    if (table) {
        uint64_t bits = mapping_of(r)->pte_bits;
        fill(table, run, bits);
        page_of(run)->owner = table;
        fence_write(); // contents before the entry
        *slot = pte_make(run, bits);
        trace_entry(s, va & ~(HUGE_SIZE - 1), 0, *slot, HUGE_SIZE);
        count(s, 1);
        s->fills++;
        space_count_resident(s, PT_ENTRIES);
    }
    spin_unlock(&s->lock);
    return table;
}

struct fill {
    struct list link; // in space.filling
    va_t at;          // 2 MiB; 0: not there
};

// Lock held.
static bool being_filled(const struct space *s, va_t va)
{
    LIST_FOREACH(it, &s->filling)
        if (list_entry(it, struct fill, link)->at == (va & ~(HUGE_SIZE - 1)))
            return true;
    return false;
}

// Nobody is at it.
static bool fill_begin(struct space *s, va_t va, struct fill *fill)
{
    spin_lock(&s->lock);
    bool first = !being_filled(s, va);
    if (first) {
        fill->at = va & ~(HUGE_SIZE - 1);
        list_push_back(&s->filling, &fill->link);
    }
    spin_unlock(&s->lock);
    return first;
}

static void fill_end(struct space *s, struct fill *fill)
{
    if (!fill->at)
        return;
    spin_lock(&s->lock);
    list_remove(&fill->link);
    waitq_wake_all(&s->filled);
    spin_unlock(&s->lock);
}

ASYNC_DECL(wait_filled, struct space *s; va_t va;);
ASYNC(wait_filled, struct waiter w;)
{
    ASYNC_BEGIN(wait_filled);
    waiter_init(&f->w);
    spin_lock(&f->s->lock);
    while (being_filled(f->s, f->va)) {
        waitq_add(&f->s->filled, &f->w, t);
        spin_unlock(&f->s->lock);
        SUSPEND("2 MiB being cleared");
        spin_lock(&f->s->lock);
    }
    waitq_remove(&f->s->filled, &f->w);
    spin_unlock(&f->s->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->s->lock, &f->s->filled, &f->w);
    ASYNC_END;
}

ASYNC(huge_fault, struct fill fill; pa_t run; uint32_t done; long r;)
{
    ASYNC_BEGIN(huge_fault);
    f->run = 0;
    f->fill.at = 0;
    if (!fill_begin(f->s, f->va, &f->fill)) {
        AWAIT(f->r, wait_filled, f->s, f->va);
        ASYNC_RETURN(f->r);
    }
    f->run = frame_try_run(PT_ENTRIES);
    if (!f->run ||
        frame_spare() < 2 * frame_reserve) // others have taken theirs since it was looked
        ASYNC_RETURN(0);
    f->done = 0;
    while (clear_some(f->run, &f->done), f->done < PT_ENTRIES)
        YIELD();
    if (map_run(f->s, f->va, f->run))
        f->run = 0;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->run)
        frame_unref_run(f->run, HUGE_ORDER);
    fill_end(f->s, &f->fill);
    ASYNC_END;
}

// ---- splitting and freeing

// The entries say what the leaf said, but hardware may remember both: it forgets the leaf before one of them
// changes.
void huge_split(struct space *s, va_t va)
{
    pte_t *slot = huge_leaf(s, va);
    if (likely(!slot))
        return;
    pte_t leaf = *slot, *table = table_under(leaf);
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        table[i] &= ~(pte_t)PTE_PART;
    fence_write(); // a walker that sees the table sees its entries
    *slot = pte_make(kva_to_pa(table), PTE_V);
    count(s, -1);
    translations_lost(s->satp, va & ~(HUGE_SIZE - 1), pte_pa(leaf), HUGE_SIZE);
    space_flush(s, 0, 0);
}

void huge_zap(struct zap *z, pte_t *slot, va_t va)
{
    struct space *s = z->s;
    pa_t run = pte_pa(*slot);
    pte_t *table = table_under(*slot);
    if (!z->dead)
        trace_entry(s, va, *slot, 0, HUGE_SIZE);
    *slot = 0;
    count(s, -1);
    s->resident -= PT_ENTRIES;
    if (!z->dead) {
        translations_lost(s->satp, va, run, HUGE_SIZE);
        z->lo = va < z->lo ? va : z->lo;
        z->hi = va + HUGE_SIZE;
        zap_finish(z);
    }
    frame_unref_run(run, HUGE_ORDER);
    s->walked = UINT64_MAX; // it may have been this table
    s->tables--;
    list_remove(&page_of(kva_to_pa(table))->link);
    frame_unref(kva_to_pa(table)); // hardware never saw it
}
