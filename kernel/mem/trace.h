// SPDX-License-Identifier: MIT
// Trace points of address spaces: fault.page, map.change, pt.set.
#pragma once

#include "arch/pt.h"
#include "lib/trace.h"

struct space;

TRACE_DECLARE(fault_page);
TRACE_DECLARE(map_change);
TRACE_DECLARE(pt_set);

// fault.page is told when the fault is over, with how long it took and what it was. When somebody
// listens, the running task is told that it begins: time and kind are kept in it. Then, whichever
// part ends it; error is 0 or a negative errno. Tells nothing of a fault that began unheard.
void trace_fault_begins(struct space *s, va_t va, unsigned access);
void trace_fault_ends(va_t va, unsigned access, long error);

enum map_change { MAP_MADE, MAP_GONE, MAP_RIGHTS, MAP_GROWN, MAP_MOVED };
void trace_map_slow(const struct space *s, enum map_change what, va_t lo, va_t hi, unsigned prot);
static inline void trace_map(const struct space *s, enum map_change what, va_t lo, va_t hi,
                             unsigned prot)
{
    if (TRACE_ON(map_change))
        trace_map_slow(s, what, lo, hi, prot);
}

// `bytes` at va had the entry `old` and have `e`. Not told of the entries of a fork's child, which
// nobody runs yet, nor of those of a space that nobody runs any more.
void trace_entry_slow(const struct space *s, va_t va, pte_t old, pte_t e, uint64_t bytes);
static inline void trace_entry(const struct space *s, va_t va, pte_t old, pte_t e, uint64_t bytes)
{
    if (TRACE_ON(pt_set))
        trace_entry_slow(s, va, old, e, bytes);
}
