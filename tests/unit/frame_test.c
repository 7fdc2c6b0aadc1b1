// SPDX-License-Identifier: MIT
// sources: kernel/page/frame.c kernel/page/heap.c kernel/lib/spinlock.c tests/unit/host.c
// Frames and heap: nothing is handed out twice, everything comes back, exhaustion is NULL.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "page/frame.h"
#include "page/heap.h"

enum { RAM = 4096 };

static bool is_zero(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const char *)p)[i])
            return false;
    return true;
}

static int setup(void **state)
{
    (void)state;
    char *ram = aligned_alloc(4 << 20, RAM * PAGE_SIZE);
    memset(ram, 0xa5, RAM * PAGE_SIZE);
    // Three ranges with holes; the middle one is the largest and holds the page array.
    pa_t at = (pa_t)ram;
    struct frame_range r[] = {{at + PAGE_SIZE, at + 100 * PAGE_SIZE},
                              {at + 101 * PAGE_SIZE, at + 3000 * PAGE_SIZE},
                              {at + 3001 * PAGE_SIZE, at + RAM * PAGE_SIZE}};
    frames_init(r, 3);
    heap_init();
    return 0;
}

static void test_counts(void **state)
{
    (void)state;
    uint64_t array = page_round_up((RAM - 1) * sizeof(struct page)) >> PAGE_SHIFT;
    assert_int_equal(frame_total(), RAM - 3 - array);
    assert_int_equal(frame_free_count(), frame_total() - 1); // frame_zero
    assert_true(is_zero(pa_to_kva(frame_zero), PAGE_SIZE));
    struct frame_stats st;
    frame_count_kinds(&st);
    assert_int_equal(st.kind[FRAME_RESERVED], 2 + array);
    assert_int_equal(st.kind[FRAME_FREE], frame_total() - 1);
}

static void test_all_frames(void **state)
{
    (void)state;
    uint64_t before = frame_free_count();
    static pa_t got[RAM];
    size_t n = 0;
    while ((got[n] = frame_alloc(n % 2 ? FRAME_ZERO : 0))) {
        if (n % 2)
            assert_true(is_zero(pa_to_kva(got[n]), PAGE_SIZE));
        memset(pa_to_kva(got[n]), 0x5a, PAGE_SIZE);
        *(size_t *)pa_to_kva(got[n]) = n;
        assert_int_equal(page_of(got[n])->refs, 1);
        n++;
    }
    assert_int_equal(n, before);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(*(size_t *)pa_to_kva(got[i]), i);
    assert_int_equal(frame_free_count(), 0);
    assert_int_equal(frame_alloc_run(2), 0);
    assert_null(kmalloc(100000));
    for (size_t i = 0; i < n; i++)
        frame_unref(got[(i * 7919) % n]);
    assert_int_equal(frame_free_count(), before);
    frame_flush_hart();
    // Merged again: the largest block can be had.
    pa_t big = frame_alloc_order(FRAME_ORDER_MAX);
    assert_true(big && !(big & ((PAGE_SIZE << FRAME_ORDER_MAX) - 1)));
    for (size_t i = 0; i < 1u << FRAME_ORDER_MAX; i++)
        frame_unref(big + i * PAGE_SIZE);
    assert_int_equal(frame_free_count(), before);
}

static void test_reserve(void **state)
{
    (void)state;
    uint64_t before = frame_free_count();
    static pa_t got[RAM];
    size_t n = 0;
    while ((got[n] = frame_alloc(FRAME_USER | FRAME_ZERO)))
        n++;
    assert_true(frame_free_count() > frame_reserve / 2);
    assert_true(frame_free_count() <= frame_reserve + FRAME_CACHE_MAX);
    pa_t kernel = frame_alloc(0);
    assert_true(kernel);
    frame_unref(kernel);
    while (n)
        frame_unref(got[--n]);
    assert_int_equal(frame_free_count(), before);
}

static void test_runs(void **state)
{
    (void)state;
    uint64_t before = frame_free_count();
    srand(1);
    struct {
        pa_t pa;
        size_t n;
    } run[64] = {0};
    for (int step = 0; step < 4000; step++) {
        unsigned i = (unsigned)rand() % 64;
        for (size_t k = 0; run[i].pa && k < run[i].n; k++) {
            assert_int_equal(*(unsigned *)pa_to_kva(run[i].pa + k * PAGE_SIZE), i * 1000 + k);
            frame_unref(run[i].pa + k * PAGE_SIZE);
        }
        run[i].n = 1 + (size_t)rand() % 40;
        run[i].pa = frame_alloc_run(run[i].n);
        for (size_t k = 0; run[i].pa && k < run[i].n; k++)
            *(unsigned *)pa_to_kva(run[i].pa + k * PAGE_SIZE) = i * 1000 + (unsigned)k;
    }
    for (unsigned i = 0; i < 64; i++)
        for (size_t k = 0; run[i].pa && k < run[i].n; k++)
            frame_unref(run[i].pa + k * PAGE_SIZE);
    assert_int_equal(frame_free_count(), before);
}

