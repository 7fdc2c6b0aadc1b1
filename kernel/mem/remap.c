// SPDX-License-Identifier: MIT
// Moving bounds: the break, and mremap.
#include "mem/shortage.h"
#include "mem/space_internal.h"
#include "page/heap.h"

enum { RW = ACCESS_READ | ACCESS_WRITE };

// May what has these flags grow by `more` bytes? lock held.
static bool may_lock(struct space *s, uint32_t flags, uint64_t more, uint64_t limit)
{
    if (likely(!(flags & MAPPING_LOCKED)) || limit == UINT64_MAX || !more)
        return true;
    uint64_t locked = space_flagged_locked(s, 0, USER_TOP, MAPPING_LOCKED);
    return locked <= limit && more <= limit - locked;
}

// ---- the break

// lock and mutate held. The heap is one mapping from brk_start; it grows while what lies above is
// free. -ENOMEM: refused. -EAGAIN: the part to remove is too large for one poll.
static int brk_locked(struct space *s, va_t to, uint64_t lock_limit)
{
    va_t start = page_round_up(s->brk_start), old = page_round_up(s->brk), want = page_round_up(to);
    if (to < s->brk_start || to > USER_TOP)
        return -ENOMEM;
    if (want < old) {
        int e = space_remove_small(s, want, old);
        if (e)
            return e;
    } else if (want > old) {
        uint64_t more = want - old;
        uint32_t flags = MAPPING_HEAP | (s->lock_future ? MAPPING_LOCKED : 0);
        if (!range_map_is_free(&s->map, old, want) || more >> PAGE_SHIFT > frame_total() ||
            !may_lock(s, flags, more, lock_limit) || !space_has_room(s, more, ACCESS_WRITE, flags))
            return -ENOMEM;
        struct range *r = old > start ? range_map_find(&s->map, old - 1) : NULL;
        if (r && mapping_of(r)->flags == flags && mapping_of(r)->prot == RW && r->hi == old) {
            range_map_resize(&s->map, r, r->lo, want);
            trace_map(s, MAP_GROWN, r->lo, want, RW);
            s->mapped += more;
        } else {
            struct space_map w = {
                .at = old, .len = more, .prot = RW, .flags = flags, .how = SPACE_FIXED_NOREPLACE};
            va_t va;
            struct mapping *m = mapping_new(&w, old);
            if (!m || space_map_locked(s, &w, m, &va)) {
                kfree(m);
                return -ENOMEM;
            }
        }
    }
    s->brk = to;
    return 0;
}

int space_brk_now(struct space *s, va_t to, uint64_t lock_limit, va_t *now)
{
    struct task *t = current_task();
    if (!mutex_trylock(&s->mutate, t))
        return -EAGAIN;
    spin_lock(&s->lock);
    int e = brk_locked(s, to, lock_limit);
    *now = s->brk;
    spin_unlock(&s->lock);
    mutex_unlock(&s->mutate, t);
    return e == -EAGAIN ? e : 0;
}

ASYNC(space_brk, long r; va_t lo; va_t hi;)
{
    ASYNC_BEGIN(space_brk);
    AWAIT(f->r, mutex_lock, &f->s->mutate, false);
    spin_lock(&f->s->lock);
    f->r = brk_locked(f->s, f->to, f->lock_limit);
    f->lo = page_round_up(f->to);
    f->hi = page_round_up(f->s->brk);
    spin_unlock(&f->s->lock);
    if (f->r == -EAGAIN) {
        AWAIT(f->r, space_remove_steps, f->s, f->lo, f->hi - f->lo, 0);
        if (f->r == 0)
            f->s->brk = f->to;
    }
    *f->now = f->s->brk;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (mutex_held(&f->s->mutate, t))
        mutex_unlock(&f->s->mutate, t);
    ASYNC_END;
}

// ---- mremap

// Grows in place: 0, or -EAGAIN when the room above is taken or the mapping ends elsewhere.
static int grow_locked(struct space *s, struct range *r, va_t old, uint64_t old_len, uint64_t more)
{
    if (old + old_len != r->hi || more > USER_TOP - r->hi ||
        !range_map_is_free(&s->map, r->hi, r->hi + more))
        return -EAGAIN;
    range_map_resize(&s->map, r, r->lo, r->hi + more);
    trace_map(s, MAP_GROWN, r->lo, r->hi, mapping_of(r)->prot);
    s->mapped += more;
    range_map_merge(&s->map, r->hi, r->hi);
    return 0;
}

struct remap {
    struct mapping *old, *m; // taken out (NULL: it stays); to be put in
    va_t from, to;
    uint64_t len, at; // of the old entries; how far they are prepared, then moved
    unsigned skipped;
};

