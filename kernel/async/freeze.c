// SPDX-License-Identifier: MIT
// Freezing. The freezer gives its freeze a number; a hart is parked while it shows that number.
//
// A hart that leaves because its time is over takes its number away, then looks at the time again; the freezer, which
// gives more time once all are parked, looks at the numbers afterwards: one of the two sees the other.
#include "async/freeze.h"

#include "arch/atomic.h"
#include "arch/cpu.h"
#include "async/timer.h"
#include "lib/errno.h"
#include "lib/init.h"

enum { NOW = IPI_SHOOTDOWN | IPI_STOP | IPI_FENCE_I }; // what ipi_serve serves

static uint32_t freezer;           // the hart's index + 1; 0: nobody
static uint32_t number, numbers;   // of the freeze in force, 0: none; how many there were
static uint64_t until, begun;      // ticks
static uint32_t parked[MAX_HARTS]; // the number of the freeze that this hart is parked for

// Serves what cannot wait, and returns the rest. Nothing is left pending: who sends more then interrupts this hart's wfi.
static uint32_t serve(void)
{
    uint32_t bits, later = 0;
    csr_clear(sip, SIP_SSIP);
    while ((bits = atomic_swap32(&hart_self.ipi_pending, 0))) {
        later |= bits & ~(uint32_t)NOW;
        atomic_or32(&hart_self.ipi_pending, bits & NOW);
        ipi_serve();
    }
    return later;
}

static bool stays(uint32_t mine)
{
    return load_acquire(&number) == mine && time_ticks() < load_acquire(&until);
}

static void park(void)
{
    uint32_t mine = load_acquire(&number), later = 0, *shown = &parked[hart_index()];
    if (!mine)
        return; // it is over already
    do {
        store_release(shown, mine);
        while (stays(mine)) {
            later |= serve();
            timer_program(load_acquire(&until));
            if (stays(mine))
                cpu_wait_for_interrupt();
        }
        store_release(shown, 0);
        fence_full();
    } while (stays(mine));
    // The next freeze may have asked already: IPI_PARK is among them.
    atomic_or32(&hart_self.ipi_pending, later);
    csr_set(sip, SIP_SSIP);
    timers_run(); // sets the right one again
}

static bool is_asked(uint32_t hart)
{
    return hart != hart_index() && load_relaxed(&harts[hart]->online);
}

// The first that is not parked, or hart_count.
static uint32_t missing(void)
{
    uint32_t i = 0;
    while (i < hart_count && (!is_asked(i) || load_acquire(&parked[i]) == number))
        i++;
    return i;
}

static void ask(void)
{
    for (uint32_t i = 0; i < hart_count; i++)
        if (is_asked(i))
            ipi_send(i, IPI_PARK);
}

static bool gather(uint64_t till)
{
    uint32_t turns = 0;
    while (missing() < hart_count) {
        if (time_ticks() > till)
            return false;
        ipi_serve(); // one of them may wait for our translations
        cpu_relax_long(&turns);
    }
    return true;
}

long freeze_begin(uint64_t ns, uint32_t *hart)
{
    uint64_t gathering = ns_to_ticks(FREEZE_GATHER_MS * 1000000ul);
    if (atomic_cas32(&freezer, 0, hart_index() + 1) != 0)
        return -EBUSY;
    begun = time_ticks();
    store_relaxed(&until, begun + 2 * gathering);
    if (!++numbers) // 0 is none
        numbers = 1;
    store_release(&number, numbers);
    fence_full();
    ask();
    bool all = gather(begun + gathering);
    store_release(&until, time_ticks() + ns_to_ticks(ns));
    fence_full();
    ask(); // who sleeps until the old time sets its timer to the new one
    *hart = missing();
    if (all && *hart == hart_count)
        return 0;
    freeze_end();
    return -ETIMEDOUT;
}

static bool is_mine(void)
{
    return load_relaxed(&freezer) == hart_index() + 1;
}

bool freeze_holds(void)
{
    return is_mine() && time_ticks() < load_relaxed(&until);
}

uint64_t freeze_end(void)
{
    if (!is_mine())
        return 0;
    uint64_t end = time_ticks();
    if (end > until)
        end = until;
    store_release(&number, 0);
    fence_full();
    ask(); // who finds no freeze in force goes on; who sleeps is woken
    store_release(&freezer, 0);
    return ticks_to_ns(end - begun) + 1;
}

static void freeze_init(void)
{
    ipi_register(IPI_PARK, park);
}
INIT(INIT_HARTS, freeze_init);