// What is given back as a run is one again, unless somebody has a frame of it.
static void test_run_given_back(void **state)
{
    (void)state;
    frame_flush_hart();
    struct frame_stats first, now;
    frame_stats_get(&first);
    pa_t pa = frame_try_run(512);
    assert_true(pa && !(pa & (512 * PAGE_SIZE - 1)));
    frame_unref_run(pa, 9);
    frame_stats_get(&now);
    assert_int_equal(now.free, first.free);
    assert_int_equal(now.frees, first.frees + 512);
    assert_memory_equal(now.free_blocks, first.free_blocks, sizeof now.free_blocks);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(page_of(pa)[i].refs, 0);
    assert_int_equal(frame_try_run(512), pa);
    frame_ref(pa + 77 * PAGE_SIZE);
    frame_unref_run(pa, 9);
    assert_int_equal(page_of(pa)[77].refs, 1);
    assert_int_equal(frame_free_count(), first.free - 1);
    frame_unref(pa + 77 * PAGE_SIZE);
    frame_flush_hart();
    frame_stats_get(&now);
    assert_memory_equal(now.free_blocks, first.free_blocks, sizeof now.free_blocks);
}

static void test_zeroed_stock(void **state)
{
    (void)state;
    uint64_t before = frame_free_count();
    while (frame_idle_zero())
        ;
    assert_int_equal(frame_cache.zeroed, FRAME_ZEROED_MAX);
    uint64_t from = frame_cache.from_zeroed;
    pa_t pa[4];
    for (int i = 0; i < 4; i++) {
        pa[i] = frame_alloc(FRAME_ZERO);
        assert_true(is_zero(pa_to_kva(pa[i]), PAGE_SIZE));
    }
    assert_int_equal(frame_cache.from_zeroed, from + 4);
    for (int i = 0; i < 4; i++)
        frame_free_zeroed(pa[i]);
    assert_int_equal(frame_cache.zeroed, FRAME_ZEROED_MAX);
    assert_int_equal(frame_free_count(), before);
}

// ---- heap

enum { BLOCKS = 600 };

static void test_heap_random(void **state)
{
    (void)state;
    static struct {
        unsigned char *p;
        size_t n;
        unsigned char tag;
    } b[BLOCKS];
    heap_flush_hart();
    uint64_t before = frame_free_count();
    srand(7);
    for (int step = 0; step < 60000; step++) {
        unsigned i = (unsigned)rand() % BLOCKS;
        for (size_t k = 0; b[i].p && k < b[i].n; k++)
            if (b[i].p[k] != b[i].tag)
                fail_msg("block of %zu bytes was overwritten at %zu", b[i].n, k);
        kfree(b[i].p);
        b[i].p = NULL;
        if (rand() % 4 == 0)
            continue;
        b[i].n = rand() % 20 ? (size_t)rand() % 700 : (size_t)rand() % 20000;
        b[i].tag = (unsigned char)rand();
        b[i].p = kmalloc(b[i].n);
        if (!b[i].p)
            continue;
        assert_int_equal((uint64_t)b[i].p & 15, 0);
        assert_true(kmalloc_usable(b[i].p) >= b[i].n);
        memset(b[i].p, b[i].tag, b[i].n);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        kfree(b[i].p);
        b[i].p = NULL;
    }
    heap_flush_hart();
    struct heap_stats st;
    heap_stats_get(&st);
    for (unsigned c = 0; c < HEAP_CLASSES; c++) {
        assert_int_equal(st.cls[c].used, 0);
        assert_true(st.cls[c].slabs <= 1); // one spare at most
    }
    assert_int_equal(st.large_blocks, 0);
    assert_true(before - frame_free_count() <= 4 * HEAP_CLASSES);
}

static void test_heap_exhaustion(void **state)
{
    (void)state;
    heap_flush_hart();
    uint64_t before = frame_free_count();
    void *list = NULL, *p;
    size_t n = 0;
    while ((p = kmalloc(2000))) {
        *(void **)p = list;
        list = p;
        n++;
    }
    assert_true(n > 1000);
    assert_null(kzalloc(2000));
    for (; list; list = p) {
        p = *(void **)list;
        kfree(list);
    }
    kfree(NULL);
    heap_flush_hart();
    assert_true(frame_free_count() + 4 >= before);
}

// Every second frame is free: nothing lies side by side, and every object of a slab can be had still.
static void test_heap_scattered(void **state)
{
    (void)state;
    static pa_t got[RAM];
    size_t n = 0, freed = 0;
    heap_flush_hart();
    uint64_t before = frame_free_count();
    while ((got[n] = frame_alloc(0)))
        n++;
    for (size_t i = 0; i < n; i++)
        if (got[i] >> PAGE_SHIFT & 1) {
            frame_unref(got[i]);
            got[i] = 0;
            freed++;
        }
    frame_flush_hart();
    assert_int_equal(frame_try_run(2), 0);
    for (size_t size = 16; size <= HEAP_SLAB_MAX; size += 16) {
        void *list = NULL, *p;
        size_t count = 0;
        while ((p = kmalloc(size))) {
            memset(p, 0x77, size);
            *(void **)p = list;
            list = p;
            count++;
        }
        assert_true(count >= (freed - 2 * HEAP_CLASSES) * (PAGE_SIZE / kmalloc_usable(list)));
        for (; list; list = p) {
            p = *(void **)list;
            kfree(list);
        }
        heap_flush_hart();
    }
    for (size_t i = 0; i < n; i++)
        if (got[i])
            frame_unref(got[i]);
    assert_true(frame_free_count() + 4 * HEAP_CLASSES >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),         cmocka_unit_test(test_all_frames),
        cmocka_unit_test(test_reserve),        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_run_given_back), cmocka_unit_test(test_zeroed_stock),
        cmocka_unit_test(test_heap_random),    cmocka_unit_test(test_heap_exhaustion),
        cmocka_unit_test(test_heap_scattered),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
