// SPDX-License-Identifier: MIT
// sources: kernel/mem/range_map.c tests/unit/host.c
// flags: -idirafter /usr/lib/picolibc/riscv64-unknown-elf/include -D__unused= -Wno-unused-function
// The interval map against an array with one payload per page, under random sequences.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem/range_map.h"

enum { PAGES = 256, PAGE = 4096, BASE = 0x10000 };

struct node {
    struct range range;
    int payload;
    uint64_t offset; // grows with the address, so that a wrong split shows
};

static long live;
static int fail_after = -1;

static struct range *node_split(const struct range *r, uint64_t at)
{
    if (fail_after >= 0 && fail_after-- == 0)
        return NULL;
    struct node *n = malloc(sizeof *n);
    *n = *(const struct node *)r;
    n->offset += at - r->lo;
    live++;
    return &n->range;
}

static bool node_can_merge(const struct range *a, const struct range *b)
{
    const struct node *x = (const struct node *)a, *y = (const struct node *)b;
    return x->payload == y->payload && x->offset + (a->hi - a->lo) == y->offset;
}

static void node_release(struct range *r)
{
    live--;
    free(r);
}

static const struct range_ops ops = {node_split, node_can_merge, node_release};

static struct range *node(int lo_page, int pages, int payload, uint64_t offset)
{
    struct node *n = calloc(1, sizeof *n);
    n->range.lo = BASE + (uint64_t)lo_page * PAGE;
    n->range.hi = n->range.lo + (uint64_t)pages * PAGE;
    n->payload = payload;
    n->offset = offset;
    live++;
    return &n->range;
}

static int payload_at(struct range_map *m, int page)
{
    struct range *r = range_map_find(m, BASE + (uint64_t)page * PAGE + 5);
    return r ? ((struct node *)r)->payload : 0;
}

// ---- what the tree must be at all times

static int check_subtree(const struct range *r, uint64_t *lo, uint64_t *hi, uint64_t *gap)
{
    const struct range *a = r->link.rbe_left, *b = r->link.rbe_right;
    uint64_t alo, ahi, agap = 0, blo, bhi, bgap = 0;
    int n = 1;
    *lo = r->lo;
    *hi = r->hi;
    *gap = 0;
    if (a) {
        n += check_subtree(a, &alo, &ahi, &agap);
        assert_true(ahi <= r->lo);
        *lo = alo;
        *gap = agap > r->lo - ahi ? agap : r->lo - ahi;
    }
    if (b) {
        n += check_subtree(b, &blo, &bhi, &bgap);
        assert_true(blo >= r->hi);
        *hi = bhi;
        *gap = *gap > bgap ? *gap : bgap;
        *gap = *gap > blo - r->hi ? *gap : blo - r->hi;
    }
    assert_int_equal(r->sub_lo, *lo);
    assert_int_equal(r->sub_hi, *hi);
    assert_int_equal(r->sub_gap, *gap);
    return n;
}

static void check(struct range_map *m, const int *model, const uint64_t *offsets)
{
    uint64_t lo, hi, gap;
    int n = m->tree.rbh_root ? check_subtree(m->tree.rbh_root, &lo, &hi, &gap) : 0;
    assert_int_equal(n, m->count);
    assert_int_equal(n, live);
    int seen = 0;
    for (struct range *r = range_map_from(m, 0), *prev = NULL; r; prev = r, r = range_map_next(r)) {
        assert_ptr_equal(range_map_prev(r), prev);
        if (prev && prev->hi == r->lo)
            assert_false(node_can_merge(prev, r));
        seen++;
    }
    assert_int_equal(seen, n);
    for (int p = 0; p < PAGES; p++) {
        assert_int_equal(payload_at(m, p), model[p]);
        struct range *r = range_map_find(m, BASE + (uint64_t)p * PAGE);
        if (r)
            assert_int_equal(((struct node *)r)->offset + (BASE + (uint64_t)p * PAGE - r->lo),
                             offsets[p]);
    }
}

static uint64_t model_gap(const int *model, int pages, int lo, int hi, bool high)
{
    int best = -1;
    for (int p = lo; p + pages <= hi; p++) {
        int i = 0;
        while (i < pages && !model[p + i])
            i++;
        if (i == pages && (best < 0 || high))
            best = p;
    }
    return best < 0 ? 0 : BASE + (uint64_t)best * PAGE;
}

