// SPDX-License-Identifier: MIT
// Boundary tags and size-class lists over one block. The invariants, which arena_is_sound() checks:
// blocks tile the arena; no two neighbours are free; a free block is in the list of its size; the
// last header is a zero-sized taken one, so that a merge upwards needs no bounds check.
#include "lua/arena.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

struct header {
    uint32_t size;  // bytes, header included, multiple of 8; lowest bit: free
    uint32_t below; // size of the lower neighbour, 0 at the base
};

struct arena_free {
    struct header h;
    struct arena_free *next, **link;
};

enum { FREE = 1, MIN_BLOCK = sizeof(struct arena_free) };
_Static_assert(sizeof(struct header) == 8, "payloads are 8-byte aligned");

static struct header *above(struct header *h)
{
    return (struct header *)((char *)h + (h->size & ~(uint32_t)FREE));
}

static struct header *below(struct header *h)
{
    return (struct header *)((char *)h - h->below);
}

// Four classes per power of two, so that a block of a class above fits without a look.
static unsigned bin_of(size_t size)
{
    if (size < MIN_BLOCK)
        size = MIN_BLOCK;
    unsigned log = 63 - (unsigned)__builtin_clzl(size);
    unsigned bin = (log - 4) * 4 + (size >> (log - 2) & 3) - 2;
    return bin < ARENA_BINS ? bin : ARENA_BINS - 1;
}

static void list_in(struct lua_arena *a, struct header *h, size_t size)
{
    struct arena_free *f = (struct arena_free *)h;
    unsigned bin = bin_of(size);
    h->size = (uint32_t)size | FREE;
    above(h)->below = (uint32_t)size;
    f->next = a->bin[bin];
    f->link = &a->bin[bin];
    if (f->next)
        f->next->link = &f->next;
    a->bin[bin] = f;
    a->occupied |= 1ul << bin;
    POISON(f + 1, size - sizeof *f);
}

static void list_out(struct lua_arena *a, struct header *h)
{
    struct arena_free *f = (struct arena_free *)h;
    h->size &= ~(uint32_t)FREE;
    UNPOISON(f, h->size);
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    unsigned bin = bin_of(h->size);
    if (!a->bin[bin])
        a->occupied &= ~(1ul << bin);
}

void arena_init(struct lua_arena *a, void *mem, size_t size)
{
    UNPOISON(mem, size);
    size &= ~7ul;
    *a = (struct lua_arena){.base = mem, .size = size};
    struct header *first = mem, *end = (struct header *)((char *)mem + size - sizeof *end);
    *end = (struct header){0, 0};
    *first = (struct header){0, 0};
    list_in(a, first, size - sizeof *end);
}

static struct header *find(struct lua_arena *a, size_t size)
{
    unsigned bin = bin_of(size);
    for (struct arena_free *f = a->bin[bin]; f; f = f->next)
        if ((f->h.size & ~(uint32_t)FREE) >= size)
            return &f->h;
    uint64_t larger = bin + 1 < ARENA_BINS ? a->occupied & ~0ul << (bin + 1) : 0;
    return larger ? &a->bin[__builtin_ctzl(larger)]->h : NULL;
}

// h is taken and its size exact but for a tail, which is given back.
static void trim(struct lua_arena *a, struct header *h, size_t size)
{
    size_t rest = h->size - size;
    if (rest < MIN_BLOCK)
        return;
    h->size = (uint32_t)size;
    struct header *tail = above(h), *after;
    UNPOISON(tail, rest);
    *tail = (struct header){(uint32_t)rest, (uint32_t)size};
    after = above(tail);
    if (after->size & FREE) {
        list_out(a, after);
        rest += after->size;
    }
    list_in(a, tail, rest);
}

static size_t block_size(size_t size)
{
    size = (size + sizeof(struct header) + 7) & ~7ul;
    return size < MIN_BLOCK ? MIN_BLOCK : size;
}

void *arena_alloc(struct lua_arena *a, size_t size)
{
    struct header *h = size < ARENA_MAX ? find(a, block_size(size)) : NULL;
    if (!h) {
        a->failures++;
        return NULL;
    }
    list_out(a, h);
    trim(a, h, block_size(size));
    a->used += h->size;
    a->allocs++;
    if (a->used > a->peak)
        a->peak = a->used;
    POISON((char *)(h + 1) + size, h->size - sizeof *h - size);
    return h + 1;
}

void arena_free(struct lua_arena *a, void *p)
{
    if (!p)
        return;
    struct header *h = (struct header *)p - 1;
    size_t size = h->size;
    UNPOISON(h, size);
    a->used -= size;
    struct header *up = above(h);
    if (up->size & FREE) {
        list_out(a, up);
        size += up->size;
    }
    if (h->below && below(h)->size & FREE) {
        h = below(h);
        list_out(a, h);
        size += h->size;
    }
    list_in(a, h, size);
}

// Grows into a free upper neighbour; moving is the caller's last resort.
static bool grow(struct lua_arena *a, struct header *h, size_t want)
{
    struct header *up = above(h);
    if (!(up->size & FREE) || h->size + (up->size & ~(uint32_t)FREE) < want)
        return false;
    list_out(a, up);
    a->used -= h->size;
    h->size += up->size;
    above(h)->below = h->size;
    trim(a, h, want);
    a->used += h->size;
    if (a->used > a->peak)
        a->peak = a->used;
    return true;
}

void *arena_realloc(struct lua_arena *a, void *p, size_t size)
{
    if (!p)
        return size ? arena_alloc(a, size) : NULL;
    if (!size) {
        arena_free(a, p);
        return NULL;
    }
    struct header *h = (struct header *)p - 1;
    size_t old = h->size, want = size < ARENA_MAX ? block_size(size) : SIZE_MAX;
    UNPOISON(p, old - sizeof *h);
    if (want <= old) {
        a->used -= old;
        trim(a, h, want);
        a->used += h->size;
    } else if (want == SIZE_MAX || !grow(a, h, want)) {
        void *q = arena_alloc(a, size);
        if (q) {
            memcpy(q, p, old - sizeof *h);
            arena_free(a, p);
        }
        return q;
    }
    POISON((char *)p + size, h->size - sizeof *h - size);
    return p;
}

bool arena_is_sound(const struct lua_arena *a)
{
    size_t used = 0, free_blocks = 0, listed = 0;
    uint32_t last = 0;
    bool last_free = false;
    struct header *h = (struct header *)a->base;
    for (; (char *)h < a->base + a->size - sizeof *h; h = above(h)) {
        bool is_free = h->size & FREE;
        if (h->below != last || (is_free && last_free) || (h->size & ~(uint32_t)FREE) < MIN_BLOCK)
            return false;
        last = h->size & ~(uint32_t)FREE;
        last_free = is_free;
        free_blocks += is_free;
        used += is_free ? 0 : last;
    }
    if ((char *)h != a->base + a->size - sizeof *h || h->size || h->below != last)
        return false;
    for (unsigned bin = 0; bin < ARENA_BINS; bin++) {
        if (!a->bin[bin] != !(a->occupied >> bin & 1))
            return false;
        for (struct arena_free *f = a->bin[bin]; f; f = f->next, listed++)
            if (!(f->h.size & FREE) || bin_of(f->h.size & ~(uint32_t)FREE) != bin)
                return false;
    }
    return used == a->used && listed == free_blocks;
}
