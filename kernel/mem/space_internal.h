// SPDX-License-Identifier: MIT
// What the files of mem/ share about spaces. Nobody else includes it.
#pragma once

#include "lib/log.h"
#include "lib/translations.h"
#include "mem/huge.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "mem/trace.h"

enum {
    STEP_PAGES =
        512, // entries one poll works on before it yields; what else it does counts as so many:
    TABLE_COST = 10,     // a leaf table, full or empty
    MAPPING_COST = 8,    // a mapping that goes
    COPY_COST = 16,      // one that is copied
    SPANS_A_PAGE = 8,    // 2 MiB without a table: so many are one
    NOW_BYTES = 4 << 20, // ranges up to here are done in a plain call
    NOW_MAPPINGS = 32,
    NOW_TABLES = 32,        // of larger ones, if that many tables may have to be looked at
    TABLE_SLACK = 12,       // so many are not worth getting back at once
    STACK_GAP = 256 * 4096, // free room kept below a growing stack
    MAP_LOWEST = PAGE_SIZE, // nothing is mapped below, so that a NULL pointer faults
};

#define NOW_SPAN (1ul << 31) // and up to here

extern const struct range_ops mapping_range_ops;

// Work of a poll is paid from a budget, in pages; with an empty one it ends.
static inline void pay(unsigned *budget, unsigned pages)
{
    *budget -= *budget > pages ? pages : *budget;
}

// Another 2 MiB without a table: *skipped counts them.
static inline void pay_skipped(unsigned *budget, unsigned *skipped)
{
    if (++*skipped % SPANS_A_PAGE == 0)
        pay(budget, 1);
}

// Frames that left the page table and wait for the shootdown before they are freed.
enum { ZAP_BATCH = 32 };
struct zap {
    struct space *s;
    va_t lo, hi; // what must be flushed; empty when lo >= hi
    unsigned count;
    bool dead; // nobody runs in this space again: no flush
    pa_t frame[ZAP_BATCH];
};
void zap_begin(struct zap *z, struct space *s);
// Clears entries in [va, hi) as far as the budget goes: returns where it stopped.
va_t zap_range(struct zap *z, va_t va, va_t hi, unsigned *budget);
void zap_finish(struct zap *z); // flush and free; before the lock is dropped

void space_hold_drop(struct space *s);

// ---- advise.c

// space_flagged with s->lock held; flags 0: all that is mapped there.
uint64_t space_flagged_locked(struct space *s, va_t lo, va_t hi, uint32_t flags);

// ---- tables.c

// A root with the kernel's half in place. NULL: no memory.
pte_t *space_root_new(void);
void space_root_free(pte_t *root); // its user half is zero
void space_roots_flush(void);      // those that this hart keeps
// A new table page on the way to va, linked in at `slot`. NULL: no memory.
pte_t *space_table_new(struct space *s, pte_t *slot, va_t va, bool leaf);
// Frees leaf tables of the 2 MiB spans around [lo, hi) that no mapping touches any more, as far as the budget
// goes. Returns where it stopped, at or behind hi when it is done.
va_t space_tables_trim(struct space *s, va_t lo, va_t hi, unsigned *budget);
// mutate held by the task: the same in steps. Shielded.
ASYNC_DECL(space_trim_steps, struct space *s; va_t lo; va_t hi;);
// Gives back some tables of a space that no hart has loaded, newest first: a table's entry is cleared before its
// parent goes. True when only the root is left.
bool space_tables_free_some(struct space *s);

// Entries of [va, va+len) have changed and may be cached: makes all harts forget them.
static inline void space_flush(struct space *s, va_t va, uint64_t len)
{
    fence_full();
    uint64_t mask = load_relaxed(&s->harts);
    if (likely(mask == 1ul << hart_index() && len == PAGE_SIZE))
        tlb_flush_page(va);
    else if (mask)
        shootdown_harts(mask, va, len);
}

// entry_set without its trace point, for who tells of many at once.
static inline void entry_put(struct space *s, pte_t *slot, va_t va, pte_t e)
{
    pte_t old = *slot;
    DEBUG_ASSERT(!(old & PTE_PART)); // the hardware would not see it: huge_split first
    *slot = e;
    if (old & PTE_V &&
        (pte_pa(old) != pte_pa(e) || old & ~e & (PTE_V | PTE_R | PTE_W | PTE_X | PTE_U)))
        translations_lost(s->satp, va, pte_pa(old), PAGE_SIZE);
    (void)s, (void)va;
}

