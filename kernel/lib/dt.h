// SPDX-License-Identifier: MIT
// The device tree: what the machine is made of, read once at boot (libfdt).
//
// The blob stays where firmware put it and is reserved; drivers walk it with libfdt through
// dt_blob. Nothing here allocates.
#pragma once

#include "arch/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const void *dt_blob; // NULL when firmware gave none that is valid

struct dt_range {
    pa_t lo, hi;
};

// Panics with a clear message if the blob is damaged. pa as firmware passed it.
void dt_init(pa_t pa);

// RAM banks; what is reserved (reserved-memory, memreserve, blob, initrd). Return how many.
size_t dt_memory(struct dt_range *out, size_t max);
size_t dt_reserved(struct dt_range *out, size_t max);
// Are lo .. hi-1 in one bank? Any context.
bool dt_is_ram(pa_t lo, pa_t hi);

struct dt_hart {
    uint64_t id;
    int node;
};
size_t dt_harts(struct dt_hart *out, size_t max); // harts whose status is okay
bool dt_isa_has(const char *ext);                 // every hart's ISA string names ext, e.g. "sstc"
const char *dt_isa_string(uint64_t hart_id);      // "unknown" when the tree does not say
uint64_t dt_timebase(void);                       // Hz
bool dt_initrd(struct dt_range *out);
size_t dt_rng_seed(const void **seed); // bytes, 0 when none

// Kernel command line: /chosen bootargs. boot_arg("init") finds "init=value" or a bare "init".
const char *boot_args(void);
// True when present; copies the value (empty for a bare word), truncated to n-1.
bool boot_arg(const char *key, char *value, size_t n);
