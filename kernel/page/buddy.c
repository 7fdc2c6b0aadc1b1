// SPDX-License-Identifier: MIT
// Blocks of 2^order frames: split when a smaller one is wanted, merged with the neighbour they were split from.
#include "page/buddy.h"

struct buddy buddy = {.lock = SPINLOCK_INIT("frames")};

void buddy_init(void)
{
    for (unsigned o = 0; o <= FRAME_ORDER_MAX; o++)
        list_init(&buddy.blocks[o]);
}

static void block_add(struct page *pg, unsigned order)
{
    store_relaxed(&pg->order, (uint8_t)order);
    store_release(&pg->kind, FRAME_FREE);
    list_push_front(&buddy.blocks[order], &pg->link);
    store_relaxed(&buddy.free, buddy.free + (1ul << order));
}

static void block_take(struct page *pg)
{
    list_remove(&pg->link);
    store_relaxed(&buddy.free, buddy.free - (1ul << pg->order));
    pg->order = FRAME_NO_ORDER;
}

static inline __attribute__((always_inline)) void put(struct page *pg, unsigned order)
{
    for (; order < FRAME_ORDER_MAX; order++) {
        pa_t pa = page_pa(pg), size = PAGE_SIZE << order, other = pa ^ size;
        if (other < frame_base || other + size > frame_end)
            break;
        struct page *b = page_of(other);
        // Both at once: a loose frame may become a slab just now, whose order is its class.
        if (load_acquire((const uint16_t *)&b->kind) != (FRAME_FREE | order << 8))
            break;
        block_take(b);
        if (other < pa) {
            pg->order = FRAME_NO_ORDER;
            pg = b;
        }
    }
    block_add(pg, order);
}

void buddy_put(struct page *pg, unsigned order)
{
    put(pg, order);
}

void buddy_put_frames(const pa_t *pa, size_t n)
{
    spin_lock(&buddy.lock);
    for (size_t i = 0; i < n; i++)
        put(page_of(pa[i]), 0);
    spin_unlock(&buddy.lock);
}

void buddy_failed(void)
{
    spin_lock(&buddy.lock);
    buddy.failures++;
    spin_unlock(&buddy.lock);
}

struct page *buddy_get(unsigned order)
{
    unsigned o = order;
    while (o <= FRAME_ORDER_MAX && list_empty(&buddy.blocks[o]))
        o++;
    if (o > FRAME_ORDER_MAX)
        return NULL;
    struct page *pg = list_entry(buddy.blocks[o].next, struct page, link);
    block_take(pg);
    while (o-- > order)
        block_add(pg + (1ul << o), o);
    return pg;
}

void buddy_add(pa_t lo, pa_t hi)
{
    buddy.total += (hi - lo) >> PAGE_SHIFT;
    while (lo < hi) {
        unsigned order = FRAME_ORDER_MAX;
        while (lo & ((PAGE_SIZE << order) - 1) || lo + (PAGE_SIZE << order) > hi)
            order--;
        block_add(page_of(lo), order);
        lo += PAGE_SIZE << order;
    }
}