// Changes the entry of va, which may have been valid and cached; lock held. Who takes something away
// flushes before the lock is dropped and before the frame is freed.
static inline void entry_set(struct space *s, pte_t *slot, va_t va, pte_t e)
{
    trace_entry(s, va, *slot, e, PAGE_SIZE);
    entry_put(s, slot, va, e);
}

// The leaf slot of va with its tables made. NULL: no memory.
static inline pte_t *space_slot(struct space *s, va_t va)
{
    pte_t *e = &s->root[pt_index(va, 2)];
    pte_t *table = likely(*e & PTE_V) ? pte_table(*e) : space_table_new(s, e, va, false);
    if (unlikely(!table))
        return NULL;
    e = &table[pt_index(va, 1)];
    table = likely(*e & PTE_V) ? table_under(*e) : space_table_new(s, e, va, true);
    return likely(table != NULL) ? &table[pt_index(va, 0)] : NULL;
}

static inline void mapping_set_prot(struct mapping *m, uint32_t prot)
{
    m->prot = prot;
    m->pte_bits = pte_bits_of_prot(prot);
}

// A pin is a reference and a mark of it: both change and are read as one word, else a pin made or
// dropped meanwhile could pass for the entry of another space.
static inline uint64_t *page_counts(const struct page *pg)
{
    _Static_assert(offsetof(struct page, refs) == 0 && offsetof(struct page, pins) == 4,
                   "refs and pins are one 64-bit word");
    return (uint64_t *)pg;
}

// Nobody but one entry, and I/O on its behalf, has this frame.
static inline bool page_is_own(const struct page *pg)
{
    uint64_t counts = load_acquire(page_counts(pg));
    return pg->kind == FRAME_ANON && (uint32_t)counts == (uint32_t)(counts >> 32) + 1;
}

// Rights an entry of m may have for this frame without a further fault: no W on what is shared by
// copy on write or on clean file pages.
static inline uint64_t mapping_bits_for(const struct mapping *m, const struct page *pg)
{
    bool own = m->phys && (m->flags & MAPPING_SHARED) ? m->phys->kind == PHYS_SHARED_ANON
                                                      : page_is_own(pg);
    return own ? m->pte_bits : m->pte_bits & ~(uint64_t)(PTE_W | PTE_D);
}

static inline void space_count_resident(struct space *s, unsigned n)
{
    s->resident += n;
    if (s->resident > s->peak)
        s->peak = s->resident;
}

// ---- what a fault does besides (around.c); lock held

// The frame is about to be executable.
void space_code_visible(struct space *s, struct page *pg);
// After a write to fresh anonymous memory where huge_would_fit: its neighbours will be wanted, too. Frames come
// as one run; where there is none, or memory is short, nothing is done.
void space_map_ahead(struct space *s, struct mapping *m, va_t va, pte_t *slot);
// After a read of an object's page: those of its block that are cached are mapped with it.
void space_map_around(struct space *s, struct mapping *m, va_t va, pte_t *slot, uint64_t bits);

struct mapping *mapping_new(const struct space_map *what, va_t lo);
void mapping_release(struct range *r);

// For [at, its end) in that space, bound to the same object. NULL: no memory.
struct mapping *mapping_copy(const struct mapping *from, va_t at, struct space *s);
// Lock held. May there be `more` bytes of mappings like this (RLIMIT_AS, RLIMIT_DATA)? What is to be replaced is taken off
// first, whatever it is (as Linux does); modulo 2^64, since it may be more.
bool space_has_room(struct space *s, uint64_t more, uint32_t prot, uint32_t flags);
int space_check_range(va_t va, uint64_t len); // aligned, inside user space
// mutate held: removes [va, va+len) in one go; -EAGAIN when that is too much for one poll.
int space_remove_small(struct space *s, va_t lo, va_t hi); // lock held, too
// Places and inserts a mapping; lock and mutate held; m is taken over on success.
int space_map_locked(struct space *s, const struct space_map *w, struct mapping *m, va_t *va);
