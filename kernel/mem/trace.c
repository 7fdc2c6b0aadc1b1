// SPDX-License-Identifier: MIT
// Trace points of address spaces: see mem/trace.h.
#include "mem/trace.h"

#include "async/task.h"
#include "lib/errno.h"
#include "mem/space_internal.h"

enum fault_kind { ANON, ZERO, HUGE, FILE_PAGE, COPY, RIGHTS, SPURIOUS, NOTHING, DENIED, FAILED };

TRACE_POINT_WITH(fault_page, "fault.page", "a program's page fault is over; may be paused before",
                 TRACE_OPTIONS(.parks = 2), TRACE_ARG("va", ADDRESS),
                 TRACE_WORDS("access", "- read write - execute"),
                 TRACE_WORDS("kind", "anon zero huge file copy rights spurious nothing denied "
                                     "failed"),
                 TRACE_ARG("ns", NS));
TRACE_POINT(map_change, "map.change", "a mapping was made, removed, changed",
            TRACE_WORDS("what", "map unmap protect grow move"), TRACE_ARG("lo", ADDRESS),
            TRACE_ARG("hi", ADDRESS), TRACE_ARG("prot", NUMBER), TRACE_ARG("space", NUMBER));
TRACE_POINT(pt_set, "pt.set", "an entry of a page table was set", TRACE_ARG("va", ADDRESS),
            TRACE_ARG("old", ENTRY), TRACE_ARG("new", ENTRY), TRACE_ARG("bytes", BYTES),
            TRACE_ARG("space", NUMBER));

// What space_fault will do, as it is now. Lock held.
static enum fault_kind kind_of(struct space *s, va_t va, unsigned access)
{
    struct range *r = range_map_find(&s->map, va);
    const struct mapping *m = r ? mapping_of(r) : NULL;
    const pte_t *slot = huge_find(s->root, va);
    uint64_t need = PTE_V | PTE_U | (uint64_t)access << 1 | (access == ACCESS_WRITE ? PTE_D : 0);
    if (!m)
        return ANON; // a stack that grows, or space_fault says that there is nothing
    if (slot && *slot)
        return (*slot & need) == need                                   ? SPURIOUS
               : access == ACCESS_WRITE && !(m->flags & MAPPING_SHARED) ? COPY
                                                                        : RIGHTS;
    if (m->phys)
        return FILE_PAGE;
    if (access != ACCESS_WRITE)
        return ZERO;
    return !slot && huge_wanted(s, m, va) ? HUGE : ANON;
}

cold void trace_fault_begins(struct space *s, va_t va, unsigned access)
{
    struct task *t = current_task();
    spin_lock(&s->lock);
    t->traced_what = (uint16_t)(va < USER_TOP ? kind_of(s, va, access) : NOTHING);
    spin_unlock(&s->lock);
    t->traced_at = time_ticks();
}

cold void trace_fault_ends(va_t va, unsigned access, long error)
{
    struct task *t = current_task();
    uint64_t from = t->traced_at;
    enum fault_kind kind = error == 0         ? (enum fault_kind)t->traced_what
                           : error == -EFAULT ? NOTHING
                           : error == -EACCES ? DENIED
                                              : FAILED;
    t->traced_at = 0;
    if (from)
        TRACE(fault_page, va, access, kind, ticks_to_ns(time_ticks() - from));
}

cold void trace_map_slow(const struct space *s, enum map_change what, va_t lo, va_t hi,
                         unsigned prot)
{
    TRACE(map_change, what, lo, hi, prot, s->id);
}

cold void trace_entry_slow(const struct space *s, va_t va, pte_t old, pte_t e, uint64_t bytes)
{
    TRACE(pt_set, va, old, e, bytes, s->id);
}
