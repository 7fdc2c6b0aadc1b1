// SPDX-License-Identifier: MIT
// Page frames: per hart a stack of single frames, above the buddy allocator (page/buddy.h) that all harts share.
//
// Frames in a hart's stack are FREE with no order: the buddy never merges them. Who allocates for a user program leaves the
// last frame_reserve frames alone, so that the kernel can still act when programs eat everything.
#include "page/frame.h"
#include "lib/log.h"
#include "lib/stock.h"
#include "lib/translations.h"
#include "page/buddy.h"
#include "page/freed.h"

struct page *frame_pages;
pa_t frame_base, frame_end, frame_zero;
uint64_t frame_reserve;
bool (*alloc_fail_hook)(void);
_Thread_local struct frame_cache frame_cache;

static struct frame_cache *cache_of_hart[MAX_HARTS];
static struct freed_queue held_back[MAX_HARTS];
static size_t (*shrinker)(size_t want);
static uint64_t (*floor_of_task)(void);
static void (*low_hook)(void);

void page_zero(void *kva)
{
    uint64_t *p = kva, *end = p + PAGE_SIZE / 8;
    for (; p < end; p += 32) {
        p[0] = 0, p[1] = 0, p[2] = 0, p[3] = 0, p[4] = 0, p[5] = 0, p[6] = 0, p[7] = 0;
        p[8] = 0, p[9] = 0, p[10] = 0, p[11] = 0, p[12] = 0, p[13] = 0, p[14] = 0, p[15] = 0;
        p[16] = 0, p[17] = 0, p[18] = 0, p[19] = 0, p[20] = 0, p[21] = 0, p[22] = 0, p[23] = 0;
        p[24] = 0, p[25] = 0, p[26] = 0, p[27] = 0, p[28] = 0, p[29] = 0, p[30] = 0, p[31] = 0;
    }
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

// A frame outside the buddy lists that is FREE. Another hart may look at it just now, as the buddy of
// what it gives back: it must not see FREE with the order of an earlier life.
static inline void set_loose(struct page *pg)
{
    store_relaxed(&pg->order, FRAME_NO_ORDER);
    store_release(&pg->kind, FRAME_FREE);
}

// Debug builds: a frame that is about to be handed out, not for its zeroes.
static inline void check_free(struct page *pg)
{
#ifdef FREED_CHECKED
    if (pg->flags & PAGE_POISONED)
        freed_check(page_kva(pg), PAGE_SIZE);
    pg->flags = 0;
#else
    (void)pg;
#endif
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
    frame_reserve = buddy.total / 32;
    if (frame_reserve > 1024)
        frame_reserve = 1024;
    frame_zero = frame_alloc(FRAME_ZERO);
}

// ---- the hart's stack

static void cache_push(struct frame_cache *c, struct page *pg, unsigned order)
{
    for (size_t i = 1ul << order; i-- > 0;) {
        set_loose(&pg[i]);
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

static bool cache_fill(struct frame_cache *c, unsigned flags)
{
    uint64_t leave = !(flags & FRAME_USER) ? 0 : floor_of_task ? floor_of_task() : frame_reserve;
    spin_lock(&buddy.lock);
    if (buddy.free > leave)
        take_batch(c, flags & FRAME_USER && buddy.free < buddy.total / 8);
    bool low = buddy.free < frame_reserve / 2;
    spin_unlock(&buddy.lock);
    if (unlikely(low) && low_hook && !(flags & FRAME_USER))
        low_hook();
    if (!c->count)
        return false;
    cache_of_hart[hart_index()] = c;
    c->refills++;
    return true;
}

static bool release_held(struct frame_cache *c);

static cold pa_t frame_alloc_slow(struct frame_cache *c, unsigned flags)
{
    if (cache_fill(c, flags) ||
        (shrinker && shrinker(FRAME_BATCH) && (c->count || cache_fill(c, flags))))
        return c->frame[--c->count];
    if (release_held(c))
        return c->frame[--c->count];
    if (c->zeroed && !(flags & FRAME_USER))
        return c->zero[--c->zeroed];
    spin_lock(&buddy.lock);
    buddy.failures++;
    spin_unlock(&buddy.lock);
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
        check_free(page_of(pa));
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
    cache_of_hart[hart_index()] = c;
    buddy_put_frames(c->frame, FRAME_BATCH);
    c->count -= FRAME_BATCH;
    __builtin_memmove(c->frame, c->frame + FRAME_BATCH, c->count * sizeof *c->frame);
}

static void page_reset(struct page *pg, pa_t pa)
{
    if (unlikely(pg->kind <= FRAME_FREE))
        panic("frame 0x%lx is freed, but its kind is %u", (unsigned long)pa, pg->kind);
    translations_check_freed(pa);
    pg->refs = 0;
    pg->pins = 0;
    pg->flags = 0;
    set_loose(pg);
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
    while ((p = freed_release(&held_back[hart_index()]))) {
        cache_put(c, kva_to_pa(p));
        any = true;
    }
    return any;
}

void frame_flush_hart(void)
{
    struct frame_cache *c = &frame_cache;
    release_held(c);
    buddy_put_frames(c->frame, c->count);
    buddy_put_frames(c->zero, c->zeroed);
    c->count = c->zeroed = 0;
}

STOCK(frames, frame_flush_hart);

// Debug builds: a frame that was freed waits its turn, unless memory is scarce.
static void hold_back(struct frame_cache *c, pa_t pa, const void *pc)
{
    store_relaxed(&cache_of_hart[hart_index()], c);
    page_of(pa)->flags = PAGE_POISONED;
    void *p = freed_hold(&held_back[hart_index()], pa_to_kva(pa), PAGE_SIZE, pc);
    if (p)
        cache_put(c, kva_to_pa(p));
    if (!frame_plenty())
        release_held(c);
}

void frame_free(pa_t pa)
{
    struct frame_cache *c = &frame_cache;
    page_reset(page_of(pa), pa);
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
    page_reset(page_of(pa), pa);
    c->frees++;
    c->zero[c->zeroed++] = pa;
}

bool frame_idle_zero(void)
{
    struct frame_cache *c = &frame_cache;
    if (c->zeroed == FRAME_ZEROED_MAX || load_relaxed(&buddy.free) < 2 * frame_reserve)
        return false;
    if (!c->count && !cache_fill(c, FRAME_USER))
        return false;
    pa_t pa = c->frame[--c->count];
    check_free(page_of(pa));
    page_zero(pa_to_kva(pa));
    c->zero[c->zeroed++] = pa;
    return c->zeroed < FRAME_ZEROED_MAX;
}

// ---- contiguous frames

static pa_t run_get(size_t n, unsigned order)
{
    spin_lock(&buddy.lock);
    struct page *pg = buddy_get(order);
    for (size_t i = n; pg && i < 1ul << order;) { // what is too much goes back in aligned blocks
        unsigned o = (unsigned)__builtin_ctzl(i);
        buddy_put(pg + i, o);
        i += 1ul << o;
    }
    if (!pg)
        buddy.failures++;
    spin_unlock(&buddy.lock);
    for (size_t i = 0; pg && i < n; i++) {
        check_free(&pg[i]);
        pg[i].refs = 1;
        pg[i].pins = 0;
        pg[i].flags = 0;
        store_relaxed(&pg[i].kind, FRAME_KERNEL);
        store_relaxed(&pg[i].order, FRAME_NO_ORDER);
    }
    return pg ? page_pa(pg) : 0;
}

pa_t frame_try_run(size_t n)
{
    if (!n || n > 1ul << FRAME_ORDER_MAX || alloc_fails())
        return 0;
    return run_get(n, n == 1 ? 0 : 64 - (unsigned)__builtin_clzl(n - 1));
}

pa_t frame_alloc_run(size_t n)
{
    pa_t pa = frame_try_run(n);
    if (!pa && n && n <= 1ul << FRAME_ORDER_MAX && shrinker && shrinker(2 * n + FRAME_BATCH)) {
        frame_flush_hart(); // what was given up lies there, where it does not merge
        pa = frame_try_run(n);
    }
    return pa;
}

pa_t frame_alloc_order(unsigned order)
{
    return order > FRAME_ORDER_MAX ? 0 : frame_alloc_run(1ul << order);
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
    shrinker = shrink;
}

// ---- statistics

uint64_t frame_total(void)
{
    return buddy.total;
}

uint64_t frame_spare(void)
{
    return load_relaxed(&buddy.free);
}

bool frame_plenty(void)
{
    return load_relaxed(&buddy.free) >= 4 * frame_reserve;
}

uint64_t frame_free_count(void)
{
    uint64_t n = load_relaxed(&buddy.free);
    for (uint32_t i = 0; i < MAX_HARTS; i++) {
        const struct frame_cache *c = load_relaxed(&cache_of_hart[i]);
        if (c)
            n += load_relaxed(&c->count) + load_relaxed(&c->zeroed) + freed_held(&held_back[i]);
    }
    return n;
}

void frame_stats_get(struct frame_stats *out)
{
    *out = (struct frame_stats){.total = buddy.total, .free = frame_free_count()};
    for (uint32_t i = 0; i < MAX_HARTS; i++) {
        const struct frame_cache *c = load_relaxed(&cache_of_hart[i]);
        if (!c)
            continue;
        out->cached += c->count;
        out->zeroed += c->zeroed;
        out->allocs += c->allocs;
        out->frees += c->frees;
        out->from_zeroed += c->from_zeroed;
        out->refills += c->refills;
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
