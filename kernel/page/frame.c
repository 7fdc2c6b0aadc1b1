// SPDX-License-Identifier: MIT
// Page frames: per hart a stack of single frames, above the depot (page/depot.h) and the buddy allocator (page/buddy.h) that all
// harts share.
//
// Frames in a hart's stack or in the depot are FREE with no order: the buddy never merges them. Who allocates for a user program leaves the
// last frame_reserve frames alone, so that the kernel can still act when programs eat everything.
#include "page/frame.h"
#include "lib/log.h"
#include "lib/stock.h"
#include "lib/translations.h"
#include "page/depot.h"
#include "page/frame_internal.h"

struct page *frame_pages;
pa_t frame_base, frame_end, frame_zero;
uint64_t frame_reserve;
struct alloc_failure *alloc_failures;
static struct spinlock alloc_failures_lock = SPINLOCK_INIT("allocation failures"); // who adds one
_Thread_local struct frame_cache frame_cache;

struct frame_cache *frame_cache_of[MAX_HARTS];
struct freed_queue frame_held_back[MAX_HARTS];
size_t (*frame_shrinker)(size_t want);
static uint64_t (*floor_of_task)(void);
static void (*low_hook)(void);

void alloc_failure_add(struct alloc_failure *one)
{
    spin_lock(&alloc_failures_lock);
    struct alloc_failure **at = &alloc_failures;
    while (*at && *at != one)
        at = &(*at)->next;
    if (!*at)
        store_release(at, one);
    spin_unlock(&alloc_failures_lock);
}

bool alloc_failures_ask(void)
{
    for (struct alloc_failure *a = load_acquire(&alloc_failures); a; a = load_acquire(&a->next))
        if (a->fails())
            return true;
    return false;
}

// Few branches: what else an instruction does for a page is dear.
#define ZERO_8(p)                                                                                  \
    (p)[0] = 0, (p)[1] = 0, (p)[2] = 0, (p)[3] = 0, (p)[4] = 0, (p)[5] = 0, (p)[6] = 0, (p)[7] = 0
#define ZERO_32(p) ZERO_8(p), ZERO_8((p) + 8), ZERO_8((p) + 16), ZERO_8((p) + 24)

void page_zero(void *kva)
{
    uint64_t *p = kva, *end = p + PAGE_SIZE / 8;
    for (; p < end; p += 128)
        ZERO_32(p), ZERO_32(p + 32), ZERO_32(p + 64), ZERO_32(p + 96);
}

void page_copy(void *dst_kva, const void *src_kva)
{
    uint64_t *d = dst_kva, *end = d + PAGE_SIZE / 8;
    const uint64_t *s = src_kva;
    for (; d < end; d += 16, s += 16) {
        uint64_t a = s[0], b = s[1], c = s[2], e = s[3], f = s[4], g = s[5], h = s[6], i = s[7];
        d[0] = a, d[1] = b, d[2] = c, d[3] = e, d[4] = f, d[5] = g, d[6] = h, d[7] = i;
        a = s[8], b = s[9], c = s[10], e = s[11], f = s[12], g = s[13], h = s[14], i = s[15];
        d[8] = a, d[9] = b, d[10] = c, d[11] = e, d[12] = f, d[13] = g, d[14] = h, d[15] = i;
    }
}

// ---- boot

