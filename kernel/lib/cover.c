// SPDX-License-Identifier: MIT
// Records the places that ran, a byte for each 4 bytes of text; compiled without recording.
//
// Two harts that store at once store the same.
#include "lib/cover.h"

#include "arch/atomic.h"

extern const char __image_start[], __text_end[];
enum { COVER_PLACES = 1 << 20 }; // 4 MiB of text
static uint8_t state_of[COVER_PLACES];

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    // Both are relative to where this runs: at the physical address as well, before paging is on.
    uint64_t place = ((uint64_t)__builtin_return_address(0) - (uint64_t)__image_start) / 4;
    if (place < COVER_PLACES && load_relaxed(&state_of[place]) == COVER_NEVER)
        store_relaxed(&state_of[place], COVER_FRESH);
}

struct cover_count cover_count(void)
{
    struct cover_count n = {0, 0};
    for (uint64_t i = 0; i < COVER_PLACES; i++) {
        uint8_t s = load_relaxed(&state_of[i]);
        n.places += s != COVER_NEVER;
        n.fresh += s == COVER_FRESH;
    }
    return n;
}

uint64_t cover_next_fresh(uint64_t pc)
{
    uint64_t start = (uint64_t)__image_start;
    for (uint64_t i = pc > start ? (pc - start) / 4 : 0; i < COVER_PLACES; i++)
        if (load_relaxed(&state_of[i]) == COVER_FRESH)
            return start + i * 4;
    return 0;
}

void cover_forget(void)
{
    for (uint64_t i = 0; i < COVER_PLACES; i++)
        if (load_relaxed(&state_of[i]) == COVER_FRESH)
            store_relaxed(&state_of[i], COVER_KNOWN);
}
