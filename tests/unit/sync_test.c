// SPDX-License-Identifier: MIT
// Semaphore, rwlock, channel, broadcast, oneshot and the wait on several events against naive
// models: random sequences of requests, releases, cancels, signals and deadlines, the models
// compared after every poll.
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c
// sources: kernel/async/semaphore.c kernel/async/rwlock.c kernel/async/channel.c
// sources: kernel/async/broadcast.c kernel/async/select.c
// flags: -DDEBUG -DASYNC_CHECKED
#include "async/broadcast.h"
#include "async/channel.h"
#include "async/executor.h"
#include "async/rwlock.h"
#include "async/select.h"
#include "async/wait_async.h"
#include "host.h"
#include "lib/local.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WORKERS = 12, STEPS = 60000 };

static uint32_t seed;
static uint32_t below(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static struct task *workers[WORKERS];

static void run_all(void)
{
    while (executor_step()) {
    }
}

static int setup(void **state)
{
    (void)state;
    static bool once;
    if (!once) {
        executor_init();
        locals_init();
        once = true;
    }
    seed = 4711;
    return 0;
}

// What may befall a task at any time; what starts one that ended; what is compared after it.
struct rig {
    struct task *(*spawn)(unsigned i);
    void (*check)(void);
};

static void befall(const struct rig *r)
{
    unsigned i = below(WORKERS);
    struct task *t = workers[i];
    switch (below(16)) {
    case 0:
        task_cancel(t);
        break;
    case 1:
        task_attention(t, ATTN_SIGNAL);
        break;
    case 2:
        task_wake(t); // a spurious one
        break;
    case 3:
    case 4:
        host_ticks += below(40);
        timers_run();
        break;
    default:
        executor_step();
    }
    r->check();
    for (i = 0; i < WORKERS; i++)
        if (workers[i]->state & TASK_DEAD) {
            task_put(workers[i]);
            workers[i] = r->spawn(i);
            task_get(workers[i]);
        }
}

static void torment(const struct rig *r)
{
    long live = host_live_blocks();
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = r->spawn(i);
        task_get(workers[i]);
    }
    for (unsigned n = 0; n < STEPS; n++)
        befall(r);
    for (unsigned i = 0; i < WORKERS; i++)
        task_cancel(workers[i]);
    run_all();
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_true(workers[i]->state & TASK_DEAD);
        task_put(workers[i]);
    }
    r->check();
    assert_int_equal(host_live_blocks(), live);
    assert_int_equal(timers_next(), UINT64_MAX);
}

// A pause of a few polls or ticks; a random share of the tasks in it is cancelled there.
ASYNC_DECL(pause_a_little, int unused;);
ASYNC(pause_a_little, long r; unsigned n;)
{
    ASYNC_BEGIN(pause_a_little);
    for (f->n = below(4); f->n; f->n--)
        YIELD();
    if (below(2))
        AWAIT(f->r, sleep_ns, 100 * below(50), false);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- semaphore and rwlock: the model is a line of people and a heap of units

struct model {
    uint64_t units, line[WORKERS], wants[WORKERS], has[WORKERS];
    unsigned length; // of the line; line[] holds worker numbers
    uint64_t granted, timed_out, interrupted;
} md;

static void model_hand_out(void)
{
    while (md.length && md.wants[md.line[0]] <= md.units) {
        uint64_t who = md.line[0];
        md.units -= md.wants[who];
        md.has[who] = md.wants[who];
        for (unsigned i = 1; i < md.length; i++)
            md.line[i - 1] = md.line[i];
        md.length--;
    }
}

static void model_ask(unsigned who, uint64_t n)
{
    md.wants[who] = n;
    md.line[md.length++] = who;
    model_hand_out();
}

// Gives back what it has, leaves the line if it stands there.
static void model_leave(unsigned who)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < md.length; i++)
        if (md.line[i] != who)
            md.line[kept++] = md.line[i];
    md.length = kept;
    md.units += md.has[who];
    md.has[who] = 0;
    model_hand_out();
}

static struct semaphore sem;
static struct rwlock rw;

