// SPDX-License-Identifier: MIT
// The buddy allocator below the depot and the harts' stacks of frames. Private to page/.
//
// Free memory is a set of blocks of 2^order frames, each aligned to its size. Only the head of a free block says so in its page
// entry (kind FREE, order set); the rest of the block is not looked at, so handing memory over at boot costs a few stores per
// 4 MiB.
#pragma once

#include "lib/spinlock.h"
#include "page/frame.h"

extern struct buddy {
    struct spinlock lock; // a leaf: nothing is taken inside
    struct list blocks[FRAME_ORDER_MAX + 1];
    uint64_t free, total; // frames; written under the lock
    uint64_t failures;    // allocations that found nothing, of single frames as well
} buddy;

// Boot: no lock yet. buddy_add hands over the frames of [lo, hi).
void buddy_init(void);
void buddy_add(pa_t lo, pa_t hi);

// Lock held. Gives back a block, which becomes one with its free neighbours; NULL: there is none of that size.
void buddy_put(struct page *pg, unsigned order);
struct page *buddy_get(unsigned order);

// Gives back n single frames. Takes the lock.
void buddy_put_frames(const pa_t *pa, size_t n);
// Counts an allocation that found nothing. Takes the lock.
void buddy_failed(void);
