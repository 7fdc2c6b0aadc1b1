// SPDX-License-Identifier: MIT
// What a range is made of, and advice about it: flags of mappings, pages wanted, contents dropped.
#include "mem/space_internal.h"

static void survey_one(const struct mapping *m, va_t hi, struct space_survey *out)
{
    if (m->range.lo <= out->until)
        out->until = m->range.hi < hi ? m->range.hi : hi;
    out->any |= m->flags;
    out->all &= m->flags;
    out->object |= m->phys != NULL;
    out->no_write |= m->flags & MAPPING_DENY_WRITE;
}

// Goes on at `at`, returns where it stopped.
static va_t survey_some(struct space *s, va_t at, va_t hi, struct space_survey *out)
{
    enum { MAPPINGS = 2048 };
    unsigned n = 0;
    spin_lock(&s->lock);
    struct range *r = range_map_from(&s->map, at);
    for (; r && r->lo < hi && n < MAPPINGS; n++, r = range_map_next(r)) {
        survey_one(mapping_of(r), hi, out);
        at = r->hi;
    }
    spin_unlock(&s->lock);
    return n < MAPPINGS ? hi : at;
}

ASYNC(space_survey, va_t at;)
{
    ASYNC_BEGIN(space_survey);
    *f->out = (struct space_survey){.until = f->lo, .all = UINT32_MAX};
    f->at = f->lo;
    while ((f->at = survey_some(f->s, f->at, f->hi, f->out)) < f->hi)
        YIELD();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

uint64_t space_flagged_locked(struct space *s, va_t lo, va_t hi, uint32_t flags)
{
    uint64_t sum = 0;
    for (struct range *r = range_map_from(&s->map, lo); r && r->lo < hi; r = range_map_next(r))
        if (!flags || mapping_of(r)->flags & flags)
            sum += (r->hi < hi ? r->hi : hi) - (r->lo > lo ? r->lo : lo);
    return sum;
}

uint64_t space_flagged(struct space *s, va_t lo, va_t hi, uint32_t flags)
{
    spin_lock(&s->lock);
    uint64_t sum = space_flagged_locked(s, lo, hi, flags);
    spin_unlock(&s->lock);
    return sum;
}

bool space_allows(struct space *s, va_t lo, va_t hi, uint32_t access)
{
    bool ok = true;
    spin_lock(&s->lock);
    for (struct range *r = range_map_from(&s->map, lo); r && r->lo < hi; r = range_map_next(r))
        ok &= (mapping_of(r)->pte_bits & (uint64_t)access << 1) != 0;
    spin_unlock(&s->lock);
    return ok;
}

bool space_in_memory(struct space *s, va_t va, bool (*told)(const struct phys *))
{
    spin_lock(&s->lock);
    const pte_t *slot = huge_find(s->root, va);
    bool there = slot && *slot;
    struct range *r = there ? NULL : range_map_find(&s->map, va);
    const struct mapping *m = r ? mapping_of(r) : NULL;
    if (m && m->phys && told && !told(m->phys)) {
        there = true;
    } else if (m && m->phys) {
        struct page *pg = phys_page_try(m->phys, (m->offset + (va - r->lo)) >> PAGE_SHIFT);
        there = pg != NULL;
        if (pg)
            page_put(pg);
    }
    spin_unlock(&s->lock);
    return there;
}

// mutate held. Goes on at `lo` with some of the mappings: returns where it stopped.
static va_t set_flags(struct space *s, va_t lo, va_t hi, uint32_t set, uint32_t clear)
{
    unsigned budget = STEP_PAGES;
    va_t at = lo;
    spin_lock(&s->lock);
    struct range *r = range_map_from(&s->map, lo);
    for (; r && r->lo < hi && budget; r = range_map_next(r)) {
        struct mapping *m = mapping_of(r);
        if (!(m->flags & MAPPING_VDSO))
            m->flags = (m->flags & ~clear) | set;
        at = r->hi;
        pay(&budget, MAPPING_COST);
    }
    if (!r || r->lo >= hi)
        at = hi;
    range_map_merge(&s->map, lo, at);
    spin_unlock(&s->lock);
    return at;
}

static bool isolate(struct space *s, va_t lo, va_t hi)
{
    spin_lock(&s->lock);
    int e = range_map_isolate(&s->map, lo, hi);
    spin_unlock(&s->lock);
    return !e;
}

ASYNC(space_set_flags, va_t at; va_t hi; long r;)
{
    ASYNC_BEGIN(space_set_flags);
    AWAIT(f->r, mutex_lock, &f->s->mutate, false);
    f->at = f->va;
    f->hi = f->va + f->len;
    if (!isolate(f->s, f->at, f->hi))
        ASYNC_RETURN(-ENOMEM);
    SHIELD_BEGIN();
    while ((f->at = set_flags(f->s, f->at, f->hi, f->set, f->clear)) < f->hi)
        YIELD();
    SHIELD_END();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (mutex_held(&f->s->mutate, t))
        mutex_unlock(&f->s->mutate, t);
    ASYNC_END;
}

// The first mapped part of [lo, hi), how it wants to be touched (0: not at all), and its object,
// referenced, if asked for. False: nothing is mapped there.
struct part {
    va_t lo, hi;
    uint32_t access;
    bool shared;
    struct phys *phys;
    uint64_t offset; // of lo in phys
};
static bool next_part(struct space *s, va_t lo, va_t hi, bool with_phys, struct part *out)
{
    spin_lock(&s->lock);
    struct range *r = range_map_from(&s->map, lo);
    bool found = lo < hi && r && r->lo < hi;
    if (found) {
        const struct mapping *m = mapping_of(r);
        bool owned = m->prot & ACCESS_WRITE && !(m->flags & MAPPING_SHARED);
        *out = (struct part){.lo = r->lo > lo ? r->lo : lo, .hi = r->hi < hi ? r->hi : hi};
        out->access = owned ? ACCESS_WRITE : m->pte_bits & PTE_R ? ACCESS_READ : 0;
        out->shared = m->flags & MAPPING_SHARED;
        if (with_phys && m->phys) {
            phys_get(m->phys);
            out->phys = m->phys;
            out->offset = m->offset + (out->lo - r->lo);
        }
    }
    spin_unlock(&s->lock);
    return found;
}

ASYNC(space_populate, struct part p; va_t at; long r; bool missed;)
{
    ASYNC_BEGIN(space_populate);
    f->missed = false;
    for (f->at = f->va; next_part(f->s, f->at, f->va + f->len, false, &f->p); f->at = f->p.hi) {
        f->r = f->p.access ? 0 : -EFAULT;
        if (f->p.access)
            AWAIT(f->r, space_commit, f->s, f->p.lo, f->p.hi - f->p.lo, f->p.access);
        if (f->r < 0 && f->r != -EFAULT)
            ASYNC_RETURN(f->r);
        f->missed |= f->r < 0;
    }
    ASYNC_RETURN(f->missed ? -EFAULT : 0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(space_will_need, struct part p; va_t at;)
{
    ASYNC_BEGIN(space_will_need);
    for (f->at = f->va; next_part(f->s, f->at, f->va + f->len, true, &f->p); f->at = f->p.hi) {
        if (f->p.phys) {
            phys_will_need(f->p.phys, f->p.offset >> PAGE_SHIFT,
                           (f->p.offset + (f->p.hi - f->p.lo)) >> PAGE_SHIFT);
            phys_put(f->p.phys);
        }
        YIELD();
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Zeroes pages that are there, where they are: entries of other spaces need not change.
enum { WIPE_STEP = 64 };
static void wipe_some(struct phys *ph, uint64_t *index, uint64_t end)
{
    for (unsigned n = 0; n < WIPE_STEP && *index < end; n++, ++*index) {
        struct page *pg = phys_page_try(ph, *index);
        if (!pg)
            continue;
        page_zero(page_kva(pg));
        phys_dirty(ph, pg);
        page_put(pg);
    }
}

ASYNC(space_wipe_objects, struct part p; va_t at; uint64_t index; uint64_t end;)
{
    ASYNC_BEGIN(space_wipe_objects);
    f->p.phys = NULL;
    for (f->at = f->va; next_part(f->s, f->at, f->va + f->len, true, &f->p); f->at = f->p.hi) {
        if (!f->p.phys || !f->p.shared || (f->p.phys->kind == PHYS_FILE && f->p.phys->ops->write))
            ASYNC_RETURN(-EOPNOTSUPP);
        f->index = f->p.offset >> PAGE_SHIFT;
        f->end = f->index + ((f->p.hi - f->p.lo) >> PAGE_SHIFT);
        while (wipe_some(f->p.phys, &f->index, f->end), f->index < f->end)
            YIELD();
        phys_put(f->p.phys);
        f->p.phys = NULL;
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->p.phys)
        phys_put(f->p.phys);
    ASYNC_END;
}
