// SPDX-License-Identifier: MIT
// Split virtqueues (virtio 1.2, section 2.7): ring logic on plain memory.
//
// One lock covers free list, rings and indices. A device owns what it was given until it gives it
// back: a token is added with virtqueue_add() and comes back exactly once through its `complete`,
// called by virtqueue_drain() with no lock held. A used element that names no chain in flight is
// counted and ignored.
//
// Held queue (the monitor): used elements are taken from the ring but not handed on; they are
// handed on by virtqueue_hold(vq, false) in the device's order, or one by one with
// virtqueue_release().
#pragma once

#include "arch/types.h"
#include "lib/list.h"
#include "lib/spinlock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VIRTQ_SIZE_MAX = 256 };
enum { VIRTQ_DESC_NEXT = 1, VIRTQ_DESC_WRITE = 2, VIRTQ_DESC_INDIRECT = 4 };
enum { VIRTQ_AVAIL_NO_INTERRUPT = 1, VIRTQ_USED_NO_NOTIFY = 1 };

struct virtq_desc {
    uint64_t addr; // physical
    uint32_t len;
    uint16_t flags, next;
};
struct virtq_avail {
    uint16_t flags, idx;
    uint16_t ring[]; // ring[size] is used_event
};
struct virtq_used_elem {
    uint32_t id, len;
};
struct virtq_used {
    uint16_t flags, idx;
    struct virtq_used_elem ring[]; // the uint16_t after ring[size-1] is avail_event
};
_Static_assert(sizeof(struct virtq_desc) == 16, "virtio 2.7.5");
_Static_assert(sizeof(struct virtq_used_elem) == 8, "virtio 2.7.8");

static inline size_t virtq_avail_bytes(uint16_t size)
{
    return 6 + 2 * (size_t)size;
}
static inline size_t virtq_used_bytes(uint16_t size)
{
    return 6 + 8 * (size_t)size;
}

// What is in flight. Embedded in the owner's request; `complete` gets it back with error 0 and the
// bytes the device wrote, or a negative errno and 0 (device failed, or the monitor failed it).
struct virtq_token {
    void (*complete)(struct virtq_token *token, int error, uint32_t written);
    struct virtq_token *next; // queue's own
    int error;
    uint32_t written;
};

struct virtq_segment {
    pa_t pa;
    uint32_t len;
    bool device_writes; // all segments the device reads come before those it writes
};

enum virtq_slot_state { VIRTQ_FREE, VIRTQ_IN_FLIGHT, VIRTQ_HELD };

// By head descriptor.
struct virtq_slot {
    struct virtq_token *token;
    uint64_t since;     // time_ticks() at add
    uint32_t waiter;    // task id of who waits, 0: nobody; for the monitor
    uint32_t written;   // HELD: what the device reported
    uint16_t descs;     // length of the chain
    uint16_t held_next; // HELD: the next head in the device's order
    uint8_t state;      // enum virtq_slot_state
};

enum virtq_verdict { VIRTQ_TAKE, VIRTQ_HOLD, VIRTQ_FAIL };

struct virtqueue {
    struct list link; // in `virtqueues`
    struct spinlock lock;
    char name[16]; // "vda.0"
    uint16_t size; // power of two
    uint16_t free_head, free_count;
    uint16_t avail_idx;  // next to publish
    uint16_t last_used;  // next to take
    uint16_t kicked_idx; // avail_idx at the last kick
    uint16_t held_head, held_tail, held_count;
    bool event_idx;
    bool held;
    bool broken; // the device failed: adds are refused with -EIO
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    struct virtq_slot *slot;              // [size]
    void (*notify)(struct virtqueue *vq); // tells the device; called under the lock
    // Faults on purpose: what becomes of a chain that the device gives back; held: until virtqueue_release. Called under
    // the lock; NULL: all are taken.
    enum virtq_verdict (*filter)(struct virtqueue *vq, uint16_t head);
    void *owner;
    uint64_t adds, completions, kicks, bogus;
};

extern struct list virtqueues; // under virtqueues_lock; entries live for ever
extern struct spinlock virtqueues_lock;
struct virtqueue *virtqueue_at(uint64_t n); // the n-th of them, NULL: there are fewer

// Rings must be zeroed and live as long as the queue. Does not put it on `virtqueues`.
void virtqueue_init(struct virtqueue *vq, const char *name, uint16_t size, struct virtq_desc *desc,
                    struct virtq_avail *avail, struct virtq_used *used, struct virtq_slot *slot);
void virtqueue_publish(struct virtqueue *vq);

// Adds one chain of n >= 1 segments. Head index, or -ENOSPC (try again after a completion),
// -EINVAL (n == 0 or > size, or a read segment after a written one), -EIO (broken).
int virtqueue_add(struct virtqueue *vq, const struct virtq_segment *seg, unsigned n,
                  struct virtq_token *token, uint32_t waiter);
// Tells the device of what was added, if it wants to hear.
void virtqueue_kick(struct virtqueue *vq);

// Takes what the device gave back and completes it; looks once more after re-enabling
// interrupts. Returns how many tokens were handed on. Any context, no lock held.
unsigned virtqueue_drain(struct virtqueue *vq);

// Hold or let go; letting go hands on what was held.
void virtqueue_hold(struct virtqueue *vq, bool on);
// Hands on one held chain, with `error` (0 or negative errno) in place of the device's verdict.
// -ENOENT: head is not held.
int virtqueue_release(struct virtqueue *vq, uint16_t head, int error);
// Two held chains change places. -ENOENT: one is not held, or they are one.
int virtqueue_exchange(struct virtqueue *vq, uint16_t a, uint16_t b);
// The device is gone: everything in flight completes with -EIO.
void virtqueue_break(struct virtqueue *vq);
