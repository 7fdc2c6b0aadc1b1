// SPDX-License-Identifier: MIT
// k.heap: the kernel heap, by size class.
#include "page/heap.h"

#include "class/class.h"
#include "lib/errno.h"

#include <stdio.h>

struct heap_view {
    uint64_t used, room, slabs, frames, allocs, frees;
    uint32_t size;
};

static long heap_copy(const struct class_key *key, void *out)
{
    struct heap_stats s;
    heap_stats_get(&s);
    if (key->id >= HEAP_CLASSES || !s.cls[key->id].size)
        return -ENOENT;
    const struct heap_class_stats *c = &s.cls[key->id];
    *(struct heap_view *)out = (struct heap_view){
        .used = c->used,
        .room = c->objects,
        .slabs = c->slabs,
        .frames = c->frames,
        .allocs = c->allocs,
        .frees = c->frees,
        .size = c->size,
    };
    return 0;
}

static size_t heap_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t i = from; i < HEAP_CLASSES && n < max; i++)
        out[n++] = (struct class_key){i, owner};
    return n;
}

static void heap_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct heap_view *v = copy;
    (void)key;
    snprintf(buf, n, "%u bytes: %lu of %lu used", v->size, (unsigned long)v->used,
             (unsigned long)v->room);
}

static const struct class_field fields[] = {
    FIELD(struct heap_view, size, "bytes of an object"),
    FIELD(struct heap_view, used, "objects handed out; what harts hold back is among them"),
    FIELD(struct heap_view, room, "objects that the slabs have room for"),
    FIELD(struct heap_view, slabs, "blocks of frames"),
    FIELD(struct heap_view, frames, "their frames"),
    FIELD(struct heap_view, allocs, "objects handed out since boot"),
    FIELD(struct heap_view, frees, "objects given back since boot"),
    {0},
};

CLASS(heap, .name = "HeapClass", .doc = "the objects of one size in the kernel heap",
      .place = "struct heap_class_stats, kernel/page/heap.h", .example = "k.heap[0]",
      .size = sizeof(struct heap_view), .copy = heap_copy, .keys = heap_keys, .line = heap_line,
      .fields = fields);

static int k_heap(lua_State *L)
{
    class_push_list(L, class_heap, 0);
    return 1;
}
MONITOR_API(heap, "heap", NULL, "list of HeapClass: the kernel heap by size of objects",
            "k.heap:where{size = 64}:first().used", k_heap, NULL);
