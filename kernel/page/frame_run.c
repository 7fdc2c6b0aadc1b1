// SPDX-License-Identifier: MIT
// Contiguous page frames, from the buddy allocator; if it has none so long, what the depot keeps apart may fill the gaps.
#include "lib/log.h"
#include "page/frame_internal.h"

static inline __attribute__((always_inline)) pa_t run_get(size_t n, unsigned order)
{
    spin_lock(&buddy.lock);
    struct page *pg = buddy_get(order);
    for (size_t i = n; pg && i < 1ul << order;) { // what is too much goes back in aligned blocks
        unsigned o = (unsigned)__builtin_ctzl(i);
        buddy_put(pg + i, o);
        i += 1ul << o;
    }
    spin_unlock(&buddy.lock);
    for (size_t i = 0; pg && i < n; i++) {
        frame_check_free(&pg[i]);
        pg[i].refs = 1;
        store_relaxed(&pg[i].pins, 0);
        pg[i].flags = 0;
        store_relaxed(&pg[i].kind, FRAME_KERNEL);
        store_relaxed(&pg[i].order, FRAME_NO_ORDER);
    }
    return pg ? page_pa(pg) : 0;
}

static cold pa_t run_get_merged(size_t n, unsigned order)
{
    pa_t pa = frame_merge_depot() ? run_get(n, order) : 0;
    if (!pa)
        buddy_failed();
    return pa;
}

pa_t frame_try_run(size_t n)
{
    if (!n || n > 1ul << FRAME_ORDER_MAX || alloc_fails())
        return 0;
    unsigned order = n == 1 ? 0 : 64 - (unsigned)__builtin_clzl(n - 1);
    pa_t pa = run_get(n, order);
    return likely(pa != 0) ? pa : run_get_merged(n, order);
}

bool frame_has_run(unsigned order)
{
    for (; order <= FRAME_ORDER_MAX; order++)
        if (load_relaxed(&buddy.blocks[order].next) != &buddy.blocks[order])
            return true;
    return false;
}

pa_t frame_alloc_run(size_t n)
{
    pa_t pa = frame_try_run(n);
    if (!pa && n && n <= 1ul << FRAME_ORDER_MAX && frame_shrinker &&
        frame_shrinker(2 * n + FRAME_BATCH)) {
        frame_flush_hart(); // what was given up lies there, where it does not merge
        pa = frame_try_run(n);
    }
    return pa;
}

pa_t frame_alloc_order(unsigned order)
{
    return order > FRAME_ORDER_MAX ? 0 : frame_alloc_run(1ul << order);
}

void frame_unref_run(pa_t pa, unsigned order)
{
    struct page *pg = page_of(pa);
    size_t n = 1ul << order;
    bool own = !FREED_KEPT; // what is held back, is frame by frame
    for (size_t i = 0; own && i < n; i++)
        own = load_acquire(&pg[i].refs) == 1;
    if (!own) {
        for (size_t i = 0; i < n; i++)
            page_put(&pg[i]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        frame_reset(&pg[i], pa + i * PAGE_SIZE);
    frame_cache.frees += n;
    spin_lock(&buddy.lock);
    buddy_put(pg, order);
    spin_unlock(&buddy.lock);
}
