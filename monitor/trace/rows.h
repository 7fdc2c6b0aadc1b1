// SPDX-License-Identifier: MIT
// What a tracer has counted, as a list of records, and as text.
#pragma once

#include "trace/tracer.h"

#include <lua.h>

enum {
    ROWS_COUNT = 1,
    ROWS_SUM = 2,
    ROWS_MIN = 4,
    ROWS_MAX = 8,
    ROWS_AVG = 16,
    ROWS_QUANTIZE = 32,
};
extern const char *const rows_functions[]; // their names in this order, up to a NULL

// One record per key, the most frequent first: {keys..., count, sum, min, max, avg, hist}, of these
// what was asked for, and always the count. hist is a list of {lo, hi, count}, from the first bucket
// that has something to the last. The keys that found no room are one record at the end, without
// keys, with other = true. Pushes one value.
int rows_push(lua_State *L, struct tracer *tr);
// The list of buckets that `hist` is. Pushes one value.
void rows_push_hist(lua_State *L, const uint64_t bucket[AGG_BUCKETS]);
