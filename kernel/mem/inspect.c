// SPDX-License-Identifier: MIT
// Who has what: objects behind mappings, mappings of objects, frames of tables; and changes that no program can
// tell: pages made lazy again, cuts in the range map. For the monitor, which goes from frames to their owners; copied out under the
// locks, as in look.c.
#include "mem/space_internal.h"

struct phys *space_object(struct space *s, va_t va)
{
    struct phys *ph = NULL;
    spin_lock(&s->lock);
    struct range *r = range_map_find(&s->map, va);
    if (r && (ph = mapping_of(r)->phys))
        phys_get(ph);
    spin_unlock(&s->lock);
    return ph;
}

size_t space_table_frames(struct space *s, size_t from, pa_t *out, size_t max)
{
    size_t n = 0, at = 1; // the root is number 0
    spin_lock(&s->lock);
    if (from == 0 && max)
        out[n++] = kva_to_pa(s->root);
    LIST_FOREACH(it, &s->table_list) {
        if (n == max)
            break;
        if (at++ >= from)
            out[n++] = page_pa(list_entry(it, struct page, link));
    }
    spin_unlock(&s->lock);
    return n;
}

size_t phys_mappers(struct phys *ph, size_t from, struct phys_mapper *out, size_t max)
{
    size_t n = 0, at = 0;
    spin_lock(&ph->lock);
    LIST_FOREACH(it, &ph->mappings) {
        const struct mapping *m = list_entry(it, struct mapping, in_phys);
        if (at++ < from)
            continue;
        if (n == max)
            break;
        out[n++] = (struct phys_mapper){m->space->id, load_relaxed(&m->range.lo),
                                        load_relaxed(&m->range.hi), load_relaxed(&m->offset)};
    }
    spin_unlock(&ph->lock);
    return n;
}

// ---- a page made lazy again: what an object has leaves the table, what is the space's own stays, not valid

int space_unload_now(struct space *s, va_t va)
{
    int e = -ENOENT;
    unsigned budget = STEP_PAGES;
    struct zap z;
    spin_lock(&s->lock);
    zap_begin(&z, s);
    pte_t *slot = huge_find(s->root, va);
    if (slot && *slot && page_of(pte_pa(*slot))->kind == FRAME_CACHE) {
        zap_range(&z, va, va + PAGE_SIZE, &budget);
        e = 0;
    } else if (slot && *slot & PTE_V) {
        huge_split(s, va);
        entry_set(s, slot, va, (*slot & ~(pte_t)PTE_V) | PTE_HELD);
        space_flush(s, va, PAGE_SIZE);
        e = 0;
    }
    zap_finish(&z);
    spin_unlock(&s->lock);
    return e;
}

// ---- cuts: mappings that are alike stay apart until something changes beside them

static int cut(struct space *s, va_t at)
{
    struct range *r = range_map_find(&s->map, at);
    if (at & PAGE_MASK || !r || r->lo == at)
        return -EINVAL;
    return range_map_isolate(&s->map, at, r->hi);
}

static int join(struct space *s, va_t at)
{
    uint32_t before = s->map.count;
    range_map_merge(&s->map, at, at);
    return s->map.count < before ? 0 : -EINVAL;
}

static int within_lock(struct space *s, va_t at, int (*fn)(struct space *, va_t))
{
    DEBUG_ASSERT(mutex_held(&s->mutate, current_task()));
    spin_lock(&s->lock);
    int e = fn(s, at);
    spin_unlock(&s->lock);
    return e;
}

int space_cut_locked(struct space *s, va_t at)
{
    return within_lock(s, at, cut);
}

int space_join_locked(struct space *s, va_t at)
{
    return within_lock(s, at, join);
}
