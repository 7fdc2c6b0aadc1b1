// SPDX-License-Identifier: MIT
// The structure of a space: map, unmap, discard, and the plain forms of them.
//
// Each call validates and allocates first, then changes. Who holds `mutate` is the only one that
// changes the set of mappings (a stack may still grow), so an async call may drop the spinlock
// between steps: a mapping that is to go leaves the map before its pages do, and its range cannot
// be taken by another before the call is over.
#include "mem/space_internal.h"
#include "page/heap.h"

// ---- mappings

struct mapping *mapping_new(const struct space_map *what, va_t lo)
{
    struct mapping *m = kmalloc(sizeof *m);
    if (!m)
        return NULL;
    m->range.lo = lo;
    m->range.hi = lo + what->len;
    mapping_set_prot(m, what->prot);
    m->flags = what->flags;
    m->phys = what->phys;
    m->offset = what->phys ? what->offset : 0;
    return m;
}

static bool writes_object(const struct mapping *m)
{
    return m->phys && (m->flags & MAPPING_SHARED) && !(m->flags & MAPPING_DENY_WRITE);
}

// A mapping of s that has got its object: references and counts it.
static void mapping_bind(struct mapping *m, struct space *s)
{
    struct phys *ph = m->phys;
    if (!ph)
        return;
    phys_get(ph);
    m->space = s;
    if (writes_object(m))
        atomic_add32(&ph->shared_writable, 1);
    if (m->flags & MAPPING_WRITER)
        atomic_add32(&ph->writers, 1);
    spin_lock(&ph->lock);
    list_push_back(&ph->mappings, &m->in_phys);
    spin_unlock(&ph->lock);
}

void mapping_release(struct range *r)
{
    struct mapping *m = mapping_of(r);
    if (m->phys) {
        if (writes_object(m))
            atomic_add32(&m->phys->shared_writable, (uint32_t)-1);
        if (m->flags & MAPPING_WRITER)
            atomic_add32(&m->phys->writers, -1u);
        spin_lock(&m->phys->lock);
        list_remove(&m->in_phys);
        spin_unlock(&m->phys->lock);
        phys_put(m->phys);
    }
    kfree(m);
}

static struct range *mapping_split(const struct range *r, uint64_t at)
{
    struct mapping *m = kmalloc(sizeof *m);
    if (!m)
        return NULL;
    *m = *(const struct mapping *)r;
    if (m->phys)
        m->offset += at - r->lo;
    mapping_bind(m, m->space);
    return &m->range;
}

static bool mapping_can_merge(const struct range *ra, const struct range *rb)
{
    const struct mapping *a = (const struct mapping *)ra, *b = (const struct mapping *)rb;
    if (a->prot != b->prot || a->flags != b->flags || a->phys != b->phys || a->flags & MAPPING_VDSO)
        return false;
    return !a->phys || a->offset + (ra->hi - ra->lo) == b->offset;
}

const struct range_ops mapping_range_ops = {mapping_split, mapping_can_merge, mapping_release};

struct mapping *mapping_copy(const struct mapping *from, va_t at, struct space *s)
{
    struct mapping *m = kmalloc(sizeof *m);
    if (!m)
        return NULL;
    *m = *from;
    m->range.lo = at;
    if (m->phys)
        m->offset += at - from->range.lo;
    mapping_bind(m, s);
    return m;
}

// ---- placing

static int check_map(const struct space_map *w)
{
    if (!w->len || (w->len | w->offset) & PAGE_MASK || w->len > USER_TOP)
        return w->len > USER_TOP ? -ENOMEM : -EINVAL;
    if (w->how & (SPACE_FIXED | SPACE_FIXED_NOREPLACE)) {
        if (w->at & PAGE_MASK)
            return -EINVAL;
        if (w->at > USER_TOP || w->len > USER_TOP - w->at)
            return -ENOMEM;
        if (w->at < MAP_LOWEST)
            return -EPERM;
    }
    if (w->prot & ~7u)
        return -EINVAL;
    // A private promise of more than all RAM is refused at once.
    if (!w->phys && !(w->flags & MAPPING_NORESERVE) && w->prot & ACCESS_WRITE &&
        w->len >> PAGE_SHIFT > frame_total())
        return -ENOMEM;
    return 0;
}

static bool is_data(uint32_t prot, uint32_t flags)
{
    return prot & ACCESS_WRITE && !(flags & (MAPPING_SHARED | MAPPING_STACK));
}

