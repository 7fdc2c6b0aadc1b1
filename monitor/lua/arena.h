// SPDX-License-Identifier: MIT
// The memory of one Lua state: an allocator over a block that was reserved beforehand.
//
// It never asks the kernel for memory, so that the monitor works when the kernel has none. Blocks
// carry their size and their lower neighbour's, free neighbours are merged at once, and free blocks
// are kept by size class: every call is O(1) but for the walk of one class. Blocks are 8-byte
// aligned (all that Lua's values need). No locking: one fiber owns it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARENA_BINS = 64 };

struct arena_free;
struct lua_arena {
    char *base;
    size_t size;
    size_t used, peak; // bytes handed out, headers included; the most there ever were
    uint64_t allocs, failures;
    uint64_t occupied; // bit per bin that has blocks
    struct arena_free *bin[ARENA_BINS];
};

enum { ARENA_MIN = 4096, ARENA_MAX = 1 << 30 };

// mem: 8-byte aligned, size ARENA_MIN .. ARENA_MAX; the caller's, for the arena's life.
void arena_init(struct lua_arena *a, void *mem, size_t size);
// NULL when there is no block of that size.
void *arena_alloc(struct lua_arena *a, size_t size);
void arena_free(struct lua_arena *a, void *p);
// As realloc: p NULL allocates, size 0 frees. Shrinking never fails. NULL leaves p as it was.
void *arena_realloc(struct lua_arena *a, void *p, size_t size);
// Walks every block and list. Tests, and the monitor's own lint.
bool arena_is_sound(const struct lua_arena *a);
