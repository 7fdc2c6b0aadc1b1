// SPDX-License-Identifier: MIT
// The async core on one hart: awaits, waits, cancel, deadlines, shields, arenas, backtraces.
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c
// flags: -DDEBUG -DASYNC_CHECKED
#include "async/executor.h"
#include "async/wait_async.h"
#include "host.h"
#include "lib/local.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char trail[256]; // what happened, one letter each

static void note(char c)
{
    size_t n = strlen(trail);
    assert_true(n + 1 < sizeof trail);
    trail[n] = c;
    trail[n + 1] = 0;
}

static void run_all(void)
{
    while (executor_step()) {
    }
}

static void pass_ns(uint64_t ns)
{
    host_ticks += ns_to_ticks(ns);
    timers_run();
    run_all();
}

static int setup(void **state)
{
    (void)state;
    trail[0] = 0;
    static bool once;
    if (!once) {
        executor_init();
        locals_init();
        once = true;
    }
    return 0;
}

// ---- a child that waits, a parent that awaits it twice

static struct event door;

ASYNC_DECL(child, char name;);
ASYNC(child, long r;)
{
    ASYNC_BEGIN(child);
    note(f->name);
    AWAIT(f->r, event_wait, &door, true);
    note((char)(f->name + 1));
    ASYNC_RETURN(f->r < 0 ? f->r : f->name);
    ASYNC_FINALLY;
    note('.');
    ASYNC_END;
}

ASYNC_DECL(parent, long *out;);
ASYNC(parent, long a; long b;)
{
    ASYNC_BEGIN(parent);
    AWAIT(f->a, child, 'a');
    AWAIT(f->b, child, 'x');
    *f->out = f->a + f->b;
    ASYNC_FINALLY;
    note('!');
    ASYNC_END;
}

static void await_resumes_and_returns(void **state)
{
    (void)state;
    long out = 0, live = host_live_blocks();
    event_init(&door);
    assert_non_null(SPAWN("parent", parent, &out));
    run_all();
    assert_string_equal(trail, "a");
    event_set(&door);
    run_all();
    assert_string_equal(trail, "ab.xy.!");
    assert_int_equal(out, 'a' + 'x');
    assert_int_equal(host_live_blocks(), live);
}

static void cancel_unwinds_leaf_first_once(void **state)
{
    (void)state;
    long out = 0, live = host_live_blocks();
    event_init(&door);
    struct task *t = SPAWN("parent", parent, &out);
    task_get(t);
    run_all();
    task_cancel(t);
    run_all();
    assert_string_equal(trail, "a.!");
    assert_true(waitq_empty(&door.waiters));
    assert_int_equal(t->state & TASK_DEAD, TASK_DEAD);
    task_put(t);
    assert_int_equal(host_live_blocks(), live);
}

static void cancel_before_the_first_run_finishes_nothing(void **state)
{
    (void)state;
    long out = 0, live = host_live_blocks();
    struct task *t = SPAWN("parent", parent, &out);
    task_cancel(t);
    run_all();
    assert_string_equal(trail, "");
    assert_int_equal(host_live_blocks(), live);
}

// ---- deadlines

ASYNC_DECL(impatient, long *out;);
ASYNC(impatient, struct deadline d; long r;)
{
    ASYNC_BEGIN(impatient);
    AWAIT_WITHIN(f->r, &f->d, 1000, child, 'a');
    *f->out = f->r;
    ASYNC_FINALLY;
    note('!');
    ASYNC_END;
}

static void deadline_unwinds_the_callee_only(void **state)
{
    (void)state;
    long out = 0;
    event_init(&door);
    SPAWN("impatient", impatient, &out);
    run_all();
    pass_ns(900);
    assert_string_equal(trail, "a");
    pass_ns(200);
    assert_string_equal(trail, "a.!");
    assert_int_equal(out, -ETIMEDOUT);
    assert_int_equal(timers_next(), UINT64_MAX);
}

static void deadline_in_time_changes_nothing(void **state)
{
    (void)state;
    long out = 0;
    event_init(&door);
    SPAWN("impatient", impatient, &out);
    run_all();
    event_set(&door);
    run_all();
    assert_int_equal(out, 'a');
    assert_int_equal(timers_next(), UINT64_MAX);
}

ASYNC_DECL(twice_impatient, long *outer; long *inner;);
ASYNC(twice_impatient, struct deadline d; long r;)
{
    ASYNC_BEGIN(twice_impatient);
    AWAIT_WITHIN(f->r, &f->d, 500, impatient, f->inner);
    *f->outer = f->r;
    ASYNC_FINALLY;
    ASYNC_END;
}

static void outer_deadline_first_unwinds_the_inner_one(void **state)
{
    (void)state;
    long outer = 1, inner = 1;
    event_init(&door);
    SPAWN("twice", twice_impatient, &outer, &inner);
    run_all();
    pass_ns(600);
    assert_int_equal(outer, -ETIMEDOUT);
    assert_int_equal(inner, 1);
    assert_int_equal(timers_next(), UINT64_MAX);
    pass_ns(2000);
}

