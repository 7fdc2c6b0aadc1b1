// SPDX-License-Identifier: MIT
// sources: kernel/async/runqueue.c kernel/async/runqueue_ring.c kernel/async/runqueue_locked.c kernel/lib/spinlock.c
// sources: tests/unit/host.c
// flags: -Wno-tsan
// tsan
// Both run queues: what one hart sees, against a naive list; then four threads that push, send, pop, steal and change the
// kind at random: no task is lost, none is in two places, none runs where it may not.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "async/runqueue.h"
#include "host.h"
#include "page/heap.h"

enum { HARTS = 4, TASKS = 3 * RING_SIZE, STEPS = 60000 };

struct spinlock task_list_lock = SPINLOCK_INIT("task list");
static struct task tasks[TASKS];
static struct hart shared[HARTS]; // outlives the threads

static void become(uint32_t hart)
{
    hart_self.index = hart;
    run_queue_enter();
}

static int setup(void **state)
{
    (void)state;
    hart_count = HARTS;
    for (uint32_t i = 0; i < HARTS; i++)
        harts[i] = &shared[i];
    run_queues_init();
    memset(tasks, 0, sizeof tasks);
    for (uint32_t i = 0; i < TASKS; i++) {
        tasks[i].id = i;
        tasks[i].affinity = AFFINITY_ANY;
    }
    become(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kfree(run_queues);
    return 0;
}

// ---- one hart

// What is pushed and not woken comes out in order, whatever the kind.
static void order_is_kept(enum run_queue_kind kind)
{
    uint32_t in = 0, out = 0;
    unsigned seed = 1;
    run_queue_choose(kind);
    for (int step = 0; step < STEPS; step++) {
        if (in - out < RING_SIZE && rand_r(&seed) % 2)
            run_queue_push(&tasks[in++ % TASKS]);
        assert_int_equal(run_queue_has_ready(), in != out);
        assert_int_equal(run_queue_length(0), in - out);
        if (rand_r(&seed) % 2)
            assert_ptr_equal(run_queue_pop(), in == out ? NULL : &tasks[out++ % TASKS]);
    }
}

static void ring_keeps_order(void **state)
{
    (void)state;
    order_is_kept(RUN_QUEUE_RING);
}

static void locked_keeps_order(void **state)
{
    (void)state;
    order_is_kept(RUN_QUEUE_LOCKED);
}

static bool is_third(const struct task *t)
{
    return t->id % 3 == 2;
}

// Of those that wait, however they came, the first that is urgent comes out next and the others in their order.
static void the_urgent_are_next(enum run_queue_kind kind)
{
    unsigned seed = 3;
    run_queue_choose(kind);
    assert_false(run_queue_hurry(is_third));
    for (int round = 0; round < 200; round++) {
        uint32_t n = 1 + (uint32_t)rand_r(&seed) % 9, urgent = UINT32_MAX, others = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t id = 3 * i + (uint32_t)rand_r(&seed) % 3;
            if (is_third(&tasks[id]) && urgent == UINT32_MAX)
                urgent = id;
            tasks[id].affinity = AFFINITY_ANY;
            if (rand_r(&seed) % 2)
                run_queue_push(&tasks[id]);
            else
                run_queue_send(0, &tasks[id]);
        }
        assert_int_equal(run_queue_hurry(is_third), urgent != UINT32_MAX);
        assert_int_equal(run_queue_length(0), n);
        struct task *t = run_queue_pop();
        if (urgent != UINT32_MAX)
            assert_true(is_third(t));
        for (; t; t = run_queue_pop())
            others++;
        assert_int_equal(others, n);
    }
}

static void ring_hurries(void **state)
{
    (void)state;
    the_urgent_are_next(RUN_QUEUE_RING);
}

static void locked_hurries(void **state)
{
    (void)state;
    the_urgent_are_next(RUN_QUEUE_LOCKED);
}

// The naive model of a queue: for each queued task how many were before it, and how many were popped since.
static struct {
    bool queued;
    uint32_t before, popped;
} model[TASKS];
static uint32_t queued;

static void put(unsigned *seed, struct task *t)
{
    model[t->id].queued = true;
    model[t->id].before = queued++;
    model[t->id].popped = 0;
    t->affinity = rand_r(seed) % 8 ? AFFINITY_ANY : 1;
    unsigned how = (unsigned)rand_r(seed) % 4;
    if (how == 0)
        run_queue_send(0, t);
    else if (how == 1)
        run_queue_push(t);
    else
        run_queue_push_woken(t);
}

static struct task *take(void)
{
    struct task *t = run_queue_pop();
    if (!t) {
        assert_int_equal(queued, 0);
        return NULL;
    }
    assert_true(model[t->id].queued);
    model[t->id].queued = false;
    queued--;
    for (uint32_t i = 0; i < TASKS; i++)
        if (model[i].queued)
            assert_true(++model[i].popped < RUN_QUEUE_UNFAIR(model[i].before));
    return t;
}

