// SPDX-License-Identifier: MIT
// Device registers. Devices are not ordered by C11 fences: a write is preceded by `fence w,o`
// (RAM written before is visible to the device), a read is followed by `fence i,r`.
#pragma once

#include <stdint.h>

#define MMIO_ACCESSOR(width, type)                                                                 \
    static inline void mmio_write##width(volatile void *reg, type v)                               \
    {                                                                                              \
        __asm__ volatile("fence w,o" ::: "memory");                                                \
        *(volatile type *)reg = v;                                                                 \
    }                                                                                              \
    static inline type mmio_read##width(const volatile void *reg)                                  \
    {                                                                                              \
        type v = *(const volatile type *)reg;                                                      \
        __asm__ volatile("fence i,r" ::: "memory");                                                \
        return v;                                                                                  \
    }
MMIO_ACCESSOR(8, uint8_t)
MMIO_ACCESSOR(16, uint16_t)
MMIO_ACCESSOR(32, uint32_t)
MMIO_ACCESSOR(64, uint64_t)
#undef MMIO_ACCESSOR
