// SPDX-License-Identifier: MIT
// 2 MiB pages: one leaf at level 1 for 2 MiB of private anonymous memory, aligned.
//
// Under such a leaf lies its table all the same, filled with the 512 entries that it stands for, marked PTE_PART.
// The hardware does not see them; walks in software go through them, so who only looks (user copies, pins,
// mincore) need not know. Each owns the reference on its frame, as any entry does; the leaf owns none. Who is
// to change an entry splits first: the table takes the leaf's place, which needs no memory and never fails.
//
// A leaf is made in one mapping, but that may be cut: what changes or frees only a part splits. It is valid,
// writable, not executable: rights change after a split. Its frames are one run; nobody else has them but pins.
// The first one's page.owner is the table. All under space.lock.
#pragma once

#include "arch/pt.h"
#include "mem/space.h"

#define HUGE_SIZE (PAGE_SIZE * PT_ENTRIES)

struct zap;

// The table an entry of level 1 leads to, or that lies under it. The entry is valid.
static inline pte_t *table_under(pte_t e)
{
    return likely(!pte_is_leaf(e)) ? pte_table(e) : page_of(pte_pa(e))->owner;
}

// The level 0 slot of a user address, or NULL when a table on the way is absent. Who changes it looks for
// PTE_PART. va < USER_TOP.
static inline pte_t *huge_find(pte_t *root, va_t va)
{
    pte_t e = root[pt_index(va, 2)];
    if (unlikely(!(e & PTE_V)))
        return NULL;
    e = pte_table(e)[pt_index(va, 1)];
    if (unlikely(!(e & PTE_V)))
        return NULL;
    return &table_under(e)[pt_index(va, 0)];
}

// The level 1 slot of the leaf that va lies in, NULL if it does not.
static inline pte_t *huge_leaf(struct space *s, va_t va)
{
    pte_t e = s->root[pt_index(va, 2)];
    pte_t *slot = e & PTE_V ? &pte_table(e)[pt_index(va, 1)] : NULL;
    return slot && pte_is_leaf(*slot) ? slot : NULL;
}

// The aligned 2 MiB around va are all this mapping's, and it may have such pages: where Linux would map one.
static inline bool huge_would_fit(const struct mapping *m, va_t va)
{
    va_t lo = va & ~(HUGE_SIZE - 1);
    return !(m->flags & MAPPING_NOHUGE) && lo >= m->range.lo && lo + HUGE_SIZE <= m->range.hi;
}

// Is a first write here, where no table is yet, to get 2 MiB? Not when memory is short or in pieces.
bool huge_wanted(const struct space *s, const struct mapping *m, va_t va);
// Takes 2 MiB, clears them in steps without the lock, maps them if they are still wanted; or waits until somebody has who does
// the same for this place. 0, -EINTR: in either case there may be none, and the fault goes on with 4 KiB.
ASYNC_DECL(huge_fault, struct space *s; va_t va;);

// If a leaf is over va, its table takes its place, and all harts have forgotten it.
void huge_split(struct space *s, va_t va);
// The leaf in the slot goes, at va, and its frames, after a flush (it ends the batch).
void huge_zap(struct zap *z, pte_t *slot, va_t va);

extern uint64_t huge_leaves; // in all spaces; atomic
