// SPDX-License-Identifier: MIT
// The depot between the harts' stacks of frames and the buddy allocator: a bounded stack of batches of FRAME_BATCH free frames
// that harts push and pop without a lock. Private to page/.
//
// A batch is a chain of frames, linked through their page entries: `owner` of each is the next one (NULL in the last), `pins`
// of the first is the number of the first frame of the batch below. The stack is one word, the head: number of the topmost
// batch's first frame, how many batches there are, and a tag that each change of the head counts up. All that changes is
// changed by one compare-and-swap of this word.
//
// Who owns a batch. In the depot's hands it is exactly if it can be reached from the head, and then nobody writes to its
// frames' entries or to their contents. The hart whose exchange takes it off the head owns it from that instruction on; a hart
// that pushes owns it until its exchange succeeds, and still if it fails. So a frame has one owner at each instruction, and
// the head's count is the length of the stack in every state: the bound holds exactly.
//
// The link of a batch that somebody else takes meanwhile. Pop reads the topmost batch's `pins` before its exchange, when
// another hart may have taken that batch, and anybody may have written there. The read itself is harmless: page entries are
// never unmapped, `pins` is written by whole aligned stores only (store_relaxed or read-modify-writes, throughout the kernel),
// and what was read is thrown away, because the head has changed and the exchange fails.
//
// ABA: that the head has changed is seen even if the same batch is on top again. Two heads with the same tag are 2^32 changes
// apart, or a multiple of it. A hart stands between reading the head and its exchange for a dozen instructions with interrupts
// off; meanwhile the others would have to make 4,294,967,296 changes, each of which moves FRAME_BATCH frames: more than 10^12
// instructions, where a hart that does not answer for 10 s makes the others panic (spinlocks, shootdown).
//
// Memory order. Push writes the chain, then exchanges (a release); pop exchanges (an acquire), then reads the chain. The head
// is changed by read-modify-writes only, so whoever pops a batch has seen all that its pusher wrote, even if others pushed
// and popped above it in between. The read of the head before that of the link is an acquire.
//
// When memory is scarce nothing is pushed, and what is here goes first; who wants contiguous frames and finds none gives all of
// it to the buddy allocator (frame_merge_depot), so that it can merge.
#pragma once

#include "page/frame.h"

enum { DEPOT_INDEX_BITS = 26, DEPOT_COUNT_BITS = 6, DEPOT_MAX = 32 };
_Static_assert(DEPOT_MAX < 1 << DEPOT_COUNT_BITS, "the count lies in the head");
_Static_assert(DEPOT_INDEX_BITS + DEPOT_COUNT_BITS == 32, "and leaves half of it to the tag");

extern struct depot {
    uint64_t head;  // tag:32 | count:6 | number of the first frame:26
    uint32_t bound; // batches it may hold
} depot;

// Boot: `frames` is how many the allocator has; DEPOT_MAX batches at most and 1/32 of them are kept here. The array of
// page entries is there.
void depot_init(uint64_t frames);

// FRAME_BATCH frames, the caller's own: FREE, in no list, without references. False: the depot is full, they stay the caller's.
bool depot_push(const pa_t *frame);
// Fills frame[FRAME_BATCH], in the order in which they were pushed. False: the depot is empty.
bool depot_pop(pa_t *frame);

static inline uint64_t depot_batches(uint64_t head)
{
    return head >> DEPOT_INDEX_BITS & ((1u << DEPOT_COUNT_BITS) - 1);
}

// Frames in it now.
static inline uint64_t depot_frames(void)
{
    return FRAME_BATCH * depot_batches(load_relaxed(&depot.head));
}
