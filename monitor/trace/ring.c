// SPDX-License-Identifier: MIT
// A ring of events with one writer and one reader.
#include "trace/ring.h"

#include "arch/atomic.h"

#include <stddef.h>

void trace_ring_init(struct trace_ring *r, struct trace_event *slot, uint32_t size)
{
    *r = (struct trace_ring){.slot = slot, .size = size};
}

bool trace_ring_room(struct trace_ring *r)
{
    if (r->tail - load_acquire(&r->head) < r->size)
        return true;
    r->missing++;
    store_relaxed(&r->lost, r->lost + 1);
    return false;
}

void trace_ring_put(struct trace_ring *r, const struct trace_event *e)
{
    struct trace_event *to = &r->slot[r->tail & (r->size - 1)];
    *to = *e;
    to->lost = r->missing;
    r->missing = 0;
    store_relaxed(&r->written, r->written + 1);
    store_release(&r->tail, r->tail + 1);
}

const struct trace_event *trace_ring_peek(const struct trace_ring *r)
{
    return load_acquire(&r->tail) == r->head ? NULL : &r->slot[r->head & (r->size - 1)];
}

void trace_ring_take(struct trace_ring *r)
{
    store_release(&r->head, r->head + 1);
}

struct trace_ring *trace_rings_oldest(struct trace_ring *r, unsigned n)
{
    struct trace_ring *oldest = NULL;
    uint64_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct trace_event *e = trace_ring_peek(&r[i]);
        if (e && (!oldest || e->at < at)) {
            oldest = &r[i];
            at = e->at;
        }
    }
    return oldest;
}