// ---- shields

ASYNC_DECL(shielded, int unused;);
ASYNC(shielded, long r;)
{
    ASYNC_BEGIN(shielded);
    SHIELD_BEGIN();
    AWAIT(f->r, child, 'a');
    SHIELD_END();
    note('s');
    AWAIT(f->r, event_wait, &door, false);
    SUSPEND("for ever");
    note('?');
    ASYNC_FINALLY;
    note('!');
    ASYNC_END;
}

static void shield_delays_cancel_to_its_end(void **state)
{
    (void)state;
    event_init(&door);
    struct task *t = SPAWN("shielded", shielded, 0);
    run_all();
    task_cancel(t);
    run_all();
    assert_string_equal(trail, "a");
    event_set(&door);
    run_all();
    assert_string_equal(trail, "ab.s!");
}

// ---- the mutex: a waiter that was chosen and is then cancelled passes the grant on

static struct mutex m;

ASYNC_DECL(locker, char name;);
ASYNC(locker, long r;)
{
    ASYNC_BEGIN(locker);
    AWAIT(f->r, mutex_lock, &m, false);
    note(f->name);
    AWAIT(f->r, event_wait, &door, false);
    ASYNC_FINALLY;
    if (mutex_held(&m, t))
        mutex_unlock(&m, t);
    ASYNC_END;
}

static void cancelled_grant_is_passed_on(void **state)
{
    (void)state;
    event_init(&door);
    mutex_init(&m, "m");
    SPAWN("a", locker, 'a');
    struct task *b = SPAWN("b", locker, 'b');
    task_get(b);
    SPAWN("c", locker, 'c');
    run_all();
    assert_string_equal(trail, "a");
    door.set = 1; // a goes on when polled; b is granted, then cancelled
    event_set(&door);
    assert_true(executor_step()); // a ends, unlocks: b is chosen
    task_cancel(b);
    run_all();
    assert_string_equal(trail, "ac");
    assert_null(m.holder);
    task_put(b);
}

// ---- looking

static void backtrace_names_function_line_and_reason(void **state)
{
    (void)state;
    long out;
    struct async_step step[8];
    event_init(&door);
    struct task *t = SPAWN("impatient", impatient, &out);
    run_all();
    size_t n = task_backtrace(t, step, 8);
    assert_int_equal(n, 3);
    assert_string_equal(step[0].function, "event_wait");
    assert_string_equal(step[0].what, "event");
    assert_string_equal(step[1].function, "child");
    assert_string_equal(step[1].what, "event_wait");
    assert_string_equal(step[2].function, "impatient");
    assert_true(step[1].line > 0 && strstr(step[1].file, "async_test.c"));
    event_set(&door);
    run_all();
}

static void depth_is_the_sum_along_the_deepest_path(void **state)
{
    (void)state;
    long own = (parent_fn.size + 15) & ~15l, kid = (child_fn.size + 15) & ~15l;
    long leaf = (event_wait_fn.size + 15) & ~15l;
    assert_int_equal(async_depth(&parent_fn), own + kid + leaf);
}

