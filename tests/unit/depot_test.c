// SPDX-License-Identifier: MIT
// sources: kernel/page/frame.c kernel/lib/spinlock.c tests/unit/host.c
// flags: -DHOST_CAS_PAUSE
// tsan
// The depot: alone against a naive stack, and on four harts at once against a record of who owns each frame. There
// are so few batches that the same ones come back all the time, while a hart stands before its exchange.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "page/depot.h"

enum { HARTS = 4, RAM = 16384, BATCHES = 8, BOUND = 3, STEPS = 100000 };

struct batch {
    pa_t frame[FRAME_BATCH];
};
static uint32_t owned[RAM]; // by frame: 1 + the hart that has it, 0 in the depot
static uint32_t wrong;

// Now and then a hart lets the others make some changes before its own exchange, unless they all stand there.
static uint32_t changes;
static _Thread_local unsigned exchanges;
static void (*meanwhile)(void); // is done once before the next exchange

void host_cas_pause(void)
{
    void (*once)(void) = load_relaxed(&meanwhile);
    if (once) {
        meanwhile = NULL;
        once();
        return;
    }
    uint32_t until = load_relaxed(&changes) + 2 + exchanges % 7;
    if (exchanges++ % 4 == 0)
        for (int n = 0; n < 100 && (int32_t)(load_relaxed(&changes) - until) < 0; n++)
            sched_yield();
}

static uint32_t *owner_of(pa_t pa)
{
    return &owned[(pa - frame_base) >> PAGE_SHIFT];
}

// Free frames as they lie in a hart's stack: in any order, of no block.
static struct batch batch_make(void)
{
    struct batch b;
    for (size_t i = 0; i < FRAME_BATCH; i++) {
        b.frame[i] = frame_alloc(0);
        assert_true(b.frame[i]);
    }
    for (size_t i = 0; i < FRAME_BATCH; i++) {
        struct page *pg = page_of(b.frame[i]);
        pg->refs = 0;
        pg->kind = FRAME_FREE;
        pg->order = FRAME_NO_ORDER;
    }
    for (size_t i = FRAME_BATCH; i-- > 1;) {
        size_t k = (size_t)rand() % (i + 1);
        pa_t pa = b.frame[i];
        b.frame[i] = b.frame[k];
        b.frame[k] = pa;
    }
    return b;
}

static int setup(void **state)
{
    (void)state;
    char *ram = aligned_alloc(4 << 20, RAM * PAGE_SIZE);
    struct frame_range r = {(pa_t)ram, (pa_t)ram + RAM * PAGE_SIZE};
    host_hart_init(0);
    frames_init(&r, 1);
    srand(1);
    return 0;
}

static void is_a_stack_with_a_bound(void **state)
{
    (void)state;
    struct batch hand[BATCHES], stack[BATCHES], got;
    int held = BATCHES, n = 0;
    depot.bound = BOUND;
    for (int i = 0; i < BATCHES; i++)
        hand[i] = batch_make();
    for (int step = 0; step < 20000; step++) {
        assert_int_equal(depot_frames(), n * FRAME_BATCH);
        if (rand() % 2) {
            assert_int_equal(depot_push(hand[held - 1].frame), n < BOUND);
            if (n < BOUND)
                stack[n++] = hand[--held];
        } else {
            assert_int_equal(depot_pop(got.frame), n > 0);
            if (n > 0) {
                assert_memory_equal(&got, &stack[--n], sizeof got);
                hand[held++] = got;
            }
        }
    }
    while (depot_pop(got.frame))
        n--;
    assert_int_equal(n, 0);
    for (int i = 0; i < held; i++) // what is the caller's is clean, pushed in vain or not
        for (int k = 0; k < FRAME_BATCH; k++)
            assert_int_equal(page_of(hand[i].frame[k])->pins, 0);
}

static struct batch
    three[3]; // 0 lies on 1; 2 and then 0 come back, and so does the head but for its tag

static void another_hart(void)
{
    struct batch b;
    assert_true(depot_pop(b.frame) && b.frame[0] == three[0].frame[0]);
    assert_true(depot_pop(b.frame) && b.frame[0] == three[1].frame[0]);
    assert_true(depot_push(three[2].frame));
    assert_true(depot_push(three[0].frame));
}

static void knows_the_head_from_one_that_looks_like_it(void **state)
{
    (void)state;
    struct batch b;
    depot.bound = BOUND;
    for (int i = 0; i < 3; i++)
        three[i] = batch_make();
    assert_true(depot_push(three[1].frame));
    assert_true(depot_push(three[0].frame));
    meanwhile = another_hart;
    assert_true(depot_pop(b.frame));
    assert_memory_equal(&b, &three[0], sizeof b);
    assert_true(depot_pop(b.frame));
    assert_memory_equal(&b, &three[2], sizeof b);
    assert_false(depot_pop(b.frame));
}

