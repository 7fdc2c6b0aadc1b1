// SPDX-License-Identifier: MIT
// The radix tree behind memory objects.
#include "mem/radix.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "page/heap.h"

enum { SLOTS = 64, BITS = 6, LEVELS_MAX = 10 };

static void **node_new(void)
{
    return kzalloc(SLOTS * sizeof(void *));
}

static bool node_empty(void *const *node)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (node[i])
            return false;
    return true;
}

// Makes the tree high enough for index. An empty one gets its one node at the top at once: below it
// there would be empty nodes that no removal comes by to free.
static int grow(struct radix *r, uint64_t index)
{
    while (!r->root || (r->height < LEVELS_MAX && index >> (BITS * r->height))) {
        void **node = node_new();
        if (!node)
            return -ENOMEM;
        node[0] = r->root;
        do
            r->height++;
        while (!r->root && r->height < LEVELS_MAX && index >> (BITS * r->height));
        r->root = node;
    }
    return 0;
}

// Frees the nodes on the way to index that hold nothing, and the root if the tree is empty.
static void prune(struct radix *r, uint64_t index)
{
    void **path[LEVELS_MAX];
    void **node = r->root;
    unsigned n = 0;
    for (unsigned h = r->height; h-- > 0 && node;) {
        path[n++] = node;
        node = h ? node[index >> (BITS * h) & (SLOTS - 1)] : NULL;
    }
    while (n-- > 0 && node_empty(path[n])) {
        if (n)
            path[n - 1][index >> (BITS * (r->height - n)) & (SLOTS - 1)] = NULL;
        else
            r->root = NULL;
        kfree(path[n]);
    }
    if (!r->root)
        r->height = 0;
}

int radix_put(struct radix *r, uint64_t index, struct page *pg)
{
    if (grow(r, index))
        return -ENOMEM;
    void **node = r->root;
    for (unsigned h = r->height - 1; h; h--) {
        void **slot = &node[index >> (BITS * h) & (SLOTS - 1)];
        if (!*slot && !(*slot = node_new())) {
            prune(r, index);
            return -ENOMEM;
        }
        node = *slot;
    }
    ASSERT(!node[index & (SLOTS - 1)]);
    node[index & (SLOTS - 1)] = pg;
    return 0;
}

struct page *radix_remove(struct radix *r, uint64_t index)
{
    struct page *pg = radix_get(r, index);
    if (!pg)
        return NULL;
    void **node = r->root;
    for (unsigned h = r->height - 1; h; h--)
        node = node[index >> (BITS * h) & (SLOTS - 1)];
    node[index & (SLOTS - 1)] = NULL;
    prune(r, index);
    return pg;
}

struct page *radix_next(const struct radix *r, uint64_t *index)
{
    uint64_t at = *index;
    while (r->height && !(r->height < LEVELS_MAX && at >> (BITS * r->height))) {
        void *const *node = r->root;
        unsigned h = r->height - 1;
        for (; h && node[at >> (BITS * h) & (SLOTS - 1)]; h--)
            node = node[at >> (BITS * h) & (SLOTS - 1)];
        if (!h)
            for (unsigned i = at & (SLOTS - 1); i < SLOTS; i++)
                if (node[i]) {
                    *index = (at & ~(uint64_t)(SLOTS - 1)) | i;
                    return node[i];
                }
        unsigned shift = BITS * (h ? h : 1); // on to the next slot of the level that ended
        uint64_t next = ((at >> shift) + 1) << shift;
        if (next <= at)
            break;
        at = next;
    }
    return NULL;
}
