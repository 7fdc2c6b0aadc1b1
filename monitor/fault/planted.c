// SPDX-License-Identifier: MIT
// deadlock, long-poll, leaked-frame: mistakes of the kernel itself, planted for k.lint to find. And full-channel, which is
// none: whoever sends waits rightly, and k.lint is silent.
#include "arch/cpu.h"
#include "async/broadcast.h"
#include "async/channel.h"
#include "async/rwlock.h"
#include "async/wait_async.h"
#include "fault/fault.h"
#include "lib/errno.h"
#include "page/frame.h"

#include <stdio.h>

// ---- deadlock: two kernel tasks take two locks in the two orders

static struct rwlock locks[2];
static struct event has[2];
static uint32_t takers[2];

ASYNC_DECL(take_two, int first;);
ASYNC(take_two, long r;)
{
    ASYNC_BEGIN(take_two);
    AWAIT(f->r, rwlock_lock, &locks[f->first], RWLOCK_WRITE, false);
    event_set(&has[f->first]);
    AWAIT(f->r, event_wait, &has[!f->first], false);
    AWAIT(f->r, rwlock_lock, &locks[!f->first], RWLOCK_WRITE, false);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    for (int i = 0; i < 2; i++)
        if (locks[i].writer == t)
            rwlock_unlock(&locks[i], RWLOCK_WRITE, t);
    ASYNC_END;
}

static bool lives(uint32_t id)
{
    struct task *t = id ? task_find(id) : NULL;
    if (t)
        task_put(t);
    return t;
}

static long deadlock_validate(struct fault_options *o, char *why, size_t n)
{
    (void)o;
    if (!lives(takers[0]) && !lives(takers[1]))
        return 0;
    snprintf(why, n, "the tasks of the last one have not ended yet");
    return -EBUSY;
}

static void cancel(uint32_t id)
{
    struct task *t = task_find(id);
    if (!t)
        return;
    task_cancel(t);
    task_put(t);
}

static long deadlock_begin(const struct fault_options *o)
{
    (void)o;
    for (int i = 0; i < 2; i++) {
        rwlock_init(&locks[i], i ? "planted second" : "planted first");
        event_init(&has[i]);
        takers[i] = 0;
    }
    for (int i = 0; i < 2; i++) { // neither can end before it is cancelled
        struct task *t = SPAWN(i ? "taker two" : "taker one", take_two, i);
        if (!t) {
            if (i)
                cancel(takers[0]);
            return -ENOMEM;
        }
        takers[i] = t->id;
    }
    return 0;
}

static void deadlock_end(void)
{
    cancel(takers[0]);
    cancel(takers[1]);
}
FAULT(deadlock, "deadlock", "two kernel tasks wait for each other's lock", MODE_RW, 0,
      deadlock_validate, deadlock_begin, deadlock_end, NULL);

// ---- full-channel: two kernel tasks wait, one behind the other, for room in a channel whose receiver is elsewhere: it waits
// for a oneshot. A watcher hears of all that was sent by a broadcast. Nobody holds anything that another waits for.

enum { ROOM = 2, SENDERS = 2, PARTIES = SENDERS + 2, HEARD = 4, TURN_NS = 1000000 };

static struct channel full;
static struct oneshot come;
static struct broadcast sent;
static struct broadcast_receiver hears;
static struct message messages[ROOM + SENDERS];
static uint64_t heard[HEARD];
static uint32_t parties[PARTIES];

// In full, before sender n: they wait in a known order.
static bool is_turn(uint32_t n)
{
    uint32_t waiting = 0;
    spin_lock(&full.lock);
    LIST_FOREACH(it, &full.senders.head)
        waiting++;
    bool is = waiting >= n || full.closed;
    spin_unlock(&full.lock);
    return is;
}

