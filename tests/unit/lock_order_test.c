// SPDX-License-Identifier: MIT
// sources: kernel/lib/lock_order.c kernel/lib/spinlock.c
// flags: -DLOCK_ORDER
// Circles in the order of locks are found at their first closing, of any length, and nothing else is.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "async/wait_async.h"
#include "lib/log.h"
#include "lib/spinlock.h"

const struct async_fn mutex_lock_fn;
_Thread_local struct hart hart_self;
uint64_t timebase_hz = 1;
static jmp_buf caught;
static char message[1024];

uint64_t ticks_to_ns(uint64_t ticks)
{
    return ticks;
}
uint64_t time_ticks(void)
{
    return 0;
}

void ipi_serve(void)
{
}

void panic(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    longjmp(caught, 1);
}

// True if code panics; message says with what.
#define PANICS(code)                                                                               \
    ({                                                                                             \
        bool did_ = setjmp(caught);                                                                \
        if (!did_) {                                                                               \
            code;                                                                                  \
        }                                                                                          \
        did_;                                                                                      \
    })

// Each test has classes of its own: what earlier tests did is remembered.
#define LOCK(id) static struct spinlock id = SPINLOCK_INIT(#id)

static void both(struct spinlock *a, struct spinlock *b)
{
    spin_lock(a);
    spin_lock(b);
    spin_unlock(b);
    spin_unlock(a);
}

static void same_order_is_fine(void **state)
{
    (void)state;
    LOCK(a);
    LOCK(b);
    LOCK(c);
    assert_false(PANICS(both(&a, &b)));
    assert_false(PANICS(both(&b, &c)));
    assert_false(PANICS(both(&a, &c)));
    assert_false(PANICS(both(&a, &b)));
}

static void inversion_is_found(void **state)
{
    (void)state;
    LOCK(a);
    LOCK(b);
    assert_false(PANICS(both(&a, &b)));
    assert_true(PANICS(both(&b, &a)));
    assert_non_null(strstr(message, "lock order: a ("));
    assert_non_null(strstr(message, "while b ("));
    assert_non_null(strstr(message, "earlier b at"));
    lock_order_drop(&b); // what the panic left
}

static void a_long_circle_is_found(void **state)
{
    (void)state;
    LOCK(a);
    LOCK(b);
    LOCK(c);
    LOCK(d);
    LOCK(aside);
    assert_false(PANICS(both(&a, &b)));
    assert_false(PANICS(both(&c, &d)));
    assert_false(PANICS(both(&b, &aside)));
    assert_false(PANICS(both(&b, &c)));
    assert_true(PANICS(both(&d, &a)));
    assert_non_null(strstr(message, "earlier b at"));
    assert_non_null(strstr(message, "; but earlier c at"));
    assert_non_null(strstr(message, "; but earlier d at"));
    assert_null(strstr(message, "aside"));
    lock_order_drop(&d);
}

static void released_in_any_order(void **state)
{
    (void)state;
    LOCK(a);
    LOCK(b);
    LOCK(c);
    spin_lock(&a);
    assert_true(spin_trylock(&b));
    spin_unlock(&a); // b alone is held now
    assert_false(PANICS(spin_lock(&c)));
    spin_unlock(&b);
    spin_unlock(&c);
    assert_false(PANICS(both(&c, &a)));   // a was never held with c
    assert_true(PANICS(spin_unlock(&a))); // nor is it now
}

static void brothers(void **state)
{
    (void)state;
    static struct spinlock l[2];
    for (int i = 0; i < 2; i++)
        spin_init(&l[i], "brother");
    spin_lock(&l[0]);
    assert_false(PANICS(spin_lock_nested(&l[1])));
    spin_unlock(&l[1]);
    assert_true(PANICS(spin_lock(&l[1])));
    assert_non_null(strstr(message, "another of its class"));
    spin_unlock(&l[0]);
}

static void trylock_waits_for_nobody(void **state)
{
    (void)state;
    LOCK(a);
    LOCK(b);
    LOCK(c);
    assert_false(PANICS(both(&a, &b)));
    spin_lock(&b);
    assert_true(spin_trylock(&a)); // no order
    assert_false(PANICS(spin_lock(&c)));
    spin_unlock(&c);
    spin_unlock(&a);
    spin_unlock(&b);
    assert_true(PANICS(both(&c, &a))); // but a before c counts
    lock_order_drop(&c);
}

static void nothing_held(void **state)
{
    (void)state;
    LOCK(a);
    assert_false(PANICS(lock_order_none_held("a sleep")));
    spin_lock(&a);
    assert_true(PANICS(lock_order_none_held("a sleep")));
    assert_non_null(strstr(message, "a sleep with lock a ("));
    spin_unlock(&a);
}

static void without_a_place(void **state)
{
    (void)state;
    static struct spinlock zeroed;
    assert_true(PANICS(spin_lock(&zeroed)));
    assert_non_null(strstr(message, "never initialised"));
}

static void mutexes_by_task(void **state)
{
    (void)state;
    static struct mutex a = {.name = "ma"}, b = {.name = "mb"}, c = {.name = "mc"};
    static struct task t, u;
    lock_order_mutex_taken(&a, &t);
    lock_order_mutex_taken(&c, &u); // another task's: in no order with a
    lock_order_mutex_wait(&b, &t);
    lock_order_mutex_taken(&b, &t);
    lock_order_mutex_dropped(&a, &t);
    lock_order_mutex_dropped(&c, &u);
    assert_false(PANICS(lock_order_mutex_wait(&c, &t))); // b before c
    lock_order_mutex_dropped(&b, &t);
    lock_order_mutex_taken(&c, &u);
    assert_true(PANICS(lock_order_mutex_wait(&a, &u)));
    assert_non_null(strstr(message, "ma (a mutex:0) taken"));
    assert_non_null(strstr(message, "earlier mb at"));
    assert_non_null(strstr(message, "earlier mc at"));
    assert_true(PANICS(lock_order_mutex_dropped(&a, &u)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_order_is_fine),
        cmocka_unit_test(inversion_is_found),
        cmocka_unit_test(a_long_circle_is_found),
        cmocka_unit_test(released_in_any_order),
        cmocka_unit_test(brothers),
        cmocka_unit_test(trylock_waits_for_nobody),
        cmocka_unit_test(nothing_held),
        cmocka_unit_test(without_a_place),
        cmocka_unit_test(mutexes_by_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
