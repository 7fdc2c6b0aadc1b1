// SPDX-License-Identifier: MIT
// Counting events by key: how many, and of one variable sum, least, largest, and how often each
// power of two.
//
// Each hart has a table that only it writes: no lock, nothing allocated. Who reads merges them. A
// table that is written meanwhile is read without harm, but a row may then be in the middle of an
// event; once the writers have stopped everything is exact. What comes when a table has all the keys
// it may have is counted in its `other` row: nothing is ever missing from the sums.
#pragma once

#include "trace/event.h"

#include <stddef.h>

enum {
    AGG_KEYS = 3,
    AGG_ROWS_MAX = 256,
    AGG_NONE = 255,   // no variable
    AGG_BUCKETS = 66, // below zero, zero, 1, 2-3, 4-7, ... 2^63 and more
};

struct agg_shape {
    uint8_t keys, key[AGG_KEYS]; // variables
    uint8_t value;               // variable, or AGG_NONE
    bool is_signed;              // how its values are ordered
    bool quantize;
    uint32_t rows; // different keys, 1 .. AGG_ROWS_MAX
};

struct agg_row {
    uint64_t key[AGG_KEYS];
    uint64_t count, sum, min, max; // count 0: the row is free. The sum is modulo 2^64
    uint64_t bucket[];             // AGG_BUCKETS of them, when quantized
};

struct agg_table {
    const struct agg_shape *shape; // the caller's, as long as the table
    uint32_t used;                 // keys it has
    char *memory;
};

size_t agg_bytes(const struct agg_shape *shape);
// memory: agg_bytes, zeroed, the caller's.
void agg_init(struct agg_table *t, const struct agg_shape *shape, void *memory);
void agg_add(struct agg_table *t, const struct trace_event *e);
// Adds all that `from` has.
void agg_merge(struct agg_table *into, const struct agg_table *from);
// The row after `row` (NULL: the first) that counts something, without `other`; NULL: no more.
const struct agg_row *agg_next(const struct agg_table *t, const struct agg_row *row);
const struct agg_row *agg_other(const struct agg_table *t);

// Bucket of a value, and the least and largest value a bucket holds.
unsigned agg_bucket(uint64_t v, bool is_signed);
void agg_bucket_bounds(unsigned bucket, int64_t *lo, uint64_t *hi);
