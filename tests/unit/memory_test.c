// SPDX-License-Identifier: MIT
// memcpy, memmove and memset against byte loops, at every alignment and many lengths.
// flags: -fno-sanitize=address -Dmemcpy=k_memcpy -Dmemmove=k_memmove -Dmemset=k_memset
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "../../kernel/lib/memory.c"
#undef memcpy
#undef memmove
#undef memset
#include <string.h>

#include <cmocka.h>

enum { ROOM = 256 };
static unsigned char got[ROOM], want[ROOM], source[ROOM];

static void fill(void)
{
    for (int i = 0; i < ROOM; i++) {
        source[i] = (unsigned char)(i * 7 + 1);
        got[i] = want[i] = (unsigned char)(i * 13 + 5);
    }
}

static void copies_at_every_alignment(void **state)
{
    (void)state;
    for (size_t to = 0; to < 9; to++)
        for (size_t from = 0; from < 9; from++)
            for (size_t n = 0; n < 200; n++) {
                fill();
                for (size_t i = 0; i < n; i++)
                    want[to + i] = source[from + i];
                assert_ptr_equal(k_memcpy(got + to, source + from, n), got + to);
                assert_memory_equal(got, want, ROOM);
            }
}

static void moves_overlapping_both_ways(void **state)
{
    (void)state;
    for (size_t to = 0; to < 40; to++)
        for (size_t from = 0; from < 40; from++)
            for (size_t n = 0; n < 150; n += 3) {
                fill();
                memmove(want + to, want + from, n);
                assert_ptr_equal(k_memmove(got + to, got + from, n), got + to);
                assert_memory_equal(got, want, ROOM);
            }
}

static void sets_at_every_alignment(void **state)
{
    (void)state;
    for (size_t to = 0; to < 9; to++)
        for (size_t n = 0; n < 200; n++) {
            fill();
            for (size_t i = 0; i < n; i++)
                want[to + i] = 0xa5;
            assert_ptr_equal(k_memset(got + to, 0x1a5, n), got + to);
            assert_memory_equal(got, want, ROOM);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_at_every_alignment),
        cmocka_unit_test(moves_overlapping_both_ways),
        cmocka_unit_test(sets_at_every_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
