// SPDX-License-Identifier: MIT
// What a hart keeps back for itself of what all share (free frames, heap objects, roots of page
// tables), so that it can be asked to give it back: counts are exact then, and memory can merge.
//
//     STOCK(frames, frame_flush_hart);     // beside the code that keeps it
#pragma once

#include "lib/set.h"

struct stock {
    void (*give_back)(void); // all of the calling hart's; any kernel context, no lock held
};
SET_DECLARE(stocks, struct stock);
#define STOCK(id, fn) SET_ITEM(stocks, struct stock, stock_##id) = {fn}

// All of the calling hart's stocks.
static inline void stocks_give_back(void)
{
    SET_FOREACH(stocks, struct stock, s)
        s->give_back();
}