void frames_init(const struct frame_range *ranges, size_t n)
{
    size_t largest = 0;
    REQUIRE(n > 0);
    for (size_t i = 1; i < n; i++)
        if (ranges[i].hi - ranges[i].lo > ranges[largest].hi - ranges[largest].lo)
            largest = i;
    frame_base = ranges[0].lo;
    frame_end = ranges[n - 1].hi;
    pa_t array = ranges[largest].lo;
    uint64_t bytes = page_round_up(((frame_end - frame_base) >> PAGE_SHIFT) * sizeof(struct page));
    if (bytes >= ranges[largest].hi - array)
        panic("frames: no room for %lu bytes of page array", (unsigned long)bytes);
    frame_pages = pa_to_kva(array);
    for (uint64_t o = 0; o < bytes; o += PAGE_SIZE)
        page_zero((char *)frame_pages + o); // all RESERVED
    buddy_init();
    for (size_t i = 0; i < n; i++)
        buddy_add(i == largest ? array + bytes : ranges[i].lo, ranges[i].hi);
    depot_init(buddy.total);
    frame_reserve = buddy.total / 32;
    if (frame_reserve > 1024)
        frame_reserve = 1024;
    frame_zero = frame_alloc(FRAME_ZERO);
}

// ---- the hart's stack

static void cache_push(struct frame_cache *c, struct page *pg, unsigned order)
{
    for (size_t i = 1ul << order; i-- > 0;) {
        frame_set_loose(&pg[i]);
        c->frame[c->count++] = page_pa(&pg[i]);
    }
}

// A block of the batch's size, or the biggest below it. When memory gets scarce a program gets the scattered
// frames first: what is left for the kernel, down to the reserve, is whole.
static void take_batch(struct frame_cache *c, bool scattered)
{
    struct page *pg;
    if (scattered)
        while (c->count < FRAME_BATCH && !list_empty(&buddy.blocks[0]) && (pg = buddy_get(0)))
            cache_push(c, pg, 0);
    for (int order = __builtin_ctz(FRAME_BATCH); !c->count && order >= 0; order--)
        if ((pg = buddy_get((unsigned)order)))
            cache_push(c, pg, (unsigned)order);
}

// The depot's batches go first, so that it is empty soon when memory gets scarce: nobody pushes then.
static inline bool scarce(void)
{
    return load_relaxed(&buddy.free) < buddy.total / 8;
}

static void fill_from_buddy(struct frame_cache *c, unsigned flags, uint64_t leave)
{
    spin_lock(&buddy.lock);
    if (buddy.free > leave)
        take_batch(c, flags & FRAME_USER && scarce());
    spin_unlock(&buddy.lock);
}

// The stack is empty.
static bool cache_fill(struct frame_cache *c, unsigned flags)
{
    uint64_t leave = !(flags & FRAME_USER) ? 0 : floor_of_task ? floor_of_task() : frame_reserve;
    if (frame_spare() > leave && depot_pop(c->frame)) {
        c->count = FRAME_BATCH;
        c->from_depot++;
    } else {
        fill_from_buddy(c, flags, leave);
    }
    if (unlikely(frame_spare() < frame_reserve / 2) && low_hook && !(flags & FRAME_USER))
        low_hook();
    if (!c->count)
        return false;
    frame_cache_of[hart_index()] = c;
    c->refills++;
    return true;
}

static bool release_held(struct frame_cache *c);

static cold pa_t frame_alloc_slow(struct frame_cache *c, unsigned flags)
{
    if (cache_fill(c, flags) ||
        (frame_shrinker && frame_shrinker(FRAME_BATCH) && (c->count || cache_fill(c, flags))))
        return c->frame[--c->count];
    if (release_held(c))
        return c->frame[--c->count];
    if (c->zeroed && !(flags & FRAME_USER))
        return c->zero[--c->zeroed];
    buddy_failed();
    return 0;
}

pa_t frame_alloc(unsigned flags)
{
    struct frame_cache *c = &frame_cache;
    pa_t pa;
    if (alloc_fails())
        return 0;
    if ((flags & FRAME_ZERO) && c->zeroed) {
        pa = c->zero[--c->zeroed];
        freed_check_zero(pa_to_kva(pa), PAGE_SIZE);
        c->from_zeroed++;
    } else {
        if (likely(c->count != 0))
            pa = c->frame[--c->count];
        else if (!(pa = frame_alloc_slow(c, flags)))
            return 0;
        frame_check_free(page_of(pa));
        if (flags & FRAME_ZERO)
            page_zero(pa_to_kva(pa));
    }
    c->allocs++;
    struct page *pg = page_of(pa);
    pg->refs = 1;
    store_relaxed(&pg->kind, FRAME_KERNEL);
    return pa;
}

