// SPDX-License-Identifier: MIT
// What the files of the frame allocator share: frame.c (single frames), frame_run.c, frame_count.c. Private to page/.
#pragma once

#include "arch/cpu.h"
#include "lib/log.h"
#include "lib/translations.h"
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

// A frame outside the buddy lists that is FREE. Another hart may look at it just now, as the buddy of
// what it gives back: it must not see FREE with the order of an earlier life.
static inline void frame_set_loose(struct page *pg)
{
    store_relaxed(&pg->order, FRAME_NO_ORDER);
    store_release(&pg->kind, FRAME_FREE);
}

// The last reference is gone: nobody may reach it any more.
static inline void frame_reset(struct page *pg, pa_t pa)
{
    if (unlikely(pg->kind <= FRAME_FREE))
        panic("frame 0x%lx is freed, but its kind is %u", (unsigned long)pa, pg->kind);
    translations_check_freed(pa);
    pg->refs = 0;
    store_relaxed(&pg->pins, 0);
    pg->flags = 0;
    frame_set_loose(pg);
}
