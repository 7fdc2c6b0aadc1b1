// SPDX-License-Identifier: MIT
// Which places of the kernel have run: in builds with COVER=1 the compiler calls a recorder in every basic block of kernel/.
//
// A place is what lies behind such a call, told to 4 bytes. Recording takes no lock and suits every context, the first
// instructions of boot too: one load, and at the first time one store. Other builds have nothing of this.
#pragma once

#include <stdint.h>

enum cover_state {
    COVER_NEVER, // has not run
    COVER_FRESH, // has, since the last cover_forget
    COVER_KNOWN, // had before it
};

struct cover_count {
    uint64_t places; // fresh and known
    uint64_t fresh;
};

struct cover_count cover_count(void);

// The first fresh place at or after pc; 0: none.
uint64_t cover_next_fresh(uint64_t pc);

// Makes what is fresh known. A place that runs at this moment may stay fresh.
void cover_forget(void);
