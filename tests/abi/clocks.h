// SPDX-License-Identifier: MIT
// The clocks and their names, for the tests of clocks and timers.
#pragma once
#include "abi.h"
#include <time.h>

#define CLOCK(name)                                                                                \
    {                                                                                              \
#name, CLOCK_##name                                                                        \
    }

// The first CLOCKS_WITH_TIMERS may have timers.
enum { CLOCKS_WITH_TIMERS = 6 };
static const struct {
    const char *name;
    clockid_t clock;
} clocks[] = {
    CLOCK(REALTIME),
    CLOCK(MONOTONIC),
    CLOCK(BOOTTIME),
    CLOCK(TAI),
    {"PROCESS_CPUTIME", CLOCK_PROCESS_CPUTIME_ID},
    {"THREAD_CPUTIME", CLOCK_THREAD_CPUTIME_ID},
    CLOCK(MONOTONIC_RAW),
    CLOCK(REALTIME_COARSE),
    CLOCK(MONOTONIC_COARSE),
};

static int64_t now(clockid_t clock) // nanoseconds
{
    struct timespec t = {-1, 0};

    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
