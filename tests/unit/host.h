// SPDX-License-Identifier: MIT
// The host side of unit tests of kernel code: see host.c.
#pragma once

#include "arch/cpu.h"

extern uint64_t host_ticks;          // the clock, 10 MHz; move it, then timers_run()
extern long host_fail_after;         // the n-th kmalloc from now fails; -1: none
long host_live_blocks(void);         // kmalloc'ed and not freed
void host_hart_init(uint32_t index); // makes the calling thread a hart