// The next entry at or behind w->at, its offset in w->at; NULL: there is none, or the budget is used up.
static pte_t *next_entry(struct space *s, struct remap *w, unsigned *budget)
{
    enum { EMPTY_A_PAGE = 16 };
    while (w->at < w->len && *budget) {
        va_t va = w->from + w->at, end = (va | (HUGE_SIZE - 1)) + 1;
        pte_t *slot = huge_find(s->root, va);
        if (slot) {
            for (; va < end; va += PAGE_SIZE, slot++) {
                w->at = va - w->from;
                if (w->at >= w->len || *slot)
                    return w->at < w->len ? slot : NULL;
                if (++w->skipped % EMPTY_A_PAGE == 0)
                    pay(budget, 1);
            }
        } else {
            pay_skipped(budget, &w->skipped);
        }
        w->at = end - w->from;
    }
    return NULL;
}

// Makes tables that the entries need at their new place. > 0: there is more to do, 0: done, -ENOMEM.
static int prepare_step(struct space *s, struct remap *w)
{
    unsigned budget = STEP_PAGES;
    while (next_entry(s, w, &budget)) {
        if (!space_slot(s, w->to + w->at))
            return -ENOMEM;
        w->at += PAGE_SIZE;
        pay(&budget, 1);
    }
    return w->at < w->len;
}

// Moves entries. A page touched since the tables were made may find none at its new place, and no memory for one:
// -ENOMEM, to be tried again. Else as prepare_step.
static int move_step(struct space *s, struct remap *w)
{
    unsigned budget = STEP_PAGES;
    va_t first = w->from + w->at;
    pte_t *slot, *dst = NULL;
    while ((slot = next_entry(s, w, &budget)) && (dst = space_slot(s, w->to + w->at))) {
        if (unlikely(*slot & PTE_PART))
            huge_split(s, w->from + w->at);
        trace_entry(s, w->to + w->at, *dst, *slot, PAGE_SIZE);
        *dst = *slot;
        entry_set(s, slot, w->from + w->at, 0);
        w->at += PAGE_SIZE;
        pay(&budget, 1);
    }
    space_flush(s, first, w->from + w->at - first);
    return slot && !dst ? -ENOMEM : w->at < w->len;
}

static int check_remap(const struct space_remap_args *a)
{
    if (a->how & ~(uint32_t)(REMAP_MAYMOVE | REMAP_FIXED | REMAP_DONTUNMAP) ||
        (a->how & (REMAP_FIXED | REMAP_DONTUNMAP) && !(a->how & REMAP_MAYMOVE)) ||
        (a->how & REMAP_DONTUNMAP && a->old_len != a->new_len) || a->old & PAGE_MASK || !a->new_len)
        return -EINVAL;
    if (a->old >= USER_TOP || a->old_len > USER_TOP - a->old)
        return -EFAULT;
    return !(a->how & REMAP_FIXED) && a->new_len > USER_TOP ? -ENOMEM : 0;
}

static int check_target(const struct space_remap_args *a)
{
    if (a->to & PAGE_MASK || a->to >= USER_TOP || a->new_len > USER_TOP - a->to ||
        (a->to < a->old + a->old_len && a->old < a->to + a->new_len))
        return -EINVAL;
    return a->to < MAP_LOWEST ? -EPERM : 0;
}

// What can be done without moving: 0, an error, or 1: it must move.
static int remap_in_place(struct space *s, const struct space_remap_args *a)
{
    struct range *r = range_map_find(&s->map, a->old);
    int e = r && a->how & REMAP_FIXED ? check_target(a) : 0;
    if (e)
        return e;
    if (r && a->new_len <= a->old_len && !(a->how & (REMAP_FIXED | REMAP_DONTUNMAP)))
        return 0; // the end goes, whatever lies there
    if (!r || a->old + a->old_len > r->hi)
        return -EFAULT;
    const struct mapping *m = mapping_of(r);
    if (!a->old_len && !(m->flags & MAPPING_SHARED))
        return -EINVAL;
    uint64_t more = a->how & REMAP_DONTUNMAP  ? a->new_len
                    : a->new_len > a->old_len ? a->new_len - a->old_len
                                              : 0;
    if (a->new_len > a->old_len && !may_lock(s, m->flags, more, a->lock_limit))
        return -EAGAIN;
    uint64_t goes =
        a->how & REMAP_FIXED ? space_flagged_locked(s, a->to, a->to + a->new_len, 0) : 0;
    if (more && !space_has_room(s, more - goes, m->prot, m->flags))
        return -ENOMEM;
    if (a->how & (REMAP_FIXED | REMAP_DONTUNMAP))
        return 1;
    if (!more)
        return 0;
    if (!grow_locked(s, r, a->old, a->old_len, more))
        return 0;
    return a->how & REMAP_MAYMOVE ? 1 : -ENOMEM;
}

