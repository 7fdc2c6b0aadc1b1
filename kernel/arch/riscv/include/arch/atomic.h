// SPDX-License-Identifier: MIT
// Every atomic primitive of the kernel; nothing else contains amo*, lr or sc.
//
// All read-modify-writes are sequentially consistent (aqrl): gcc 12 drops the release half of a
// compare-and-swap whose failure order is weaker than its success order, so orders are equal here
// and the instructions are written out.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// amoor.w.aqrl: returns the value before.
static inline uint32_t atomic_or32(uint32_t *p, uint32_t v)
{
    uint32_t old;
    __asm__ volatile("amoor.w.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

// amoand.w.aqrl
static inline uint32_t atomic_and32(uint32_t *p, uint32_t v)
{
    uint32_t old;
    __asm__ volatile("amoand.w.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

// amoswap.w.aqrl
static inline uint32_t atomic_swap32(uint32_t *p, uint32_t v)
{
    uint32_t old;
    __asm__ volatile("amoswap.w.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

// amoadd.w.aqrl
static inline uint32_t atomic_add32(uint32_t *p, uint32_t v)
{
    uint32_t old;
    __asm__ volatile("amoadd.w.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

// lr.w.aqrl / sc.w.rl loop. Returns the value found; it was exchanged if that equals expect.
static inline uint32_t atomic_cas32(uint32_t *p, uint32_t expect, uint32_t want)
{
    uint32_t old, fail;
    __asm__ volatile("1: lr.w.aqrl %0, %2\n"
                     "   bne %0, %3, 2f\n"
                     "   sc.w.rl %1, %4, %2\n"
                     "   bnez %1, 1b\n"
                     "2:"
                     : "=&r"(old), "=&r"(fail), "+A"(*p)
                     : "r"((int64_t)(int32_t)expect), "r"(want)
                     : "memory");
    return old;
}

static inline uint64_t atomic_or64(uint64_t *p, uint64_t v)
{
    uint64_t old;
    __asm__ volatile("amoor.d.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

static inline uint64_t atomic_and64(uint64_t *p, uint64_t v)
{
    uint64_t old;
    __asm__ volatile("amoand.d.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

static inline uint64_t atomic_add64(uint64_t *p, uint64_t v)
{
    uint64_t old;
    __asm__ volatile("amoadd.d.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

static inline uint64_t atomic_swap64(uint64_t *p, uint64_t v)
{
    uint64_t old;
    __asm__ volatile("amoswap.d.aqrl %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(v) : "memory");
    return old;
}

static inline uint64_t atomic_cas64(uint64_t *p, uint64_t expect, uint64_t want)
{
    uint64_t old, fail;
    __asm__ volatile("1: lr.d.aqrl %0, %2\n"
                     "   bne %0, %3, 2f\n"
                     "   sc.d.rl %1, %4, %2\n"
                     "   bnez %1, 1b\n"
                     "2:"
                     : "=&r"(old), "=&r"(fail), "+A"(*p)
                     : "r"(expect), "r"(want)
                     : "memory");
    return old;
}

// amoswap.w.aq of 1: true when the lock was free.
static inline bool atomic_try_acquire32(uint32_t *p)
{
    int64_t old; // sign-extended by the instruction, so that the test needs no more
    __asm__ volatile("amoswap.w.aq %0, %2, %1" : "=r"(old), "+A"(*p) : "r"(1) : "memory");
    return old == 0;
}

// fence rw,w; sw
static inline void atomic_release32(uint32_t *p, uint32_t v)
{
    __asm__ volatile("fence rw,w" ::: "memory");
    *(volatile uint32_t *)p = v;
}

#define load_relaxed(p)     (*(const volatile __typeof__(*(p)) *)(p))
#define store_relaxed(p, v) (*(volatile __typeof__(*(p)) *)(p) = (v))
#define load_acquire(p)                                                                            \
    ({                                                                                             \
        __typeof__(*(p)) v_ = load_relaxed(p);                                                     \
        __asm__ volatile("fence r,rw" ::: "memory");                                               \
        v_;                                                                                        \
    })
#define store_release(p, v)                                                                        \
    do {                                                                                           \
        __asm__ volatile("fence rw,w" ::: "memory");                                               \
        store_relaxed(p, v);                                                                       \
    } while (0)

static inline void fence_full(void)
{
    __asm__ volatile("fence rw,rw" ::: "memory");
}

static inline void fence_write(void)
{
    __asm__ volatile("fence w,w" ::: "memory");
}

static inline void compiler_barrier(void)
{
    __asm__ volatile("" ::: "memory");
}
