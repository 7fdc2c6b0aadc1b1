// SPDX-License-Identifier: MIT
// Boot order as one enumeration: INIT(LEVEL, fn) runs fn on the boot hart at that level.
//
// Within one level the order is the link order and must not matter.
#pragma once

#include "lib/set.h"

#include <stddef.h>

enum init_level {
    INIT_EARLY,   // device tree read, log ring works, frames and heap are ready
    INIT_HARTS,   // hart-local storage of this hart is constructed; others not yet started
    INIT_CORE,    // executor, timers, caches of the rooms above page
    INIT_DRIVERS, // drivers are bound by the device tree (dev/)
    INIT_FS,      // file systems registered, root mounted, initrd unpacked
    INIT_LATE,    // monitor session, procfs entries; all harts are up
    INIT_USER,    // first user task is started
    INIT_LEVELS,
};

struct init_call {
    void (*fn)(void);
    const char *name;
    unsigned long level;
};
SET_DECLARE(init, struct init_call);

#define INIT(level, fn) SET_ITEM(init, struct init_call, init_##fn) = {fn, #fn, level}

// Runs all calls of one level. Boot hart only.
void init_run(enum init_level level);
