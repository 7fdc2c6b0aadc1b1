// SPDX-License-Identifier: MIT
// Host version: registers are memory of the test's.
#pragma once

#include <stdint.h>

#define MMIO_ACCESSOR(width, type)                                                                 \
    static inline void mmio_write##width(volatile void *reg, type v)                               \
    {                                                                                              \
        *(volatile type *)reg = v;                                                                 \
    }                                                                                              \
    static inline type mmio_read##width(const volatile void *reg)                                  \
    {                                                                                              \
        return *(const volatile type *)reg;                                                        \
    }
MMIO_ACCESSOR(8, uint8_t)
MMIO_ACCESSOR(16, uint16_t)
MMIO_ACCESSOR(32, uint32_t)
MMIO_ACCESSOR(64, uint64_t)
#undef MMIO_ACCESSOR
