// SPDX-License-Identifier: MIT
// Interval map: a red-black tree whose nodes know the bounds and the largest gap of their subtree.
//
// The tree calls RB_AUGMENT from the bottom up for every subtree it changes; a change of a node's
// own bounds is carried up by touch(). Between two calls of this interface the augmentation is
// right for every node, `last` is NULL or in the tree, and neighbours that can merge have merged.
#include "mem/range_map.h"
#include "lib/log.h"

static bool range_augment(struct range *r);
#define RB_AUGMENT(r) (void)range_augment(r)
#include <sys/tree.h>

RB_HEAD(range_tree, range);

// The header spells the head without naming the tree's type.
static struct range_tree *tree_of(const struct range_map *m)
{
    _Static_assert(sizeof m->tree == sizeof(struct range_tree), "range_map.tree is an RB_HEAD");
    return (struct range_tree *)&m->tree;
}

static inline int range_compare(const struct range *a, const struct range *b)
{
    return a->lo < b->lo ? -1 : a->lo > b->lo;
}

RB_GENERATE_STATIC(range_tree, range, link, range_compare)

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// Recomputes what r knows of its subtree. True if anything changed.
static bool range_augment(struct range *r)
{
    const struct range *a = r->link.rbe_left, *b = r->link.rbe_right;
    uint64_t lo = a ? a->sub_lo : r->lo, hi = b ? b->sub_hi : r->hi, gap = 0;
    if (a)
        gap = max(a->sub_gap, r->lo - a->sub_hi);
    if (b)
        gap = max(gap, max(b->sub_gap, b->sub_lo - r->hi));
    bool changed = r->sub_lo != lo || r->sub_hi != hi || r->sub_gap != gap;
    r->sub_lo = lo;
    r->sub_hi = hi;
    r->sub_gap = gap;
    return changed;
}

static void touch(struct range *r)
{
    for (; r; r = r->link.rbe_parent)
        range_augment(r);
}

void range_map_init(struct range_map *m, const struct range_ops *ops)
{
    *m = (struct range_map){.ops = ops};
}

// ---- finding

struct range *range_map_from(const struct range_map *m, uint64_t at)
{
    struct range *r = m->tree.rbh_root, *best = NULL;
    while (r) {
        if (at < r->hi) {
            best = r;
            r = r->link.rbe_left;
        } else {
            r = r->link.rbe_right;
        }
    }
    return best;
}

struct range *range_map_find_slow(struct range_map *m, uint64_t at)
{
    struct range *r = m->tree.rbh_root;
    while (r) {
        if (at < r->lo) {
            r = r->link.rbe_left;
        } else if (at >= r->hi) {
            r = r->link.rbe_right;
        } else {
            m->last = r;
            return r;
        }
    }
    return NULL;
}

struct range *range_map_next(const struct range *r)
{
    return RB_NEXT(range_tree, NULL, (struct range *)r);
}

struct range *range_map_prev(const struct range *r)
{
    return RB_PREV(range_tree, NULL, (struct range *)r);
}

bool range_map_is_free(const struct range_map *m, uint64_t lo, uint64_t hi)
{
    const struct range *r = range_map_from(m, lo);
    return !r || r->lo >= hi;
}

// ---- changing

static void link_in(struct range_map *m, struct range *r)
{
    REQUIRE(r->lo < r->hi);
    struct range *clash = RB_INSERT(range_tree, tree_of(m), r);
    ASSERT(!clash);
    touch(r);
    m->count++;
}

void range_map_take(struct range_map *m, struct range *r)
{
    RB_REMOVE(range_tree, tree_of(m), r);
    m->count--;
    if (m->last == r)
        m->last = NULL;
}

void range_map_resize(struct range_map *m, struct range *r, uint64_t lo, uint64_t hi)
{
    (void)m;
    r->lo = lo;
    r->hi = hi;
    touch(r);
}

// b follows a: makes them one if they may be. Returns the interval that holds a's start.
static struct range *try_merge(struct range_map *m, struct range *a, struct range *b)
{
    if (!a || !b || a->hi != b->lo || !m->ops->can_merge(a, b))
        return b;
    uint64_t hi = b->hi;
    range_map_take(m, b);
    range_map_resize(m, a, a->lo, hi);
    m->ops->release(b);
    return a;
}

struct range *range_map_insert(struct range_map *m, struct range *r)
{
    REQUIRE(range_map_is_free(m, r->lo, r->hi));
    link_in(m, r);
    r = try_merge(m, range_map_prev(r), r);
    struct range *next = range_map_next(r);
    if (next)
        try_merge(m, r, next);
    return r;
}

