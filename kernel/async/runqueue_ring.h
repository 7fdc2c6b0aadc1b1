// SPDX-License-Identifier: MIT
// A run queue without locks: a ring that thieves halve, an inbox for other harts, a slot for the newest wake.
//
//   ring    FIFO. The owner alone moves `tail`; owner and thieves move `head`, by compare-and-swap. A slot is written
//           only when head has passed it, so whoever swaps head from h to h + n has read n valid slots. (A thief that
//           sleeps while head goes once round 2^32 would not notice.)
//   next    what the running task woke first; runs before the ring, at most RING_OVERTAKES times in a row, so that two
//           tasks that wake each other starve nobody. No thief sees it until the owner exposes it.
//   bound   tasks that may not run on every hart, FIFO, the owner's: no thief may take them.
//   inbox   a stack that any hart pushes to; the owner takes it whole, which leaves no room for ABA.
//   injector, one for all harts: what found a ring full.
// Ring, bound and injector take turns, so a task behind n others of the same kind waits for 3 * (n + 1) turns.
#pragma once

#include "async/task.h"
#include "lib/hard.h"

enum { RING_SIZE = HARD_STEAL ? 4 : 256, RING_OVERTAKES = HARD_STEAL ? 0 : 8 };
_Static_assert((RING_SIZE & (RING_SIZE - 1)) == 0, "positions wrap around at 2^32");

struct task_fifo { // empty: head is NULL, and tail anything
    struct task *head, **tail;
    uint32_t count;
};

static inline void fifo_push(struct task_fifo *l, struct task *t)
{
    t->queue_next = NULL;
    *(l->head ? l->tail : &l->head) = t;
    l->tail = &t->queue_next;
    store_relaxed(&l->count, l->count + 1);
}

static inline struct task *fifo_pop(struct task_fifo *l)
{
    struct task *t = l->head;
    if (t) {
        l->head = t->queue_next;
        store_relaxed(&l->count, l->count - 1);
    }
    return t;
}

struct ring_queue {
    struct task *inbox;
    struct task *next;
    uint32_t head, tail;
    uint32_t overtakes; // so many more may be taken from `next` before one is taken elsewhere
    uint32_t turn;
    struct task_fifo bound;
    struct task *slot[RING_SIZE];
};

struct injector {
    struct spinlock lock;
    struct task_fifo tasks;
};
extern struct injector ring_injector;

// Each of these is for the owner, but for ring_send, ring_steal and ring_list.

// The tasks of one queue as they are met, each once.
struct task_ids {
    uint32_t *id;
    unsigned n, max;
};
void task_ids_add(struct task_ids *ids, const struct task *t);
// Those of a list, as far as there is room, while others change it.
void task_ids_add_list(struct task_ids *ids, struct task *const *head);
// Any hart, under task_list_lock: what was queued when it was taken, or later, cannot go meanwhile.
void ring_list(const struct ring_queue *q, struct task_ids *ids);

void ring_push_slow(struct ring_queue *q, struct task *t); // bound, or the ring is full
struct task *ring_pop_by_turns(struct ring_queue *q);
// Puts the first one of next, bound and the ring for which it is true into next, and turns the ring meanwhile.
bool ring_hurry(struct ring_queue *q, bool (*is_urgent)(const struct task *));
void ring_open_inbox(struct ring_queue *q);
void ring_send(struct ring_queue *q, struct task *t);
// Takes at most half of victim's ring, and no more than max: one to run now, the others into own.
struct task *ring_steal(struct ring_queue *own, struct ring_queue *victim, uint32_t max);

static inline bool ring_is_full(const struct ring_queue *q)
{
    return q->tail - load_acquire(&q->head) >= RING_SIZE;
}

// There is room.
static inline void ring_put(struct ring_queue *q, struct task *t)
{
    uint32_t tail = q->tail;
    store_relaxed(&q->slot[tail % RING_SIZE], t);
    store_release(&q->tail, tail + 1);
}

static inline void ring_push(struct ring_queue *q, struct task *t)
{
    if (unlikely(t->affinity != AFFINITY_ANY) || unlikely(ring_is_full(q)))
        ring_push_slow(q, t);
    else
        ring_put(q, t);
}

static inline void ring_push_woken(struct ring_queue *q, struct task *t)
{
    if (RING_OVERTAKES > 0 && likely(!q->next))
        store_relaxed(&q->next, t);
    else
        ring_push(q, t);
}

static inline struct task *ring_take(struct ring_queue *q)
{
    for (uint32_t head = load_relaxed(&q->head), was; head != q->tail; head = was) {
        struct task *t = load_relaxed(&q->slot[head % RING_SIZE]);
        was = atomic_cas32(&q->head, head, head + 1);
        if (likely(was == head))
            return t;
    }
    return NULL;
}

// Thieves may take from now on what they could not before.
static inline void ring_expose(struct ring_queue *q)
{
    struct task *t = q->next;
    if (!t)
        return;
    store_relaxed(&q->next, NULL);
    ring_push(q, t);
}

// Into `next`, which is free. For once it does not matter how often that has overtaken others, and it counts anew.
static inline void ring_set_first(struct ring_queue *q, struct task *t)
{
    store_relaxed(&q->next, t);
    q->overtakes = RING_OVERTAKES + 1;
}

static inline void ring_push_first(struct ring_queue *q, struct task *t)
{
    ring_expose(q);
    ring_set_first(q, t);
}

// Another task than those of `next` and the ring could be in turn.
static inline bool ring_has_turns(const struct ring_queue *q)
{
    return q->bound.head || load_relaxed(&ring_injector.tasks.count) || load_relaxed(&q->inbox);
}

static inline __attribute__((always_inline)) struct task *ring_pop(struct ring_queue *q)
{
    struct task *t = q->next;
    if (unlikely(load_relaxed(&q->inbox) != NULL))
        ring_open_inbox(q);
    if (t) {
        if (likely(q->overtakes)) {
            q->overtakes--;
            store_relaxed(&q->next, NULL);
            return t;
        }
        ring_expose(q);
    }
    q->overtakes = RING_OVERTAKES;
    if (unlikely(q->bound.head != NULL) || unlikely(load_relaxed(&ring_injector.tasks.count) != 0))
        return ring_pop_by_turns(q);
    return ring_take(q);
}

// What thieves could take. Any hart.
static inline uint32_t ring_stealable(const struct ring_queue *q)
{
    uint32_t head = load_relaxed(&q->head);
    return load_relaxed(&q->tail) - head;
}

// Not the injector: what lies there is every hart's, and behind a full ring.
static inline bool ring_has_ready(const struct ring_queue *q)
{
    return load_relaxed(&q->head) != q->tail || q->next || load_relaxed(&q->inbox) || q->bound.head;
}

// Any hart; an inbox counts as one.
static inline uint32_t ring_length(const struct ring_queue *q)
{
    return ring_stealable(q) + load_relaxed(&q->bound.count) + (load_relaxed(&q->next) != NULL) +
           (load_relaxed(&q->inbox) != NULL);
}
