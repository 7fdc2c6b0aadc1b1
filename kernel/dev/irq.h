// SPDX-License-Identifier: MIT
// Interrupt sources and who handles them.
//
// A handler runs in irq_dispatch() on whichever hart claimed the source, with no spinlock held and
// interrupts off. The source is not delivered anywhere again until the handler has returned, so a
// handler needs no lock against itself. It must be short and must not block.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IRQ_SOURCES = 128 };     // PLIC sources 1 .. IRQ_SOURCES - 1

typedef void irq_handler(uint32_t source, void *arg);

// Enables a source for the harts that serve devices. `name` stays referenced.
// 0; -EINVAL no such source; -EBUSY already taken; -EPROBE_DEFER no controller yet.
int irq_register(uint32_t source, irq_handler *handler, void *arg, const char *name);

// Claims and handles everything pending for this hart. Called by arch with SEIP pending; finding
// nothing is normal (another hart was quicker).
void irq_dispatch(void);

// Each hart calls this once before it takes interrupts: sets its threshold. arch enables SEIE.
void irq_hart_init(void);

// For /proc/interrupts and the monitor: false when the source has no handler.
bool irq_info(uint32_t source, const char **name);
uint64_t irq_count(uint32_t source, uint32_t hart);
