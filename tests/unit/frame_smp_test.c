// SPDX-License-Identifier: MIT
// sources: kernel/page/frame.c kernel/lib/spinlock.c tests/unit/host.c
// tsan
// Single frames and runs on four harts at once, against a record of who owns each frame: none is handed out
// twice, what one hart takes another may free, and at the end all has merged to the blocks of the start.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host.h"
#include "page/frame.h"

enum { HARTS = 4, RAM = 8192, SHARED = 96, STEPS = 20000, RUN_MAX = 70 };

struct run {
    pa_t pa;
    size_t frames;
};
static uint64_t shared[SHARED]; // struct run *, which any hart takes out and frees
static uint32_t owned[RAM];     // by frame: is it handed out?
static uint32_t twice, foreign, not_zero;

static uint32_t *owner_of(pa_t pa)
{
    return &owned[(pa - frame_base) >> PAGE_SHIFT];
}

static void took(pa_t pa, size_t frames)
{
    for (size_t i = 0; i < frames; i++, pa += PAGE_SIZE) {
        if (atomic_swap32(owner_of(pa), 1))
            atomic_add32(&twice, 1);
        *(pa_t *)pa_to_kva(pa) = pa;
    }
}

static void give_back(struct run *r)
{
    for (size_t i = 0; r && i < r->frames; i++) {
        pa_t pa = r->pa + i * PAGE_SIZE;
        if (*(pa_t *)pa_to_kva(pa) != pa)
            atomic_add32(&foreign, 1);
        *(pa_t *)pa_to_kva(pa) = 0;
        if (!atomic_swap32(owner_of(pa), 0))
            atomic_add32(&twice, 1);
        if (pa % (3 * PAGE_SIZE))
            frame_unref(pa);
        else { // as page tables come back
            for (size_t k = 0; k < PAGE_SIZE / 8; k++)
                ((uint64_t *)pa_to_kva(pa))[k] = 0;
            frame_free_zeroed(pa);
        }
    }
    free(r);
}

static struct run *take(unsigned *seed)
{
    struct run *r = malloc(sizeof *r);
    unsigned how = (unsigned)rand_r(seed) % 8;
    r->frames = how ? 1 : 1 + (size_t)rand_r(seed) % RUN_MAX;
    r->pa = how ? frame_alloc(how & 3) : frame_try_run(r->frames);
    if (!r->pa) {
        free(r);
        return NULL;
    }
    for (size_t k = 0; how & FRAME_ZERO && k < PAGE_SIZE / 8; k += 64)
        if (((uint64_t *)pa_to_kva(r->pa))[k])
            atomic_add32(&not_zero, 1);
    took(r->pa, r->frames);
    return r;
}

static void *work(void *arg)
{
    unsigned hart = (unsigned)(uintptr_t)arg, seed = hart + 1;
    host_hart_init(hart);
    for (int step = 0; step < STEPS; step++) {
        struct run *r = take(&seed);
        give_back((struct run *)atomic_swap64(&shared[rand_r(&seed) % SHARED], (uint64_t)r));
        if (step % 512 == 0)
            frame_flush_hart();
        if (step % 64 == 0)
            frame_idle_zero();
    }
    frame_flush_hart();
    return NULL;
}

static void harts_share_the_frames(void **state)
{
    (void)state;
    char *ram = aligned_alloc(4 << 20, RAM * PAGE_SIZE);
    struct frame_range r = {(pa_t)ram, (pa_t)ram + RAM * PAGE_SIZE};
    struct frame_stats before, after;
    pthread_t thread[HARTS];
    host_hart_init(0);
    frames_init(&r, 1);
    took(frame_zero, 1);
    *(pa_t *)pa_to_kva(frame_zero) = 0;
    frame_flush_hart();
    frame_stats_get(&before);
    for (uintptr_t i = 0; i < HARTS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < HARTS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < SHARED; i++)
        give_back((struct run *)shared[i]);
    frame_flush_hart();
    assert_int_equal(twice, 0);
    assert_int_equal(foreign, 0);
    assert_int_equal(not_zero, 0);
    frame_stats_get(&after);
    assert_int_equal(after.free, before.free);
    assert_memory_equal(after.free_blocks, before.free_blocks, sizeof before.free_blocks);
}

// ---- whether allocations are to fail is asked of all who were added at once, of each once

enum { ASKED = 32 };
static struct alloc_failure failures[HARTS][ASKED], of_all;
static uint32_t asked[HARTS], asked_of_all, start, late;

static bool asks_all(void)
{
    asked_of_all++;
    return false;
}
static bool asks_0(void)
{
    return asked[0]++, false;
}
static bool asks_1(void)
{
    return asked[1]++, false;
}
static bool asks_2(void)
{
    return asked[2]++, false;
}
static bool asks_3(void)
{
    return asked[3]++, false;
}

static bool is_added(const struct alloc_failure *one)
{
    struct alloc_failure *a = load_acquire(&alloc_failures);
    while (a && a != one)
        a = load_acquire(&a->next);
    return a;
}

static void *add(void *arg)
{
    uintptr_t hart = (uintptr_t)arg;
    host_hart_init((unsigned)hart);
    atomic_add32(&start, 1);
    while (load_acquire(&start) < HARTS)
        ;
    alloc_failure_add(&of_all);
    if (!is_added(&of_all))
        atomic_add32(&late, 1);
    for (int i = 0; i < ASKED; i++)
        alloc_failure_add(&failures[hart][i]);
    return NULL;
}

static void no_failure_is_lost(void **state)
{
    (void)state;
    static bool (*const asks[HARTS])(void) = {asks_0, asks_1, asks_2, asks_3};
    pthread_t thread[HARTS];
    of_all.fails = asks_all;
    for (uintptr_t i = 0; i < HARTS; i++)
        for (int k = 0; k < ASKED; k++)
            failures[i][k].fails = asks[i];
    for (uintptr_t i = 0; i < HARTS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, add, (void *)i), 0);
    for (int i = 0; i < HARTS; i++)
        pthread_join(thread[i], NULL);
    assert_false(alloc_fails());
    assert_int_equal(late, 0);
    assert_int_equal(asked_of_all, 1);
    for (int i = 0; i < HARTS; i++)
        assert_int_equal(asked[i], ASKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(harts_share_the_frames),
                                       cmocka_unit_test(no_failure_is_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
