// SPDX-License-Identifier: MIT
// Split virtqueue ring logic: see queue.h.
//
// Free descriptors are chained through `next`. A chain in flight keeps its links in a table of the
// driver's own sizes (slot[].descs), so that nothing the device writes decides what is freed.
// Indices run freely modulo 2^16; an entry is written before the index that publishes it
// (store_release), and read after the index that announces it (load_acquire): virtio 1.2, 2.7.13.
#include "dev/virtio/queue.h"

#include "lib/errno.h"
#include "lib/log.h"
#include "lib/trace.h"

#include <stdio.h>
#include <string.h>

static void let_go(const uint64_t arg[TRACE_ARGS]);
TRACE_POINT(vq_add, "vq.add", "a descriptor chain is given to a device", TRACE_ARG("queue", NAME),
            TRACE_ARG("head", NUMBER), TRACE_ARG("segments", NUMBER), TRACE_ARG("waiter", TASK));
TRACE_POINT_WITH(vq_used, "vq.used", "a device gives a chain back; paused, it is not handed on",
                 TRACE_OPTIONS(.release = let_go), TRACE_ARG("queue", NAME),
                 TRACE_ARG("head", NUMBER), TRACE_ARG("written", BYTES), TRACE_ARG("waiter", TASK),
                 TRACE_ARG("ns", NS));

enum { NO_HEAD = 0xffff };

struct list virtqueues = LIST_INIT(virtqueues);
struct spinlock virtqueues_lock = SPINLOCK_INIT("virtqueues");

void virtqueue_init(struct virtqueue *vq, const char *name, uint16_t size, struct virtq_desc *desc,
                    struct virtq_avail *avail, struct virtq_used *used, struct virtq_slot *slot)
{
    REQUIRE(size > 0 && size <= VIRTQ_SIZE_MAX && (size & (size - 1)) == 0);
    memset(vq, 0, sizeof(*vq));
    list_init(&vq->link);
    snprintf(vq->name, sizeof(vq->name), "%s", name);
    spin_init(&vq->lock, vq->name);
    vq->size = vq->free_count = size;
    vq->desc = desc;
    vq->avail = avail;
    vq->used = used;
    vq->slot = slot;
    vq->held_head = vq->held_tail = NO_HEAD;
    for (uint16_t i = 0; i < size; i++)
        desc[i].next = (uint16_t)(i + 1);
    memset(slot, 0, size * sizeof(*slot));
}

void virtqueue_publish(struct virtqueue *vq)
{
    spin_lock(&virtqueues_lock);
    list_push_back(&virtqueues, &vq->link);
    spin_unlock(&virtqueues_lock);
}

struct virtqueue *virtqueue_at(uint64_t n)
{
    struct virtqueue *found = NULL;
    spin_lock(&virtqueues_lock);
    LIST_FOREACH(it, &virtqueues)
        if (n-- == 0) {
            found = list_entry(it, struct virtqueue, link);
            break;
        }
    spin_unlock(&virtqueues_lock);
    return found;
}

static int check_segments(const struct virtqueue *vq, const struct virtq_segment *seg, unsigned n)
{
    if (n == 0 || n > vq->size)
        return -EINVAL;
    for (unsigned i = 1; i < n; i++)
        if (seg[i - 1].device_writes && !seg[i].device_writes)
            return -EINVAL;
    return 0;
}

// Takes n descriptors off the free list; the list's own links become the chain's.
static uint16_t fill_chain(struct virtqueue *vq, const struct virtq_segment *seg, unsigned n)
{
    uint16_t head = vq->free_head, i = head;
    for (unsigned k = 0; k < n; k++) {
        struct virtq_desc *d = &vq->desc[i];
        d->addr = seg[k].pa;
        d->len = seg[k].len;
        d->flags = (uint16_t)((k + 1 < n ? VIRTQ_DESC_NEXT : 0) |
                              (seg[k].device_writes ? VIRTQ_DESC_WRITE : 0));
        i = d->next;
    }
    vq->free_head = i;
    vq->free_count = (uint16_t)(vq->free_count - n);
    return head;
}

int virtqueue_add(struct virtqueue *vq, const struct virtq_segment *seg, unsigned n,
                  struct virtq_token *token, uint32_t waiter)
{
    int r = check_segments(vq, seg, n);
    if (r < 0)
        return r;
    spin_lock(&vq->lock);
    if (vq->broken || n > vq->free_count) {
        r = vq->broken ? -EIO : -ENOSPC;
        spin_unlock(&vq->lock);
        return r;
    }
    uint16_t head = fill_chain(vq, seg, n);
    vq->slot[head] = (struct virtq_slot){.token = token,
                                         .since = time_ticks(),
                                         .waiter = waiter,
                                         .descs = (uint16_t)n,
                                         .state = VIRTQ_IN_FLIGHT};
    vq->avail->ring[vq->avail_idx % vq->size] = head;
    vq->avail_idx++;
    store_release(&vq->avail->idx, vq->avail_idx);
    vq->adds++;
    TRACE(vq_add, (uint64_t)(uintptr_t)vq->name, head, n, waiter);
    spin_unlock(&vq->lock);
    return head;
}

