// SPDX-License-Identifier: MIT
// The real-time clock: nanoseconds since 1970.
#pragma once

#include <stdint.h>

// 0 when the machine has no clock that is known.
uint64_t rtc_read_ns(void);
