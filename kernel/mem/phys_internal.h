// SPDX-License-Identifier: MIT
// What phys.c and phys_io.c share.
#pragma once

#include "mem/phys.h"

extern struct spinlock phys_dirty_lock; // inside phys.lock
extern struct list phys_dirty_list;

// phys.lock held:
int phys_insert(struct phys *ph, uint64_t index, struct page *pg, uint16_t flags);
struct page *phys_remove(struct phys *ph, uint64_t index);
void phys_mark_dirty(struct phys *ph, struct page *pg);
void phys_clear_dirty(struct phys *ph, struct page *pg);
void phys_now_dirty(struct phys *ph); // its first dirty page

void phys_cut_off(struct phys *ph, struct page *pg);

// Reading a run (phys_io.c). Claim, lock held: puts BUSY pages at index and behind it where none are;
// returns how many, each referenced, 0: no memory, or the end. Read: 0 or negative errno; takes over
// the references. Finish is for a run that is not read after all.
uint32_t phys_claim_run(struct phys *ph, uint64_t index, uint32_t want, struct page **pages);
ASYNC_DECL(phys_read_run, struct phys *ph; uint64_t index; struct page **pages; uint32_t count;);
void phys_finish_run(struct phys *ph, uint64_t index, uint32_t count, struct page **pages, bool ok);

// The policy of read-ahead (readahead.c), lock held. Miss: how many pages the reader should read itself.
// Claimed: that many it does; true: the trigger is behind them, so the next window may begin at once.
// Around: a page is wanted alone; how many of those before it, and altogether, to read with it.
// Failed: the disk could not read all of them; how many to read now.
uint32_t ahead_miss(struct readahead *ra, uint64_t index, uint32_t want, uint32_t how);
bool ahead_claimed(struct readahead *ra, uint64_t index, uint32_t want, uint32_t count);
uint32_t ahead_around(struct phys *ph, uint64_t index, uint32_t *count);
uint32_t ahead_failed(struct readahead *ra);

// Pages of this object can be read again, so they may be given up while clean.
static inline bool phys_can_evict(const struct phys *ph)
{
    return ph->kind == PHYS_FILE && ph->ops->fill;
}
// The reverse map (rmap.c). Unmaps every page with number >= from; afterwards none is mapped, unless a
// fault that saw a larger size comes later: make the size smaller first.
ASYNC_DECL(rmap_unmap_from, struct phys *ph; uint64_t from;);
// Takes W and D from the shared entries of pages [lo, lo + count): the next write faults.
ASYNC_DECL(rmap_protect, struct phys *ph; uint64_t lo; uint32_t count;);
// What came of an attempt to give a page up. LOCKED: it was not looked at, another hart holds a lock.
enum evicted { EVICT_NOT, EVICT_DONE, EVICT_LOCKED };
// phys.lock held, for a clean page: takes it out of all page tables, but if it was used there since
// the last look. DONE: only the tree holds it.
enum evicted rmap_evict(struct phys *ph, struct page *pg);

// The page joins, or leaves, the eviction lists; phys.lock held.
void evict_list_add(struct page *pg);
void evict_list_remove(struct page *pg);
// Until no eviction has to do with an object whose last page has just gone.
void evict_leave(void);

bool phys_drop_some(struct phys *ph, uint64_t *next, unsigned max);
void phys_undirty(struct phys *ph); // leaves the list if nothing is dirty; no lock held
void phys_reap(struct phys *ph);    // the last reference of shared memory has gone

// A page that is absent starts as zeroes.
static inline bool phys_needs_no_fill(const struct phys *ph, uint64_t index)
{
    return ph->kind == PHYS_SHARED_ANON || !ph->ops->fill ||
           index >= page_round_up(load_relaxed(&ph->size)) >> PAGE_SHIFT;
}