static cold void cache_drain(struct frame_cache *c)
{
    frame_cache_of[hart_index()] = c;
    c->spills++;
    if (!scarce() && depot_push(c->frame))
        c->to_depot++;
    else
        buddy_put_frames(c->frame, FRAME_BATCH);
    c->count -= FRAME_BATCH;
    __builtin_memmove(c->frame, c->frame + FRAME_BATCH, c->count * sizeof *c->frame);
}

static inline void cache_put(struct frame_cache *c, pa_t pa)
{
    if (unlikely(c->count == FRAME_CACHE_MAX))
        cache_drain(c);
    c->frame[c->count++] = pa;
}

// Debug builds: gives back what this hart held back. True if there was any.
static bool release_held(struct frame_cache *c)
{
    void *p;
    bool any = false;
    while ((p = freed_release(&frame_held_back[hart_index()]))) {
        cache_put(c, kva_to_pa(p));
        any = true;
    }
    return any;
}

bool frame_merge_depot(void)
{
    pa_t frame[FRAME_BATCH];
    unsigned n = 0;
    while (n < DEPOT_MAX && depot_pop(frame)) { // no longer, though others push
        buddy_put_frames(frame, FRAME_BATCH);
        n++;
    }
    return n > 0;
}

void frame_flush_hart(void)
{
    struct frame_cache *c = &frame_cache;
    release_held(c);
    buddy_put_frames(c->frame, c->count);
    buddy_put_frames(c->zero, c->zeroed);
    c->count = c->zeroed = 0;
    frame_merge_depot();
}

STOCK(frames, frame_flush_hart);

// Debug builds: a frame that was freed waits its turn, unless memory is scarce.
static void hold_back(struct frame_cache *c, pa_t pa, const void *pc)
{
    store_relaxed(&frame_cache_of[hart_index()], c);
    page_of(pa)->flags = PAGE_POISONED;
    void *p = freed_hold(&frame_held_back[hart_index()], pa_to_kva(pa), PAGE_SIZE, pc);
    if (p)
        cache_put(c, kva_to_pa(p));
    if (!frame_plenty())
        release_held(c);
}

void frame_free(pa_t pa)
{
    struct frame_cache *c = &frame_cache;
    frame_reset(page_of(pa), pa);
    c->frees++;
    if (FREED_KEPT)
        hold_back(c, pa, __builtin_return_address(0));
    else
        cache_put(c, pa);
}

void frame_free_zeroed(pa_t pa)
{
    struct frame_cache *c = &frame_cache;
    freed_check_zero(pa_to_kva(pa), PAGE_SIZE);
    if (FREED_KEPT || c->zeroed == FRAME_ZEROED_MAX) {
        frame_free(pa);
        return;
    }
    frame_reset(page_of(pa), pa);
    c->frees++;
    c->zero[c->zeroed++] = pa;
}

bool frame_idle_zero(void)
{
    struct frame_cache *c = &frame_cache;
    if (c->zeroed == FRAME_ZEROED_MAX || frame_spare() < 2 * frame_reserve)
        return false;
    if (!c->count && !cache_fill(c, FRAME_USER))
        return false;
    pa_t pa = c->frame[--c->count];
    frame_check_free(page_of(pa));
    page_zero(pa_to_kva(pa));
    c->zero[c->zeroed++] = pa;
    return c->zeroed < FRAME_ZEROED_MAX;
}

void frame_set_floor(uint64_t (*floor)(void))
{
    floor_of_task = floor;
}

void frame_set_low(void (*low)(void))
{
    low_hook = low;
}

void frame_set_shrinker(size_t (*shrink)(size_t want))
{
    frame_shrinker = shrink;
}
