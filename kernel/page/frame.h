// SPDX-License-Identifier: MIT
// Page frames: who owns each 4 KiB of RAM, and the allocator of them.
//
// One `struct page` per frame. A frame is free (refs 0, in the buddy lists, the depot or a hart's
// cache), or has refs >= 1 owners: page table entries, the page cache, a device request, a kernel
// object. The last frame_unref frees it. A hart takes from and gives to its own cache without a lock
// (kernel mode has interrupts off); caches trade batches with the depot, by one compare-and-swap; and
// with the buddy allocator under one lock when the depot is empty or full, or memory scarce.
#pragma once

#include "arch/atomic.h"
#include "arch/types.h"
#include "lib/list.h"
#include "lib/log.h"

#include <stdbool.h>
#include <stddef.h>

// What a frame is used for: told to the monitor, and to code that must tell them apart.
enum frame_kind {
    FRAME_RESERVED, // firmware, kernel image, device tree: never allocated
    FRAME_FREE,     // in a hart's cache, in the depot, or head of a free block
    FRAME_KERNEL,   // some kernel object's own
    FRAME_ANON,     // user memory without a file; owned by page table entries only
    FRAME_CACHE,    // page of a memory object; owner: struct phys *, index: page number in it
    FRAME_TABLE,    // page table
    FRAME_SLAB,     // heap, size classes; private to heap.c
    FRAME_HEAP,     // heap, whole frames
    FRAME_KINDS,
};

// Flags of FRAME_CACHE pages; guarded by the lock of the owning object.
enum page_flag {
    PAGE_UPTODATE = 1,  // contents are valid
    PAGE_DIRTY = 2,     // newer than the store
    PAGE_BUSY = 4,      // being filled
    PAGE_WRITEBACK = 8, // being written
    PAGE_RECENT = 16,   // used since eviction last looked at it
    PAGE_GONE = 32,     // cut off from its object while somebody still held it
    PAGE_HOT = 64,      // used again while RECENT
    PAGE_ACTIVE = 128,  // in the list of pages that were hot
    // Of a free frame, in debug builds: it holds poison (page/freed.h). No lock.
    PAGE_POISONED = 256,
};

struct page {
    uint32_t refs;  // atomic
    uint32_t pins;  // atomic; > 0: contents are under I/O, fork copies at once; free: the depot's
    uint32_t index; // FRAME_CACHE: page number in its object
    uint8_t kind;   // enum frame_kind
    uint8_t order;  // buddy order of a free block, in its head only; FRAME_NO_ORDER else
    uint16_t flags; // enum page_flag
    union {
        struct list link; // free lists, heap
        struct {
            // FRAME_CACHE: struct phys *; FRAME_ANON: of the first of a 2 MiB page its table
            // (mem/huge.h); free: the depot's
            void *owner;
            uint64_t data; // FRAME_CACHE: neighbours in the eviction list (mem/evict.c)
        };
    };
};
enum { FRAME_NO_ORDER = 0xff };
_Static_assert(sizeof(struct page) == 32, "one page array entry per frame: keep it small");
_Static_assert(offsetof(struct page, kind) % 2 == 0 &&
                   offsetof(struct page, order) == offsetof(struct page, kind) + 1,
               "kind and order can be read at once");

extern struct page *frame_pages;   // entry of frame_base, then one per frame
extern pa_t frame_base, frame_end; // RAM the array covers; holes are FRAME_RESERVED

static inline bool frame_is_ram(pa_t pa)
{
    return pa - frame_base < frame_end - frame_base;
}

// pa must be RAM.
static inline struct page *page_of(pa_t pa)
{
    return &frame_pages[(pa - frame_base) >> PAGE_SHIFT];
}

static inline pa_t page_pa(const struct page *pg)
{
    return frame_base + ((pa_t)(pg - frame_pages) << PAGE_SHIFT);
}

static inline void *page_kva(const struct page *pg)
{
    return pa_to_kva(page_pa(pg));
}

struct frame_range {
    pa_t lo, hi;
};

// Boot, once, on the boot hart, with the linear map in place. `ranges`: free RAM, page aligned,
// ascending, not overlapping, everything reserved already taken out. The page array is cut from the
// largest one. Panics when there is no room for it.
void frames_init(const struct frame_range *ranges, size_t n);

enum frame_flag {
    FRAME_ZERO = 1, // contents are zero
    FRAME_USER = 2, // on behalf of a user program: leaves the kernel's reserve alone
};

enum { FRAME_CACHE_MAX = 128, FRAME_BATCH = 64, FRAME_ZEROED_MAX = 64 };

