// SPDX-License-Identifier: MIT
// Taking pages out of a page table: clear entries, flush, and only then free the frames.
//
// Frames wait in a batch until the flush. In a dead space nothing runs any more and nothing is
// flushed: the batch is skipped and frames go at once.
#include "mem/space_internal.h"

void zap_begin(struct zap *z, struct space *s)
{
    z->s = s;
    z->lo = UINT64_MAX;
    z->hi = 0;
    z->count = 0;
    z->dead = false;
}

void zap_finish(struct zap *z)
{
    if (z->lo < z->hi) {
        space_flush(z->s, z->lo, z->hi - z->lo);
        z->lo = UINT64_MAX;
        z->hi = 0;
    }
    while (z->count)
        frame_unref(z->frame[--z->count]);
}

static inline void zap_entry(struct zap *z, pte_t *slot, va_t va)
{
    pa_t pa = pte_pa(*slot);
    z->s->resident--;
    if (z->dead) {
        *slot = 0;
        frame_unref(pa);
        return;
    }
    entry_set(z->s, slot, va, 0);
    if (va < z->lo)
        z->lo = va;
    z->hi = va + PAGE_SIZE;
    z->frame[z->count++] = pa;
    if (z->count == ZAP_BATCH)
        zap_finish(z);
}

// Within one leaf table.
static inline va_t zap_leaves(struct zap *z, pte_t *table, va_t va, va_t hi, unsigned *budget)
{
    for (; va < hi; va += PAGE_SIZE) {
        pte_t *slot = &table[pt_index(va, 0)];
        if (!*slot) { // runs of nothing, four at a time
            for (; va + 5 * PAGE_SIZE <= hi && !(slot[1] | slot[2] | slot[3] | slot[4]); slot += 4)
                va += 4 * PAGE_SIZE;
            continue;
        }
        if (!*budget)
            return va;
        --*budget;
        zap_entry(z, slot, va);
    }
    return va;
}

va_t zap_range(struct zap *z, va_t va, va_t hi, unsigned *budget)
{
    const uint64_t span = PAGE_SIZE * PT_ENTRIES;
    unsigned skipped = 0;
    while (va < hi && *budget) {
        pte_t e = z->s->root[pt_index(va, 2)];
        uint64_t step = e & PTE_V ? span : span * PT_ENTRIES;
        va_t end = (va | (step - 1)) + 1;
        if (end > hi)
            end = hi;
        pte_t *slot = e & PTE_V ? &pte_table(e)[pt_index(va, 1)] : NULL;
        if (!slot || !(*slot & PTE_V)) {
            va = end;
            pay_skipped(budget, &skipped);
            continue;
        }
        if (unlikely(pte_is_leaf(*slot)) && end - va == span) {
            huge_zap(z, slot, va);
            va = end;
            pay(budget, PT_ENTRIES);
            continue;
        }
        if (unlikely(pte_is_leaf(*slot)))
            huge_split(z->s, va);
        va = zap_leaves(z, pte_table(*slot), va, end, budget);
        if (va < end)
            return va;
        pay(budget, TABLE_COST);
    }
    return va;
}