static void clear(struct range_map *m)
{
    assert_int_equal(range_map_remove(m, 0, UINT64_MAX & ~4095ul), 0);
    assert_int_equal(live, 0);
    assert_int_equal(m->count, 0);
}

// ---- tests

static void test_split_middle(void **state)
{
    (void)state;
    struct range_map m;
    range_map_init(&m, &ops);
    range_map_insert(&m, node(10, 10, 1, 0));
    assert_int_equal(range_map_remove(&m, BASE + 13 * PAGE, BASE + 15 * PAGE), 0);
    assert_int_equal(m.count, 2);
    assert_int_equal(payload_at(&m, 12), 1);
    assert_int_equal(payload_at(&m, 13), 0);
    assert_int_equal(payload_at(&m, 14), 0);
    assert_int_equal(payload_at(&m, 15), 1);
    assert_int_equal(((struct node *)range_map_find(&m, BASE + 15 * PAGE))->offset, 5 * PAGE);
    assert_int_equal(payload_at(&m, 19), 1);
    assert_int_equal(payload_at(&m, 20), 0);
    clear(&m);
}

static void test_merge(void **state)
{
    (void)state;
    struct range_map m;
    range_map_init(&m, &ops);
    range_map_insert(&m, node(0, 2, 1, 0));
    range_map_insert(&m, node(4, 2, 1, 4 * PAGE));
    assert_int_equal(m.count, 2);
    struct range *r = range_map_insert(&m, node(2, 2, 1, 2 * PAGE));
    assert_int_equal(m.count, 1);
    assert_int_equal(r->lo, BASE);
    assert_int_equal(r->hi, BASE + 6 * PAGE);
    range_map_insert(&m, node(6, 1, 1, 0)); // the offset does not go on: no merge
    assert_int_equal(m.count, 2);
    clear(&m);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct range_map m;
    range_map_init(&m, &ops);
    range_map_insert(&m, node(10, 10, 1, 0));
    for (fail_after = 0; fail_after < 2;) {
        int n = fail_after;
        assert_int_equal(range_map_remove(&m, BASE + 13 * PAGE, BASE + 15 * PAGE), -12);
        assert_int_equal(m.count, 1);
        assert_int_equal(range_map_find(&m, BASE + 10 * PAGE)->hi, BASE + 20 * PAGE);
        fail_after = n + 1;
    }
    fail_after = -1;
    clear(&m);
}

static void test_random(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 30; seed++) {
        int model[PAGES] = {0};
        uint64_t offsets[PAGES] = {0};
        struct range_map m;
        srand(seed);
        range_map_init(&m, &ops);
        for (int step = 0; step < 400; step++) {
            int lo = rand() % PAGES, n = 1 + rand() % (rand() % 3 ? 6 : 60);
            if (lo + n > PAGES)
                n = PAGES - lo;
            uint64_t a = BASE + (uint64_t)lo * PAGE, b = a + (uint64_t)n * PAGE;
            bool free = true;
            for (int i = lo; i < lo + n; i++)
                free &= !model[i];
            assert_int_equal(range_map_is_free(&m, a, b), free);
            switch (rand() % 4) {
            case 0:
            case 1: {
                if (!free)
                    assert_int_equal(range_map_remove(&m, a, b), 0);
                int payload = 1 + rand() % 3;
                uint64_t offset = rand() % 2 ? a : (uint64_t)(rand() % 8) * PAGE;
                range_map_insert(&m, node(lo, n, payload, offset));
                for (int i = lo; i < lo + n; i++) {
                    model[i] = payload;
                    offsets[i] = offset + (uint64_t)(i - lo) * PAGE;
                }
                break;
            }
            case 2:
                assert_int_equal(range_map_remove(&m, a, b), 0);
                for (int i = lo; i < lo + n; i++)
                    model[i] = 0;
                break;
            case 3: { // change the payload of whatever is there
                int payload = 1 + rand() % 3;
                assert_int_equal(range_map_isolate(&m, a, b), 0);
                for (struct range *r = range_map_from(&m, a); r && r->lo < b; r = range_map_next(r))
                    ((struct node *)r)->payload = payload;
                range_map_merge(&m, a, b);
                for (int i = lo; i < lo + n; i++)
                    if (model[i])
                        model[i] = payload;
                break;
            }
            }
            check(&m, model, offsets);
            int size = 1 + rand() % 12, from = rand() % PAGES, to = from + rand() % (PAGES - from);
            assert_int_equal(range_map_gap_high(&m, (uint64_t)size * PAGE,
                                                BASE + (uint64_t)from * PAGE,
                                                BASE + (uint64_t)to * PAGE),
                             model_gap(model, size, from, to, true));
            assert_int_equal(range_map_gap_low(&m, (uint64_t)size * PAGE,
                                               BASE + (uint64_t)from * PAGE,
                                               BASE + (uint64_t)to * PAGE),
                             model_gap(model, size, from, to, false));
        }
        clear(&m);
    }
}

