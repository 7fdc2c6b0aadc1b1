// SPDX-License-Identifier: MIT
// Events of one hart on their way to the monitor: one writer, one reader, no lock.
//
// What finds no room is dropped and counted; the next event that finds some says how many went
// missing before it, so that a reader learns of the loss at its place. written + lost is everything
// that was put, however often the ring went round.
#pragma once

#include "trace/event.h"

struct trace_ring {
    struct trace_event *slot;  // the owner's; size is a power of two
    uint32_t size, head, tail; // run freely; head is the reader's
    uint32_t missing;          // lost since the last one written; the writer's
    uint64_t written, lost;    // the writer's
};

void trace_ring_init(struct trace_ring *r, struct trace_event *slot, uint32_t size);

// The writer: is there room? Counts a loss when there is not.
bool trace_ring_room(struct trace_ring *r);
void trace_ring_put(struct trace_ring *r, const struct trace_event *e); // there is room

// The reader: the oldest, without taking it, or NULL; it stays valid until it is taken.
const struct trace_event *trace_ring_peek(const struct trace_ring *r);
void trace_ring_take(struct trace_ring *r);
// When the writer has stopped: what was lost since the last event that could be written.
static inline uint32_t trace_ring_missing(const struct trace_ring *r)
{
    return r->missing;
}

// Of n rings, that with the oldest event; NULL: all are empty.
struct trace_ring *trace_rings_oldest(struct trace_ring *r, unsigned n);
