// SPDX-License-Identifier: MIT
// Freezing: all harts but the caller's stand still, between polls or where user mode was interrupted, for a short time.
//
// A parked hart holds no spinlock and is in no interrupt's work; it goes on serving shootdowns, and stops for a panic. It
// thaws by itself when the time is over, whatever the freezer does meanwhile. One freezer at a time, and it may not wait:
// nothing that other harts or other tasks do will come.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Parks the others for at most ns from then on. 0; -EBUSY: there is a freezer; -ETIMEDOUT: *hart has come to no safe point
// within FREEZE_GATHER_MS, and nobody is parked. Task context, no lock held.
enum { FREEZE_GATHER_MS = 200 };
long freeze_begin(uint64_t ns, uint32_t *hart);
// The caller's freeze is in force, and its time is not over.
bool freeze_holds(void);
// Lets them go: for how many ns, from the first that was asked to park on. 0: there was no freeze.
uint64_t freeze_end(void);
