// SPDX-License-Identifier: MIT
// Draws that are the same in every run: Splitmix64's finaliser (Steele and others 2014) of a counter.
#pragma once

#include <stdint.h>

static inline uint64_t mix64(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}
