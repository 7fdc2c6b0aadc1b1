// SPDX-License-Identifier: MIT
// The slow half of a spinlock: spin with plain loads, serve other harts meanwhile, give up loudly.
#include "lib/spinlock.h"

#include "lib/log.h"
#include "lib/trace.h"

TRACE_POINT(lock_wait, "lock.wait", "a spinlock was waited for", TRACE_ARG("lock", NAME),
            TRACE_ARG("at", CODE), TRACE_ARG("ns", NS));

void spin_lock_contended(struct spinlock *l, const void *pc)
{
    uint64_t from = time_ticks(), give_up = from + 10 * timebase_hz;
    uint32_t turns = 0;
    if (spin_held(l)) // a holder that has not yet signed leaves NULL there
        panic("lock %s at %p: hart %u takes it twice, first at %p", l->name ? l->name : "?",
              (void *)l, hart_self.index, l->pc);
    do {
        while (load_relaxed(&l->taken)) {
            ipi_serve();
            cpu_relax_long(&turns);
            if (time_ticks() > give_up) {
                const struct hart *h = load_relaxed(&l->holder);
                panic("lock %s at %p: spun for 10 s, held by hart %u since pc %p",
                      l->name ? l->name : "?", (void *)l, h ? h->index : UINT32_MAX, l->pc);
            }
        }
    } while (!atomic_try_acquire32(&l->taken));
    l->contended++;
    TRACE(lock_wait, (uint64_t)(uintptr_t)l->name, (uint64_t)(uintptr_t)pc,
          ticks_to_ns(time_ticks() - from));
}
