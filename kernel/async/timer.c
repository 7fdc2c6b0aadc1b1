// SPDX-License-Identifier: MIT
// Timers: a pairing heap per hart (Fredman, Sedgewick, Sleator, Tarjan 1986): insert O(1), remove
// O(log n) amortised, and a node knows its left neighbour so that cancelling needs no search.
#include "async/timer.h"

#include "lib/log.h"
#include "lib/spinlock.h"
#include "lib/trace.h"

TRACE_POINT(timer_fire, "timer.fire", "a timer fires, `late` after it was due",
            TRACE_ARG("fn", CODE), TRACE_ARG("late", NS));

struct timer_heap {
    struct spinlock lock;
    struct timer *root;
    // Of the hart itself, no lock: ticks the interrupt is set for, the end of the present slice, when to take a sample.
    uint64_t programmed, slice_end, sample_end;
    void (*slice_over)(void), (*sample_over)(void);
};

static struct timer_heap heaps[MAX_HARTS] = {
    [0 ... MAX_HARTS - 1] = {.lock = SPINLOCK_INIT("timers")},
};
static uint64_t boot_offset, *realtime_offset = &boot_offset;

uint64_t clock_monotonic_ns(void)
{
    return ticks_to_ns(time_ticks());
}

uint64_t clock_realtime_ns(void)
{
    return clock_monotonic_ns() + load_relaxed(realtime_offset);
}

void clock_set_realtime(uint64_t ns)
{
    store_relaxed(realtime_offset, ns - clock_monotonic_ns());
}

void clock_publish_offset(uint64_t *where)
{
    store_relaxed(where, load_relaxed(realtime_offset));
    realtime_offset = where;
}

static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->when < a->when) {
        struct timer *x = a;
        a = b;
        b = x;
    }
    b->prev = a;
    b->sibling = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

// Melds the children pairwise, left to right, then right to left.
static struct timer *meld_children(struct timer *first)
{
    struct timer *pairs = NULL, *all = NULL;
    while (first) {
        struct timer *a = first, *b = a->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = a->prev = NULL;
        if (b)
            b->sibling = b->prev = NULL;
        struct timer *m = meld(a, b);
        m->sibling = pairs;
        pairs = m;
    }
    while (pairs) {
        struct timer *m = pairs;
        pairs = m->sibling;
        m->sibling = NULL;
        all = meld(all, m);
    }
    return all;
}

static void heap_remove(struct timer_heap *h, struct timer *tm)
{
    struct timer *rest = meld_children(tm->child);
    if (h->root == tm) {
        h->root = rest;
    } else {
        if (tm->prev->child == tm)
            tm->prev->child = tm->sibling;
        else
            tm->prev->sibling = tm->sibling;
        if (tm->sibling)
            tm->sibling->prev = tm->prev;
        h->root = meld(h->root, rest);
    }
    if (h->root)
        h->root->prev = h->root->sibling = NULL;
    tm->child = tm->sibling = tm->prev = NULL;
    // Last: its owner, on whatever hart, may arm it again without this lock.
    store_release(&tm->armed, 0);
}

// Only this hart's heap; only when the next deadline became earlier (a write costs up to 5 us).
static void program(struct timer_heap *h)
{
    uint64_t next = h->root ? h->root->when : UINT64_MAX;
    if (next < h->programmed) {
        h->programmed = next;
        timer_program(next);
    }
}

void timer_arm_ticks(struct timer *tm, uint64_t when, void (*fire)(struct timer *))
{
    struct timer_heap *h = &heaps[hart_self.index];
    REQUIRE(!tm->armed);
    *tm = (struct timer){.when = when, .fire = fire, .hart = hart_self.index, .armed = 1};
    spin_lock(&h->lock);
    if (!h->programmed)
        h->programmed = UINT64_MAX;
    h->root = meld(h->root, tm);
    program(h);
    spin_unlock(&h->lock);
}

void timer_arm(struct timer *tm, uint64_t ns, void (*fire)(struct timer *))
{
    timer_arm_ticks(tm, time_ticks() + ns_to_ticks(ns), fire);
}

bool timer_cancel(struct timer *tm)
{
    struct timer_heap *h = &heaps[tm->hart];
    spin_lock(&h->lock);
    bool was = tm->armed;
    if (was)
        heap_remove(h, tm);
    spin_unlock(&h->lock);
    return was;
}

uint64_t timer_ns_to_deadline(uint64_t monotonic_ns)
{
    return ns_to_ticks(monotonic_ns);
}

static cold void tell_slow(uint64_t when, const void *fn)
{
    TRACE(timer_fire, (uint64_t)(uintptr_t)fn, ticks_to_ns(time_ticks() - when));
}

// It was due at `when`.
static inline void tell(uint64_t when, const void *fn)
{
    if (TRACE_ON(timer_fire))
        tell_slow(when, fn);
}

void timers_run(void)
{
    struct timer_heap *h = &heaps[hart_self.index];
    spin_lock(&h->lock);
    while (h->root && h->root->when <= time_ticks()) {
        struct timer *tm = h->root;
        uint64_t when = tm->when;
        void (*fire)(struct timer *) = tm->fire;
        heap_remove(h, tm);
        tell(when, (const void *)fire);
        fire(tm);
    }
    h->programmed = h->root ? h->root->when : UINT64_MAX;
    spin_unlock(&h->lock);
    if (h->slice_end && h->slice_end <= time_ticks()) {
        tell(h->slice_end, (const void *)h->slice_over);
        h->slice_end = 0;
        h->slice_over(); // may set the next one
    }
    if (h->sample_end && h->sample_end <= time_ticks()) {
        h->sample_end = 0;
        h->sample_over(); // may set the next one
    }
    if (h->slice_end && h->slice_end < h->programmed)
        h->programmed = h->slice_end;
    if (h->sample_end && h->sample_end < h->programmed)
        h->programmed = h->sample_end;
    timer_program(h->programmed);
}

static void program_until(struct timer_heap *h, uint64_t end)
{
    if (!h->programmed)
        h->programmed = UINT64_MAX;
    if (end < h->programmed) {
        h->programmed = end;
        timer_program(end);
    }
}

void timer_slice(uint64_t ns, void (*over)(void))
{
    struct timer_heap *h = &heaps[hart_self.index];
    h->slice_end = time_ticks() + ns_to_ticks(ns);
    h->slice_over = over;
    program_until(h, h->slice_end);
}

void timer_sample(uint64_t ticks, void (*over)(void))
{
    struct timer_heap *h = &heaps[hart_self.index];
    h->sample_end = ticks;
    h->sample_over = over;
    program_until(h, ticks);
}

uint64_t timers_next(void)
{
    struct timer_heap *h = &heaps[hart_self.index];
    return h->root ? h->root->when : UINT64_MAX;
}

static unsigned collect(const struct timer *tm, struct timer_info *out, unsigned n, unsigned max)
{
    for (; tm && n < max; tm = tm->sibling) {
        out[n++] = (struct timer_info){tm, tm->when, tm->fire};
        n = collect(tm->child, out, n, max);
    }
    return n;
}

unsigned timers_snapshot(uint32_t hart, struct timer_info *out, unsigned max)
{
    struct timer_heap *h = &heaps[hart];
    spin_lock(&h->lock);
    unsigned n = collect(h->root, out, 0, max);
    spin_unlock(&h->lock);
    return n;
}