static int split_at(struct range_map *m, uint64_t at)
{
    struct range *r = range_map_find(m, at);
    if (!r || r->lo == at)
        return 0;
    struct range *tail = m->ops->split(r, at);
    if (!tail)
        return -1;
    tail->lo = at;
    tail->hi = r->hi;
    range_map_resize(m, r, r->lo, at);
    link_in(m, tail);
    return 0;
}

int range_map_isolate(struct range_map *m, uint64_t lo, uint64_t hi)
{
    if (!split_at(m, lo) && !split_at(m, hi))
        return 0;
    range_map_merge(m, lo, hi); // undo the first split
    return -12;                 // ENOMEM
}

int range_map_remove(struct range_map *m, uint64_t lo, uint64_t hi)
{
    int e = range_map_isolate(m, lo, hi);
    if (e)
        return e;
    struct range *r = range_map_from(m, lo), *next;
    for (; r && r->lo < hi; r = next) {
        next = range_map_next(r);
        range_map_take(m, r);
        m->ops->release(r);
    }
    return 0;
}

void range_map_merge(struct range_map *m, uint64_t lo, uint64_t hi)
{
    struct range *r = range_map_from(m, lo ? lo - 1 : 0);
    while (r && r->lo <= hi) {
        struct range *next = range_map_next(r);
        if (!next || next->lo > hi)
            break;
        r = try_merge(m, r, next);
    }
}

// ---- room

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool fits(uint64_t size, uint64_t lo, uint64_t hi)
{
    return lo < hi && hi - lo >= size;
}

// The highest room in [lo, hi) that no interval of r's subtree touches. A subtree is entered only
// if one of its gaps, or one at its edges, is large enough; so a search fails at the clipped edges
// only, and takes O(log n).
static uint64_t gap_high(const struct range *r, uint64_t size, uint64_t lo, uint64_t hi)
{
    for (; r && fits(size, lo, hi); r = r->link.rbe_left) {
        const struct range *b = r->link.rbe_right;
        uint64_t from = max(lo, r->hi);
        if (fits(size, from, hi) &&
            (!b || b->sub_gap >= size || b->sub_lo - r->hi >= size || fits(size, b->sub_hi, hi))) {
            uint64_t found = gap_high(b, size, from, hi);
            if (found)
                return found;
        }
        hi = min(hi, r->lo);
    }
    return fits(size, lo, hi) ? hi - size : 0;
}

static uint64_t gap_low(const struct range *r, uint64_t size, uint64_t lo, uint64_t hi)
{
    for (; r && fits(size, lo, hi); r = r->link.rbe_right) {
        const struct range *a = r->link.rbe_left;
        uint64_t to = min(hi, r->lo);
        if (fits(size, lo, to) &&
            (!a || a->sub_gap >= size || r->lo - a->sub_hi >= size || fits(size, lo, a->sub_lo))) {
            uint64_t found = gap_low(a, size, lo, to);
            if (found)
                return found;
        }
        lo = max(lo, r->hi);
    }
    return fits(size, lo, hi) ? lo : 0;
}

uint64_t range_map_gap_high(const struct range_map *m, uint64_t size, uint64_t lo, uint64_t hi)
{
    return size && lo < hi ? gap_high(m->tree.rbh_root, size, lo, hi) : 0;
}

uint64_t range_map_gap_low(const struct range_map *m, uint64_t size, uint64_t lo, uint64_t hi)
{
    return size && lo < hi ? gap_low(m->tree.rbh_root, size, lo, hi) : 0;
}

// How many places [lo, hi) has; *first is the lowest.
static uint64_t places(uint64_t size, uint64_t align, uint64_t lo, uint64_t hi, uint64_t *first)
{
    *first = (lo + align - 1) & ~(align - 1);
    return fits(size, *first, hi) ? (hi - size - *first) / align + 1 : 0;
}

// Counts the places in [lo, hi); in *found, if there is one, number n.
static uint64_t count_places(const struct range_map *m, uint64_t size, uint64_t align, uint64_t lo,
                             uint64_t hi, uint64_t n, uint64_t *found)
{
    uint64_t count = 0;
    for (const struct range *r = range_map_from(m, lo);; r = range_map_next(r)) {
        uint64_t first, here = places(size, align, lo, r ? min(r->lo, hi) : hi, &first);
        if (n - count < here)
            *found = first + (n - count) * align;
        count += here;
        if (!r || r->hi >= hi)
            return count;
        lo = r->hi;
    }
}

// The remainder favours some places by less than one in 2^64 / count.
uint64_t range_map_gap_random(const struct range_map *m, uint64_t size, uint64_t align, uint64_t lo,
                              uint64_t hi, uint64_t (*random)(void))
{
    uint64_t found = 0, count = size ? count_places(m, size, align, lo, hi, UINT64_MAX, &found) : 0;
    if (count)
        count_places(m, size, align, lo, hi, random() % count, &found);
    return found;
}
