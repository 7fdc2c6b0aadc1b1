// SPDX-License-Identifier: MIT
// The newborn's side of constructors in Lua (class/constructors.h): it waits before its first step in user mode, with no lock held
// and for CONSTRUCTOR_MS at most. The monitor takes who waits longest, runs the list for it, and lets it go.
#pragma once

#include <stdbool.h>
#include <stdint.h>

void newborns_ask(bool ask); // from now on newborns wait; or none does, and who waited goes on
bool newborns_asked(void);

uint32_t newborns_take(void);            // waits longest and is not taken; 0: there is none
bool newborns_wait_still(uint32_t task); // until its time is over
void newborns_let_go(uint32_t task);     // 0: all
uint64_t newborns_missed(void);          // how many went that were not even taken
