// SPDX-License-Identifier: MIT
// Batches of free frames, pushed and popped by compare-and-swap of one word: see depot.h.
#include "page/depot.h"
#include "lib/log.h"

struct depot depot;

void depot_init(uint64_t frames)
{
    REQUIRE((frame_end - frame_base) >> PAGE_SHIFT <= 1ul << DEPOT_INDEX_BITS);
    uint64_t batches = frames / 32 / FRAME_BATCH;
    depot.head = 0;
    depot.bound = batches < DEPOT_MAX ? (uint32_t)batches : DEPOT_MAX;
}

static inline uint32_t index_of(uint64_t head)
{
    return head & ((1u << DEPOT_INDEX_BITS) - 1);
}

// The head that follows `head`, with other contents.
static inline uint64_t head_after(uint64_t head, uint64_t batches, uint64_t top)
{
    return ((head >> 32) + 1) << 32 | batches << DEPOT_INDEX_BITS | top;
}

// Returns the first frame.
static struct page *chain(const pa_t *frame)
{
    struct page *pg = NULL;
    for (size_t i = FRAME_BATCH; i-- > 0;) {
        struct page *next = pg;
        pg = page_of(frame[i]);
        DEBUG_ASSERT(pg->kind == FRAME_FREE && pg->order == FRAME_NO_ORDER && !pg->refs);
        pg->owner = next;
    }
    return pg;
}

bool depot_push(const pa_t *frame)
{
    uint64_t head = load_relaxed(&depot.head), found, batches;
    if (depot_batches(head) >= depot.bound)
        return false;
    struct page *first = chain(frame);
    for (; (batches = depot_batches(head)) < depot.bound; head = found) {
        store_relaxed(&first->pins, index_of(head));
        found = atomic_cas64(&depot.head, head,
                             head_after(head, batches + 1, (uint64_t)(first - frame_pages)));
        if (found == head)
            return true;
    }
    store_relaxed(&first->pins, 0); // others have filled it meanwhile
    return false;
}

bool depot_pop(pa_t *frame)
{
    uint64_t head = load_acquire(&depot.head), found, batches;
    struct page *pg;
    for (;; head = found) {
        if (!(batches = depot_batches(head)))
            return false;
        pg = &frame_pages[index_of(head)];
        uint32_t below = load_relaxed(&pg->pins); // anything, if another hart has just taken it
        found = atomic_cas64(&depot.head, head, head_after(head, batches - 1, below));
        if (found == head)
            break;
    }
    store_relaxed(&pg->pins, 0);
    for (size_t i = 0; i < FRAME_BATCH; i++, pg = pg->owner) {
        DEBUG_ASSERT(pg->kind == FRAME_FREE && pg->order == FRAME_NO_ORDER && !pg->refs);
        frame[i] = page_pa(pg);
    }
    return true;
}
