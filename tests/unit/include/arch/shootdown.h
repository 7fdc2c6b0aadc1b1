// SPDX-License-Identifier: MIT
// Host version: flushes reach the model of the harts' TLBs (host_mem.c).
#pragma once

#include "arch/atomic.h"
#include "arch/types.h"

#include <stdbool.h>

void tlb_flush_page(va_t va); // of the hart that calls
void tlb_flush_all(void);
void satp_load(uint64_t satp);
void shootdown_harts(uint64_t harts, va_t va, uint64_t len);
void icache_shootdown(uint64_t harts);

static inline void icache_flush_local(void)
{
}

static inline void shootdown_leave_lazy(void)
{
}
