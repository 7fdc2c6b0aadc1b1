// SPDX-License-Identifier: MIT
// Changing rights: of the mappings first, of the entries after.
//
// An entry never has a right its mapping lacks once the call is over. It may have fewer: W is left
// out where a write must fault first (copy on write, clean file pages).
#include "mem/space_internal.h"

// ---- entries; lock held

// Brings one in line with m. True if a right was taken that hardware may remember.
static bool entry_follows(struct space *s, const struct mapping *m, va_t va, pte_t *slot)
{
    pte_t e = *slot;
    if (!e)
        return false;
    const struct page *pg = page_of(pte_pa(e));
    uint64_t bits = mapping_bits_for(m, pg);
    // A page of a file that was writable stays so: it is known to be dirty.
    if (m->flags & MAPPING_SHARED && e & PTE_D && m->prot & ACCESS_WRITE)
        bits = m->pte_bits;
    entry_set(s, slot, va, pte_make(pte_pa(e), bits));
    return e & ~bits & (PTE_V | PTE_R | PTE_W | PTE_X);
}

// What a call changes, and how far it has come.
struct protect {
    struct space *s;
    va_t at, hi;
    uint32_t prot;
    unsigned budget;
    bool lost; // a right that hardware may remember
};

// The entries of m from p->at on, below hi.
static void entries_follow(struct protect *p, const struct mapping *m, va_t hi)
{
    unsigned skipped = 0;
    while (p->at < hi && p->budget) {
        va_t va = p->at, end = (va | (HUGE_SIZE - 1)) + 1;
        pte_t *slot = huge_find(p->s->root, va);
        p->at = end = end < hi ? end : hi;
        if (!slot) {
            pay_skipped(&p->budget, &skipped);
            continue;
        }
        if (unlikely(*slot & PTE_PART))
            huge_split(p->s, va);
        pay(&p->budget, (unsigned)((end - va) >> PAGE_SHIFT));
        for (; va < end; va += PAGE_SIZE, slot++)
            p->lost |= entry_follows(p->s, m, va, slot);
    }
}

// Mappings, as far as the budget goes, and their entries; those of one whose rights are changed already are to follow.
static void protect_step(struct protect *p)
{
    struct space *s = p->s;
    va_t lo = p->at;
    p->lost = false;
    for (struct range *r = range_map_from(&s->map, lo); r && r->lo < p->hi && p->budget;
         r = range_map_next(r)) {
        mapping_set_prot(mapping_of(r), p->prot);
        entries_follow(p, mapping_of(r), r->hi < p->hi ? r->hi : p->hi);
        if (p->at < r->hi)
            break;
        pay(&p->budget, MAPPING_COST);
    }
    range_map_merge(&s->map, lo, p->at);
    if (p->lost)
        space_flush(s, lo, p->at - lo);
    else
        tlb_flush_all(); // rights gained: spares this hart the spurious faults
}

// ---- what may change; lock held

// Looks at up to `most` mappings from *at on. p->hi becomes the first address whose rights may not change, and the
// result says why; -EAGAIN: there are more.
static int check_protect(struct protect *p, va_t *at, unsigned most)
{
    int e = 0;
    for (struct range *r = range_map_from(&p->s->map, *at); r && *at < p->hi && !e;
         r = range_map_next(r)) {
        if (r->lo > *at)
            e = -ENOMEM;
        else if (p->prot & ACCESS_WRITE && mapping_of(r)->flags & MAPPING_DENY_WRITE)
            e = -EACCES;
        else if (!most--)
            return -EAGAIN;
        else
            *at = r->hi;
    }
    if (*at < p->hi) {
        p->hi = *at;
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

// As Linux does, what lies before an obstacle changes. False: nothing does, for want of memory.
static bool protect_begin(struct protect *p)
{
    if (p->at == p->hi)
        return true;
    if ((unlikely(p->s->data_limit != UINT64_MAX) && !data_fits(p->s, p->at, p->hi, p->prot)) ||
        range_map_isolate(&p->s->map, p->at, p->hi))
        return false;
    trace_map(p->s, MAP_RIGHTS, p->at, p->hi, p->prot);
    return true;
}

static int check_args(va_t va, uint64_t len, uint32_t prot)
{
    return prot & ~7u ? -EINVAL : space_check_range(va, len);
}

static int protect_now(struct protect *p)
{
    va_t checked = p->at;
    int e = check_protect(p, &checked, NOW_MAPPINGS);
    if (e == -EAGAIN)
        return e;
    if (!protect_begin(p))
        return -ENOMEM;
    if (p->hi > p->at)
        protect_step(p);
    return e;
}

int space_protect_now(struct space *s, va_t va, uint64_t len, uint32_t prot)
{
    struct task *t = current_task();
    int e = check_args(va, len, prot);
    if (e || !len)
        return e;
    if (len > STEP_PAGES * PAGE_SIZE || !mutex_trylock(&s->mutate, t))
        return -EAGAIN;
    struct protect p = {s, va, va + len, prot, UINT32_MAX, false};
    spin_lock(&s->lock);
    e = protect_now(&p);
    spin_unlock(&s->lock);
    mutex_unlock(&s->mutate, t);
    return e;
}

// A poll's share of looking, then of changing: -EAGAIN: there is more.
static int look_some(struct protect *p, va_t *at)
{
    spin_lock(&p->s->lock);
    int e = check_protect(p, at, STEP_PAGES);
    spin_unlock(&p->s->lock);
    return e;
}

static bool change_some(struct protect *p)
{
    p->budget = STEP_PAGES;
    spin_lock(&p->s->lock);
    protect_step(p);
    spin_unlock(&p->s->lock);
    return p->at < p->hi;
}

ASYNC(space_protect_steps, struct protect p; va_t at; long r; bool begun;)
{
    ASYNC_BEGIN(space_protect_steps);
    f->p = (struct protect){f->s, f->va, f->va + f->len, f->prot, 0, false};
    f->at = f->va;
    while ((f->r = look_some(&f->p, &f->at)) == -EAGAIN)
        YIELD();
    spin_lock(&f->s->lock);
    f->begun = protect_begin(&f->p);
    spin_unlock(&f->s->lock);
    if (!f->begun)
        ASYNC_RETURN(-ENOMEM);
    SHIELD_BEGIN();
    while (f->p.at < f->p.hi && change_some(&f->p))
        YIELD();
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(space_protect, long r;)
{
    ASYNC_BEGIN(space_protect);
    f->r = check_args(f->va, f->len, f->prot);
    if (f->r < 0 || !f->len)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mutex_lock, &f->s->mutate, false);
    AWAIT(f->r, space_protect_steps, f->s, f->va, f->len, f->prot);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->s->mutate, t))
        mutex_unlock(&f->s->mutate, t);
    ASYNC_END;
}
