// SPDX-License-Identifier: MIT
// sources: kernel/mem/layout.c kernel/mem/range_map.c kernel/lib/spinlock.c tests/unit/host.c
// flags: -idirafter /usr/lib/picolibc/riscv64-unknown-elf/include -D__unused= -Wno-unused-function
// Where the parts of an image go: uniform in their windows, and independent of each other, by chi-square.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "mem/space_internal.h"

enum { PARTS = 5, CELLS = 16, SAMPLES = 200000, VDSO_PAGES = 2, PROGRAM_PAGES = 300 };
// Of 15 degrees of freedom; chance alone exceeds it once in 10^9.
#define LIMIT 78.0
#define GIB   (1ul << 30)

static uint64_t seed;

static uint64_t splitmix(void)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static const char *const name[PARTS] = {"stack", "mmap", "program", "heap", "vdso"};
static const unsigned bits[PARTS] = {22, 22, 23, 18, 20};

// Pages from the start of each part's window.
static void place_all(struct space *s, uint64_t stack_limit, uint64_t at[PARTS])
{
    const va_t end = 0x123000;
    space_place(s, stack_limit);
    space_place_heap(s, end);
    uint64_t room = page_round_up(stack_limit) + STACK_GAP;
    at[0] = s->stack_top - (236 * GIB + PAGE_SIZE);
    at[1] = s->mmap_top - (220 * GIB - room + PAGE_SIZE);
    at[2] = space_place_program(s, PROGRAM_PAGES * PAGE_SIZE, PAGE_SIZE) -
            page_round_down(256 * GIB / 3 * 2);
    at[3] = s->brk - end;
    at[4] = space_place_vdso(s, VDSO_PAGES * PAGE_SIZE) - 252 * GIB;
    assert_true(s->mmap_top + room <= s->stack_top && s->brk_start == s->brk);
    for (unsigned i = 0; i < PARTS; i++) {
        assert_int_equal(at[i] % PAGE_SIZE, 0);
        at[i] /= PAGE_SIZE;
        assert_true(at[i] < 1ul << bits[i]);
    }
}

static void no_more_than_chance(const uint32_t cell[CELLS], const char *a, const char *b)
{
    double x = 0, expected = (double)SAMPLES / CELLS;
    for (unsigned i = 0; i < CELLS; i++)
        x += (cell[i] - expected) * (cell[i] - expected) / expected;
    if (x > LIMIT)
        fail_msg("%s, %s: chi-square %.1f", a, b, x);
}

static struct space *fresh(void)
{
    static struct space s;
    s = (struct space){0};
    spin_init(&s.lock, "space");
    range_map_init(&s.map, NULL);
    return &s;
}

static void uniform_and_independent(void **state)
{
    (void)state;
    static uint32_t high[PARTS][CELLS], low[PARTS][CELLS], pair[PARTS][PARTS][CELLS];
    const uint64_t limits[] = {0, 8 << 20, UINT64_MAX >> 28};
    seed = 1;
    space_set_random(splitmix);
    struct space *s = fresh();
    for (unsigned n = 0; n < SAMPLES; n++) {
        uint64_t at[PARTS];
        place_all(s, limits[n % 3], at);
        for (unsigned i = 0; i < PARTS; i++) {
            high[i][at[i] >> (bits[i] - 4)]++;
            low[i][at[i] % CELLS]++;
            for (unsigned j = 0; j < i; j++)
                pair[i][j][at[i] >> (bits[i] - 2) << 2 | at[j] >> (bits[j] - 2)]++;
        }
    }
    for (unsigned i = 0; i < PARTS; i++) {
        no_more_than_chance(high[i], name[i], "high bits");
        no_more_than_chance(low[i], name[i], "low bits");
        for (unsigned j = 0; j < i; j++)
            no_more_than_chance(pair[i][j], name[i], name[j]);
    }
}

static void one_place_each_if_wanted(void **state)
{
    (void)state;
    struct space *s = fresh();
    uint64_t first[PARTS], again[PARTS];
    s->not_random = true;
    place_all(s, 8 << 20, first);
    place_all(s, 8 << 20, again);
    assert_memory_equal(first, again, sizeof first);
}

static void no_room(void **state)
{
    (void)state;
    struct space *s = fresh();
    assert_int_equal(space_place_vdso(s, 5 * GIB), 0);
    assert_int_equal(space_place_program(s, 33 * GIB, PAGE_SIZE), 0);
    va_t huge = 2 << 20;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(space_place_program(s, PAGE_SIZE, huge) % huge, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_and_independent),
        cmocka_unit_test(one_place_each_if_wanted),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
