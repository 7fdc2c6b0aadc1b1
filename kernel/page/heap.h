// SPDX-License-Identifier: MIT
// The kernel heap: size classes in slabs of frames, a free stack per hart and class.
//
// kmalloc and kfree touch only the hart's own stack in the common case: no lock. Empty slabs go
// back to the frames. Requests above HEAP_SLAB_MAX take whole frames. Any kernel context; NULL on
// exhaustion, never a panic. Blocks are aligned to 16 bytes (to their size when it is a power of
// two up to a page).
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { HEAP_SLAB_MAX = 3072, HEAP_CLASSES = 17 };

void heap_init(void); // boot, after frames_init

void *kmalloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *kzalloc(size_t size) __attribute__((malloc, alloc_size(1)));
void kfree(void *p);                  // NULL is fine
size_t kmalloc_usable(const void *p); // bytes the block really has

struct heap_class_stats {
    uint32_t size; // bytes per object
    uint64_t slabs, frames;
    uint64_t objects;       // room in these slabs
    uint64_t used;          // handed out; what harts hold back in their stacks not counted
    uint64_t allocs, frees; // since boot
};
struct heap_stats {
    struct heap_class_stats cls[HEAP_CLASSES];
    uint64_t large_blocks, large_frames;
    uint64_t failures;
};
void heap_stats_get(struct heap_stats *out);

// Gives this hart's free stacks back to the slabs (tests, memory pressure).
void heap_flush_hart(void);