static void check_line(const struct semaphore *s)
{
    unsigned n = 0;
    assert_int_equal(s->units, md.units);
    LIST_FOREACH(it, &s->waiters.head) {
        const struct waiter *w = list_entry(it, struct waiter, link);
        assert_true(n < md.length);
        assert_ptr_equal(w->task, workers[md.line[n]]);
        assert_int_equal(w->key, md.wants[md.line[n]]);
        n++;
    }
    assert_int_equal(n, md.length);
}

static void check_semaphore(void)
{
    check_line(&sem);
}

static void check_rwlock(void)
{
    unsigned readers = 0, writers = 0;
    check_line(&rw.units);
    for (unsigned i = 0; i < WORKERS; i++) {
        readers += md.has[i] == RWLOCK_READ;
        writers += md.has[i] == RWLOCK_WRITE;
    }
    assert_true(writers <= 1 && !(writers && readers));
}

ASYNC_DECL(taker, unsigned who;);
ASYNC(taker, struct deadline d; long r; uint64_t n; bool held; bool patient; bool interruptible;)
{
    ASYNC_BEGIN(taker);
    f->held = false;
    for (;;) {
        AWAIT(f->r, pause_a_little, 0);
        f->n = 1 + below(below(4) ? 3 : 8);
        f->patient = below(2);
        f->interruptible = below(2);
        model_ask(f->who, f->n);
        if (f->patient)
            AWAIT(f->r, semaphore_take, &sem, f->n, f->interruptible);
        else
            AWAIT_WITHIN(f->r, &f->d, 100 * (1 + below(60)), semaphore_take, &sem, f->n,
                         f->interruptible);
        if (f->r == 0) {
            f->held = true;
            md.granted++;
            assert_int_equal(md.has[f->who], f->n);
            AWAIT(f->r, pause_a_little, 0);
            f->held = false;
            semaphore_give(&sem, f->n);
        } else {
            assert_true(f->r == -ETIMEDOUT ? !f->patient : f->interruptible && f->r == -EINTR);
            *(f->r == -EINTR ? &md.interrupted : &md.timed_out) += 1;
        }
        model_leave(f->who);
        task_attention_clear(t, ATTN_SIGNAL);
    }
    ASYNC_FINALLY;
    if (f->held)
        semaphore_give(&sem, f->n);
    model_leave(f->who);
    ASYNC_END;
}

static struct task *spawn_taker(unsigned i)
{
    return SPAWN("taker", taker, i);
}

static void semaphore_is_first_come_first_served(void **state)
{
    (void)state;
    md = (struct model){.units = 8};
    semaphore_init(&sem, "sem", 8);
    torment(&(struct rig){spawn_taker, check_semaphore});
    assert_int_equal(sem.units, 8);
    assert_true(md.granted > 1000 && md.timed_out > 100 && md.interrupted > 100);
    assert_true(semaphore_try_take(&sem, 8));
    assert_false(semaphore_try_take(&sem, 1));
}

ASYNC_DECL(rw_user, unsigned who;);
ASYNC(rw_user, struct deadline d; long r; enum rwlock_how how; bool held;)
{
    ASYNC_BEGIN(rw_user);
    f->held = false;
    for (;;) {
        AWAIT(f->r, pause_a_little, 0);
        f->how = below(4) ? RWLOCK_READ : RWLOCK_WRITE;
        model_ask(f->who, f->how);
        AWAIT_WITHIN(f->r, &f->d, 100 * (1 + below(90)), rwlock_lock, &rw, f->how, true);
        if (f->r == 0) {
            f->held = true;
            md.granted++;
            assert_int_equal(md.has[f->who], f->how);
            assert_true((rw.writer == t) == (f->how == RWLOCK_WRITE));
            AWAIT(f->r, pause_a_little, 0);
            f->held = false;
            rwlock_unlock(&rw, f->how, t);
        }
        model_leave(f->who);
        task_attention_clear(t, ATTN_SIGNAL);
    }
    ASYNC_FINALLY;
    if (f->held)
        rwlock_unlock(&rw, f->how, t);
    model_leave(f->who);
    ASYNC_END;
}

