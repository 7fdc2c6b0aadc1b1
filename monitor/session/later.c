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

struct deadline_row {
    uint32_t task; // 0: free
    int32_t sig;
    uint64_t when_ns;
};
struct delay_row {
    uint64_t age_ns; // 0: free
    uint64_t queue;
};

static struct spinlock lock = SPINLOCK_INIT("monitor later"); // guards both
static struct deadline_row deadlines[LATER_MAX];
static struct delay_row delays[LATER_MAX];
static struct event changed;
static bool started;

// ---- doing it; no lock held but where said

static void send_to(const struct deadline_row *d)
{
    struct siginfo_k info = {.signo = d->sig};
    struct task *t = task_find(d->task);
    if (!t)
        return;
    if (t->thread)
        signal_send_process(t->thread->process, d->sig, &info);
    task_put(t);
}

static bool take_due(struct deadline_row *out, uint64_t now, uint64_t *next)
{
    bool found = false;
    spin_lock(&lock);
    for (int i = 0; i < LATER_MAX; i++) {
        struct deadline_row *d = &deadlines[i];
        if (!d->task)
            continue;
        if (!found && d->when_ns <= now) {
            *out = *d;
            *d = (struct deadline_row){0};
            found = true;
        } else if (d->when_ns - now < *next) {
            *next = d->when_ns > now ? d->when_ns - now : 0;
        }
    }
    spin_unlock(&lock);
    return found;
}

static void complete_old(const struct delay_row *d, uint64_t now)
{
    struct virtqueue *q = class_queue_at(d->queue);
    for (uint16_t head = 0; head < q->size; head++)
        if (load_relaxed(&q->slot[head].state) == VIRTQ_HELD &&
            now - ticks_to_ns(load_relaxed(&q->slot[head].since)) >= d->age_ns)
            virtqueue_release(q, head, 0); // or somebody was faster
}

// Does what is due; ns until it must look again, UINT64_MAX: never.
static uint64_t run(void)
{
    uint64_t next = UINT64_MAX, now = clock_monotonic_ns();
    struct deadline_row due = {0};
    while (take_due(&due, now, &next))
        send_to(&due);
    for (int i = 0; i < LATER_MAX; i++) {
        spin_lock(&lock);
        struct delay_row d = delays[i];
        spin_unlock(&lock);
        if (!d.age_ns)
            continue;
        complete_old(&d, now);
        uint64_t look = d.age_ns / 4 > LOOK_NS ? d.age_ns / 4 : LOOK_NS;
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

// ---- asking for it. By the monitor's task only.

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
        uint32_t id = deadlines[i].task;
        struct task *t = id ? task_find(id) : NULL;
        if (t)
            task_put(t);
        if (t || !id)
            continue;
        spin_lock(&lock);
        if (deadlines[i].task == id)
            deadlines[i] = (struct deadline_row){0};
        spin_unlock(&lock);
    }
}

int later_signal(uint32_t task, uint64_t when_ns, int sig)
{
    struct deadline_row *row = NULL;
    if (start())
        return -ENOMEM;
    forget_the_dead();
    spin_lock(&lock);
    for (int i = 0; i < LATER_MAX; i++)
        if (!deadlines[i].task && !row)
            row = &deadlines[i];
    for (int i = 0; i < LATER_MAX; i++) // its own before a free one
        if (deadlines[i].task == task)
            row = &deadlines[i];
    if (row)
        *row = (struct deadline_row){when_ns ? task : 0, sig, when_ns};
    spin_unlock(&lock);
    event_set(&changed);
    return row || !when_ns ? 0 : -ENOSPC;
}

uint64_t later_deadline(uint32_t task)
{
    uint64_t when = 0;
    spin_lock(&lock);
    for (int i = 0; task && i < LATER_MAX; i++)
        if (deadlines[i].task == task)
            when = deadlines[i].when_ns;
    spin_unlock(&lock);
    return when;
}

int later_complete(uint64_t queue, uint64_t age_ns)
{
    struct delay_row *row = NULL;
    if (start())
        return -ENOMEM;
    spin_lock(&lock);
    for (int i = 0; i < LATER_MAX; i++)
        if (!delays[i].age_ns && !row)
            row = &delays[i];
    for (int i = 0; i < LATER_MAX; i++)
        if (delays[i].age_ns && delays[i].queue == queue)
            row = &delays[i];
    if (row)
        *row = (struct delay_row){age_ns, queue};
    spin_unlock(&lock);
    event_set(&changed);
    return row || !age_ns ? 0 : -ENOSPC;
}

uint64_t later_age(uint64_t queue)
{
    uint64_t age = 0;
    spin_lock(&lock);
    for (int i = 0; i < LATER_MAX; i++)
        if (delays[i].age_ns && delays[i].queue == queue)
            age = delays[i].age_ns;
    spin_unlock(&lock);
    return age;
}
