// SPDX-License-Identifier: MIT
// An ordered map of disjoint half-open intervals [lo, hi) with a payload each.
//
// A payload embeds `struct range` as its first member. Intervals are kept in a red-black tree
// augmented with the largest gap below each node, so that finding, inserting, removing and finding
// room are O(log n); the last hit is remembered. No locking of its own. Bounds are page aligned.
//
// Validate, then act: range_map_isolate is the only step that can fail (it allocates); a split by
// itself changes nothing that anyone can see.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    uint64_t lo, hi;
    struct { // as RB_ENTRY of sys/tree.h, which only range_map.c includes
        struct range *rbe_left, *rbe_right, *rbe_parent;
        int rbe_color;
    } link;
    uint64_t sub_lo, sub_hi; // bounds of the subtree
    uint64_t sub_gap;        // largest gap between neighbours inside the subtree
};

struct range_ops {
    // A copy of r's payload for [at, r->hi): lo and hi of the copy are set by the map. NULL: no memory.
    struct range *(*split)(const struct range *r, uint64_t at);
    // a ends where b begins: may they be one? Then b is released and a grows.
    bool (*can_merge)(const struct range *a, const struct range *b);
    void (*release)(struct range *r);
};

struct range_map {
    struct {
        struct range *rbh_root;
    } tree;
    struct range *last; // last hit, may be NULL
    uint32_t count;
    const struct range_ops *ops;
};

void range_map_init(struct range_map *m, const struct range_ops *ops);

struct range *range_map_find_slow(struct range_map *m, uint64_t at);

// The interval that contains `at`, or NULL.
static inline struct range *range_map_find(struct range_map *m, uint64_t at)
{
    struct range *r = m->last;
    if (__builtin_expect(r && at - r->lo < r->hi - r->lo, 1))
        return r;
    return range_map_find_slow(m, at);
}

// The first interval with hi > at, or NULL: where an iteration from `at` starts.
struct range *range_map_from(const struct range_map *m, uint64_t at);
struct range *range_map_next(const struct range *r);
struct range *range_map_prev(const struct range *r);

// No interval touches [lo, hi).
bool range_map_is_free(const struct range_map *m, uint64_t lo, uint64_t hi);

// Puts r (lo, hi set) in; it must not overlap. Merges with equal neighbours: returns the interval
// that now covers it, r itself may have been released.
struct range *range_map_insert(struct range_map *m, struct range *r);

// Makes lo and hi boundaries: afterwards no interval straddles either. 0 or -ENOMEM.
int range_map_isolate(struct range_map *m, uint64_t lo, uint64_t hi);

// Takes r out without releasing it.
void range_map_take(struct range_map *m, struct range *r);

// Removes and releases everything in [lo, hi), splitting at its ends. 0 or -ENOMEM (nothing done).
int range_map_remove(struct range_map *m, uint64_t lo, uint64_t hi);

// Merges equal neighbours whose common boundary lies in [lo, hi], after payloads changed.
void range_map_merge(struct range_map *m, uint64_t lo, uint64_t hi);

// Moves a bound of r into free space or inwards (stack growth, brk).
void range_map_resize(struct range_map *m, struct range *r, uint64_t lo, uint64_t hi);

// The highest or lowest free interval of `size` bytes inside [lo, hi): its start, or 0.
uint64_t range_map_gap_high(const struct range_map *m, uint64_t size, uint64_t lo, uint64_t hi);
uint64_t range_map_gap_low(const struct range_map *m, uint64_t size, uint64_t lo, uint64_t hi);
// A free interval of `size` bytes inside [lo, hi) that starts at a multiple of `align` (a power of two): of all
// such starts each is as likely as any other. 0: there is none. O(n), for maps that begin.
uint64_t range_map_gap_random(const struct range_map *m, uint64_t size, uint64_t align, uint64_t lo,
                              uint64_t hi, uint64_t (*random)(void));