// Where to; 0: there is no room.
static void remap_choose(struct space *s, const struct space_remap_args *a, struct remap *w)
{
    spin_lock(&s->lock);
    *w = (struct remap){.from = a->old, .len = a->old_len < a->new_len ? a->old_len : a->new_len};
    w->to = a->how & REMAP_FIXED ? a->to
                                 : range_map_gap_high(&s->map, a->new_len, MAP_LOWEST, s->mmap_top);
    s->zap_lo = w->to; // it is to stay free meanwhile
    s->zap_hi = w->to + a->new_len;
    spin_unlock(&s->lock);
}

// lock held. Takes the old mapping out, if it goes, and makes the new one; from here on nothing fails.
static int remap_begin(struct space *s, const struct space_remap_args *a, struct remap *w)
{
    if (range_map_isolate(&s->map, w->from, w->from + w->len))
        return -ENOMEM;
    w->old = mapping_of(range_map_find(&s->map, w->from));
    w->m = mapping_copy(w->old, w->from, s);
    if (!w->m || !w->len || a->how & REMAP_DONTUNMAP) {
        range_map_merge(&s->map, w->from, w->from + w->len);
        w->old = NULL;
    }
    if (!w->m)
        return -ENOMEM;
    w->m->range.lo = w->to;
    w->m->range.hi = w->to + a->new_len;
    w->at = 0;
    if (w->old) {
        range_map_take(&s->map, &w->old->range);
        s->mapped -= w->len;
        s->zap_lo = w->from;
        s->zap_hi = w->from + w->len;
    }
    return 0;
}

// A poll's share of making tables, then of the change itself: > 0: there is more, 0: ready, -ENOMEM.
static int remap_prepare(struct space *s, const struct space_remap_args *a, struct remap *w)
{
    spin_lock(&s->lock);
    int r = w->to ? prepare_step(s, w) : -ENOMEM;
    if (!r)
        r = remap_begin(s, a, w);
    if (r < 0)
        s->zap_lo = s->zap_hi = 0;
    spin_unlock(&s->lock);
    return r;
}

// The same of moving: 0 when all entries have moved and the new mapping is in.
static int remap_step(struct space *s, struct remap *w)
{
    spin_lock(&s->lock);
    int r = move_step(s, w);
    if (!r) {
        s->mapped += w->m->range.hi - w->m->range.lo;
        trace_map(s, MAP_MOVED, w->m->range.lo, w->m->range.hi, w->m->prot);
        range_map_insert(&s->map, &w->m->range);
        s->zap_lo = s->zap_hi = 0;
    }
    spin_unlock(&s->lock);
    if (!r && w->old)
        mapping_release(&w->old->range);
    return r;
}

// mutate held. *va: where the mapping is then. 0, or -ENOMEM: nothing has changed.
ASYNC_DECL(remap_move, struct space *s; const struct space_remap_args *a; va_t *va;);
ASYNC(remap_move, struct remap w; int step; long r; long waited;)
{
    ASYNC_BEGIN(remap_move);
    SHIELD_BEGIN();
    remap_choose(f->s, f->a, &f->w);
    while ((f->r = remap_prepare(f->s, f->a, &f->w)) > 0)
        YIELD();
    if (f->r < 0) {
        AWAIT(f->waited, space_trim_steps, f->s, f->w.to, f->w.to + f->w.len);
    } else {
        do {
            YIELD();
            f->step = remap_step(f->s, &f->w);
            if (f->step < 0)
                AWAIT(f->waited, memory_wait, 0);
        } while (f->step);
        *f->va = f->w.to;
        YIELD();
        AWAIT(f->waited, space_trim_steps, f->s, f->w.from, f->w.from + f->w.len);
    }
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(space_remap, struct space_remap_args a; bool moves; long r;)
{
    ASYNC_BEGIN(space_remap);
    f->a = (struct space_remap_args){
        f->s,          f->old, page_round_up(f->old_len), page_round_up(f->new_len), f->how, f->to,
        f->lock_limit, f->va};
    f->r = check_remap(&f->a);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mutex_lock, &f->s->mutate, false);
    spin_lock(&f->s->lock);
    f->r = remap_in_place(f->s, &f->a);
    spin_unlock(&f->s->lock);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    *f->va = f->a.old;
    f->moves = f->r;
    if (f->a.new_len < f->a.old_len) {
        AWAIT(f->r, space_remove_steps, f->s, f->a.old + f->a.new_len, f->a.old_len - f->a.new_len,
              0);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (!f->moves)
        ASYNC_RETURN(0);
    if (f->a.how & REMAP_FIXED) {
        AWAIT(f->r, space_remove_steps, f->s, f->a.to, f->a.new_len, 0);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, remap_move, f->s, &f->a, f->va);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->s->mutate, t))
        mutex_unlock(&f->s->mutate, t);
    ASYNC_END;
}
