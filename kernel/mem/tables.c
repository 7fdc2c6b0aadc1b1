// SPDX-License-Identifier: MIT
// Tables of a space: made on the way to an address, given back when nothing is mapped there, or with the space.
//
// Table pages go back as frames known to be zero: whoever clears an entry leaves zero behind. A space has as many as
// its program wants, so they go in steps.
#include "lib/log.h"
#include "mem/space_internal.h"

#include <string.h>

enum {
    ROOT_STOCK = 4,
    TRIM_COST = 2,       // of a table, in pages (pay)
    TABLES_AT_ONCE = 128 // of a dead space
};
static _Thread_local struct {
    uint32_t count;
    pa_t root[ROOT_STOCK]; // user half zero, kernel half in place
} root_stock;

// ---- roots and tables

pte_t *space_root_new(void)
{
    if (root_stock.count)
        return pa_to_kva(root_stock.root[--root_stock.count]);
    pa_t pa = frame_alloc(FRAME_ZERO);
    if (!pa)
        return NULL;
    pte_t *root = pa_to_kva(pa);
    memcpy(root + PT_USER_ENTRIES, kernel_root + PT_USER_ENTRIES,
           (PT_ENTRIES - PT_USER_ENTRIES) * sizeof *root);
    page_of(pa)->kind = FRAME_TABLE;
    return root;
}

void space_root_free(pte_t *root)
{
    pa_t pa = kva_to_pa(root);
    if (root_stock.count < ROOT_STOCK)
        root_stock.root[root_stock.count++] = pa;
    else
        frame_unref(pa);
}

void space_roots_flush(void)
{
    while (root_stock.count)
        frame_unref(root_stock.root[--root_stock.count]);
}

// page.index of a table says which entry leads to it: the 2 MiB of a leaf table, or MIDDLE and the
// index in the root.
enum { MIDDLE = 1u << 31 };

cold pte_t *space_table_new(struct space *s, pte_t *slot, va_t va, bool leaf)
{
    pa_t pa = frame_alloc(FRAME_ZERO | FRAME_USER);
    if (!pa)
        return NULL;
    struct page *pg = page_of(pa);
    pg->kind = FRAME_TABLE;
    pg->index = leaf ? (uint32_t)(va >> 21) : MIDDLE | pt_index(va, 2);
    list_push_front(&s->table_list, &pg->link);
    s->tables++;
    fence_write(); // a walker that sees the entry sees the zeroes
    *slot = pte_make(pa, PTE_V);
    return pa_to_kva(pa);
}

static pte_t *table_slot(struct space *s, const struct page *pg)
{
    if (pg->index & MIDDLE)
        return &s->root[pg->index & ~MIDDLE];
    return &pte_table(s->root[pg->index >> 9])[pg->index & (PT_ENTRIES - 1)];
}

// Takes out the tables of [lo, hi) that go, one after another, into the list. Returns where it stopped.
static va_t trim_some(struct space *s, va_t lo, va_t hi, unsigned *budget, struct list *gone)
{
    const uint64_t span = PAGE_SIZE * PT_ENTRIES;
    unsigned skipped = 0;
    va_t at = lo & ~(span - 1);
    for (; at < hi && *budget; at += span) {
        pte_t e = s->root[pt_index(at, 2)];
        if (!(e & PTE_V)) { // on to the last span of this gigabyte
            at |= span * PT_ENTRIES - span;
            continue;
        }
        pte_t *slot = &pte_table(e)[pt_index(at, 1)];
        if (!(*slot & PTE_V)) {
            pay_skipped(budget, &skipped);
            continue;
        }
        pay(budget, TRIM_COST);
        if (!range_map_is_free(&s->map, at, at + span))
            continue;
        DEBUG_ASSERT(!pte_is_leaf(*slot)); // it would lie in a mapping
        struct page *pg = page_of(pte_pa(*slot));
        *slot = 0;
        translations_lost(s->satp, at, page_pa(pg), 0);
        s->tables--;
        list_remove(&pg->link);
        list_push_back(gone, &pg->link);
    }
    return at;
}

// A leaf table is kept while a mapping lies in its 2 MiB; and when a small range goes, a few empty
// ones stay, since a program that maps and unmaps will want them again. They hold zeroes only.
va_t space_tables_trim(struct space *s, va_t lo, va_t hi, unsigned *budget)
{
    if (hi - lo < PAGE_SIZE * PT_ENTRIES && s->tables <= TABLE_SLACK + (s->resident >> 6))
        return hi;
    struct list gone = LIST_INIT(gone);
    va_t at = trim_some(s, lo, hi, budget, &gone);
    if (list_empty(&gone))
        return at;
    s->walked = UINT64_MAX;
    space_flush(s, lo, 0); // walkers forget the tables before they become something else
    for (struct list *it; (it = list_pop_front(&gone));)
        frame_free_zeroed(page_pa(list_entry(it, struct page, link)));
    return at;
}

static va_t trim_step(struct space *s, va_t lo, va_t hi)
{
    unsigned budget = STEP_PAGES;
    spin_lock(&s->lock);
    lo = space_tables_trim(s, lo, hi, &budget);
    spin_unlock(&s->lock);
    return lo;
}

ASYNC(space_trim_steps, )
{
    ASYNC_BEGIN(space_trim_steps);
    SHIELD_BEGIN();
    while ((f->lo = trim_step(f->s, f->lo, f->hi)) < f->hi)
        YIELD();
    SHIELD_END();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

bool space_tables_free_some(struct space *s)
{
    for (unsigned n = TABLES_AT_ONCE; n && !list_empty(&s->table_list); n--) {
        struct page *pg = list_entry(list_pop_front(&s->table_list), struct page, link);
        *table_slot(s, pg) = 0;
        translations_lost(s->satp, 0, page_pa(pg), 0); // no hart has it loaded: no record
        frame_free_zeroed(page_pa(pg));
    }
    return list_empty(&s->table_list);
}