bool space_has_room(struct space *s, uint64_t more, uint32_t prot, uint32_t flags)
{
    if (s->mapped + more > s->limit)
        return false;
    if (likely(s->data_limit == UINT64_MAX) || !is_data(prot, flags))
        return true;
    for (struct range *r = range_map_from(&s->map, 0); r; r = range_map_next(r))
        if (is_data(mapping_of(r)->prot, mapping_of(r)->flags))
            more += r->hi - r->lo;
    return more <= s->data_limit;
}

// The highest room. Whole 2 MiB of anonymous memory begin where a 2 MiB page may, if there is such a place.
static va_t choose_high(struct space *s, const struct space_map *w)
{
    if (!w->phys && !(w->len & (HUGE_SIZE - 1)) && !(w->flags & MAPPING_NOHUGE)) {
        va_t va =
            range_map_gap_high(&s->map, w->len + HUGE_SIZE - PAGE_SIZE, MAP_LOWEST, s->mmap_top);
        if (va)
            return (va + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
    }
    return range_map_gap_high(&s->map, w->len, MAP_LOWEST, s->mmap_top);
}

static va_t choose(struct space *s, const struct space_map *w)
{
    va_t hint = page_round_down(w->at);
    if (hint >= MAP_LOWEST && hint < USER_TOP && w->len <= USER_TOP - hint &&
        range_map_is_free(&s->map, hint, hint + w->len))
        return hint;
    va_t va = choose_high(s, w);
    return va ? va : range_map_gap_low(&s->map, w->len, s->mmap_top, USER_TOP - PAGE_SIZE);
}

// Lock held, the place is free. Takes over m.
static void put_in(struct space *s, struct mapping *m)
{
    s->mapped += m->range.hi - m->range.lo;
    mapping_bind(m, s);
    trace_map(s, MAP_MADE, m->range.lo, m->range.hi, m->prot);
    range_map_insert(&s->map, &m->range);
}

// ---- unmapping; lock held

static bool is_small(struct space *s, va_t lo, va_t hi)
{
    unsigned n = 0;
    if (hi - lo > NOW_BYTES &&
        (s->resident > NOW_BYTES >> PAGE_SHIFT || s->tables > NOW_TABLES || hi - lo > NOW_SPAN))
        return false;
    for (struct range *r = range_map_from(&s->map, lo); r && r->lo < hi; r = range_map_next(r))
        if (++n > NOW_MAPPINGS)
            return false;
    return true;
}

// The first mapping in [lo, hi) leaves the map; bounds are isolated already.
static struct mapping *take_first(struct space *s, va_t lo, va_t hi)
{
    struct range *r = range_map_from(&s->map, lo);
    if (!r || r->lo >= hi)
        return NULL;
    range_map_take(&s->map, r);
    trace_map(s, MAP_GONE, r->lo, r->hi, mapping_of(r)->prot);
    s->mapped -= r->hi - r->lo;
    return mapping_of(r);
}

int space_remove_small(struct space *s, va_t lo, va_t hi)
{
    struct zap z;
    if (range_map_is_free(&s->map, lo, hi))
        return 0;
    if (!is_small(s, lo, hi))
        return -EAGAIN;
    if (range_map_isolate(&s->map, lo, hi))
        return -ENOMEM;
    unsigned budget = UINT32_MAX; // it is small
    zap_begin(&z, s);
    for (struct mapping *m; (m = take_first(s, lo, hi));) {
        zap_range(&z, m->range.lo, m->range.hi, &budget);
        zap_finish(&z);
        mapping_release(&m->range);
    }
    space_tables_trim(s, lo, hi, &budget);
    return 0;
}

// ---- plain calls

int space_check_range(va_t va, uint64_t len)
{
    if (va & PAGE_MASK || len & PAGE_MASK || va > USER_TOP || len > USER_TOP - va)
        return -EINVAL;
    return 0;
}

int space_map_locked(struct space *s, const struct space_map *w, struct mapping *m, va_t *va)
{
    bool fixed = w->how & (SPACE_FIXED | SPACE_FIXED_NOREPLACE);
    va_t at = fixed ? w->at : choose(s, w);
    if (!at)
        return -ENOMEM;
    uint64_t goes = fixed ? space_flagged_locked(s, at, at + w->len, 0) : 0;
    if (goes && w->how & SPACE_FIXED_NOREPLACE)
        return -EEXIST;
    if (!space_has_room(s, w->len - goes, w->prot, w->flags))
        return -ENOMEM;
    int e = goes ? space_remove_small(s, at, at + w->len) : 0;
    if (e)
        return e;
    m->range.lo = at;
    m->range.hi = at + w->len;
    put_in(s, m);
    *va = at;
    return 0;
}

// mutate is held by the caller.
static int map_held(struct space *s, const struct space_map *w, va_t *va)
{
    int e = check_map(w);
    if (e)
        return e;
    struct mapping *m = mapping_new(w, 0);
    if (!m)
        return -ENOMEM;
    spin_lock(&s->lock);
    e = space_map_locked(s, w, m, va);
    spin_unlock(&s->lock);
    if (e)
        kfree(m);
    return e;
}

int space_map_now(struct space *s, const struct space_map *w, va_t *va)
{
    struct task *t = current_task();
    if (!mutex_trylock(&s->mutate, t))
        return -EAGAIN;
    int e = map_held(s, w, va);
    mutex_unlock(&s->mutate, t);
    return e;
}

int space_unmap_now(struct space *s, va_t va, uint64_t len)
{
    struct task *t = current_task();
    int e = space_check_range(va, len);
    if (e)
        return e;
    if (!mutex_trylock(&s->mutate, t))
        return -EAGAIN;
    spin_lock(&s->lock);
    e = space_remove_small(s, va, va + len);
    spin_unlock(&s->lock);
    mutex_unlock(&s->mutate, t);
    return e;
}

// ---- async calls

// Takes the next mapping out, or goes on with f->m: true when there is more to do.
static bool remove_step(struct space *s, struct mapping **m, va_t *at, va_t hi)
{
    struct zap z;
    unsigned budget = STEP_PAGES;
    spin_lock(&s->lock);
    if (!*m) {
        *m = take_first(s, *at, hi);
        if (*m)
            *at = (*m)->range.lo;
    }
    if (*m) {
        zap_begin(&z, s);
        *at = zap_range(&z, *at, (*m)->range.hi, &budget);
        zap_finish(&z);
    } else {
        s->zap_lo = s->zap_hi = 0;
    }
    bool finished = *m && *at >= (*m)->range.hi;
    spin_unlock(&s->lock);
    if (finished) {
        mapping_release(&(*m)->range);
        *m = NULL;
        return true;
    }
    return *m != NULL;
}

// The first mapping goes at once: behind the look at `touches` no page comes to it.
static int remove_begin(struct space *s, va_t lo, va_t hi, uint64_t touches, struct mapping **m)
{
    spin_lock(&s->lock);
    int e = touches && touches != space_touches(s) ? -EAGAIN : range_map_isolate(&s->map, lo, hi);
    if (!e) {
        s->zap_lo = lo;
        s->zap_hi = hi;
        *m = take_first(s, lo, hi);
    }
    spin_unlock(&s->lock);
    return e;
}

ASYNC(space_remove_steps, struct mapping *m; va_t at; long r;)
{
    ASYNC_BEGIN(space_remove_steps);
    f->m = NULL;
    f->r = remove_begin(f->s, f->va, f->va + f->len, f->touches, &f->m);
    if (f->r)
        ASYNC_RETURN(f->r);
    SHIELD_BEGIN();
    f->at = f->m ? f->m->range.lo : f->va;
    while (remove_step(f->s, &f->m, &f->at, f->va + f->len))
        YIELD();
    YIELD(); // one poll's work is done
    AWAIT(f->r, space_trim_steps, f->s, f->va, f->va + f->len);
    SHIELD_END();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(space_map, long r;)
{
    ASYNC_BEGIN(space_map);
    AWAIT(f->r, mutex_lock, &f->s->mutate, false);
    for (;;) {
        f->r = map_held(f->s, &f->what, f->va);
        if (f->r != -EAGAIN)
            break;
        AWAIT(f->r, space_remove_steps, f->s, f->what.at, f->what.len, 0);
        if (f->r < 0)
            break;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->s->mutate, t))
        mutex_unlock(&f->s->mutate, t);
    ASYNC_END;
}

ASYNC(space_unmap, long r;)
{
    ASYNC_BEGIN(space_unmap);
    f->r = space_check_range(f->va, f->len);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mutex_lock, &f->s->mutate, false);
    AWAIT(f->r, space_remove_steps, f->s, f->va, f->len, 0);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->s->mutate, t))
        mutex_unlock(&f->s->mutate, t);
    ASYNC_END;
}

static va_t discard_step(struct space *s, va_t at, va_t hi)
{
    struct zap z;
    unsigned budget = STEP_PAGES;
    spin_lock(&s->lock);
    zap_begin(&z, s);
    at = zap_range(&z, at, hi, &budget);
    zap_finish(&z);
    spin_unlock(&s->lock);
    return at;
}

ASYNC(space_discard, va_t at; long r;)
{
    ASYNC_BEGIN(space_discard);
    f->r = space_check_range(f->va, f->len);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    for (f->at = f->va; (f->at = discard_step(f->s, f->at, f->va + f->len)) < f->va + f->len;)
        YIELD();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
