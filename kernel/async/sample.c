// SPDX-License-Identifier: MIT
// See sample.h.
#include "async/sample.h"

static uint64_t period(void)
{
    return ns_to_ticks(SAMPLE_US * 1000ul);
}

void sample_take(struct task *t, uint64_t now, bool user)
{
    struct hart *h = this_hart();
    uint64_t points = (now - h->sample_at) / period() + 1;
    uint32_t *samples = user ? &t->user_samples : &t->system_samples;
    uint64_t *all = user ? &h->user_samples : &h->system_samples;
    if (t->thread) {
        store_relaxed(samples, *samples + (uint32_t)points);
        store_relaxed(all, *all + points);
    }
    h->sample_at += points * period();
}

// The timer: whose point it is has been seen to already, if anybody's.
static void point_passed(void)
{
    struct hart *h = this_hart();
    if (h->current && h->current->thread)
        timer_sample(h->sample_at, point_passed);
    else
        h->sample_at = SAMPLE_NEVER;
}

void sample_begin(void)
{
    struct hart *h = this_hart();
    h->sample_at = (time_ticks() / period() + 1) * period();
    timer_sample(h->sample_at, point_passed);
}
