// SPDX-License-Identifier: MIT
// Changing rights: of the mappings first, of the entries after.
//
// An entry never has a right its mapping lacks once the call is over. It may have fewer: W is left
// out where a write must fault first (copy on write, clean file pages).
#include "mem/space_internal.h"

// ---- entries; lock held

// Brings the entries of [va, hi) in line with m; at most `budget` tables' worth. True if some
// right was taken from an entry that hardware may remember.
static bool entries_follow(struct space *s, const struct mapping *m, va_t va, va_t hi)
{
    bool lost = false;
    for (; va < hi; va += PAGE_SIZE) {
        pte_t *slot = huge_find(s->root, va);
        if (!slot) {
            va |= PAGE_SIZE * (PT_ENTRIES - 1);
            continue;
        }
        if (unlikely(*slot & PTE_PART))
            huge_split(s, va);
        pte_t e = *slot;
        if (!e)
            continue;
        const struct page *pg = page_of(pte_pa(e));
        uint64_t bits = mapping_bits_for(m, pg);
        // A page of a file that was writable stays so: it is known to be dirty.
        if (m->flags & MAPPING_SHARED && e & PTE_D && m->prot & ACCESS_WRITE)
            bits = m->pte_bits;
        lost |= e & ~bits & (PTE_V | PTE_R | PTE_W | PTE_X);
        entry_set(s, slot, va, pte_make(pte_pa(e), bits));
    }
    return lost;
}

static va_t protect_step(struct space *s, va_t va, va_t hi)
{
    bool lost = false;
    va_t lo = va;
    uint64_t left = STEP_PAGES * PAGE_SIZE;
    for (struct range *r = range_map_from(&s->map, va); r && r->lo < hi && left;
         r = range_map_next(r)) {
        va_t from = r->lo > va ? r->lo : va, to = r->hi < hi ? r->hi : hi;
        if (to - from > left)
            to = from + left;
        lost |= entries_follow(s, mapping_of(r), from, to);
        left -= to - from;
        va = to;
        if (to < r->hi)
            break;
    }
    if (left)
        va = hi;
    if (lost)
        space_flush(s, lo, va - lo);
    else
        tlb_flush_all(); // rights gained: spares this hart the spurious faults
    return va;
}

// ---- mappings; lock held

// *hi becomes the first address whose rights may not change, and the result says why.
static int check_protect(struct space *s, va_t va, va_t *hi, uint32_t prot)
{
    va_t at = va;
    int e = 0;
    for (struct range *r = range_map_from(&s->map, va); r && at < *hi && !e;
         r = range_map_next(r)) {
        if (r->lo > at)
            e = -ENOMEM;
        else if (prot & ACCESS_WRITE && mapping_of(r)->flags & MAPPING_DENY_WRITE)
            e = -EACCES;
        else
            at = r->hi;
    }
    if (at < *hi) {
        *hi = at;
        e = e ? e : -ENOMEM;
    }
    return e;
}

// RLIMIT_DATA: what becomes private and writable counts.
static bool data_fits(struct space *s, va_t va, va_t hi, uint32_t prot)
{
    uint64_t more = 0;
    for (struct range *r = range_map_from(&s->map, va); r && r->lo < hi; r = range_map_next(r))
        if (!(mapping_of(r)->prot & ACCESS_WRITE) && !(mapping_of(r)->flags & MAPPING_SHARED))
            more += (r->hi < hi ? r->hi : hi) - (r->lo > va ? r->lo : va);
    return !more || !(prot & ACCESS_WRITE) || space_has_room(s, more, prot, 0) ||
           !space_has_room(s, 0, 0, 0);
}

// As Linux does, changes what lies before an obstacle: the mappings in [va, *hi). Their entries are to follow
// whatever the result is.
static int protect_mappings(struct space *s, va_t va, va_t *hi, uint32_t prot)
{
    int e = check_protect(s, va, hi, prot);
    if ((unlikely(s->data_limit != UINT64_MAX) && !data_fits(s, va, *hi, prot)) ||
        range_map_isolate(&s->map, va, *hi)) {
        *hi = va;
        return -ENOMEM;
    }
    for (struct range *r = range_map_from(&s->map, va); r && r->lo < *hi; r = range_map_next(r))
        mapping_set_prot(mapping_of(r), prot);
    range_map_merge(&s->map, va, *hi);
    return e;
}

static int check_args(va_t va, uint64_t len, uint32_t prot)
{
    return prot & ~7u ? -EINVAL : space_check_range(va, len);
}

int space_protect_now(struct space *s, va_t va, uint64_t len, uint32_t prot)
{
    struct task *t = current_task();
    int e = check_args(va, len, prot);
    if (e || !len)
        return e;
    if (len > STEP_PAGES * PAGE_SIZE || !mutex_trylock(&s->mutate, t))
        return -EAGAIN;
    va_t hi = va + len;
    spin_lock(&s->lock);
    e = protect_mappings(s, va, &hi, prot);
    if (hi > va)
        protect_step(s, va, hi);
    spin_unlock(&s->lock);
    mutex_unlock(&s->mutate, t);
    return e;
}

ASYNC(space_protect, va_t at; va_t hi; long r;)
{
    ASYNC_BEGIN(space_protect);
    f->r = check_args(f->va, f->len, f->prot);
    if (f->r < 0 || !f->len)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mutex_lock, &f->s->mutate, false);
    spin_lock(&f->s->lock);
    f->hi = f->va + f->len;
    f->r = protect_mappings(f->s, f->va, &f->hi, f->prot);
    spin_unlock(&f->s->lock);
    SHIELD_BEGIN();
    for (f->at = f->va; f->at < f->hi;) {
        spin_lock(&f->s->lock);
        f->at = protect_step(f->s, f->at, f->hi);
        spin_unlock(&f->s->lock);
        if (f->at < f->hi)
            YIELD();
    }
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->s->mutate, t))
        mutex_unlock(&f->s->mutate, t);
    ASYNC_END;
}
