// SPDX-License-Identifier: MIT
// What the files of the frame allocator share: frame.c (single frames), frame_run.c, frame_count.c. Private to page/.
#pragma once

#include "arch/cpu.h"
#include "page/buddy.h"
#include "page/freed.h"

// By hart: its cache (NULL until it has traded its first batch), and what was freed and is not yet
// to be used (debug builds).
extern struct frame_cache *frame_cache_of[MAX_HARTS];
extern struct freed_queue frame_held_back[MAX_HARTS];
extern size_t (*frame_shrinker)(size_t want);

// Gives what the depot holds to the buddy allocator, so that it merges. True if there was any.
bool frame_merge_depot(void);

// Debug builds: a frame that is about to be handed out, not for its zeroes.
static inline void frame_check_free(struct page *pg)
{
#ifdef FREED_CHECKED
    if (pg->flags & PAGE_POISONED)
        freed_check(page_kva(pg), PAGE_SIZE);
    pg->flags = 0;
#else
    (void)pg;
#endif
}
