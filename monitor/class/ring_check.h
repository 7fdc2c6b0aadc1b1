// SPDX-License-Identifier: MIT
// A split virtqueue at one moment, and what is wrong with it (virtio 1.2, 2.7).
//
// The device goes on while one looks: what is looked at is a copy, made under the queue's lock, and every walk in it is
// bounded by its size. Nothing of what is copied is believed.
#pragma once

#include "dev/virtio/queue.h"

#include <stdbool.h>
#include <stdint.h>

enum { RING_WHY = 72, RING_FREE = 0xffff, RING_LOST = 0xfffe }; // FREE, LOST: see ring_copy.head

struct ring_slot { // of a struct virtq_slot
    uint64_t since;
    uint32_t waiter;
    uint16_t descs;
    uint8_t state; // enum virtq_slot_state
};

struct ring_copy {
    uint16_t size, free_head, free_count;
    uint16_t avail_idx, kicked_idx, last_used; // the driver's
    uint16_t published, used_idx;              // those in the rings
    uint16_t avail_written, used_written;      // entries that were written at least once
    struct virtq_desc desc[VIRTQ_SIZE_MAX];
    uint16_t avail[VIRTQ_SIZE_MAX];
    struct virtq_used_elem used[VIRTQ_SIZE_MAX];
    struct ring_slot slot[VIRTQ_SIZE_MAX];
    // Made by ring_check: the head of the chain that a descriptor is in, FREE: it is on the free list, LOST: neither.
    uint16_t head[VIRTQ_SIZE_MAX];
    // What is wrong with a descriptor; and with an entry of the available or the used ring. Empty: nothing.
    char desc_why[VIRTQ_SIZE_MAX][RING_WHY], entry_why[VIRTQ_SIZE_MAX][RING_WHY];
};

// Takes the queue's lock.
void ring_copy(struct virtqueue *q, struct ring_copy *out);
// Finds out whose each descriptor is, and what is wrong: in how many places.
unsigned ring_check(struct ring_copy *r);
// The descriptors of a chain as a device follows them: how many. It ends before one that it has had, or that is none.
unsigned ring_walk(const struct ring_copy *r, uint16_t head, uint16_t order[VIRTQ_SIZE_MAX]);
