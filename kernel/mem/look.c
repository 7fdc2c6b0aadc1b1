// SPDX-License-Identifier: MIT
// Looking at a space from outside, and changing single entries: for procfs and the monitor.
//
// Everything is copied out under the lock in bounded pieces; the caller goes on from a key.
#include "mem/space_internal.h"

static uint64_t count_present(struct space *s, va_t lo, va_t hi)
{
    uint64_t n = 0;
    for (va_t va = lo; va < hi; va += PAGE_SIZE) {
        const pte_t *slot = huge_find(s->root, va);
        if (!slot)
            va |= PAGE_SIZE * (PT_ENTRIES - 1);
        else
            n += *slot != 0;
    }
    return n;
}

uint64_t space_present(struct space *s, va_t lo, va_t hi)
{
    spin_lock(&s->lock);
    uint64_t n = count_present(s, lo, hi < USER_TOP ? hi : USER_TOP);
    spin_unlock(&s->lock);
    return n;
}

uint64_t space_touches(const struct space *s)
{
    return 1 + load_relaxed(&s->faults) + load_relaxed(&s->fills);
}

size_t space_mappings(struct space *s, va_t from, struct mapping_info *out, size_t max,
                      bool with_resident)
{
    size_t n = 0;
    spin_lock(&s->lock);
    for (struct range *r = range_map_from(&s->map, from); r && n < max; r = range_map_next(r)) {
        const struct mapping *m = mapping_of(r);
        out[n++] = (struct mapping_info){
            .lo = r->lo,
            .hi = r->hi,
            .prot = m->prot,
            .flags = m->flags,
            .file = m->phys && m->phys->kind == PHYS_FILE,
            .phys = m->phys,
            .owner = m->phys ? m->phys->owner : NULL,
            .offset = m->offset,
            .resident = with_resident ? count_present(s, r->lo, r->hi) : 0,
        };
    }
    spin_unlock(&s->lock);
    return n;
}

size_t space_entries(struct space *s, va_t from, va_t to, struct pte_info *out, size_t max)
{
    size_t n = 0;
    from = page_round_down(from);
    if (to > USER_TOP)
        to = USER_TOP;
    spin_lock(&s->lock);
    for (va_t va = from; va < to && n < max; va += PAGE_SIZE) {
        const pte_t *slot = huge_find(s->root, va);
        if (!slot) { // nothing in this leaf table's 2 MiB, or in the whole gigabyte
            va |= s->root[pt_index(va, 2)] & PTE_V ? PAGE_SIZE * (PT_ENTRIES - 1)
                                                   : PAGE_SIZE * (PT_ENTRIES * PT_ENTRIES - 1);
            continue;
        }
        const pte_t *leaf = *slot & PTE_PART ? huge_leaf(s, va) : NULL;
        if (leaf) {
            out[n++] = (struct pte_info){va & ~(HUGE_SIZE - 1), *leaf, PT_ENTRIES};
            va |= PAGE_SIZE * (PT_ENTRIES - 1);
        } else if (*slot) {
            out[n++] = (struct pte_info){va, *slot, 1};
        }
    }
    spin_unlock(&s->lock);
    return n;
}

pte_t space_pte_get(struct space *s, va_t va)
{
    if (va >= USER_TOP)
        return 0;
    spin_lock(&s->lock);
    const pte_t *slot = huge_find(s->root, va);
    pte_t e = slot ? *slot & ~(pte_t)PTE_PART : 0;
    spin_unlock(&s->lock);
    return e;
}

static int set_entry(struct space *s, va_t va, pte_t entry, pte_t *old, bool flush)
{
    if (va >= USER_TOP || (entry & (PTE_V | PTE_W | PTE_R)) == (PTE_V | PTE_W))
        return -EINVAL;
    if (entry & PTE_V && !(pte_is_leaf(entry) && entry & PTE_U))
        return -EINVAL; // a pointer to a table, or the kernel's
    int e = 0;
    spin_lock(&s->lock);
    pte_t *slot = huge_find(s->root, va);
    pte_t was = slot ? *slot & ~(pte_t)PTE_PART : 0;
    if (!was)
        e = -ENOENT;
    else if (pte_pa(was) != pte_pa(entry) || entry >> 54 || entry & (PTE_G | PTE_PART))
        e = -EINVAL;
    else if (entry & PTE_W && !(was & PTE_W) && load_relaxed(&page_of(pte_pa(was))->refs) > 1)
        e = -EBUSY; // others have this frame: a write through here would reach them
    if (!e) {
        huge_split(s, va);
        entry_set(s, slot, va, entry & PTE_V ? entry : entry | PTE_HELD);
        if (flush)
            space_flush(s, page_round_down(va), PAGE_SIZE);
        *old = was;
    }
    spin_unlock(&s->lock);
    return e;
}

int space_pte_set(struct space *s, va_t va, pte_t entry, pte_t *old)
{
    return set_entry(s, va, entry, old, true);
}

int space_pte_set_stale(struct space *s, va_t va, pte_t entry, pte_t *old)
{
    return set_entry(s, va, entry, old, false);
}
