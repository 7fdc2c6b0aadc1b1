// SPDX-License-Identifier: MIT
// The run queues, one per hart: what the executor asks of them, answered by a ring without locks or by a locked list.
//
// Both keep these rules. A task is in one queue at most, and none is lost. What may not run on a hart is not stolen by
// it. A task is popped at the latest after RUN_QUEUE_UNFAIR(n) pops of its hart when n tasks were before it.
// Which of the two serves can be changed at any time, hart by hart: the owner moves what is left in the other. Whoever
// sends to another hart looks again after the push whether that has changed, and if so asks the owner to look once more.
#pragma once

#include "async/runqueue_locked.h"
#include "async/runqueue_ring.h"

enum run_queue_kind { RUN_QUEUE_RING, RUN_QUEUE_LOCKED };

#define RUN_QUEUE_UNFAIR(n) (3 * ((n) + 1) * (RING_OVERTAKES + 1))

struct run_queue {
    uint32_t kind; // enum run_queue_kind; changed by the owner
    struct ring_queue ring;
    struct locked_queue locked;
};

extern struct run_queue *run_queues; // by hart
extern _Thread_local struct run_queue *run_queue_self;

void run_queues_init(void);  // boot hart, before others start
void run_queue_enter(void);  // each hart, before it uses its own
void run_queue_settle(void); // owner: moves what is left in the kind not chosen
// Every hart goes over to it, other harts when they next take interrupts. Task context, no lock held.
void run_queue_choose(enum run_queue_kind kind);
enum run_queue_kind run_queue_chosen(void);

// To another hart, behind what it has. The caller sends it an interrupt if it may sleep.
void run_queue_send(uint32_t hart, struct task *t);
// Something of that hart's to run here, or NULL; further tasks may move to this hart's queue with it.
struct task *run_queue_steal(uint32_t hart);

// The ids of the tasks that stand in that hart's queue, at most max: how many. In the order in which they are popped, but
// that ring, bound (with the inbox behind it) and the injector, which is not looked at, take turns. Nothing is stopped: of a
// hart that goes on, what moves meanwhile may be left out, or be told though it is gone. Task context, no lock held.
unsigned run_queue_list(uint32_t hart, uint32_t *ids, unsigned max);

// Behind what this hart has.
static inline void run_queue_push(struct task *t)
{
    struct run_queue *q = run_queue_self;
    if (likely(q->kind == RUN_QUEUE_RING))
        ring_push(&q->ring, t);
    else
        locked_push(&q->locked, t);
}

// The same, but it may run before others, within RUN_QUEUE_UNFAIR.
static inline void run_queue_push_woken(struct task *t)
{
    struct run_queue *q = run_queue_self;
    if (likely(q->kind == RUN_QUEUE_RING))
        ring_push_woken(&q->ring, t);
    else
        locked_push(&q->locked, t);
}

static inline __attribute__((always_inline)) struct task *run_queue_pop(void)
{
    struct run_queue *q = run_queue_self;
    return likely(q->kind == RUN_QUEUE_RING) ? ring_pop(&q->ring) : locked_pop(&q->locked);
}

// For a switch from one task to the next: pop, and push if it is to follow, in the cases that need no call. False: nothing has
// changed.
static inline __attribute__((always_inline)) bool run_queue_pop_simple(struct task **out,
                                                                       bool push_follows)
{
    struct run_queue *q = run_queue_self;
    struct ring_queue *r = &q->ring;
    if (unlikely(q->kind != RUN_QUEUE_RING) || unlikely(ring_has_turns(r)))
        return false;
    struct task *t = r->next;
    if (unlikely(t && push_follows && ring_is_full(r)))
        return false;
    if (t && likely(r->overtakes)) {
        r->overtakes--;
        store_relaxed(&r->next, NULL);
    } else {
        if (t && (ring_is_full(r) || t->affinity != AFFINITY_ANY))
            return false;
        store_relaxed(&r->next, NULL);
        if (t)
            ring_put(r, t);
        r->overtakes = RING_OVERTAKES;
        t = ring_take(r);
    }
    *out = t;
    return t;
}

static inline void run_queue_push_simple(struct task *t)
{
    ring_put(&run_queue_self->ring, t);
}

// Somebody else could run on this hart now.
static inline bool run_queue_has_ready(void)
{
    const struct run_queue *q = run_queue_self;
    return likely(q->kind == RUN_QUEUE_RING) ? ring_has_ready(&q->ring)
                                             : locked_length(&q->locked) != 0;
}

// Makes the first ready task for which it is true the next to run here, before all others. False: there is none.
static inline bool run_queue_hurry(bool (*is_urgent)(const struct task *))
{
    struct run_queue *q = run_queue_self;
    return q->kind == RUN_QUEUE_RING ? ring_hurry(&q->ring, is_urgent)
                                     : locked_hurry(&q->locked, is_urgent);
}

// Before all that this hart has.
static inline void run_queue_push_first(struct task *t)
{
    struct run_queue *q = run_queue_self;
    if (q->kind == RUN_QUEUE_RING)
        ring_push_first(&q->ring, t);
    else
        locked_push_first(&q->locked, t);
}

// Whether another hart could help this one; what it could take is no longer kept back.
static inline bool run_queue_expose(void)
{
    struct run_queue *q = run_queue_self;
    if (q->kind == RUN_QUEUE_LOCKED)
        return locked_helpable(&q->locked);
    ring_expose(&q->ring);
    return ring_stealable(&q->ring) || load_relaxed(&ring_injector.tasks.count);
}

// A hart without work may find some at that hart. Any hart.
static inline bool run_queue_worth_a_look(uint32_t hart)
{
    struct run_queue *q = &run_queues[hart];
    return (locked_length(&q->locked) && locked_stealable(&q->locked)) || ring_stealable(&q->ring);
}

static inline uint32_t run_queue_length(uint32_t hart)
{
    return locked_length(&run_queues[hart].locked) + ring_length(&run_queues[hart].ring);
}
