// SPDX-License-Identifier: MIT
// A table of deadlines and delays, and the task that goes through it when the next is due.
#include "session/later.h"

#include "async/async.h"
#include "async/wait_async.h"
#include "class/classes.h"
#include "dev/virtio/queue.h"
#include "lib/errno.h"
#include "task/thread.h"

enum { LOOK_NS = 500000 }; // how often a queue with a delay is looked at, at least

struct row {
    uint64_t whose; // a deadline's task; a delay's queue, and 1; 0: free
    uint64_t ns;    // when; how old
    int32_t sig;    // of a deadline
};

static struct spinlock lock = SPINLOCK_INIT("monitor later"); // guards both
static struct row deadlines[LATER_MAX], delays[LATER_MAX];
static struct event changed;
static bool started;

// Of a table: whose it is, 0: a free one; NULL: none. The lock is held.
static struct row *find(struct row *table, uint64_t whose)
{
    for (int i = 0; i < LATER_MAX; i++)
        if (table[i].whose == whose)
            return &table[i];
    return NULL;
}

// ---- doing it; no lock held but where said

static void send_to(const struct row *d)
{
    struct siginfo_k info = {.signo = d->sig};
    struct task *t = task_find((uint32_t)d->whose);
    if (!t)
        return;
    if (t->thread)
        signal_send_process(t->thread->process, d->sig, &info);
    task_put(t);
}

static bool take_due(struct row *out, uint64_t now, uint64_t *next)
{
    bool found = false;
    spin_lock(&lock);
    for (int i = 0; i < LATER_MAX; i++) {
        struct row *d = &deadlines[i];
        if (!d->whose)
            continue;
        if (!found && d->ns <= now) {
            *out = *d;
            *d = (struct row){0};
            found = true;
        } else if (d->ns - now < *next) {
            *next = d->ns > now ? d->ns - now : 0;
        }
    }
    spin_unlock(&lock);
    return found;
}

static void complete_old(const struct row *d, uint64_t now)
{
    struct virtqueue *q = virtqueue_at(d->whose - 1);
    for (uint16_t head = 0; head < q->size; head++)
        if (load_relaxed(&q->slot[head].state) == VIRTQ_HELD &&
            now - ticks_to_ns(load_relaxed(&q->slot[head].since)) >= d->ns)
            virtqueue_release(q, head, 0); // or somebody was faster
}

// Does what is due; ns until it must look again, UINT64_MAX: never.
static uint64_t run(void)
{
    uint64_t next = UINT64_MAX, now = clock_monotonic_ns();
    struct row due = {0};
    while (take_due(&due, now, &next))
        send_to(&due);
    for (int i = 0; i < LATER_MAX; i++) {
        spin_lock(&lock);
        struct row d = delays[i];
        spin_unlock(&lock);
        if (!d.whose)
            continue;
        complete_old(&d, now);
        uint64_t look = d.ns / 4 > LOOK_NS ? d.ns / 4 : LOOK_NS;
        next = look < next ? look : next;
    }
    return next;
}

ASYNC_DECL(later_keeper, int unused;);
ASYNC(later_keeper, uint64_t wait; struct deadline d; long r;)
{
    ASYNC_BEGIN(later_keeper);
    for (;;) {
        event_clear(&changed);
        f->wait = run();
        if (f->wait == UINT64_MAX)
            AWAIT(f->r, event_wait, &changed, false);
        else
            AWAIT_WITHIN(f->r, &f->d, f->wait, event_wait, &changed, false);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- asking for it. By sessions' tasks only.

static int start(void)
{
    if (started)
        return 0;
    event_init(&changed);
    started = SPAWN("monitor later", later_keeper, 0);
    return started ? 0 : -ENOMEM;
}

// Rows of tasks that have ended meanwhile are free.
static void forget_the_dead(void)
{
    for (int i = 0; i < LATER_MAX; i++) {
        uint64_t id = deadlines[i].whose;
        struct task *t = id ? task_find((uint32_t)id) : NULL;
        if (t)
            task_put(t);
        if (t || !id)
            continue;
        spin_lock(&lock);
        if (deadlines[i].whose == id)
            deadlines[i] = (struct row){0};
        spin_unlock(&lock);
    }
}

// Its own row before a free one; ns 0: its own becomes free. False: there is no room.
static bool set(struct row *table, struct row to)
{
    spin_lock(&lock);
    struct row *row = find(table, to.whose);
    if (!row && to.ns)
        row = find(table, 0);
    if (row)
        *row = to.ns ? to : (struct row){0};
    spin_unlock(&lock);
    event_set(&changed);
    return row || !to.ns;
}

static uint64_t get(struct row *table, uint64_t whose)
{
    spin_lock(&lock);
    const struct row *row = find(table, whose);
    uint64_t ns = row ? row->ns : 0;
    spin_unlock(&lock);
    return ns;
}

int later_signal(uint32_t task, uint64_t when_ns, int sig)
{
    if (start())
        return -ENOMEM;
    forget_the_dead();
    return set(deadlines, (struct row){task, when_ns, sig}) ? 0 : -ENOSPC;
}

uint64_t later_deadline(uint32_t task)
{
    return get(deadlines, task);
}

int later_complete(uint64_t queue, uint64_t age_ns)
{
    if (start())
        return -ENOMEM;
    return set(delays, (struct row){queue + 1, age_ns, 0}) ? 0 : -ENOSPC;
}

uint64_t later_age(uint64_t queue)
{
    return get(delays, queue + 1);
}
