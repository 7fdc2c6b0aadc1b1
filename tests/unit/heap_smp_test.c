// SPDX-License-Identifier: MIT
// sources: kernel/page/frame.c kernel/page/heap.c kernel/lib/spinlock.c tests/unit/host.c
// tsan
// Heap and frames on four harts at once: no block twice, none refused while there is memory.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "page/frame.h"
#include "page/heap.h"

enum { HARTS = 4, SHARED = 64, STEPS = 30000 };

static uint64_t shared[SHARED]; // blocks that any hart takes out and frees
static uint32_t refused, damaged;

static void *work(void *arg)
{
    unsigned hart = (unsigned)(uintptr_t)arg, seed = hart + 1;
    host_hart_init(hart);
    for (int step = 0; step < STEPS; step++) {
        size_t n = 16 + (size_t)rand_r(&seed) % 600;
        uint64_t *p = kmalloc(n);
        if (!p) {
            atomic_add32(&refused, 1);
            continue;
        }
        p[0] = (uint64_t)p ^ 0x5a5a;
        p[1] = n;
        p = (uint64_t *)atomic_swap64(&shared[rand_r(&seed) % SHARED], (uint64_t)p);
        if (p && p[0] != ((uint64_t)p ^ 0x5a5a))
            atomic_add32(&damaged, 1);
        if (p)
            p[0] = 0;
        kfree(p);
        if (step % 8 == 0) {
            pa_t pa = frame_alloc(FRAME_USER);
            if (!pa)
                atomic_add32(&refused, 1);
            else
                frame_unref(pa);
        }
    }
    heap_flush_hart();
    frame_flush_hart();
    return NULL;
}

static void harts_share_the_heap(void **state)
{
    (void)state;
    enum { RAM = 4096 };
    char *ram = aligned_alloc(4 << 20, RAM * PAGE_SIZE);
    struct frame_range r = {(pa_t)ram, (pa_t)ram + RAM * PAGE_SIZE};
    pthread_t thread[HARTS];
    frames_init(&r, 1);
    heap_init();
    for (uintptr_t i = 0; i < HARTS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < HARTS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(refused, 0);
    assert_int_equal(damaged, 0);
    host_hart_init(0);
    for (int i = 0; i < SHARED; i++)
        kfree((void *)shared[i]);
    heap_flush_hart();
    struct heap_stats st;
    heap_stats_get(&st);
    for (unsigned c = 0; c < HEAP_CLASSES; c++)
        assert_true(st.cls[c].slabs <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(harts_share_the_heap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
