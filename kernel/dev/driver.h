// SPDX-License-Identifier: MIT
// Drivers bound to device tree nodes by `compatible`.
//
//     static int probe(struct device *dev) { ... return 0; }
//     DRIVER(uart16550, "ns16550a\0ns16550\0", probe);
//
// At INIT_DRIVERS every enabled node with a `compatible` becomes a struct device; drivers are
// tried by the node's strings, most specific first. A probe that returns -EPROBE_DEFER is tried
// again after the others, until a round binds nothing new. Devices live for ever.
#pragma once

#include "arch/types.h"
#include "lib/list.h"
#include "lib/set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;

// `compatible` is a list of strings, each NUL-terminated, ended by an empty string.
// probe: 0 bound; -EPROBE_DEFER try later; -ENODEV nothing there (quiet); else an error, logged.
struct driver {
    const char *name;
    const char *compatible;
    int (*probe)(struct device *dev);
};
SET_DECLARE(drivers, struct driver);

#define DRIVER(id, compatible, probe)                                                              \
    SET_ITEM(drivers, struct driver, driver_##id) = {#id, compatible "\0", probe}

enum { DEVICE_REGS = 2 };

struct device_reg {
    pa_t pa;
    uint64_t size; // bytes
};

enum device_state { DEVICE_UNBOUND, DEVICE_DEFERRED, DEVICE_BOUND, DEVICE_ABSENT, DEVICE_FAILED };

// Written at boot by the boot hart only; read-only for everyone afterwards (priv is the driver's).
struct device {
    struct list link;       // in `devices`
    int node;               // offset in the flattened tree
    const char *name;       // node name, "serial@10000000"
    const char *compatible; // the string that bound, or the first one
    struct device *parent;  // nearest enclosing device, NULL at the root
    struct device_reg reg[DEVICE_REGS];
    uint32_t reg_count;
    uint32_t irq;        // interrupt source at irq_parent's controller; 0: none
    uint32_t irq_parent; // phandle of the interrupt controller
    int32_t error;       // of the last probe
    enum device_state state;
    const struct driver *driver;
    void *priv;
};

extern struct list devices; // struct device, in tree order; for the monitor and /proc

// Kernel address of a register block: MMIO lies in the linear map. NULL if the node has no reg i.
volatile void *device_map(const struct device *dev, unsigned i);

// Properties of the node: false when it is absent or too short.
bool device_u32(const struct device *dev, const char *property, uint32_t *out);

// The next device after `after` (NULL: the first) that has this string in its `compatible`.
struct device *device_find(const char *compatible, struct device *after);
const char *device_state_name(enum device_state s);