static struct task *spawn_rw(unsigned i)
{
    return SPAWN("rw", rw_user, i);
}

static void rwlock_is_fair_and_exclusive(void **state)
{
    (void)state;
    md = (struct model){.units = RWLOCK_WRITE};
    rwlock_init(&rw, "rw");
    torment(&(struct rig){spawn_rw, check_rwlock});
    assert_null(rw.writer);
    assert_true(md.granted > 1000);
    struct task *me = workers[0]; // any name will do
    assert_true(rwlock_trylock(&rw, RWLOCK_READ, me));
    assert_true(rwlock_trylock(&rw, RWLOCK_READ, me));
    assert_false(rwlock_trylock(&rw, RWLOCK_WRITE, me));
}

// ---- channel: the model is an array

enum { ROOM = 64 };
static struct channel ch;
static struct {
    struct message m;
    uint64_t value;
} letters[ROOM];
static bool in_use[ROOM];
static uint64_t model_queue[ROOM], model_count, letters_sent, letters_received;

// Nobody sleeps who could go on, unless he has been woken.
static bool all_asleep(const struct waitq *q)
{
    return !waitq_empty(q);
}

static void check_channel(void)
{
    unsigned i = 0, runnable = run_queue_length(0);
    assert_int_equal(ch.count, model_count);
    LIST_FOREACH(it, &ch.messages)
        assert_int_equal(((typeof(&letters[0]))list_entry(it, struct message, link))->value,
                         model_queue[i++]);
    assert_int_equal(i, model_count);
    assert_true(!ch.limit || ch.count <= ch.limit);
    if (runnable)
        return;
    assert_false(all_asleep(&ch.receivers) && ch.count);
    assert_false(all_asleep(&ch.senders) && ch.count < ch.limit);
}

ASYNC_DECL(sender, unsigned who;);
ASYNC(sender, struct deadline d; long r; unsigned i; bool has;)
{
    ASYNC_BEGIN(sender);
    f->has = false;
    for (;;) {
        AWAIT(f->r, pause_a_little, 0);
        for (f->i = 0; f->i < ROOM && in_use[f->i];)
            f->i++;
        if (f->i == ROOM)
            continue;
        in_use[f->i] = f->has = true;
        letters[f->i].value = f->who * 1000000ul + letters_sent;
        AWAIT_WITHIN(f->r, &f->d, 100 * (1 + below(60)), channel_send, &ch, &letters[f->i].m, true);
        f->has = false;
        if (f->r == 0)
            model_queue[model_count++] = letters[f->i].value, letters_sent++;
        else
            in_use[f->i] = false;
        task_attention_clear(t, ATTN_SIGNAL);
    }
    ASYNC_FINALLY;
    if (f->has)
        in_use[f->i] = false;
    ASYNC_END;
}

