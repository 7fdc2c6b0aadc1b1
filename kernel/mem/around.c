// SPDX-License-Identifier: MIT
// What a fault does besides its one page: it maps a whole block of neighbours where that is likely to spare the
// next faults, and makes code visible to all harts' instruction fetch.
#include "mem/space_internal.h"

// fence.i for code that has just become reachable. A frame is marked once its contents are known
// to all harts' instruction fetch; page.order has no other use in a cached page.
enum { ORDER_CODE_VISIBLE = 0xfe };

static cold void code_changed(struct space *s)
{
    for (uint32_t i = 0; i < hart_count; i++)
        if (i != hart_index() && harts[i])
            store_relaxed(&harts[i]->icache_stale, 1);
    fence_full();
    icache_shootdown(load_relaxed(&s->harts));
}

cold void space_code_visible(struct space *s, struct page *pg)
{
    if (pg->order == ORDER_CODE_VISIBLE)
        return;
    pg->order = ORDER_CODE_VISIBLE;
    code_changed(s);
}

// ---- neighbours: one fault maps a whole block where that is likely to spare the next ones

enum { BLOCK = 16 }; // pages, aligned, so they lie in one table

// The part of va's block that m covers: its first address and slot. Returns how many pages.
static unsigned block_of(const struct mapping *m, va_t *va, pte_t **slot)
{
    va_t at = page_round_down(*va), lo = at & ~(BLOCK * PAGE_SIZE - 1), hi = lo + BLOCK * PAGE_SIZE;
    if (lo < m->range.lo)
        lo = m->range.lo;
    if (hi > m->range.hi)
        hi = m->range.hi;
    *slot -= (at - lo) >> PAGE_SHIFT;
    *va = lo;
    return (unsigned)((hi - lo) >> PAGE_SHIFT);
}

void space_map_ahead(struct space *s, struct mapping *m, va_t va, pte_t *slot)
{
    unsigned n = block_of(m, &va, &slot), empty = 0;
    if (s->no_huge || m->prot & ACCESS_EXEC || !frame_plenty())
        return;
    for (unsigned i = 0; i < n; i++)
        empty += !slot[i];
    pa_t pa = empty ? frame_try_run(empty) : 0;
    if (!pa)
        return;
    for (unsigned i = 0; i < empty; i++) {
        page_zero(pa_to_kva(pa + i * PAGE_SIZE));
        page_of(pa)[i].kind = FRAME_ANON;
    }
    fence_write(); // contents before the entries
    for (; n--; slot++, va += PAGE_SIZE)
        if (!*slot) {
            *slot = pte_make(pa, m->pte_bits);
            trace_entry(s, va, 0, *slot, PAGE_SIZE);
            pa += PAGE_SIZE;
        }
    space_count_resident(s, empty);
}

void space_map_around(struct space *s, struct mapping *m, va_t va, pte_t *slot, uint64_t bits)
{
    struct page *pages[BLOCK];
    unsigned n = block_of(m, &va, &slot), made = 0;
    uint32_t want = 0;
    bool new_code = false;
    for (unsigned i = 0; i < n; i++)
        want |= (uint32_t)!slot[i] << i;
    want = phys_pages_try(m->phys, (m->offset + (va - m->range.lo)) >> PAGE_SHIFT, want, pages);
    for (uint32_t left = m->prot & ACCESS_EXEC ? want : 0; left; left &= left - 1) {
        struct page *pg = pages[__builtin_ctz(left)];
        new_code |= pg->order != ORDER_CODE_VISIBLE;
        pg->order = ORDER_CODE_VISIBLE;
    }
    if (new_code)
        code_changed(s);
    fence_write();
    for (; want; want &= want - 1, made++) {
        unsigned i = (unsigned)__builtin_ctz(want);
        slot[i] = pte_make(page_pa(pages[i]), bits);
        trace_entry(s, va + i * PAGE_SIZE, 0, slot[i], PAGE_SIZE);
    }
    space_count_resident(s, made);
}
