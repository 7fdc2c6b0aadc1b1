// SPDX-License-Identifier: MIT
// Epochs: readers of a shared structure take no lock, and what is taken out of it is freed only
// when nobody can be reading it any more.
//
//     uint64_t outer = epoch_enter();          // reader: loads with load_acquire
//     p = find(key); if (p && !ref_get_unless_zero(&p->refs)) p = NULL;
//     epoch_leave(outer);                      // p is used on by its reference
//
//     unlink(p); ... last reference gone ...   // writer: under the structure's own lock
//     epoch_retire(&p->epoch, free_p);
//
// An object that was retired in epoch e can be known only to readers that entered in e or before.
// It is freed when every hart is outside, or entered later. A section never spans an await, so
// that is soon; mostly it is so already, and the object is freed within epoch_retire.
#pragma once

#include "arch/atomic.h"
#include "arch/cpu.h"

#include <stdint.h>

struct epoch_item { // in the retired object
    struct epoch_item *next;
    uint64_t retired_in;
    void (*free)(struct epoch_item *item);
};

struct epoch_slot {  // of a hart, in a cache line of its own
    uint64_t inside; // the epoch in which the running section began; 0: outside
    uint64_t line[7];
};
extern struct epoch_slot epoch_slots[MAX_HARTS];
extern uint64_t epoch_now;

// Sections nest, also in interrupts. Returns what epoch_leave is given. No await in between.
static inline uint64_t epoch_enter(void)
{
    struct epoch_slot *s = &epoch_slots[hart_index()];
    uint64_t outer = s->inside;
    if (outer == 0) {
        store_relaxed(&s->inside, load_acquire(&epoch_now));
        fence_full(); // before the section's loads: who frees sees us, or we see that it is gone
    }
    return outer;
}

static inline void epoch_leave(uint64_t outer)
{
    store_release(&epoch_slots[hart_index()].inside, outer);
}

static inline bool epoch_inside(void)
{
    return epoch_slots[hart_index()].inside != 0;
}

// A reference on what was found in a section, unless its last one has gone.
static inline bool ref_get_unless_zero(uint32_t *refs)
{
    for (uint32_t n = load_relaxed(refs); n;) {
        uint32_t was = atomic_cas32(refs, n, n + 1);
        if (was == n)
            return true;
        n = was;
    }
    return false;
}

// Calls free_item(item) once no reader can know it: now, or later in a kernel task. It may have been
// unlinked in any way that a lock or an atomic orders before this call. The caller holds no lock
// that free_item takes.
void epoch_retire(struct epoch_item *item, void (*free_item)(struct epoch_item *item));

struct epoch_stats {
    uint64_t epoch, retired, freed, deferred; // deferred: not freed by epoch_retire itself
};
void epoch_stats_get(struct epoch_stats *out);
