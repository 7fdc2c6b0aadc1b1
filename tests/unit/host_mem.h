// SPDX-License-Identifier: MIT
// Fake RAM and fake harts for tests of kernel/page and kernel/mem: see host_mem.c.
#pragma once

#include "mem/space.h"

#include <stdbool.h>

// RAM for the frame allocator, once per program; includes heap_init.
void host_ram_init(uint64_t frames);

// What the program on `hart` would see: through its TLB, the page table, and faults. 0, or what
// space_fault_fast says (-EAGAIN is passed on, too). The address is in one 8-byte word.
int host_user_load(unsigned hart, struct space *s, va_t va, uint64_t *out);
int host_user_store(unsigned hart, struct space *s, va_t va, uint64_t value);

void host_on_hart(unsigned hart); // what follows runs on that hart
extern uint64_t host_faults, host_flushes, host_shootdowns;
