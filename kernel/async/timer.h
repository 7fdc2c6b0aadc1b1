// SPDX-License-Identifier: MIT
// Tickless timers: per hart a heap by deadline; the interrupt is set for the next one only.
//
// A timer fires on the hart that armed it, in the executor between polls, with the hart's timer
// lock held: fire() may wake tasks and set attention bits, and must not block, allocate, or arm
// and cancel timers. timer_cancel returns only when fire() is not running and will not run.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timer {
    struct timer *child, *sibling, *prev; // pairing heap; prev: left sibling or parent
    uint64_t when;                        // ticks of the time CSR
    void (*fire)(struct timer *);
    uint32_t hart; // in whose heap it is
    uint32_t armed;
};

// Nanoseconds since boot (CLOCK_MONOTONIC), and the offset to CLOCK_REALTIME.
uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_ns(void);
void clock_set_realtime(uint64_t ns); // by the RTC driver and clock_settime
// The offset between the two clocks is kept in *where from now on, for readers in user mode.
void clock_publish_offset(uint64_t *where);

// when: absolute ticks. The timer must not be armed.
void timer_arm_ticks(struct timer *tm, uint64_t when, void (*fire)(struct timer *));
void timer_arm(struct timer *tm, uint64_t ns_from_now, void (*fire)(struct timer *));
// True when it was armed and did not fire.
bool timer_cancel(struct timer *tm);
uint64_t timer_ns_to_deadline(uint64_t monotonic_ns); // ticks of an absolute monotonic time

// The end of this hart's slice: over() is called then, between polls, with no lock held. There is
// one; setting it replaces it. Any context of the hart, also under spinlocks and from fire().
void timer_slice(uint64_t ns, void (*over)(void));
// The same for samples (async/sample.h), at absolute ticks.
void timer_sample(uint64_t ticks, void (*over)(void));
void timers_run(void);      // fires what is due on this hart; called by irq_poll
uint64_t timers_next(void); // ticks of this hart's next deadline, UINT64_MAX: none
// For the monitor: copies out what is said of up to max timers of a hart's heap, unordered.
struct timer_info {
    const struct timer *timer; // for comparing only
    uint64_t when;
    void (*fire)(struct timer *);
};
unsigned timers_snapshot(uint32_t hart, struct timer_info *out, unsigned max);
