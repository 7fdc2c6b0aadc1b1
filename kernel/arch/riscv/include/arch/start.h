// SPDX-License-Identifier: MIT
// What boot leaves behind for others.
#pragma once

#include "arch/types.h"

#include <stddef.h>

// Stacks live in the last gigabyte but one of the address space, each above an unmapped page.
#define KSTACK_BASE 0xffffffff00000000ul

extern uint64_t *kernel_root; // Sv39 root; its upper half is copied into every space

// A stack of whole pages with a guard page below, mapped in every space. Returns its lowest
// address; never freed (harts and fibers live as long as the kernel). Panics when out of memory.
void *kstack_alloc(size_t size);

void boot_console_put(const char *text, size_t n); // SBI console, for the log before a UART
