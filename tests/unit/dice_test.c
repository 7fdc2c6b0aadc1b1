// SPDX-License-Identifier: MIT
// sources: monitor/fault/dice.c
// What decides which of many chances a fault takes (k.fault.inject): its seed, and how often it is to be.
#include "fault/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { THROWS = 64 };

// Its throws as bits, the first the lowest.
static uint64_t throws(uint64_t seed, uint64_t every)
{
    struct fault_dice d;
    uint64_t hits = 0;
    fault_dice_init(&d, seed, every);
    for (int i = 0; i < THROWS; i++)
        hits |= (uint64_t)fault_dice_hit(&d) << i;
    assert_int_equal(d.thrown, THROWS);
    assert_int_equal(d.hits, __builtin_popcountl(hits));
    return hits;
}

static void a_seed_says_which(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++)
        assert_int_equal(throws(seed, 2), throws(seed, 2));
}

// Two seeds, next to each other as people choose them, agree in half of the throws: within five standard deviations.
static void another_seed_says_others(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        int same = THROWS - __builtin_popcountl(throws(seed, 2) ^ throws(seed + 1, 2));
        assert_in_range(same, THROWS / 2 - 20, THROWS / 2 + 20);
    }
}

static void every_says_how_often(void **state)
{
    (void)state;
    assert_int_equal(throws(7, 1), UINT64_MAX);
    assert_int_equal(throws(7, 0), UINT64_MAX); // not said
    int hits = 0;
    for (uint64_t seed = 0; seed < 100; seed++)
        hits += __builtin_popcountl(throws(seed, 16));
    assert_in_range(hits, 400 - 100, 400 + 100); // of 6400
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_says_which),
        cmocka_unit_test(another_seed_says_others),
        cmocka_unit_test(every_says_how_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
