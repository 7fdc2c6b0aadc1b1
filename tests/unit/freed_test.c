// SPDX-License-Identifier: MIT
// sources: kernel/page/frame.c kernel/page/heap.c kernel/page/freed.c kernel/lib/spinlock.c tests/unit/host.c
// flags: -DDEBUG -DFREED_CHECKED
// The allocators as debug builds have them: what is freed waits, is counted as free, and comes back when
// it is asked for; nothing that was not written to is called changed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "page/frame.h"
#include "page/freed.h"
#include "page/heap.h"

enum { RAM = 8192 };

static int setup(void **state)
{
    (void)state;
    char *ram = aligned_alloc(4 << 20, RAM * PAGE_SIZE);
    struct frame_range r = {(pa_t)ram, (pa_t)ram + RAM * PAGE_SIZE};
    frames_init(&r, 1);
    heap_init();
    return 0;
}

static uint64_t heap_used(void)
{
    struct heap_stats s;
    uint64_t n = 0;
    heap_stats_get(&s);
    for (unsigned c = 0; c < HEAP_CLASSES; c++)
        n += s.cls[c].used;
    return n;
}

static void frames_wait_their_turn(void **state)
{
    (void)state;
    uint64_t before = frame_free_count();
    pa_t first = frame_alloc(0);
    frame_unref(first);
    assert_int_equal(frame_free_count(), before);
    for (int i = 0; i < FREED_HELD - 1; i++) {
        pa_t pa = frame_alloc(0);
        assert_int_not_equal(pa, first);
        frame_unref(pa);
    }
    assert_int_equal(frame_free_count(), before);
    frame_flush_hart();
    assert_int_equal(frame_spare(), before);
}

static void objects_wait_their_turn(void **state)
{
    (void)state;
    uint64_t before = heap_used();
    void *first = kmalloc(100);
    kfree(first);
    assert_int_equal(heap_used(), before);
    for (int i = 0; i < FREED_HELD - 1; i++) {
        void *p = kmalloc(100);
        assert_ptr_not_equal(p, first);
        kfree(p);
    }
    assert_int_equal(heap_used(), before);
    heap_flush_hart();
    assert_int_equal(heap_used(), before);
}

static void nothing_waits_when_memory_is_short(void **state)
{
    (void)state;
    static pa_t got[RAM];
    size_t n = 0;
    uint64_t before = frame_free_count();
    while ((got[n] = frame_alloc(0)))
        n++;
    assert_int_equal(n, before);
    frame_unref(got[0]);
    assert_int_equal(frame_alloc(0), got[0]);
    while (n)
        frame_unref(got[--n]);
    assert_int_equal(frame_free_count(), before);
}

// All of the allocators' ways, at random; contents are checked by them and here.
static void honest_use_is_never_blamed(void **state)
{
    (void)state;
    enum { KEPT = 300, STEPS = 200000 };
    static uint64_t *object[KEPT], size[KEPT];
    unsigned seed = 1;
    for (int step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand_r(&seed) % KEPT;
        if (object[i]) {
            assert_int_equal(object[i][0], i);
            if (size[i] == 0)
                frame_unref(kva_to_pa(object[i]));
            else
                kfree(object[i]);
            object[i] = NULL;
        } else {
            size[i] = (unsigned)rand_r(&seed) % 8 ? 8 + (unsigned)rand_r(&seed) % 5000 : 0;
            object[i] =
                size[i] ? kmalloc(size[i]) : pa_to_kva(frame_alloc(step % 2 ? FRAME_ZERO : 0));
            assert_non_null(object[i]);
            memset(object[i], (int)step, size[i] ? size[i] : PAGE_SIZE);
            object[i][0] = i;
        }
        if (step % 1000 == 0)
            frame_idle_zero();
        if (step % 10000 == 0)
            heap_flush_hart();
        if (step % 15000 == 0)
            frame_flush_hart();
    }
    for (unsigned i = 0; i < KEPT; i++)
        if (object[i] && size[i])
            kfree(object[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_wait_their_turn),
        cmocka_unit_test(objects_wait_their_turn),
        cmocka_unit_test(nothing_waits_when_memory_is_short),
        cmocka_unit_test(honest_use_is_never_blamed),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