// A hart's own frames. Nobody else touches it.
struct frame_cache {
    uint32_t count, zeroed;
    uint64_t allocs, frees, from_zeroed;
    uint64_t refills, from_depot, spills, to_depot; // batches traded, and with whom
    pa_t frame[FRAME_CACHE_MAX];
    pa_t zero[FRAME_ZEROED_MAX]; // these hold zeroes
};
extern _Thread_local struct frame_cache frame_cache;

// One frame with one reference, kind FRAME_KERNEL. 0 when memory is exhausted (clean cached file
// pages are given up first). Any kernel context.
pa_t frame_alloc(unsigned flags);
// 2^order frames, contiguous and aligned to their size, each with one reference. 0: none.
enum { FRAME_ORDER_MAX = 10 };
pa_t frame_alloc_order(unsigned order);
// n contiguous frames; give each back with frame_unref. 0: none, or n > 1 << FRAME_ORDER_MAX.
pa_t frame_alloc_run(size_t n);
pa_t frame_try_run(size_t n); // the same, but nothing cached is given up for it

// Drops one reference of each of 2^order frames, aligned to their size. If all were the last ones, and nobody can
// take another, they stay together.
void frame_unref_run(pa_t pa, unsigned order);
// Could frame_try_run give 2^order now, without the depot's? A glance, without the lock.
bool frame_has_run(unsigned order);

// Gives this hart's own frames and the depot's back, so that they can merge (tests, memory pressure).
void frame_flush_hart(void);

void frame_free(pa_t pa);        // refs has fallen to 0; called by frame_unref
void frame_free_zeroed(pa_t pa); // refs is 1 and contents are known to be zero (page tables)

static inline void page_ref(struct page *pg)
{
    uint32_t was = atomic_add32(&pg->refs, 1);
    DEBUG_ASSERT(was != 0); // or it is free already
    (void)was;
}

static inline void page_put(struct page *pg)
{
    uint32_t was = atomic_add32(&pg->refs, (uint32_t)-1);
    DEBUG_ASSERT(was != 0);
    if (was == 1)
        frame_free(page_pa(pg));
}

static inline void frame_ref(pa_t pa)
{
    page_ref(page_of(pa));
}

static inline void frame_unref(pa_t pa)
{
    uint32_t was = atomic_add32(&page_of(pa)->refs, (uint32_t)-1);
    DEBUG_ASSERT(was != 0);
    if (was == 1)
        frame_free(pa);
}

// The frame that reads as zero wherever nothing was written: mapped read-only, referenced like any
// other, never freed.
extern pa_t frame_zero;

void page_zero(void *kva);                          // 4096 bytes, page aligned
void page_copy(void *dst_kva, const void *src_kva); // the same

uint64_t frame_total(void);      // frames the allocator was given
bool frame_plenty(void);         // worth taking more than is asked for; cheap
uint64_t frame_free_count(void); // free now, caches included; approximate while harts run
uint64_t frame_spare(void);      // free outside of the harts' caches: what any hart can have; cheap
extern uint64_t frame_reserve;   // FRAME_USER leaves this many alone

// How many frames a FRAME_USER allocation of the present task leaves alone, instead of frame_reserve;
// asked when the hart's own cache is empty.
void frame_set_floor(uint64_t (*floor)(void));
// Called, under the caller's locks, when the kernel itself takes of the lower half of the reserve.
void frame_set_low(void (*low)(void));

// Idle work: zeroes one frame into the hart's stock. True if the stock still has room and memory is
// not short.
bool frame_idle_zero(void);

// Called (by the allocator, under the caller's locks) to give up clean cached pages: frees up to
// `want` frames and returns how many. One hook: mem/phys.c.
void frame_set_shrinker(size_t (*shrink)(size_t want));

struct frame_stats {
    uint64_t total, free, cached, zeroed, depot; // frames
    uint64_t allocs, frees, from_zeroed, failures;
    uint64_t refills, from_depot, spills, to_depot; // batches the harts took and gave
    uint64_t free_blocks[FRAME_ORDER_MAX + 1];      // in the buddy lists, by order
    uint64_t kind[FRAME_KINDS];                     // filled by frame_count_kinds only
};
void frame_stats_get(struct frame_stats *out);
void frame_count_kinds(struct frame_stats *out); // walks the page array: slow

// Tests make allocations fail, of frames and of heap: each of these is asked, the first one that was added first, until one says
// that the allocation at hand is to fail.
struct alloc_failure {
    bool (*fails)(void);
    struct alloc_failure *next;
};
extern struct alloc_failure *alloc_failures;
// It is asked from now on, and for good: static. Once more: nothing. Any context.
void alloc_failure_add(struct alloc_failure *one);
bool alloc_failures_ask(void);
static inline bool alloc_fails(void)
{
    return unlikely(load_relaxed(&alloc_failures) != NULL) && alloc_failures_ask();
}