ASYNC_DECL(send_one, uint32_t n;);
ASYNC(send_one, long r;)
{
    ASYNC_BEGIN(send_one);
    while (!is_turn(f->n))
        AWAIT(f->r, sleep_ns, TURN_NS, false);
    AWAIT(f->r, channel_send, &full, &messages[ROOM + f->n], false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(receive_late, );
ASYNC(receive_late, struct message *m; uint64_t value; long r;)
{
    ASYNC_BEGIN(receive_late);
    AWAIT(f->r, oneshot_receive, &come, &f->value, false);
    while (f->r == 0)
        AWAIT(f->r, channel_receive, &full, &f->m, false);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(hear, );
ASYNC(hear, uint64_t value; long r;)
{
    ASYNC_BEGIN(hear);
    do
        AWAIT(f->r, broadcast_receive, &sent, &hears, &f->value, false);
    while (f->r >= 0);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long full_validate(struct fault_options *o, char *why, size_t n)
{
    bool any = false;
    (void)o;
    for (int i = 0; i < PARTIES; i++)
        any = any || lives(parties[i]);
    if (any)
        snprintf(why, n, "the tasks of the last one have not ended yet");
    return any ? -EBUSY : 0;
}

// What was sent is received, who waits to send is told that nobody will: all four end.
static void full_end(void)
{
    channel_close(&full);
    broadcast_close(&sent);
    oneshot_send(&come, 1);
}

static struct task *spawn_party(int i)
{
    if (i < SENDERS)
        return SPAWN(i ? "sender two" : "sender one", send_one, (uint32_t)i);
    return i == SENDERS ? SPAWN("receiver", receive_late) : SPAWN("watcher", hear);
}

static long full_begin(const struct fault_options *o)
{
    (void)o;
    channel_init(&full, "planted full", ROOM);
    broadcast_init(&sent, "planted sent", heard, HEARD);
    oneshot_init(&come);
    broadcast_join(&sent, &hears);
    for (uint32_t i = 0; i < ROOM; i++) {
        channel_try_send(&full, &messages[i]);
        broadcast_send(&sent, i);
    }
    for (int i = 0; i < PARTIES; i++)
        parties[i] = 0;
    for (int i = 0; i < PARTIES; i++) { // none can end before the channel is closed
        struct task *t = spawn_party(i);
        if (!t) {
            full_end();
            return -ENOMEM;
        }
        parties[i] = t->id;
    }
    return 0;
}
FAULT(full_channel, "full-channel",
      "two kernel tasks wait for room in a channel: who receives is busy", MODE_RW, 0,
      full_validate, full_begin, full_end, NULL);

// ---- long-poll: a kernel task that computes on and on

enum { LONG_MS = 2000 };

static uint32_t spinning; // the round that may spin

ASYNC_DECL(compute, uint32_t round; uint64_t ticks; uint32_t not_on;);
ASYNC(compute, )
{
    ASYNC_BEGIN(compute);
    task_set_affinity(t, ~(1ul << f->not_on));
    while (!task_may_run_on(t, hart_index()))
        YIELD();
    for (uint64_t till = time_ticks() + f->ticks;
         time_ticks() < till && load_relaxed(&spinning) == f->round;)
        ipi_serve(); // others may wait for its translations
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long spin_validate(struct fault_options *o, char *why, size_t n)
{
    (void)o;
    if (hart_count > 1)
        return 0;
    snprintf(why, n, "there is no hart but the monitor's");
    return -EINVAL;
}

static long spin_begin(const struct fault_options *o)
{
    uint64_t ticks = ns_to_ticks((o->ms ? o->ms : LONG_MS) * 1000000);
    return SPAWN("computes", compute, spinning, ticks, hart_index()) ? 0 : -ENOMEM;
}

static void spin_end(void)
{
    store_release(&spinning, spinning + 1);
}
FAULT(long_poll, "long-poll", "a kernel task computes for `ms` (2000) in one poll", MODE_UNSAFE,
      FAULT_MS, spin_validate, spin_begin, spin_end, NULL);

// ---- leaked-frame: user memory that no page table knows

static pa_t leaked;

static long leak_begin(const struct fault_options *o)
{
    (void)o;
    leaked = frame_alloc(0);
    if (leaked)
        page_of(leaked)->kind = FRAME_ANON;
    return leaked ? 0 : -ENOMEM;
}

static void leak_end(void)
{
    frame_unref(leaked);
}
FAULT(leaked_frame, "leaked-frame", "a frame of user memory that nobody has", MODE_RW, 0, NULL,
      leak_begin, leak_end, NULL);