ASYNC_DECL(receiver, unsigned who;);
ASYNC(receiver, struct deadline d; long r; struct message * m;)
{
    ASYNC_BEGIN(receiver);
    for (;;) {
        AWAIT_WITHIN(f->r, &f->d, 100 * (1 + below(60)), channel_receive, &ch, &f->m, true);
        if (f->r == 0) {
            size_t at = (size_t)((typeof(&letters[0]))f->m - letters);
            assert_true(model_count && letters[at].value == model_queue[0]);
            memmove(model_queue, model_queue + 1, --model_count * sizeof model_queue[0]);
            in_use[at] = false;
            letters_received++;
        }
        task_attention_clear(t, ATTN_SIGNAL);
        AWAIT(f->r, pause_a_little, 0);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static struct task *spawn_mail(unsigned i)
{
    return i % 2 ? SPAWN("sender", sender, i) : SPAWN("receiver", receiver, i);
}

static void channel(uint32_t limit)
{
    model_count = letters_sent = letters_received = 0;
    memset(in_use, 0, sizeof in_use);
    channel_init(&ch, "channel", limit);
    torment(&(struct rig){spawn_mail, check_channel});
    assert_true(letters_received > 1000);
    assert_int_equal(letters_sent, letters_received + model_count);
    assert_true(waitq_empty(&ch.receivers) && waitq_empty(&ch.senders));
}

static void bounded_channel_keeps_order_and_bound(void **state)
{
    (void)state;
    channel(1);
    channel(3);
}

static void unbounded_channel_keeps_order_and_never_waits(void **state)
{
    (void)state;
    channel(0);
}

static long outcome;
ASYNC_DECL(receive_one, int unused;);
ASYNC(receive_one, struct message * m; long r;)
{
    ASYNC_BEGIN(receive_one);
    AWAIT(f->r, channel_receive, &ch, &f->m, false);
    outcome = f->r;
    ASYNC_FINALLY;
    ASYNC_END;
}

static void cancelled_receiver_passes_its_wake_on(void **state)
{
    (void)state;
    channel_init(&ch, "channel", 0);
    outcome = 1;
    struct task *chosen = SPAWN("chosen", receive_one, 0);
    SPAWN("next", receive_one, 0);
    run_all();
    assert_int_equal(channel_try_send(&ch, &letters[0].m), 0);
    task_cancel(chosen);
    run_all();
    assert_int_equal(outcome, 0);
    assert_int_equal(ch.count, 0);
    assert_true(waitq_empty(&ch.receivers));
}

static void closed_channel_is_emptied_first(void **state)
{
    (void)state;
    struct message *m;
    channel_init(&ch, "channel", 1);
    assert_int_equal(channel_try_receive(&ch, &m), -EAGAIN);
    assert_int_equal(channel_try_send(&ch, &letters[0].m), 0);
    assert_int_equal(channel_try_send(&ch, &letters[1].m), -EAGAIN);
    channel_close(&ch);
    assert_int_equal(channel_try_send(&ch, &letters[1].m), -EPIPE);
    assert_int_equal(channel_try_receive(&ch, &m), 0);
    assert_ptr_equal(m, &letters[0].m);
    channel_init(&ch, "channel", 1);
    outcome = 1;
    SPAWN("one", receive_one, 0);
    run_all();
    assert_int_equal(outcome, 1);
    channel_close(&ch);
    run_all();
    assert_int_equal(outcome, -EPIPE);
}

// ---- broadcast: the model is all values ever sent

static struct broadcast bc;
static uint64_t bc_ring[4], bc_sent, bc_got, bc_lost;

static void check_broadcast(void)
{
    assert_int_equal(bc.sent, bc_sent);
    if (!run_queue_length(0)) // who waits has seen all
        LIST_FOREACH(it, &bc.waiters.head)
            assert_true(list_entry(it, struct waiter, link)->queued);
}

ASYNC_DECL(teller, unsigned who;);
ASYNC(teller, long r;)
{
    ASYNC_BEGIN(teller);
    for (;;) {
        AWAIT(f->r, pause_a_little, 0);
        broadcast_send(&bc, 3 * bc_sent);
        bc_sent++;
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(listener, unsigned who;);
ASYNC(listener, struct deadline d; long r; struct broadcast_receiver rx; uint64_t v; uint64_t next;)
{
    ASYNC_BEGIN(listener);
    broadcast_join(&bc, &f->rx);
    f->next = bc_sent;
    for (;;) {
        AWAIT_WITHIN(f->r, &f->d, 100 * (1 + below(60)), broadcast_receive, &bc, &f->rx, &f->v,
                     true);
        if (f->r >= 0) {
            uint64_t oldest = bc_sent > 4 ? bc_sent - 4 : 0;
            uint64_t expect = f->next > oldest ? f->next : oldest;
            assert_int_equal(f->r, expect - f->next);
            assert_int_equal(f->v, 3 * expect);
            f->next = expect + 1;
            bc_got++;
            bc_lost += (uint64_t)f->r;
        } else if (f->r == -EINTR) {
            assert_int_equal(f->next, bc_sent); // what is there is received first
        }
        task_attention_clear(t, ATTN_SIGNAL);
        if (below(8) == 0)
            AWAIT(f->r, pause_a_little, 0);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static struct task *spawn_bc(unsigned i)
{
    return i % 4 ? SPAWN("listener", listener, i) : SPAWN("teller", teller, i);
}

static void broadcast_tells_all_or_how_many_were_lost(void **state)
{
    (void)state;
    bc_sent = bc_got = bc_lost = 0;
    broadcast_init(&bc, "broadcast", bc_ring, 4);
    torment(&(struct rig){spawn_bc, check_broadcast});
    assert_true(bc_got > 1000 && bc_lost > 10);
    assert_true(waitq_empty(&bc.waiters));
}

// ---- oneshot and the wait on several events

static struct oneshot shot;
static uint64_t shot_got[2];
ASYNC_DECL(shot_user, unsigned i;);
ASYNC(shot_user, long r;)
{
    ASYNC_BEGIN(shot_user);
    AWAIT(f->r, oneshot_receive, &shot, &shot_got[f->i], true);
    outcome = f->r;
    ASYNC_FINALLY;
    ASYNC_END;
}

static void oneshot_is_set_once_for_all(void **state)
{
    (void)state;
    oneshot_init(&shot);
    SPAWN("a", shot_user, 0);
    SPAWN("b", shot_user, 1);
    run_all();
    assert_int_equal(oneshot_send(&shot, 42), 0);
    assert_int_equal(oneshot_send(&shot, 43), -EBUSY);
    oneshot_drop(&shot);
    run_all();
    assert_int_equal(shot_got[0], 42);
    assert_int_equal(shot_got[1], 42);
    assert_int_equal(outcome, 0);
    oneshot_init(&shot);
    SPAWN("a", shot_user, 0);
    run_all();
    oneshot_drop(&shot);
    run_all();
    assert_int_equal(outcome, -EPIPE);
}

static struct event doors[3];
static uint64_t passed[3];

static void check_doors(void)
{
    if (!run_queue_length(0)) // nobody waits at an open door
        for (int i = 0; i < 3; i++)
            assert_true(!doors[i].set || waitq_empty(&doors[i].waiters));
}

ASYNC_DECL(guest, unsigned who;);
ASYNC(guest, struct deadline d; long r; struct choice any[3];)
{
    ASYNC_BEGIN(guest);
    for (;;) {
        for (int i = 0; i < 3; i++)
            f->any[i].event = &doors[i];
        AWAIT_WITHIN(f->r, &f->d, 100 * (1 + below(90)), event_wait_any, f->any, 3, true);
        if (f->r >= 0) {
            assert_true(doors[f->r].set);
            for (long i = 0; i < f->r; i++)
                assert_false(doors[i].set);
            passed[f->r]++;
            if (below(3) == 0)
                event_clear(&doors[f->r]);
        }
        task_attention_clear(t, ATTN_SIGNAL);
        AWAIT(f->r, pause_a_little, 0);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(porter, unsigned who;);
ASYNC(porter, long r;)
{
    ASYNC_BEGIN(porter);
    for (;;) {
        AWAIT(f->r, pause_a_little, 0);
        event_set(&doors[below(3)]);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static struct task *spawn_doors(unsigned i)
{
    return i % 4 ? SPAWN("guest", guest, i) : SPAWN("porter", porter, i);
}

static void one_wait_on_several_events(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        event_init(&doors[i]);
    torment(&(struct rig){spawn_doors, check_doors});
    for (int i = 0; i < 3; i++) {
        assert_true(passed[i] > 100);
        assert_true(waitq_empty(&doors[i].waiters));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(semaphore_is_first_come_first_served, setup),
        cmocka_unit_test_setup(rwlock_is_fair_and_exclusive, setup),
        cmocka_unit_test_setup(bounded_channel_keeps_order_and_bound, setup),
        cmocka_unit_test_setup(unbounded_channel_keeps_order_and_never_waits, setup),
        cmocka_unit_test_setup(cancelled_receiver_passes_its_wake_on, setup),
        cmocka_unit_test_setup(closed_channel_is_emptied_first, setup),
        cmocka_unit_test_setup(broadcast_tells_all_or_how_many_were_lost, setup),
        cmocka_unit_test_setup(oneshot_is_set_once_for_all, setup),
        cmocka_unit_test_setup(one_wait_on_several_events, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
