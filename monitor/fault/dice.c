// SPDX-License-Identifier: MIT
// Dice for faults.
#include "fault/fault.h"

#include "arch/atomic.h"
#include "lib/mix.h"

void fault_dice_init(struct fault_dice *d, uint64_t seed, uint64_t every)
{
    *d = (struct fault_dice){.seed = seed, .every = every ? every : 1};
}

bool fault_dice_hit(struct fault_dice *d)
{
    uint64_t x = d->seed + (atomic_add64(&d->thrown, 1) + 1) * 0x9e3779b97f4a7c15;
    bool hit = mix64(x) % d->every == 0;
    if (hit)
        atomic_add64(&d->hits, 1);
    return hit;
}
