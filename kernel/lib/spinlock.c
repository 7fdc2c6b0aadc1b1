// SPDX-License-Identifier: MIT
// The slow half of a spinlock: spin with plain loads, serve other harts meanwhile, give up loudly.
#include "lib/spinlock.h"

#include "lib/log.h"

// Another hart may have taken it and not yet written its index: what is there then is SPIN_FREE,
// or in a zeroed lock 0 with a pc of NULL, for the pc is written last.
static bool held_by_me(const struct spinlock *l)
{
    return load_relaxed(&l->taken) && load_acquire(&l->pc) &&
           load_relaxed(&l->hart) == hart_self.index;
}

void spin_lock_contended(struct spinlock *l)
{
    uint64_t give_up = time_ticks() + 10 * timebase_hz;
    if (held_by_me(l))
        panic("lock %s at %p: hart %u takes it twice, first at %p", l->name ? l->name : "?",
              (void *)l, hart_self.index, l->pc);
    do {
        while (load_relaxed(&l->taken)) {
            ipi_serve();
            cpu_relax();
            if (time_ticks() > give_up)
                panic("lock %s at %p: spun for 10 s, held by hart %u since pc %p",
                      l->name ? l->name : "?", (void *)l, l->hart, l->pc);
        }
    } while (!atomic_try_acquire32(&l->taken));
    l->contended++;
}
