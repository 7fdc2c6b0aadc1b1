// SPDX-License-Identifier: MIT
// What a hart keeps back for itself of what all share (free frames, heap objects, roots of page
// tables), so that it can be asked to give it back: counts are exact then, and memory can merge.
//
//     STOCK(frames, frame_flush_hart);     // beside the code that keeps it
#pragma once

#include "lib/set.h"

#include <stdbool.h>
#include <stdint.h>

struct stock {
    void (*give_back)(void); // all of the calling hart's; any kernel context, no lock held
};
SET_DECLARE(stocks, struct stock);
#define STOCK(id, fn) SET_ITEM(stocks, struct stock, stock_##id) = {fn}

// Asks every hart to give back all of its stocks: the caller's does so at once, the others when they have ended what they are
// doing in the kernel. Returns the request's number. Any task, no lock held.
uint32_t stocks_ask(void);
// Whether all harts have done so since.
bool stocks_given(uint32_t request);