static uint16_t *used_event(struct virtqueue *vq)
{
    return &vq->avail->ring[vq->size];
}

static const uint16_t *avail_event(struct virtqueue *vq)
{
    return (const uint16_t *)&vq->used->ring[vq->size];
}

// Virtio 1.2, 2.7.10: with event_idx the device names the entry it wants to hear of.
static bool wants_kick(struct virtqueue *vq)
{
    uint16_t from = vq->kicked_idx, to = vq->avail_idx;
    if (from == to)
        return false;
    if (!vq->event_idx)
        return !(load_relaxed(&vq->used->flags) & VIRTQ_USED_NO_NOTIFY);
    uint16_t event = load_relaxed(avail_event(vq));
    return (uint16_t)(to - event - 1) < (uint16_t)(to - from);
}

void virtqueue_kick(struct virtqueue *vq)
{
    spin_lock(&vq->lock);
    fence_full(); // idx is visible before the device's wish is read
    bool kick = wants_kick(vq) && !vq->broken;
    vq->kicked_idx = vq->avail_idx;
    if (kick) {
        vq->kicks++;
        if (vq->notify)
            vq->notify(vq);
    }
    spin_unlock(&vq->lock);
}

// Lock held. The chain goes back to the free list; its token is returned.
static struct virtq_token *free_chain(struct virtqueue *vq, uint16_t head)
{
    struct virtq_slot *slot = &vq->slot[head];
    uint16_t last = head;
    for (unsigned k = 1; k < slot->descs; k++)
        last = vq->desc[last].next;
    vq->desc[last].next = vq->free_head;
    vq->free_head = head;
    vq->free_count = (uint16_t)(vq->free_count + slot->descs);
    struct virtq_token *token = slot->token;
    *slot = (struct virtq_slot){.state = VIRTQ_FREE};
    return token;
}

struct token_list {
    struct virtq_token *first, **end;
};

static void token_append(struct token_list *l, struct virtq_token *token, int error,
                         uint32_t written)
{
    token->error = error;
    token->written = error ? 0 : written;
    token->next = NULL;
    *l->end = token;
    l->end = &token->next;
}

static void hold_append(struct virtqueue *vq, uint16_t head)
{
    vq->slot[head].state = VIRTQ_HELD;
    vq->slot[head].held_next = NO_HEAD;
    if (vq->held_tail == NO_HEAD)
        vq->held_head = head;
    else
        vq->slot[vq->held_tail].held_next = head;
    vq->held_tail = head;
    vq->held_count++;
}

#define USED_ARGS(vq, e, slot)                                                                     \
    (uint64_t)(uintptr_t)(vq)->name, (e)->id, (e)->len, (slot)->waiter,                            \
        ticks_to_ns(time_ticks() - (slot)->since)

// Lock held. True: the chain is held back by who listens to vq.used.
static bool held_by_trace(struct virtqueue *vq, const struct virtq_used_elem *e)
{
    struct virtq_slot *slot = &vq->slot[e->id < vq->size ? e->id : 0];
    if (e->id >= vq->size || slot->state != VIRTQ_IN_FLIGHT)
        return false;
    TRACE(vq_used, USED_ARGS(vq, e, slot));
    if (!TRACE_HOLDS(vq_used, USED_ARGS(vq, e, slot)))
        return false;
    slot->written = e->len;
    hold_append(vq, (uint16_t)e->id);
    return true;
}

// Lock held. Takes what is in the used ring now.
static void take_used(struct virtqueue *vq, struct token_list *out)
{
    uint16_t idx = load_acquire(&vq->used->idx);
    while (vq->last_used != idx) {
        struct virtq_used_elem e = vq->used->ring[vq->last_used++ % vq->size];
        if (held_by_trace(vq, &e))
            continue;
        if (e.id >= vq->size || vq->slot[e.id].state != VIRTQ_IN_FLIGHT) {
            vq->bogus++;
            continue;
        }
        uint16_t head = (uint16_t)e.id;
        vq->slot[head].written = e.len;
        enum virtq_verdict verdict = vq->held                       ? VIRTQ_HOLD
                                     : unlikely(vq->filter != NULL) ? vq->filter(vq, head)
                                                                    : VIRTQ_TAKE;
        if (verdict == VIRTQ_HOLD)
            hold_append(vq, head);
        else
            token_append(out, free_chain(vq, head), verdict == VIRTQ_FAIL ? -EIO : 0, e.len);
    }
}

