// SPDX-License-Identifier: MIT
// Addresses and pages. One linear map: kernel address = physical address + KVA_OFFSET.
#pragma once

#include <stdint.h>

typedef uint64_t pa_t; // physical address
typedef uint64_t va_t; // user virtual address: never dereferenced

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul
#define PAGE_MASK  (PAGE_SIZE - 1)
#define KVA_OFFSET 0xffffffc000000000ul
#define USER_TOP   0x4000000000ul // first address that is not the user's (Sv39: 256 GiB)

static inline void *pa_to_kva(pa_t pa)
{
    return (void *)(pa + KVA_OFFSET);
}

static inline pa_t kva_to_pa(const void *kva)
{
    return (pa_t)kva - KVA_OFFSET;
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