// Its frames pass from one owner to the next; whoever has them writes what it likes.
static void pass(const struct batch *b, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < FRAME_BATCH; i++) {
        if (atomic_cas32(owner_of(b->frame[i]), from, to) != from)
            atomic_add32(&wrong, 1);
        struct page *pg = page_of(b->frame[i]);
        pg->owner = to ? &wrong : NULL;
        pg->data = to;
        store_relaxed(&pg->pins, to ? (uint32_t)i % BATCHES : 0);
    }
}

static struct batch left[HARTS][BATCHES];
static int left_by[HARTS];

static void *work(void *arg)
{
    unsigned hart = (unsigned)(uintptr_t)arg, seed = hart + 1;
    struct batch *hand = left[hart];
    int held = left_by[hart];
    host_hart_init(hart);
    for (int step = 0; step < STEPS; step++) {
        if (held && rand_r(&seed) % 2) {
            struct batch *b = &hand[rand_r(&seed) % (unsigned)held]; // not in the order they came
            pass(b, hart + 1, 0);
            if (depot_push(b->frame))
                *b = hand[--held];
            else
                pass(b, 0, hart + 1);
        } else if (held < BATCHES && depot_pop(hand[held].frame)) {
            pass(&hand[held++], 0, hart + 1);
        }
        if (depot_frames() > BOUND * FRAME_BATCH)
            atomic_add32(&wrong, 1);
        atomic_add32(&changes, 1);
    }
    left_by[hart] = held;
    return NULL;
}

static void harts_own_each_frame_once(void **state)
{
    (void)state;
    pthread_t thread[HARTS];
    uint32_t frames = 0, in_depot = 0;
    struct batch b;
    depot.bound = BOUND;
    for (unsigned i = 0; i < BATCHES; i++) {
        left[i % HARTS][i / HARTS] = batch_make();
        pass(&left[i % HARTS][i / HARTS], 0, i % HARTS + 1);
    }
    for (unsigned i = 0; i < HARTS; i++)
        left_by[i] = BATCHES / HARTS;
    for (uintptr_t i = 0; i < HARTS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < HARTS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(wrong, 0);
    for (; depot_pop(b.frame); in_depot += FRAME_BATCH)
        pass(&b, 0, HARTS + 1);
    for (unsigned i = 0; i < HARTS; i++)
        for (int k = 0; k < left_by[i]; k++)
            pass(&left[i][k], i + 1, HARTS + 1);
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < RAM; i++)
        frames += owned[i] == HARTS + 1;
    assert_int_equal(frames, BATCHES * FRAME_BATCH);
    assert_true(in_depot <= BOUND * FRAME_BATCH);
}

// What a hart frees above its own stack lies in the depot and is counted as free.
static uint64_t fill_depot(void)
{
    static pa_t got[RAM];
    size_t n = 0;
    depot_init(RAM);
    frame_flush_hart();
    uint64_t before = frame_free_count();
    while (n < 4096 && (got[n] = frame_alloc(0)))
        n++;
    while (n)
        frame_unref(got[--n]);
    assert_true(depot_frames() > 0);
    assert_int_equal(frame_free_count(), before);
    struct frame_stats s;
    frame_stats_get(&s);
    assert_int_equal(s.free, before);
    assert_int_equal(s.depot, depot_frames());
    return before;
}

// Unless there is no other frame left, nobody is told that there is none.
static void its_frames_are_had_in_the_end(void **state)
{
    (void)state;
    static pa_t got[RAM];
    size_t n = 0;
    uint64_t before = fill_depot();
    while ((got[n] = frame_alloc(0)))
        n++;
    assert_int_equal(n, before);
    assert_int_equal(depot_frames(), 0);
    while (n)
        frame_unref(got[--n]);
    assert_int_equal(frame_free_count(), before);
}

static void it_gives_way_to_contiguous_frames(void **state)
{
    (void)state;
    fill_depot();
    while (frame_try_run(1u << FRAME_ORDER_MAX)) // until it finds none
        ;
    assert_int_equal(depot_frames(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_stack_with_a_bound),
        cmocka_unit_test(knows_the_head_from_one_that_looks_like_it),
        cmocka_unit_test(harts_own_each_frame_once),
        cmocka_unit_test(its_frames_are_had_in_the_end),
        cmocka_unit_test(it_gives_way_to_contiguous_frames),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
