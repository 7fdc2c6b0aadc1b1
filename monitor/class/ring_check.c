// SPDX-License-Identifier: MIT
// What is wrong with a virtqueue: see ring_check.h.
#include "class/ring_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { KNOWN_FLAGS = VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE | VIRTQ_DESC_INDIRECT };

void ring_copy(struct virtqueue *q, struct ring_copy *out)
{
    spin_lock(&q->lock);
    uint16_t size = out->size = q->size;
    bool wrapped = q->adds > UINT16_MAX;
    out->free_head = q->free_head;
    out->free_count = q->free_count;
    out->avail_idx = q->avail_idx;
    out->kicked_idx = q->kicked_idx;
    out->last_used = q->last_used;
    out->published = load_relaxed(&q->avail->idx);
    out->used_idx = load_acquire(&q->used->idx);
    out->avail_written = wrapped || q->avail_idx > size ? size : q->avail_idx;
    out->used_written = wrapped || out->used_idx > size ? size : out->used_idx;
    memcpy(out->desc, q->desc, size * sizeof out->desc[0]);
    memcpy(out->avail, q->avail->ring, size * sizeof out->avail[0]);
    memcpy(out->used, q->used->ring, size * sizeof out->used[0]);
    for (uint16_t i = 0; i < size; i++) {
        const struct virtq_slot *s = &q->slot[i];
        out->slot[i] = (struct ring_slot){s->since, s->waiter, s->descs, s->state};
    }
    spin_unlock(&q->lock);
}

// The first thing that is wrong at a place is the one that is said.
static __attribute__((format(printf, 2, 3))) void say(char why[RING_WHY], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!why[0])
        vsnprintf(why, RING_WHY, format, args);
    va_end(args);
}

unsigned ring_walk(const struct ring_copy *r, uint16_t head, uint16_t order[VIRTQ_SIZE_MAX])
{
    bool had[VIRTQ_SIZE_MAX] = {0};
    unsigned n = 0;
    for (uint16_t i = head; i < r->size && !had[i]; i = r->desc[i].next) {
        had[i] = true;
        order[n++] = i;
        if (!(r->desc[i].flags & VIRTQ_DESC_NEXT))
            break;
    }
    return n;
}

static void check_desc(struct ring_copy *r, uint16_t i)
{
    const struct virtq_desc *d = &r->desc[i];
    if (d->flags & ~KNOWN_FLAGS)
        say(r->desc_why[i], "flags %#x are none that there are", d->flags & ~KNOWN_FLAGS);
    if (d->flags & VIRTQ_DESC_INDIRECT)
        say(r->desc_why[i], "INDIRECT, which was not agreed on");
    if (d->len == 0)
        say(r->desc_why[i], "no bytes");
}

// How the walk ends, and whether it is as long as what was added.
static void check_end(struct ring_copy *r, uint16_t head, uint16_t last, unsigned n)
{
    const struct virtq_desc *d = &r->desc[last];
    unsigned descs = r->slot[head].descs;
    if (d->flags & VIRTQ_DESC_NEXT && d->next >= r->size)
        say(r->desc_why[last], "next %u is out of range: there are %u descriptors", d->next,
            r->size);
    else if (d->flags & VIRTQ_DESC_NEXT)
        say(r->desc_why[last], "next %u is in this chain already: a loop", d->next);
    else if (n != descs)
        say(r->desc_why[last], "the chain ends after %u descriptors, and %u were added", n, descs);
}

static void check_chain(struct ring_copy *r, uint16_t head)
{
    uint16_t order[VIRTQ_SIZE_MAX];
    unsigned n = ring_walk(r, head, order);
    uint64_t bytes = 0;
    bool writes = false;
    for (unsigned k = 0; k < n; k++) {
        uint16_t i = order[k];
        const struct virtq_desc *d = &r->desc[i];
        if (r->head[i] != RING_LOST)
            say(r->desc_why[i], "in the chain of %u and in that of %u", r->head[i], head);
        if (writes && !(d->flags & VIRTQ_DESC_WRITE))
            say(r->desc_why[i], "the device reads it, after one that it writes");
        check_desc(r, i);
        r->head[i] = head;
        bytes += d->len;
        writes = d->flags & VIRTQ_DESC_WRITE;
    }
    check_end(r, head, order[n - 1], n);
    if (bytes > UINT32_MAX)
        say(r->desc_why[head], "a chain of %lu bytes: more than 32 bits", (unsigned long)bytes);
}

static void check_free(struct ring_copy *r)
{
    uint16_t i = r->free_head, before = (uint16_t)(i % r->size);
    for (unsigned k = 0; k < r->free_count; before = i, i = r->desc[i].next, k++) {
        const char *from = k ? "next" : "free_head";
        if (i >= r->size)
            say(r->desc_why[before],
                "%s %u is out of range: %u of %u descriptors are on the free list", from, i, k,
                r->free_count);
        else if (r->head[i] == RING_FREE)
            say(r->desc_why[before], "%s %u is on the free list already: a loop", from, i);
        else if (r->head[i] != RING_LOST)
            say(r->desc_why[before], "%s %u is on the free list and in the chain of %u", from, i,
                r->head[i]);
        if (i >= r->size || r->head[i] != RING_LOST)
            return;
        r->head[i] = RING_FREE;
    }
}

static void check_avail(struct ring_copy *r)
{
    for (uint16_t i = 0; i < r->avail_written; i++)
        if (r->avail[i] >= r->size)
            say(r->entry_why[i], "available entry %u is out of range: there are %u descriptors",
                r->avail[i], r->size);
    if (r->published != r->avail_idx)
        say(r->entry_why[r->avail_idx % r->size],
            "the available ring's idx is %u, and the driver's %u", r->published, r->avail_idx);
}

// What the device has given back and the driver has not taken must be in flight.
static void check_used(struct ring_copy *r)
{
    uint16_t ahead = (uint16_t)(r->used_idx - r->last_used);
    if (ahead > r->size) {
        say(r->entry_why[r->last_used % r->size],
            "the used ring's idx is %u, %u ahead of the driver's", r->used_idx, ahead);
        ahead = 0;
    }
    for (uint16_t i = 0; i < r->used_written; i++) {
        uint32_t id = r->used[i].id;
        if (id >= r->size)
            say(r->entry_why[i], "used entry %u is out of range: there are %u descriptors", id,
                r->size);
        else if ((uint16_t)(i - r->last_used) % r->size < ahead &&
                 r->slot[id].state != VIRTQ_IN_FLIGHT)
            say(r->entry_why[i], "used entry %u heads no chain in flight", id);
    }
}

unsigned ring_check(struct ring_copy *r)
{
    unsigned wrong = 0;
    memset(r->desc_why, 0, sizeof r->desc_why);
    memset(r->entry_why, 0, sizeof r->entry_why);
    for (uint16_t i = 0; i < r->size; i++)
        r->head[i] = RING_LOST;
    for (uint16_t i = 0; i < r->size; i++)
        if (r->slot[i].state != VIRTQ_FREE)
            check_chain(r, i);
    check_free(r);
    for (uint16_t i = 0; i < r->size; i++)
        if (r->head[i] == RING_LOST)
            say(r->desc_why[i], "in no chain and not on the free list");
    check_avail(r);
    check_used(r);
    for (uint16_t i = 0; i < r->size; i++)
        wrong += (r->desc_why[i][0] != 0) + (r->entry_why[i][0] != 0);
    return wrong;
}
