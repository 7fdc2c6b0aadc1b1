// SPDX-License-Identifier: MIT
// How many page frames there are of each sort.
#include "page/depot.h"
#include "page/frame_internal.h"

uint64_t frame_total(void)
{
    return buddy.total;
}

uint64_t frame_spare(void)
{
    return load_relaxed(&buddy.free) + depot_frames();
}

bool frame_plenty(void)
{
    return load_relaxed(&buddy.free) >= 4 * frame_reserve;
}

uint64_t frame_free_count(void)
{
    uint64_t n = frame_spare();
    for (uint32_t i = 0; i < MAX_HARTS; i++) {
        const struct frame_cache *c = load_relaxed(&frame_cache_of[i]);
        if (c)
            n += load_relaxed(&c->count) + load_relaxed(&c->zeroed) +
                 freed_held(&frame_held_back[i]);
    }
    return n;
}

void frame_stats_get(struct frame_stats *out)
{
    *out = (struct frame_stats){.total = buddy.total, .free = frame_free_count()};
    out->depot = depot_frames();
    for (uint32_t i = 0; i < MAX_HARTS; i++) {
        const struct frame_cache *c = load_relaxed(&frame_cache_of[i]);
        if (!c)
            continue;
        out->cached += c->count;
        out->zeroed += c->zeroed;
        out->allocs += c->allocs;
        out->frees += c->frees;
        out->from_zeroed += c->from_zeroed;
        out->refills += c->refills;
        out->from_depot += c->from_depot;
        out->spills += c->spills;
        out->to_depot += c->to_depot;
    }
    spin_lock(&buddy.lock);
    out->failures = buddy.failures;
    for (unsigned o = 0; o <= FRAME_ORDER_MAX; o++)
        LIST_FOREACH(it, &buddy.blocks[o])
            out->free_blocks[o]++;
    spin_unlock(&buddy.lock);
}

// Kinds change while this looks: the counts are a picture, not a balance.
void frame_count_kinds(struct frame_stats *out)
{
    frame_stats_get(out);
    uint64_t n = (frame_end - frame_base) >> PAGE_SHIFT;
    for (uint64_t i = 0; i < n; i++) {
        const struct page *pg = &frame_pages[i];
        uint8_t order = load_relaxed(&pg->order), kind = load_relaxed(&pg->kind);
        uint64_t run = kind == FRAME_FREE && order <= FRAME_ORDER_MAX ? 1ul << order : 1;
        out->kind[kind < FRAME_KINDS ? kind : FRAME_RESERVED] += run;
        i += run - 1;
    }
}
