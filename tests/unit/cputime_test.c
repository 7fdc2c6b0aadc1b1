// SPDX-License-Identifier: MIT
// Samples: which points of the grid are counted, as whose and as what; and how the exact time is divided by them.
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c kernel/task/cputime.c
// flags: -DDEBUG -DASYNC_CHECKED -Ikernel/arch/riscv/include
#include "task/cputime.h"

#include "async/executor.h"
#include "async/sample.h"
#include "async/wait_async.h"
#include "host.h"
#include "lib/local.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static uint64_t period;

// ---- a task that is a thread's, and takes as long for each poll as it is told

static struct event door;
static uint64_t takes;       // ticks
static uint64_t interrupted; // after so many of them, in user mode; 0: it is not

ASYNC_DECL(worker, int polls;);
ASYNC(worker, long r;)
{
    ASYNC_BEGIN(worker);
    while (f->polls--) {
        AWAIT(f->r, event_wait, &door, true);
        event_init(&door);
        if (interrupted) {
            host_ticks += interrupted;
            sample_interrupt(true);
            timers_run();
        }
        host_ticks += takes - interrupted;
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void run_all(void)
{
    while (executor_step())
        timers_run();
}

static struct task *worker_new(void)
{
    struct task *t = SPAWN("worker", worker, 1000);
    assert_non_null(t);
    task_get(t);
    t->thread = container_of(t, struct thread, task); // of which nothing else is looked at
    run_all();
    return t;
}

static void worker_end(struct task *t)
{
    task_cancel(t);
    run_all();
    t->thread = NULL;
    task_put(t);
}

// One poll; `phase` after a point of the grid it begins.
static void poll_at(uint64_t phase, uint64_t ticks)
{
    host_ticks = (host_ticks / period + 2) * period; // it was idle in between
    timers_run();
    host_ticks += phase;
    takes = ticks;
    event_set(&door);
    run_all();
}

static int setup(void **state)
{
    (void)state;
    if (!period) {
        executor_init();
        locals_init();
        period = ns_to_ticks(SAMPLE_US * 1000ul);
    }
    event_init(&door);
    interrupted = 0;
    return 0;
}

static void points_in_the_kernel_are_counted_when_the_poll_ends(void **state)
{
    (void)state;
    struct task *t = worker_new();
    poll_at(10, 100);
    assert_int_equal(t->system_samples, 0);
    poll_at(10, period - 11);
    assert_int_equal(t->system_samples, 0);
    poll_at(10, period - 10); // it ends at the point
    assert_int_equal(t->system_samples, 1);
    poll_at(period - 1, 2);
    assert_int_equal(t->system_samples, 2);
    poll_at(10, 3 * period); // as long as three points apart
    assert_int_equal(t->system_samples, 5);
    assert_int_equal(t->user_samples, 0);
    worker_end(t);
}

static void points_follow_no_poll(void **state)
{
    (void)state;
    struct task *t = worker_new();
    poll_at(7, 1);
    for (int i = 0; i < 100; i++) { // ten polls from point to point, and no idle time
        takes = period / 10;
        event_set(&door);
        run_all();
    }
    assert_int_equal(t->system_samples, 10);
    worker_end(t);
}

static void an_interrupt_of_user_mode_is_the_program_s(void **state)
{
    (void)state;
    struct task *t = worker_new();
    interrupted = period;
    poll_at(10, period + 5);
    assert_int_equal(t->user_samples, 1);
    assert_int_equal(t->system_samples, 0);
    poll_at(10, 2 * period + 5); // goes on in the kernel
    assert_int_equal(t->user_samples, 2);
    assert_int_equal(t->system_samples, 1);
    interrupted = 5; // at no point: a device's
    poll_at(10, 20);
    assert_int_equal(t->user_samples, 2);
    assert_int_equal(t->system_samples, 1);
    worker_end(t);
}

static void what_runs_for_nobody_is_not_counted(void **state)
{
    (void)state;
    struct task *t = worker_new();
    poll_at(10, 20);
    assert_true(hart_self.sample_at != SAMPLE_NEVER);
    host_ticks += 5 * period; // idle
    timers_run();
    assert_true(hart_self.sample_at == SAMPLE_NEVER); // and no timer runs
    assert_int_equal(t->user_samples + t->system_samples, 0);
    poll_at(10, 20);
    t->thread = NULL; // a kernel task follows
    takes = 3 * period;
    event_set(&door);
    run_all();
    assert_int_equal(t->user_samples + t->system_samples, 0);
    assert_true(hart_self.sample_at == SAMPLE_NEVER);
    poll_at(10, 20);
    assert_true(hart_self.sample_at == SAMPLE_NEVER);
    worker_end(t);
}

// ---- dividing

static void is_divided(uint64_t ticks, uint64_t user, uint64_t system, uint64_t want_system)
{
    struct cpu_times said = {0, 0};
    struct cpu_times t = cpu_times_of(&(struct cpu_use){ticks, user, system}, &said);
    assert_int_equal(t.user + t.system, ticks);
    assert_in_range(t.system, want_system - want_system / 100000, want_system);
}

static void time_is_divided_as_samples_are(void **state)
{
    (void)state;
    is_divided(1000000, 0, 0, 0); // never seen: it is the program's
    is_divided(1000000, 3, 0, 0);
    is_divided(1000000, 0, 3, 1000000);
    is_divided(1000000, 3, 1, 250000);
    is_divided(1ul << 60, 1ul << 40, 3ul << 40, 3ul << 58); // 3,600 years
}

static void no_part_goes_back(void **state)
{
    (void)state;
    struct cpu_times said = {0, 0}, last = {0, 0};
    struct cpu_use use = {0, 0, 0};
    srand(7);
    for (int i = 0; i < 100000; i++) {
        use.ticks += (uint64_t)rand() % 3 ? (uint64_t)rand() % 100000 : 0;
        if (rand() % 2)
            *(i / 50 % 2 ? &use.user : &use.system) += (uint64_t)rand() % 3;
        struct cpu_times t = cpu_times_of(&use, &said);
        assert_true(t.user >= last.user && t.system >= last.system);
        assert_int_equal(t.user + t.system, use.ticks);
        last = t;
    }
    use.ticks--; // read before, by another hart
    assert_int_equal(cpu_times_of(&use, &said).user, last.user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(points_in_the_kernel_are_counted_when_the_poll_ends, setup),
        cmocka_unit_test_setup(points_follow_no_poll, setup),
        cmocka_unit_test_setup(an_interrupt_of_user_mode_is_the_program_s, setup),
        cmocka_unit_test_setup(what_runs_for_nobody_is_not_counted, setup),
        cmocka_unit_test_setup(time_is_divided_as_samples_are, setup),
        cmocka_unit_test_setup(no_part_goes_back, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
