// SPDX-License-Identifier: MIT
// Which events are wanted: all conditions of a filter hold. Runs where the point is: no Lua, no
// lock, nothing allocated, at most FILTER_TERMS comparisons.
#pragma once

#include "trace/event.h"

enum { FILTER_TERMS = 8, FILTER_TEXT = 24 };
enum filter_op { FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE };

struct filter_term {
    uint8_t var, op; // of the point; enum filter_op
    bool is_signed;  // how values are ordered
    bool is_text;    // the variable is a TRACE_NAME, compared with `text`; EQ and NE only
    uint64_t value;
    char text[FILTER_TEXT]; // cut off, as names are when they are compared
};

struct trace_filter {
    unsigned terms;
    struct filter_term term[FILTER_TERMS];
};

bool filter_passes(const struct trace_filter *f, const struct trace_event *e);
