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

enum { IRQ_SOURCES = 128 }; // PLIC sources 1 .. IRQ_SOURCES - 1

typedef void irq_handler(uint32_t source, void *arg);

// Enables a source, on the boot hart until irq_set_hart. `name` stays referenced.
// 0; -EINVAL no such source; -EBUSY already taken; -EPROBE_DEFER no controller yet.
int irq_register(uint32_t source, irq_handler *handler, void *arg, const char *name);

// Claims and handles everything pending for this hart. Called by arch with SEIP pending; finding
// nothing is normal (another hart was quicker).
void irq_dispatch(void);

// Moves a source to another hart (its index), now or when its present service ends. 0, -EINVAL.
int irq_set_hart(uint32_t source, uint32_t hart);

// For /proc/interrupts and the monitor: false when the source has no handler.
bool irq_info(uint32_t source, const char **name, uint32_t *hart);
uint64_t irq_count(uint32_t source, uint32_t hart);
