// SPDX-License-Identifier: MIT
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c
// sources: kernel/async/semaphore.c kernel/async/rwlock.c kernel/async/channel.c
// sources: kernel/async/broadcast.c kernel/async/select.c
// flags: -DDEBUG -DASYNC_CHECKED -Wno-tsan
// tsan
// Semaphore, rwlock, channel, broadcast, oneshot and the wait on several events on four harts at once, each a thread with its
// executor, amid cancels, signals, deadlines and wakes that mean nothing. No unit and no message is lost or had twice, and
// writers exclude all others: what they write has no lock of its own, so that ThreadSanitizer sees it, too. In the end nobody
// is cancelled or has a deadline any more, and all who wait must be woken.
#include "async/broadcast.h"
#include "async/channel.h"
#include "async/executor.h"
#include "async/rwlock.h"
#include "async/select.h"
#include "async/wait_async.h"
#include "host.h"
#include "lib/local.h"
#include "page/heap.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { HARTS = 4, STEPS = 40000, ROUNDS = 100 };
enum { UNITS = 5, CHANNELS = 2, BROADCASTS = 2, KEPT = 4, SHOTS = 512, DOORS = 3, DROPPED = -1 };

static uint32_t wrong, over, ended_early;
#define CHECK(what)                                                                                \
    ((what) ? (void)0                                                                              \
            : (void)(atomic_add32(&wrong, 1),                                                      \
                     fprintf(stderr, "# %s:%d: not so: %s\n", __FILE__, __LINE__, #what)))

static _Thread_local uint32_t seed;
static uint32_t below(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

// Mostly with a deadline, but in the end without.
#define AWAIT_MOSTLY(...)                                                                          \
    do {                                                                                           \
        if (load_relaxed(&over) || below(4) == 0)                                                  \
            AWAIT(f->r, __VA_ARGS__);                                                              \
        else                                                                                       \
            AWAIT_WITHIN(f->r, &f->d, 100 * (1 + below(200)), __VA_ARGS__);                        \
        CHECK(f->r >= 0 || f->r == -ETIMEDOUT || f->r == -EINTR || f->r == -EPIPE);                \
        task_attention_clear(t, ATTN_SIGNAL);                                                      \
    } while (0)

ASYNC_DECL(pause_a_little, int unused;);
ASYNC(pause_a_little, long r; uint32_t n;)
{
    ASYNC_BEGIN(pause_a_little);
    for (f->n = below(4); f->n; f->n--)
        YIELD();
    if (below(4) == 0)
        AWAIT(f->r, sleep_ns, 100 * below(50), false);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- semaphore and rwlock

static struct semaphore sem;
static uint32_t units_taken, grants;

ASYNC_DECL(taker, uint32_t who;);
ASYNC(taker, struct deadline d; long r; uint32_t n; bool held;)
{
    ASYNC_BEGIN(taker);
    f->held = false;
    while (!load_relaxed(&over)) {
        AWAIT(f->r, pause_a_little, 0);
        f->n = 1 + below(UNITS);
        AWAIT_MOSTLY(semaphore_take, &sem, f->n, true);
        if (f->r)
            continue;
        f->held = true;
        CHECK(atomic_add32(&units_taken, f->n) + f->n <= UNITS);
        atomic_add32(&grants, 1);
        AWAIT(f->r, pause_a_little, 0);
        f->held = false;
        atomic_add32(&units_taken, -f->n);
        semaphore_give(&sem, f->n);
    }
    ASYNC_FINALLY;
    if (f->held) {
        atomic_add32(&units_taken, -f->n);
        semaphore_give(&sem, f->n);
    }
    ASYNC_END;
}

static struct rwlock rw;
static uint32_t readers;
static uint64_t written[2]; // the same twice, but to a writer

static void rw_leave(enum rwlock_how how, struct task *t)
{
    if (how == RWLOCK_READ) {
        CHECK(written[0] == written[1]);
        atomic_add32(&readers, (uint32_t)-1);
    } else {
        CHECK(written[0] == ++written[1] && load_relaxed(&readers) == 0);
    }
    rwlock_unlock(&rw, how, t);
}

ASYNC_DECL(rw_user, uint32_t who;);
ASYNC(rw_user, struct deadline d; long r; enum rwlock_how how; bool held;)
{
    ASYNC_BEGIN(rw_user);
    f->held = false;
    while (!load_relaxed(&over)) {
        AWAIT(f->r, pause_a_little, 0);
        f->how = below(3) ? RWLOCK_READ : RWLOCK_WRITE;
        AWAIT_MOSTLY(rwlock_lock, &rw, f->how, true);
        if (f->r)
            continue;
        f->held = true;
        CHECK(written[0] == written[1]);
        if (f->how == RWLOCK_READ)
            atomic_add32(&readers, 1);
        else
            written[0]++;
        AWAIT(f->r, pause_a_little, 0);
        f->held = false;
        rw_leave(f->how, t);
    }
    ASYNC_FINALLY;
    if (f->held)
        rw_leave(f->how, t);
    ASYNC_END;
}

// ---- channels, one bounded and one not: a letter is the sender's, the channel's or the receiver's, who frees it

struct letter {
    struct message m;
    uint64_t value, inverse;
};
static struct channel ch[CHANNELS];
static uint32_t sent[CHANNELS], received[CHANNELS];

ASYNC_DECL(sender, uint32_t who;);
ASYNC(sender, struct deadline d; long r; uint32_t c; struct letter * l;)
{
    ASYNC_BEGIN(sender);
    f->l = NULL;
    f->c = f->who % CHANNELS;
    while (!load_relaxed(&over)) {
        AWAIT(f->r, pause_a_little, 0);
        f->l = kmalloc(sizeof *f->l);
        f->l->value = (uint64_t)f->who << 32 | below(1 << 20);
        f->l->inverse = ~f->l->value;
        AWAIT_MOSTLY(channel_send, &ch[f->c], &f->l->m, true);
        if (f->r == 0)
            atomic_add32(&sent[f->c], 1);
        else
            kfree(f->l);
        f->l = NULL;
    }
    ASYNC_FINALLY;
    kfree(f->l);
    ASYNC_END;
}

ASYNC_DECL(receiver, uint32_t who;);
ASYNC(receiver, struct deadline d; long r; uint32_t c; struct message * m;)
{
    ASYNC_BEGIN(receiver);
    f->c = f->who % CHANNELS;
    for (;;) {
        AWAIT_MOSTLY(channel_receive, &ch[f->c], &f->m, true);
        if (f->r == 0) {
            struct letter *l = (struct letter *)f->m;
            CHECK(l->inverse == ~l->value);
            l->inverse = l->value;
            kfree(l);
            atomic_add32(&received[f->c], 1);
        } else if (f->r == -EPIPE) {
            break;
        }
        AWAIT(f->r, pause_a_little, 0);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- broadcasts, each with one teller

static struct broadcast bc[BROADCASTS];
static uint64_t ring[BROADCASTS][KEPT], told[BROADCASTS];
static uint32_t heard, missed;

ASYNC_DECL(teller, uint32_t who;);
ASYNC(teller, long r; uint32_t b;)
{
    ASYNC_BEGIN(teller);
    f->b = f->who % BROADCASTS;
    while (!load_relaxed(&over)) {
        AWAIT(f->r, pause_a_little, 0);
        broadcast_send(&bc[f->b], 3 * told[f->b]++);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(listener, uint32_t who;);
ASYNC(listener, struct deadline d; long r; uint32_t b; struct broadcast_receiver rx; uint64_t next;
      uint64_t v;)
{
    ASYNC_BEGIN(listener);
    f->b = f->who % BROADCASTS;
    broadcast_join(&bc[f->b], &f->rx);
    f->next = f->rx.next;
    for (;;) {
        AWAIT_MOSTLY(broadcast_receive, &bc[f->b], &f->rx, &f->v, true);
        if (f->r >= 0) {
            CHECK(f->v == 3 * (f->next + (uint64_t)f->r));
            f->next += (uint64_t)f->r + 1;
            atomic_add32(&heard, 1);
            atomic_add32(&missed, (uint32_t)f->r);
        } else if (f->r == -EPIPE) {
            CHECK(f->next == told[f->b]);
            break;
        }
        if (below(4) == 0)
            AWAIT(f->r, pause_a_little, 0);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- oneshots: several set each, or drop it, and all who ask are told the same

static struct oneshot shots[SHOTS];
static uint32_t won[SHOTS], shown[SHOTS]; // 0: by nobody, to nobody
static uint32_t answers;

ASYNC_DECL(shooter, uint32_t who;);
ASYNC(shooter, long r; uint32_t i;)
{
    ASYNC_BEGIN(shooter);
    for (f->i = 0; f->i < SHOTS && !load_relaxed(&over); f->i++) {
        AWAIT(f->r, pause_a_little, 0);
        if (below(8) == 0)
            oneshot_drop(&shots[f->i]);
        else if (oneshot_send(&shots[f->i], f->who + 1) == 0)
            CHECK(atomic_swap32(&won[f->i], f->who + 1) == 0);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(asker, uint32_t who;);
ASYNC(asker, struct deadline d; long r; uint32_t i; uint64_t v;)
{
    ASYNC_BEGIN(asker);
    for (f->i = 0; f->i < SHOTS && !load_relaxed(&over); f->i++) {
        AWAIT(f->r, pause_a_little, 0);
        AWAIT_MOSTLY(oneshot_receive, &shots[f->i], &f->v, true);
        if (f->r && f->r != -EPIPE)
            continue;
        uint32_t v = f->r ? (uint32_t)DROPPED : (uint32_t)f->v;
        uint32_t was = atomic_cas32(&shown[f->i], 0, v);
        CHECK(was == 0 || was == v);
        atomic_add32(&answers, 1);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- one wait on several events: balls are thrown through doors, who finds one open shuts it and takes what is there

static struct event doors[DOORS + 1]; // the last: it is over
static uint32_t balls[DOORS], thrown, caught;

ASYNC_DECL(thrower, uint32_t who;);
ASYNC(thrower, long r; uint32_t door;)
{
    ASYNC_BEGIN(thrower);
    while (!load_relaxed(&over)) {
        AWAIT(f->r, pause_a_little, 0);
        f->door = below(DOORS);
        atomic_add32(&thrown, 1);
        atomic_add32(&balls[f->door], 1);
        event_set(&doors[f->door]);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(catcher, uint32_t who;);
ASYNC(catcher, struct deadline d; long r; struct choice any[DOORS + 1];)
{
    ASYNC_BEGIN(catcher);
    for (;;) {
        AWAIT(f->r, pause_a_little, 0);
        for (uint32_t i = 0; i <= DOORS; i++)
            f->any[i].event = &doors[i];
        AWAIT_MOSTLY(event_wait_any, f->any, DOORS + 1, true);
        if (f->r == DOORS)
            break;
        if (f->r >= 0) {
            event_clear(&doors[f->r]);
            atomic_add32(&caught, atomic_swap32(&balls[f->r], 0));
        }
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- the harts

static const struct async_fn *const roots[] = {
    &teller_fn,   &teller_fn,   &sender_fn,   &sender_fn,   &sender_fn,   &sender_fn,
    &thrower_fn,  &thrower_fn,  &taker_fn,    &taker_fn,    &taker_fn,    &taker_fn,
    &rw_user_fn,  &rw_user_fn,  &rw_user_fn,  &rw_user_fn,  &receiver_fn, &receiver_fn,
    &receiver_fn, &receiver_fn, &listener_fn, &listener_fn, &listener_fn, &listener_fn,
    &shooter_fn,  &shooter_fn,  &asker_fn,    &asker_fn,    &asker_fn,    &catcher_fn,
    &catcher_fn,
};
enum { WORKERS = sizeof roots / sizeof *roots, SOURCES = 8 }; // the first tell, send and throw

static struct {
    struct spinlock lock;
    struct task *task; // referenced
} workers[WORKERS];
static pthread_barrier_t together;

static void release(struct task *t)
{
    kfree(t);
}

// Lock held, or nobody else is there yet.
static void spawn(uint32_t i)
{
    long need = async_depth(roots[i]);
    struct task *t = kzalloc(sizeof *t + (size_t)need);
    CHECK(task_init(t, "worker", t + 1, (size_t)need, roots[i], &i, sizeof i) == 0);
    t->release = release;
    task_get(t);
    workers[i].task = t;
    task_start(t);
}

static bool is_dead(uint32_t i)
{
    return load_acquire(&workers[i].task->state) & TASK_DEAD;
}

static void befall(uint32_t i)
{
    spin_lock(&workers[i].lock);
    struct task *t = workers[i].task;
    if (is_dead(i)) {
        atomic_add32(&ended_early, 1);
        task_put(t);
        spawn(i);
    } else if (below(4) == 0) {
        task_cancel(t);
    } else if (below(2)) {
        task_attention(t, ATTN_SIGNAL);
    } else {
        task_wake(t);
    }
    spin_unlock(&workers[i].lock);
}

static void step(void)
{
    if (!executor_step())
        sched_yield();
    if (below(4) == 0) {
        atomic_add64(&host_ticks, below(20));
        timers_run();
    }
}

static bool are_dead(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        if (!is_dead(i))
            return false;
    return true;
}

// What is sent last wants somebody who receives it: those whom a cancel has ended are born anew.
static void revive_receivers(void)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        if (roots[i] == &receiver_fn && is_dead(i)) {
            task_put(workers[i].task);
            spawn(i);
        }
    }
}

// When nothing more is told, sent and thrown: what ends the others.
static void close_all(void)
{
    for (uint32_t i = 0; i < CHANNELS; i++)
        channel_close(&ch[i]);
    for (uint32_t i = 0; i < BROADCASTS; i++)
        broadcast_close(&bc[i]);
    for (uint32_t i = 0; i < SHOTS; i++)
        oneshot_drop(&shots[i]);
    event_set(&doors[DOORS]);
}

static bool closed, done; // hart 0 writes them, while the others wait at the barrier

static void end_round(void)
{
    done = are_dead(0, WORKERS);
    if (closed)
        return;
    revive_receivers();
    closed = are_dead(0, SOURCES);
    if (closed)
        close_all();
}

static void *hart(void *arg)
{
    uint32_t self = (uint32_t)(uintptr_t)arg;
    host_hart_init(self);
    seed = self + 1;
    run_queue_enter();
    pthread_barrier_wait(&together);
    for (uint32_t n = 0; n < STEPS; n++) {
        step();
        if (below(8) == 0)
            befall(below(WORKERS));
    }
    pthread_barrier_wait(&together);
    store_relaxed(&over, 1);
    for (uint32_t round = 0; round < ROUNDS && !done; round++) {
        for (uint32_t n = 0; n < STEPS / ROUNDS; n++)
            step();
        pthread_barrier_wait(&together);
        if (self == 0)
            end_round();
        pthread_barrier_wait(&together);
    }
    return NULL;
}

static void start(void)
{
    hart_count = HARTS;
    executor_init();
    locals_init();
    semaphore_init(&sem, "semaphore", UNITS);
    rwlock_init(&rw, "rwlock");
    for (uint32_t i = 0; i < CHANNELS; i++)
        channel_init(&ch[i], "channel", 3 * i);
    for (uint32_t i = 0; i < BROADCASTS; i++)
        broadcast_init(&bc[i], "broadcast", ring[i], KEPT);
    for (uint32_t i = 0; i < SHOTS; i++)
        oneshot_init(&shots[i]);
    for (uint32_t i = 0; i <= DOORS; i++)
        event_init(&doors[i]);
    for (uint32_t i = 0; i < WORKERS; i++)
        spawn(i);
}

static void on_each_hart(void *(*fn)(void *))
{
    pthread_t thread[HARTS];
    pthread_barrier_init(&together, NULL, HARTS);
    for (uintptr_t i = 1; i < HARTS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, fn, (void *)i), 0);
    fn((void *)0);
    for (uint32_t i = 1; i < HARTS; i++)
        pthread_join(thread[i], NULL);
}

static void four_harts_share_all_of_them(void **state)
{
    (void)state;
    start();
    on_each_hart(hart);
    for (uint32_t i = 0; i < WORKERS; i++) {
        if (!is_dead(i))
            fail_msg("%s was not woken", workers[i].task->top->fn->name);
        task_put(workers[i].task);
    }
    for (uint32_t i = 0; i < SHOTS; i++)
        assert_true(!shown[i] || shown[i] == (won[i] ? won[i] : (uint32_t)DROPPED));
    for (uint32_t i = 0; i < DOORS; i++)
        caught += balls[i]; // the last door may be seen first
    for (uint32_t i = 0; i < CHANNELS; i++)
        assert_int_equal(sent[i], received[i]);
    assert_int_equal(thrown, caught);
    assert_int_equal(units_taken, 0);
    assert_int_equal(sem.units, UNITS);
    assert_int_equal(rw.units.units, RWLOCK_WRITE);
    assert_int_equal(host_live_blocks(), 1); // the run queues
    assert_int_equal(wrong, 0);
    print_message(
        "# %u grants, %lu writes, %u and %u letters, %u heard, %u missed, %u answers, %u balls, %u ended early\n",
        grants, written[0], sent[0], sent[1], heard, missed, answers, thrown, ended_early);
}

// ---- depths, which whoever asks first computes

static void *asks(void *arg)
{
    host_hart_init((uint32_t)(uintptr_t)arg);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (arg == NULL)
            for (uint32_t i = 0; i < WORKERS; i++)
                store_relaxed(roots[i]->depth, 0);
        pthread_barrier_wait(&together);
        for (uint32_t i = 0; i < WORKERS; i++)
            CHECK(async_depth(roots[i]) > (long)roots[i]->size);
        pthread_barrier_wait(&together);
    }
    return NULL;
}

static void each_hart_is_told_the_depth_that_another_computes(void **state)
{
    (void)state;
    on_each_hart(asks);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hart_is_told_the_depth_that_another_computes),
        cmocka_unit_test(four_harts_share_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
