// SPDX-License-Identifier: MIT
// A radix tree of pages by page number, 64 slots per node (512 bytes). Private to mem/.
//
// No locking of its own. The tree is as high as its largest index needs; an empty one has no nodes.
#pragma once

#include "page/frame.h"

struct radix {
    void *root;
    uint32_t height; // levels of nodes; 0: empty
};

static inline struct page *radix_get(const struct radix *r, uint64_t index)
{
    void *const *node = r->root;
    if (!r->height || (r->height < 10 && index >> (6 * r->height)))
        return NULL;
    for (unsigned h = r->height - 1; h && node; h--)
        node = node[index >> (6 * h) & 63];
    return node ? node[index & 63] : NULL;
}

int radix_put(struct radix *r, uint64_t index, struct page *pg); // 0, -ENOMEM. Slot is empty
struct page *radix_remove(struct radix *r, uint64_t index);      // frees nodes that become empty
// The first page with number >= *index; *index becomes its number. NULL: none.
struct page *radix_next(const struct radix *r, uint64_t *index);
