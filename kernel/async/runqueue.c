// SPDX-License-Identifier: MIT
// Which implementation serves, and what crosses from one hart to another.
#include "async/runqueue.h"

#include "lib/log.h"
#include "page/heap.h"

struct run_queue *run_queues;
_Thread_local struct run_queue *run_queue_self;
static uint32_t chosen;

void run_queues_init(void)
{
    run_queues = kzalloc(hart_count * sizeof *run_queues);
    if (!run_queues)
        panic("no memory for %u run queues", hart_count);
    for (uint32_t i = 0; i < hart_count; i++)
        locked_init(&run_queues[i].locked);
    ipi_register(IPI_QUEUE, run_queue_settle);
}

void run_queue_enter(void)
{
    run_queue_self = &run_queues[hart_index()];
}

void run_queue_settle(void)
{
    struct run_queue *q = run_queue_self;
    struct task *t;
    store_relaxed(&q->kind, load_relaxed(&chosen));
    fence_full(); // senders look at kind after the push
    if (q->kind == RUN_QUEUE_LOCKED)
        while ((t = ring_pop(&q->ring)))
            locked_push(&q->locked, t);
    else
        while ((t = locked_pop(&q->locked)))
            ring_push(&q->ring, t);
}

void run_queue_choose(enum run_queue_kind kind)
{
    store_relaxed(&chosen, kind);
    for (uint32_t i = 0; i < hart_count; i++)
        if (i != hart_index())
            ipi_send(i, IPI_QUEUE);
    run_queue_settle();
}

enum run_queue_kind run_queue_chosen(void)
{
    return load_relaxed(&chosen);
}

void run_queue_send(uint32_t hart, struct task *t)
{
    struct run_queue *q = &run_queues[hart];
    uint32_t kind = load_relaxed(&q->kind);
    if (kind == RUN_QUEUE_RING)
        ring_send(&q->ring, t);
    else
        locked_push(&q->locked, t);
    fence_full();
    if (unlikely(load_relaxed(&q->kind) != kind))
        ipi_send(hart, IPI_QUEUE);
}

// From both kinds: they differ between harts for a moment. Into the ring only if it serves here.
struct task *run_queue_steal(uint32_t hart)
{
    struct run_queue *from = &run_queues[hart];
    uint32_t max = run_queue_self->kind == RUN_QUEUE_RING ? RING_SIZE : 1;
    struct task *t =
        ring_stealable(&from->ring) ? ring_steal(&run_queue_self->ring, &from->ring, max) : NULL;
    return t ? t : locked_steal(&from->locked);
}

unsigned run_queue_list(uint32_t hart, uint32_t *ids, unsigned max)
{
    struct run_queue *q = &run_queues[hart];
    struct task_ids out = {ids, 0, max};
    spin_lock(&task_list_lock);
    ring_list(&q->ring, &out);
    spin_unlock(&task_list_lock);
    locked_list(&q->locked, &out);
    return out.n;
}
