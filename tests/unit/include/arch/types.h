// SPDX-License-Identifier: MIT
// Host version: physical address = host pointer, so that page tables in ordinary memory work.
#pragma once

#include <stdint.h>

typedef uint64_t pa_t;
typedef uint64_t va_t;

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul
#define PAGE_MASK  (PAGE_SIZE - 1)
#define KVA_OFFSET 0ul
#define USER_TOP   0x4000000000ul

static inline void *pa_to_kva(pa_t pa)
{
    return (void *)pa;
}

static inline pa_t kva_to_pa(const void *kva)
{
    return (pa_t)kva;
}

static inline uint64_t page_round_up(uint64_t n)
{
    return (n + PAGE_MASK) & ~PAGE_MASK;
}

static inline uint64_t page_round_down(uint64_t n)
{
    return n & ~PAGE_MASK;
}

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define cold        __attribute__((cold, noinline))