ASYNC_DECL(endless, int n;);
ASYNC(endless, long r;)
{
    ASYNC_BEGIN(endless);
    AWAIT(f->r, endless, f->n + 1);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void recursion_is_found(void **state)
{
    (void)state;
    assert_int_equal(async_depth(&endless_fn), -1);
}

// ---- borrowing and holding

static void held_task_takes_no_step_and_loses_no_wake(void **state)
{
    (void)state;
    long out = 0;
    event_init(&door);
    struct task *t = SPAWN("parent", parent, &out);
    task_get(t);
    run_all();
    task_hold(t);
    run_all();
    assert_true(task_is_parked(t));
    event_set(&door);
    run_all();
    assert_string_equal(trail, "a");
    task_unhold(t);
    run_all();
    assert_string_equal(trail, "ab.xy.!");
    task_put(t);
}

static void borrowed_task_is_queued_at_release_when_woken(void **state)
{
    (void)state;
    long out = 0;
    event_init(&door);
    struct task *t = SPAWN("parent", parent, &out);
    task_get(t);
    run_all();
    assert_true(task_borrow(t));
    assert_false(task_borrow(t));
    event_set(&door);
    run_all();
    assert_string_equal(trail, "a");
    task_release(t);
    run_all();
    assert_string_equal(trail, "ab.xy.!");
    task_put(t);
}

// ---- arenas: a reserved segment carries the call, and is given back, also after a cancel

ASYNC_DECL(big, long *out;);
ASYNC(big, char room[4000]; long r;)
{
    ASYNC_BEGIN(big);
    memset(f->room, 7, sizeof f->room);
    AWAIT(f->r, child, 'a');
    *f->out = f->room[3999];
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(small_root, long *out;);
ASYNC(small_root, long r;)
{
    ASYNC_BEGIN(small_root);
    t->catcher = &f->hdr;
    assert_int_equal(task_reserve(t, (size_t)async_depth(&big_fn)), 0);
    AWAIT(f->r, big, f->out);
    task_trim(t);
    task_attention_clear(t, ATTN_CANCEL);
    note(t->segment ? '+' : '-');
    AWAIT(f->r, child, 'm');
    ASYNC_FINALLY;
    ASYNC_END;
}

static void segment(bool cancel)
{
    static struct task t;
    static char arena[1024];
    long out = 0, live = host_live_blocks();
    event_init(&door);
    t = (struct task){0};
    assert_int_equal(task_init(&t, "small", arena, sizeof arena, &small_root_fn,
                               &(struct small_root_args){&out}, sizeof(struct small_root_args)),
                     0);
    task_start(&t);
    run_all();
    if (cancel)
        task_cancel(&t);
    else
        event_set(&door);
    run_all();
    event_set(&door);
    run_all();
    assert_string_equal(trail, cancel ? "a.-mn." : "ab.-mn.");
    assert_int_equal(out, cancel ? 0 : 7);
    assert_int_equal(host_live_blocks(), live);
}

static void segment_is_given_back(void **state)
{
    (void)state;
    segment(false);
}

static void segment_is_given_back_after_cancel(void **state)
{
    (void)state;
    segment(true);
}

// ---- a task that is found and woken before its maker is done with it

ASYNC_DECL(born, char with;);
ASYNC(born, long r;)
{
    ASYNC_BEGIN(born);
    note(f->with);
    event_init(&door);
    AWAIT(f->r, event_wait, &door, false);
    note('!');
    ASYNC_FINALLY;
    ASYNC_END;
}

static void what_is_new_goes_nowhere_before_it_is_started(void **state)
{
    static struct task t;
    static char arena[1024];
    (void)state;
    t = (struct task){0};
    assert_int_equal(task_init(&t, "born", arena, sizeof arena, &born_fn, &(struct born_args){'1'},
                               sizeof(struct born_args)),
                     0);
    task_get(&t);
    task_attention(&t, ATTN_SIGNAL);
    task_hold(&t);
    task_unhold(&t);
    task_wake(&t);
    run_all();
    assert_string_equal(trail, "");
    assert_false(task_borrow(&t));
    assert_true(task_is_parked(&t)); // a freeze does not wait for it
    ((struct born_args *)(t.top + 1))->with = '2';
    task_start(&t);
    task_wake(&t);
    run_all();
    assert_string_equal(trail, "2");
    event_set(&door);
    run_all();
    assert_string_equal(trail, "2!");
    task_put(&t);
}

// ---- timers against a sorted model

static uint64_t fired_at[64];
static unsigned fired_count;

static void record(struct timer *tm)
{
    fired_at[fired_count++] = tm->when;
}

static void timers_fire_in_order_and_cancelled_ones_never(void **state)
{
    (void)state;
    static struct timer tm[64];
    unsigned seed = 12345, live = 0;
    fired_count = 0;
    for (int i = 0; i < 64; i++) {
        seed = seed * 1103515245 + 12345;
        tm[i] = (struct timer){0};
        timer_arm_ticks(&tm[i], host_ticks + 1 + (seed >> 8) % 1000, record);
    }
    for (int i = 0; i < 64; i++)
        if (i % 3 == 0)
            assert_true(timer_cancel(&tm[i]));
        else
            live++;
    for (int i = 0; i < 1100; i += 7) {
        host_ticks += 7;
        timers_run();
    }
    assert_int_equal(fired_count, live);
    for (unsigned i = 1; i < fired_count; i++)
        assert_true(fired_at[i - 1] <= fired_at[i]);
    assert_false(timer_cancel(&tm[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(await_resumes_and_returns, setup),
        cmocka_unit_test_setup(cancel_unwinds_leaf_first_once, setup),
        cmocka_unit_test_setup(cancel_before_the_first_run_finishes_nothing, setup),
        cmocka_unit_test_setup(deadline_unwinds_the_callee_only, setup),
        cmocka_unit_test_setup(deadline_in_time_changes_nothing, setup),
        cmocka_unit_test_setup(outer_deadline_first_unwinds_the_inner_one, setup),
        cmocka_unit_test_setup(shield_delays_cancel_to_its_end, setup),
        cmocka_unit_test_setup(cancelled_grant_is_passed_on, setup),
        cmocka_unit_test_setup(backtrace_names_function_line_and_reason, setup),
        cmocka_unit_test_setup(depth_is_the_sum_along_the_deepest_path, setup),
        cmocka_unit_test_setup(recursion_is_found, setup),
        cmocka_unit_test_setup(held_task_takes_no_step_and_loses_no_wake, setup),
        cmocka_unit_test_setup(borrowed_task_is_queued_at_release_when_woken, setup),
        cmocka_unit_test_setup(segment_is_given_back, setup),
        cmocka_unit_test_setup(segment_is_given_back_after_cancel, setup),
        cmocka_unit_test_setup(what_is_new_goes_nowhere_before_it_is_started, setup),
        cmocka_unit_test_setup(timers_fire_in_order_and_cancelled_ones_never, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
