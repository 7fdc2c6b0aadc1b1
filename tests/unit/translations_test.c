// SPDX-License-Identifier: MIT
// sources: kernel/lib/translations.c
// flags: -DTRANSLATIONS_CHECKED
// The record of stale translations: who may still have what, after which flushes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "lib/log.h"
#include "lib/translations.h"

enum { A = 1, B = 2, PAGES = 8 }; // spaces
static const va_t va = 0x5000;
static const pa_t pa = 0x80123000;

_Thread_local struct hart hart_self;
static jmp_buf caught;
static char message[512];

void panic(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    longjmp(caught, 1);
}

static bool panics(void (*check)(void))
{
    if (setjmp(caught))
        return true;
    check();
    return false;
}

static void free_it(void)
{
    translations_check_freed(pa);
}

static void on(uint32_t hart)
{
    hart_self.index = hart;
}

// Harts 0 and 1 are in A, 2 in B.
static int setup(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 3; h++) {
        on(h);
        translations_load(h < 2 ? A : B);
    }
    on(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    translations_forget(~0ul, 0, 0);
    return panics(free_it) || panics(translations_check_settled);
}

static void every_hart_of_the_space_must_flush(void **state)
{
    (void)state;
    translations_lost(A, va + 5, pa, PAGE_SIZE);
    assert_true(panics(free_it));
    assert_non_null(
        strstr(message, "a frame is freed, but hart 0 may still have the entry of va 0x5000"));
    assert_true(panics(translations_check_settled));
    translations_forget(1, va, PAGE_SIZE);
    assert_true(panics(free_it));
    assert_non_null(strstr(message, "but hart 1 may"));
    translations_forget(2, va, PAGE_SIZE);
    assert_false(panics(free_it));
    assert_false(panics(translations_check_settled));
}

static void others_need_not(void **state)
{
    (void)state;
    translations_lost(3, va, pa, PAGE_SIZE); // nobody has it loaded
    assert_false(panics(free_it));
    translations_lost(B, va, pa, PAGE_SIZE);
    on(2);
    assert_false(panics(translations_check_settled)); // hart 0 took it away and must see to it
    translations_load(A);
    on(0);
    assert_false(panics(free_it)); // loading forgets
}

static void the_flush_must_cover_the_page(void **state)
{
    (void)state;
    translations_lost(A, va, pa, PAGE_SIZE);
    translations_forget(3, va - PAGE_SIZE, PAGE_SIZE);
    translations_forget(3, va + PAGE_SIZE, PAGES * PAGE_SIZE);
    assert_true(panics(free_it));
    translations_forget(3, va - 2 * PAGE_SIZE, PAGES * PAGE_SIZE);
    assert_false(panics(free_it));
    translations_lost(A, va, pa, PAGE_SIZE);
    translations_forget(3, va + 8, 1); // an address in the page will do
    assert_false(panics(free_it));
}

static void a_table_needs_a_whole_flush(void **state)
{
    (void)state;
    translations_lost(A, va, pa, 0);
    translations_forget(3, va, PAGES * PAGE_SIZE);
    assert_true(panics(free_it));
    assert_non_null(strstr(message, "the table of va"));
    translations_forget(3, 0, 0);
    assert_false(panics(free_it));
}

// A leaf of several pages: every page of it must be flushed, and none of its frames be freed before.
static void a_large_leaf_needs_all_of_it(void **state)
{
    (void)state;
    translations_lost(A, va, pa - PAGE_SIZE, PAGES * PAGE_SIZE);
    translations_forget(3, va, PAGE_SIZE);
    translations_forget(3, va + PAGE_SIZE, PAGES * PAGE_SIZE);
    assert_true(panics(free_it)); // its second frame
    translations_forget(3, va, PAGES * PAGE_SIZE);
    assert_false(panics(free_it));
    translations_lost(A, va, pa - PAGES * PAGE_SIZE, PAGES * PAGE_SIZE);
    assert_false(panics(free_it)); // the frame behind it
    translations_forget(3, 0, 0);
    assert_false(panics(translations_check_settled));
}

static void only_the_frame_that_is_named(void **state)
{
    (void)state;
    translations_lost(A, va, pa + PAGE_SIZE, PAGE_SIZE);
    assert_false(panics(free_it));
    assert_true(panics(translations_check_settled));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_hart_of_the_space_must_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(others_need_not, setup, teardown),
        cmocka_unit_test_setup_teardown(the_flush_must_cover_the_page, setup, teardown),
        cmocka_unit_test_setup_teardown(a_table_needs_a_whole_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_leaf_needs_all_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_frame_that_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
