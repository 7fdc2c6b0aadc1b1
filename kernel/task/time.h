// SPDX-License-Identifier: MIT
// User time values and what they mean in nanoseconds.
#pragma once

#include "arch/cpu.h"
#include "async/timer.h"
#include "fs/abi.h"

enum {
    CLOCK_REALTIME,
    CLOCK_MONOTONIC,
    CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_THREAD_CPUTIME_ID,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_BOOTTIME,
    CLOCK_REALTIME_ALARM,
    CLOCK_BOOTTIME_ALARM,
    CLOCK_TAI = 11,
    TIMER_ABSTIME = 1,
};

// Numbers below 0 are clocks of processor time: the owner's complement, then a bit for a thread's.
static inline uint32_t clock_owner(uint32_t clock)
{
    return ~(uint32_t)((int32_t)clock >> 3);
}
static inline bool clock_of_thread(uint32_t clock)
{
    return (int32_t)clock < 0 && clock & 4;
}
static inline bool clock_of_file(uint32_t clock) // of which there are none
{
    return (int32_t)clock < 0 && (clock & 7) == 3;
}

struct process;
long clock_read(uint32_t clock, uint64_t *ns); // -EINVAL: there is no such clock
uint64_t process_ticks(struct process *p);     // processor time of all its threads that were

struct timeval_k {
    int64_t sec, usec;
};

struct itimerspec_k {
    struct timespec_k interval, value;
};

static inline bool timespec_valid(const struct timespec_k *ts)
{
    return ts->sec >= 0 && ts->nsec >= 0 && ts->nsec < 1000000000;
}

// Saturates far beyond any deadline.
static inline uint64_t timespec_ns(const struct timespec_k *ts)
{
    return ts->sec >= (int64_t)1 << 32 ? (uint64_t)1 << 62
                                       : (uint64_t)ts->sec * 1000000000 + (uint64_t)ts->nsec;
}

static inline struct timespec_k ns_timespec(uint64_t ns)
{
    return (struct timespec_k){(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000)};
}

// From now until a time in ticks; 0 when it has passed.
static inline uint64_t ticks_ahead_ns(uint64_t until)
{
    uint64_t now = time_ticks();
    return until > now ? ticks_to_ns(until - now) : 0;
}

// From now until an absolute time of CLOCK_MONOTONIC; 0 when it has passed.
static inline uint64_t ns_until(uint64_t absolute)
{
    uint64_t now = clock_monotonic_ns();
    return absolute > now ? absolute - now : 0;
}
