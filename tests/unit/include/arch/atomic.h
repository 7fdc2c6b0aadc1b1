// SPDX-License-Identifier: MIT
// Host version: the same operations as C11 sequentially consistent atomics, seen by TSan.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HOST_RMW(name, bits, builtin)                                                              \
    static inline uint##bits##_t atomic_##name##bits(uint##bits##_t *p, uint##bits##_t v)          \
    {                                                                                              \
        return builtin(p, v, __ATOMIC_SEQ_CST);                                                    \
    }
HOST_RMW(or, 32, __atomic_fetch_or)
HOST_RMW(and, 32, __atomic_fetch_and)
HOST_RMW(swap, 32, __atomic_exchange_n)
HOST_RMW(add, 32, __atomic_fetch_add)
HOST_RMW(or, 64, __atomic_fetch_or)
HOST_RMW(and, 64, __atomic_fetch_and)
HOST_RMW(swap, 64, __atomic_exchange_n)
HOST_RMW(add, 64, __atomic_fetch_add)
#undef HOST_RMW

// A test may have the others run just before an exchange (-DHOST_CAS_PAUSE).
#ifdef HOST_CAS_PAUSE
void host_cas_pause(void);
#else
#define host_cas_pause() ((void)0)
#endif

static inline uint32_t atomic_cas32(uint32_t *p, uint32_t expect, uint32_t want)
{
    __atomic_compare_exchange_n(p, &expect, want, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expect;
}

static inline uint64_t atomic_cas64(uint64_t *p, uint64_t expect, uint64_t want)
{
    host_cas_pause();
    __atomic_compare_exchange_n(p, &expect, want, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expect;
}

static inline bool atomic_try_acquire32(uint32_t *p)
{
    return __atomic_exchange_n(p, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void atomic_release32(uint32_t *p, uint32_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

#define load_relaxed(p)     __atomic_load_n(p, __ATOMIC_RELAXED)
#define store_relaxed(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)

static inline void fence_full(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void fence_write(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void compiler_barrier(void)
{
    __asm__ volatile("" ::: "memory");
}
