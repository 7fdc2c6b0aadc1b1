// SPDX-License-Identifier: MIT
// Epoch reclamation: against a model that knows which sections were open when an object was retired,
// with random steps of eight harts in one thread; then four threads that read a table while they
// change it. A retirement that frees at once must be found by both.
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c
// sources: kernel/lib/init.c
// flags: -DDEBUG -DASYNC_CHECKED -Wno-tsan
// tsan
#include "async/epoch.h"
#include "async/executor.h"
#include "host.h"
#include "lib/init.h"
#include "lib/list.h"
#include "lib/local.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef void retire_fn(struct epoch_item *item, void (*free_item)(struct epoch_item *));

static void retire_freeing_at_once(struct epoch_item *item, void (*free_item)(struct epoch_item *))
{
    free_item(item);
}

static int setup(void **state)
{
    (void)state;
    executor_init();
    locals_init();
    init_run(INIT_CORE);
    return 0;
}

static void settle(void) // the keeper's turns
{
    while (executor_step())
        ;
}

static void all_freed(void)
{
    struct epoch_stats s;
    settle();
    epoch_stats_get(&s);
    assert_int_equal(s.retired, s.freed);
}

// ---- one thread plays all harts

enum { PLAYED = 8, OBJECTS = 64, STEPS = 200000, NEST = 3 };

struct thing {
    struct epoch_item epoch;
    uint64_t readers; // harts in a section since before its retirement
    bool retired, freed;
};

static struct thing things[OBJECTS];
static unsigned too_early;

static void thing_free(struct epoch_item *item)
{
    struct thing *x = container_of(item, struct thing, epoch);
    assert_true(x->retired && !x->freed);
    too_early += x->readers != 0;
    x->freed = true;
}

static void play(retire_fn *retire)
{
    static uint64_t outer[PLAYED][NEST];
    unsigned depth[PLAYED] = {0}, seed = 5;
    memset(things, 0, sizeof things);
    too_early = 0;
    hart_count = PLAYED;
    for (int step = 0; step < STEPS; step++) {
        unsigned h = (unsigned)rand_r(&seed) % PLAYED;
        struct thing *x = &things[rand_r(&seed) % OBJECTS];
        hart_self.index = h;
        switch (rand_r(&seed) % 4) {
        case 0:
            if (depth[h] < NEST)
                outer[h][depth[h]++] = epoch_enter();
            break;
        case 1:
            if (depth[h] == 0)
                break;
            epoch_leave(outer[h][--depth[h]]);
            if (depth[h] == 0)
                for (int i = 0; i < OBJECTS; i++)
                    things[i].readers &= ~(1ul << h);
            break;
        default:
            if (x->retired && !x->freed)
                break;
            *x = (struct thing){.retired = true};
            for (unsigned i = 0; i < PLAYED; i++)
                x->readers |= (uint64_t)(depth[i] > 0) << i;
            retire(&x->epoch, thing_free);
            assert_true(x->freed || x->readers); // known to nobody: there is nothing to wait for
        }
    }
    for (unsigned h = 0; h < PLAYED; h++) {
        hart_self.index = h;
        if (depth[h])
            epoch_leave(outer[h][0]);
    }
    hart_self.index = 0;
    for (int i = 0; i < OBJECTS; i++)
        things[i].readers = 0;
    settle();
    hart_count = 1;
    for (int i = 0; i < OBJECTS; i++)
        assert_int_equal(things[i].retired, things[i].freed);
}

static void nothing_is_freed_under_a_reader(void **state)
{
    (void)state;
    play(epoch_retire);
    assert_int_equal(too_early, 0);
    all_freed();
}

static void freeing_at_once_is_found(void **state)
{
    (void)state;
    play(retire_freeing_at_once);
    assert_true(too_early > 0);
}

static void idle_harts_defer_nothing(void **state)
{
    (void)state;
    struct epoch_stats before, after;
    epoch_stats_get(&before);
    for (int i = 0; i < OBJECTS; i++) {
        things[i] = (struct thing){.retired = true};
        epoch_retire(&things[i].epoch, thing_free);
        assert_true(things[i].freed);
    }
    epoch_stats_get(&after);
    assert_int_equal(after.deferred, before.deferred);
}

// ---- four threads

enum { HARTS = 4, PLACES = 8, ROUNDS = 100000, ALIVE = 0x600d, FREED = 0xdead };

struct node {
    struct epoch_item epoch;
    uint64_t value; // plain: a free that is not ordered behind a reader is a race to the sanitizer
};
static struct node *table[PLACES];
static uint64_t made, gone;
static pthread_barrier_t together;

static void node_free(struct epoch_item *item)
{
    struct node *n = container_of(item, struct node, epoch);
    n->value = FREED;
    free(n);
    atomic_add64(&gone, 1);
}

static struct node *node_new(void)
{
    struct node *n = malloc(sizeof *n);
    n->value = ALIVE;
    atomic_add64(&made, 1);
    return n;
}

static void *read_and_replace(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg + 1;
    host_hart_init(seed - 1);
    run_queue_enter();
    pthread_barrier_wait(&together); // from here on each may look into the others' queues
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t outer = epoch_enter();
        const struct node *n = load_acquire(&table[rand_r(&seed) % PLACES]);
        for (int i = 0; i < 20; i++)
            if (n->value != ALIVE)
                abort();
        if (round % 64 == 0)
            sched_yield(); // as if another hart were slow
        if (n->value != ALIVE)
            abort();
        epoch_leave(outer);
        if (round % 4 == 0) {
            struct node *old = (struct node *)atomic_swap64(
                (uint64_t *)&table[rand_r(&seed) % PLACES], (uint64_t)node_new());
#ifdef MUTANT
            node_free(&old->epoch);
#else
            epoch_retire(&old->epoch, node_free);
#endif
        }
        if (round % 16 == 0)
            executor_step();
    }
    pthread_barrier_wait(&together);
    settle();
    pthread_barrier_wait(&together);
    return NULL;
}

static void harts_read_while_others_replace(void **state)
{
    (void)state;
    pthread_t thread[HARTS - 1];
    pthread_barrier_init(&together, NULL, HARTS);
    for (int i = 0; i < PLACES; i++)
        table[i] = node_new();
    hart_count = HARTS;
    for (uintptr_t i = 1; i < HARTS; i++)
        assert_int_equal(pthread_create(&thread[i - 1], NULL, read_and_replace, (void *)i), 0);
    read_and_replace(NULL);
    for (int i = 1; i < HARTS; i++)
        pthread_join(thread[i - 1], NULL);
    hart_count = 1;
    all_freed();
    assert_int_equal(made - gone, PLACES);
    for (int i = 0; i < PLACES; i++)
        free(table[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_freed_under_a_reader),
        cmocka_unit_test(freeing_at_once_is_found),
        cmocka_unit_test(idle_harts_defer_nothing),
        cmocka_unit_test(harts_read_while_others_replace),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
