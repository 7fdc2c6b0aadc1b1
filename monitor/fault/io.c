// SPDX-License-Identifier: MIT
// delayed-io and failed-io: what becomes of the chains that a device gives back.
//
// Both are filters of a virtqueue. Delayed chains are held in it; a task, made when the fault begins, hands them on when
// they are due. A chain that is neither drawn nor due goes its usual way, and may overtake: devices promise no order.
#include "dev/virtio/queue.h"

#include "async/wait_async.h"
#include "class/classes.h"
#include "fault/fault.h"
#include "lib/errno.h"

#include <stdio.h>
#include <string.h>

enum { DELAY_MS = 20 };

// The first disk's, when none is named.
static uint64_t first_disk(void)
{
    struct virtqueue *q;
    for (uint64_t i = 0; (q = virtqueue_at(i)); i++)
        if (strncmp(q->name, "vd", 2) == 0)
            return i + 1;
    return 0;
}

static long validate(struct fault_options *o, char *why, size_t n)
{
    if (!o->queue)
        o->queue = first_disk();
    struct virtqueue *q = o->queue ? virtqueue_at(o->queue - 1) : NULL;
    if (!q)
        snprintf(why, n, "there is no disk");
    else if (load_relaxed(&q->filter))
        snprintf(why, n, "another fault is in force on %s", q->name);
    return q && !load_relaxed(&q->filter) ? 0 : -EINVAL;
}

static void set_filter(struct virtqueue *q,
                       enum virtq_verdict (*filter)(struct virtqueue *, uint16_t))
{
    spin_lock(&q->lock);
    q->filter = filter;
    spin_unlock(&q->lock);
}

// ---- failed-io

static struct virtqueue *failing;
static struct fault_dice fail_dice;

static enum virtq_verdict fail_some(struct virtqueue *vq, uint16_t head)
{
    (void)vq;
    (void)head;
    return fault_dice_hit(&fail_dice) ? VIRTQ_FAIL : VIRTQ_TAKE;
}

static long fail_begin(const struct fault_options *o)
{
    fault_dice_init(&fail_dice, o->seed, o->every);
    failing = virtqueue_at(o->queue - 1);
    set_filter(failing, fail_some);
    return 0;
}

static void fail_end(void)
{
    set_filter(failing, NULL);
}

static uint64_t fail_hits(void)
{
    return load_relaxed(&fail_dice.hits);
}
FAULT(failed_io, "failed-io", "one request in `every` (1) to a disk fails with EIO", MODE_UNSAFE,
      FAULT_EVERY | FAULT_QUEUE, validate, fail_begin, fail_end, fail_hits);

// ---- delayed-io

static struct virtqueue *delaying;
static struct fault_dice delay_dice;
static uint64_t delay_ticks,
    due[VIRTQ_SIZE_MAX]; // due: guarded by the queue's lock; 0: not held by us
static uint32_t round;   // the task of an earlier one ends

static enum virtq_verdict delay_some(struct virtqueue *vq, uint16_t head)
{
    (void)vq;
    if (!fault_dice_hit(&delay_dice))
        return VIRTQ_TAKE;
    due[head] = time_ticks() + delay_ticks;
    return VIRTQ_HOLD;
}

// A head that is due, or -1.
static int next_due(struct virtqueue *q, bool all)
{
    int found = -1;
    uint64_t now = time_ticks();
    spin_lock(&q->lock);
    for (int i = 0; i < q->size && found < 0; i++)
        if (due[i] && (all || due[i] <= now)) {
            due[i] = 0;
            if (q->slot[i].state == VIRTQ_HELD)
                found = i;
        }
    spin_unlock(&q->lock);
    return found;
}

static void hand_on(struct virtqueue *q, bool all)
{
    for (int head; (head = next_due(q, all)) >= 0;)
        virtqueue_release(q, (uint16_t)head, 0);
}

ASYNC_DECL(delayed_io, struct virtqueue *q; uint32_t round;);
ASYNC(delayed_io, long r;)
{
    ASYNC_BEGIN(delayed_io);
    while (load_acquire(&round) == f->round) {
        hand_on(f->q, false);
        AWAIT(f->r, sleep_ns, 1000000, false);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long delay_begin(const struct fault_options *o)
{
    struct virtqueue *q = virtqueue_at(o->queue - 1);
    memset(due, 0, sizeof due);
    fault_dice_init(&delay_dice, o->seed, o->every);
    delay_ticks = ns_to_ticks((o->ms ? o->ms : DELAY_MS) * 1000000);
    if (!SPAWN("delayed-io", delayed_io, q, round))
        return -ENOMEM;
    delaying = q;
    set_filter(q, delay_some);
    return 0;
}

static void delay_end(void)
{
    set_filter(delaying, NULL);
    store_release(&round, round + 1);
    hand_on(delaying, true);
}

static uint64_t delay_hits(void)
{
    return load_relaxed(&delay_dice.hits);
}
FAULT(delayed_io, "delayed-io", "one request in `every` (1) to a disk is handed on `ms` (20) late",
      MODE_RW, FAULT_EVERY | FAULT_MS | FAULT_QUEUE, validate, delay_begin, delay_end, delay_hits);
