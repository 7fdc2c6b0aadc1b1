// SPDX-License-Identifier: MIT
// What the vDSO's code reads: the page behind its text, written by the kernel only.
#pragma once

#include <stdint.h>

struct vdso_data {
    uint64_t timebase_hz;
    uint64_t realtime_offset; // ns between CLOCK_MONOTONIC and CLOCK_REALTIME; one word: never torn
};