// Lock held. Asks to be told of the next used entry; true if one came meanwhile.
static bool enable_interrupt(struct virtqueue *vq)
{
    if (vq->event_idx)
        store_relaxed(used_event(vq), vq->last_used);
    else
        store_relaxed(&vq->avail->flags, 0);
    fence_full();
    return load_relaxed(&vq->used->idx) != vq->last_used;
}

static unsigned complete_all(struct virtqueue *vq, struct virtq_token *token)
{
    unsigned n = 0;
    while (token) {
        struct virtq_token *next = token->next; // complete may free the token
        token->complete(token, token->error, token->written);
        token = next;
        n++;
    }
    atomic_add64(&vq->completions, n);
    return n;
}

unsigned virtqueue_drain(struct virtqueue *vq)
{
    struct token_list done = {.end = &done.first};
    spin_lock(&vq->lock);
    if (!vq->broken) {
        if (!vq->event_idx)
            store_relaxed(&vq->avail->flags, VIRTQ_AVAIL_NO_INTERRUPT);
        do
            take_used(vq, &done);
        while (enable_interrupt(vq));
    }
    spin_unlock(&vq->lock);
    return complete_all(vq, done.first);
}

// Lock held. Unlinks head from the held list, which `before` precedes (NO_HEAD: it is the first).
static void unhold(struct virtqueue *vq, uint16_t head, uint16_t before)
{
    uint16_t next = vq->slot[head].held_next;
    if (before == NO_HEAD)
        vq->held_head = next;
    else
        vq->slot[before].held_next = next;
    if (vq->held_tail == head)
        vq->held_tail = before;
    vq->held_count--;
}

int virtqueue_exchange(struct virtqueue *vq, uint16_t a, uint16_t b)
{
    spin_lock(&vq->lock);
    if (a == b || a >= vq->size || b >= vq->size || vq->slot[a].state != VIRTQ_HELD ||
        vq->slot[b].state != VIRTQ_HELD) {
        spin_unlock(&vq->lock);
        return -ENOENT;
    }
    uint16_t order[VIRTQ_SIZE_MAX], n = 0;
    for (uint16_t head = vq->held_head; head != NO_HEAD; head = vq->slot[head].held_next)
        order[n++] = head == a ? b : head == b ? a : head;
    vq->held_head = vq->held_tail = NO_HEAD;
    vq->held_count = 0;
    for (uint16_t i = 0; i < n; i++)
        hold_append(vq, order[i]);
    spin_unlock(&vq->lock);
    return 0;
}

// Lock held.
static void release_held(struct virtqueue *vq, struct token_list *out)
{
    while (vq->held_head != NO_HEAD) {
        uint16_t head = vq->held_head;
        uint32_t written = vq->slot[head].written;
        unhold(vq, head, NO_HEAD);
        token_append(out, free_chain(vq, head), 0, written);
    }
}

void virtqueue_hold(struct virtqueue *vq, bool on)
{
    struct token_list done = {.end = &done.first};
    spin_lock(&vq->lock);
    vq->held = on;
    if (!on)
        release_held(vq, &done);
    spin_unlock(&vq->lock);
    complete_all(vq, done.first);
}

int virtqueue_release(struct virtqueue *vq, uint16_t head, int error)
{
    struct token_list done = {.end = &done.first};
    uint16_t before = NO_HEAD;
    spin_lock(&vq->lock);
    if (head >= vq->size || vq->slot[head].state != VIRTQ_HELD) {
        spin_unlock(&vq->lock);
        return -ENOENT;
    }
    for (uint16_t i = vq->held_head; i != head; i = vq->slot[i].held_next)
        before = i;
    uint32_t written = vq->slot[head].written;
    unhold(vq, head, before);
    token_append(&done, free_chain(vq, head), error, written);
    spin_unlock(&vq->lock);
    complete_all(vq, done.first);
    return 0;
}

// What a pause on vq.used held back; somebody may have handed it on meanwhile.
static void let_go(const uint64_t arg[TRACE_ARGS])
{
    struct virtqueue *found = NULL;
    spin_lock(&virtqueues_lock);
    LIST_FOREACH(it, &virtqueues)
        if ((uintptr_t)list_entry(it, struct virtqueue, link)->name == arg[0])
            found = list_entry(it, struct virtqueue, link);
    spin_unlock(&virtqueues_lock);
    if (found)
        virtqueue_release(found, (uint16_t)arg[1], 0);
}

void virtqueue_break(struct virtqueue *vq)
{
    struct token_list done = {.end = &done.first};
    spin_lock(&vq->lock);
    vq->broken = true;
    release_held(vq, &done);
    for (uint16_t head = 0; head < vq->size; head++)
        if (vq->slot[head].state == VIRTQ_IN_FLIGHT)
            token_append(&done, free_chain(vq, head), -EIO, 0);
    spin_unlock(&vq->lock);
    complete_all(vq, done.first);
}