static uint64_t random_state;

static uint64_t splitmix(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static bool model_fits(const int *model, int at, int size, int align, int lo, int hi)
{
    if (at < lo || at + size > hi || (BASE / PAGE + at) % align)
        return false;
    for (int i = at; i < at + size; i++)
        if (model[i])
            return false;
    return true;
}

// Every place there is, and no other, comes up as often as any other: chi-square stays within ten standard deviations
// of what is expected, and 50 for few places.
static void test_gap_random(void **state)
{
    (void)state;
    enum { EACH = 40 };
    for (unsigned round = 1; round <= 60; round++) {
        int model[PAGES] = {0}, drawn[PAGES] = {0}, count = 0;
        struct range_map m;
        srand(round);
        random_state = round;
        range_map_init(&m, &ops);
        for (int at = rand() % 20; at < PAGES - 30; at += rand() % 30) {
            int n = 1 + rand() % 10;
            range_map_insert(&m, node(at, n, 1 + rand() % 3, 0));
            for (int i = at; i < at + n; i++)
                model[i] = 1;
            at += n;
        }
        int size = 1 + rand() % 12, align = 1 << rand() % 3, lo = rand() % 64,
            hi = PAGES - rand() % 64;
        for (int i = 0; i < PAGES; i++)
            count += model_fits(model, i, size, align, lo, hi);
        for (int i = 0; i < count * EACH; i++) {
            uint64_t at = range_map_gap_random(&m, (uint64_t)size * PAGE, (uint64_t)align * PAGE,
                                               BASE + (uint64_t)lo * PAGE,
                                               BASE + (uint64_t)hi * PAGE, splitmix);
            int page = (int)((at - BASE) / PAGE);
            assert_true(model_fits(model, page, size, align, lo, hi));
            drawn[page]++;
        }
        double x = 0;
        for (int i = 0; i < PAGES; i++)
            if (model_fits(model, i, size, align, lo, hi))
                x += (drawn[i] - EACH) * (drawn[i] - EACH) / (double)EACH;
        assert_true(x < count || (x - count) * (x - count) < 200.0 * count + 2500);
        if (!count)
            assert_int_equal(range_map_gap_random(&m, (uint64_t)size * PAGE, (uint64_t)align * PAGE,
                                                  BASE + (uint64_t)lo * PAGE,
                                                  BASE + (uint64_t)hi * PAGE, splitmix),
                             0);
        clear(&m);
    }
}

static void test_resize(void **state)
{
    (void)state;
    struct range_map m;
    range_map_init(&m, &ops);
    struct range *r = range_map_insert(&m, node(10, 2, 1, 0));
    range_map_insert(&m, node(20, 2, 2, 0));
    range_map_insert(&m, node(2, 2, 3, 0));
    range_map_resize(&m, r, BASE + 6 * PAGE, BASE + 12 * PAGE);
    assert_int_equal(payload_at(&m, 6), 1);
    assert_int_equal(range_map_gap_low(&m, 3 * PAGE, BASE + 2 * PAGE, BASE + 22 * PAGE),
                     BASE + 12 * PAGE);
    assert_int_equal(range_map_gap_high(&m, 2 * PAGE, BASE, BASE + 12 * PAGE), BASE + 4 * PAGE);
    clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_middle), cmocka_unit_test(test_merge),
        cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_resize),
        cmocka_unit_test(test_random),       cmocka_unit_test(test_gap_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
