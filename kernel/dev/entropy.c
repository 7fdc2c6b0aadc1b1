// SPDX-License-Identifier: MIT
// What the pool is seeded with at boot, and who draws from it inside the kernel.
#include "arch/cpu.h"
#include "dev/random.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/space.h"

static void seed_early(void)
{
    const void *seed;
    uint64_t now = time_ticks();
    size_t n = dt_rng_seed(&seed);
    random_mix(&now, sizeof(now), 0);
    if (n > 0)
        random_mix(seed, n, (uint32_t)n * 8);
    space_set_random(random_u64);
}
INIT(INIT_EARLY, seed_early);

static void report(void)
{
    if (!random_ready())
        log_warn("random numbers are predictable: no rng-seed in the device tree and no "
                 "virtio-rng device");
}
INIT(INIT_USER, report);