// Whatever the mix of pushes, wakes, sends and kinds, nobody waits longer than RUN_QUEUE_UNFAIR.
static void nobody_starves(void **state)
{
    (void)state;
    unsigned seed = 2;
    for (int step = 0; step < STEPS / 4; step++) {
        uint32_t room =
            (uint32_t)(step / 1000 % 4) * RING_SIZE * 2 / 3 + 3; // small, and more than a ring
        struct task *t = &tasks[(uint32_t)rand_r(&seed) % TASKS];
        if (!model[t->id].queued && queued < room)
            put(&seed, t);
        if (rand_r(&seed) % 2)
            take();
        if (rand_r(&seed) % 500 == 0)
            run_queue_choose(rand_r(&seed) % 2 ? RUN_QUEUE_RING : RUN_QUEUE_LOCKED);
    }
    while (take())
        ;
}

// Two tasks that wake each other for ever, and a third that was there first.
static void ping_pong_starves_nobody(void **state)
{
    (void)state;
    struct task *ping = &tasks[0], *pong = &tasks[1], *third = &tasks[2];
    run_queue_push(third);
    run_queue_push_woken(ping);
    for (uint32_t polls = 1;; polls++) {
        struct task *t = run_queue_pop();
        if (t == third)
            break;
        assert_true(polls < RUN_QUEUE_UNFAIR(0));
        run_queue_push_woken(t == ping ? pong : ping);
    }
}

// A thief takes the older half; the slot of the newest wake and what is bound stay.
static void thief_takes_half(void **state)
{
    (void)state;
    tasks[9].affinity = 1;
    for (uint32_t i = 0; i < 10; i++)
        run_queue_push(&tasks[i]);
    run_queue_push_woken(&tasks[10]);
    become(1);
    assert_true(run_queue_worth_a_look(0));
    assert_ptr_equal(run_queue_steal(0), &tasks[0]);
    for (uint32_t i = 1; i < 5; i++)
        assert_ptr_equal(run_queue_pop(), &tasks[i]);
    assert_null(run_queue_pop());
    assert_int_equal(run_queue_length(0), 6);
    while (run_queue_steal(0))
        ;
    assert_int_equal(run_queue_length(0), 2);
    become(0);
    assert_true(run_queue_expose());
    become(1);
    assert_ptr_equal(run_queue_steal(0), &tasks[10]);
}

// ---- four harts

static uint32_t in_queue[TASKS], wrong, popped, changes;

static void give(unsigned *seed, struct task *t)
{
    uint32_t self = hart_index(), to = (uint32_t)rand_r(seed) % HARTS;
    unsigned how = (unsigned)rand_r(seed) % 4;
    if (atomic_swap32(&in_queue[t->id], 1) != 0)
        atomic_add32(&wrong, 1);
    if (how == 0 || !task_may_run_on(t, self)) {
        while (!task_may_run_on(t, to))
            to = (to + 1) % HARTS;
        run_queue_send(to, t);
    } else if (how == 1) {
        run_queue_push(t);
    } else {
        run_queue_push_woken(t);
    }
}

static struct task *get(unsigned *seed)
{
    if (atomic_swap32(&shared[hart_index()].ipi_pending, 0) & IPI_QUEUE)
        run_queue_settle();
    struct task *t = rand_r(seed) % 16 ? run_queue_pop() : NULL;
    uint32_t from = (uint32_t)rand_r(seed) % HARTS;
    if (!t && from != hart_index() && run_queue_worth_a_look(from))
        t = run_queue_steal(from);
    if (t && (atomic_swap32(&in_queue[t->id], 0) != 1 || !task_may_run_on(t, hart_index())))
        atomic_add32(&wrong, 1);
    return t;
}

static void *hart(void *arg)
{
    uint32_t self = (uint32_t)(uintptr_t)arg;
    struct task *held[TASKS];
    unsigned n = 0, seed = self + 1;
    become(self);
    if (self == 0)
        for (uint32_t i = 0; i < TASKS; i++)
            give(&seed, &tasks[i]);
    for (int step = 0; step < STEPS; step++) {
        struct task *t = get(&seed);
        if (t)
            held[n++] = t;
        if (n && rand_r(&seed) % (step / 1000 % 2 ? 4 : 1) == 0)
            give(&seed, held[--n]);
        if (rand_r(&seed) % 2000 == 0) {
            run_queue_choose(rand_r(&seed) % 2 ? RUN_QUEUE_RING : RUN_QUEUE_LOCKED);
            atomic_add32(&changes, 1);
        }
    }
    atomic_add32(&popped, n);
    return NULL;
}

static void harts_share_the_tasks(void **state)
{
    (void)state;
    pthread_t thread[HARTS];
    for (uint32_t i = 0; i < TASKS; i++)
        tasks[i].affinity = i % 16 == 0 ? 1ul << (i / 16 % HARTS) : i % 16 == 1 ? 6 : AFFINITY_ANY;
    for (uintptr_t i = 0; i < HARTS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hart, (void *)i), 0);
    for (int i = 0; i < HARTS; i++)
        pthread_join(thread[i], NULL);
    for (uint32_t i = 0; i < HARTS;
         i++) { // their threads are gone: each hart takes what is its own
        become(i);
        if (shared[i].ipi_pending & IPI_QUEUE)
            run_queue_settle();
        for (struct task *t; (t = run_queue_pop()); popped++)
            if (!in_queue[t->id]--)
                wrong++;
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(popped, TASKS);
    assert_true(changes > 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ring_keeps_order), TEST(locked_keeps_order),    TEST(ring_hurries),
        TEST(locked_hurries),   TEST(nobody_starves),        TEST(ping_pong_starves_nobody),
        TEST(thief_takes_half), TEST(harts_share_the_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
