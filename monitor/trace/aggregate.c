// SPDX-License-Identifier: MIT
// Tables of counts by key: open addressing over twice as many slots as there may be keys.
#include "trace/aggregate.h"

#include "arch/atomic.h"

#include <string.h>

static uint32_t slots_of(const struct agg_shape *s)
{
    uint32_t n = 2;
    while (n < 2 * s->rows)
        n *= 2;
    return n;
}

static size_t row_bytes(const struct agg_shape *s)
{
    return sizeof(struct agg_row) + (s->quantize ? AGG_BUCKETS * sizeof(uint64_t) : 0);
}

static struct agg_row *row_at(const struct agg_table *t, uint32_t i)
{
    return (struct agg_row *)(t->memory + i * row_bytes(t->shape));
}

size_t agg_bytes(const struct agg_shape *shape)
{
    return (slots_of(shape) + 1) * row_bytes(shape);
}

void agg_init(struct agg_table *t, const struct agg_shape *shape, void *memory)
{
    *t = (struct agg_table){.shape = shape, .memory = memory};
}

static uint32_t hash(const uint64_t key[AGG_KEYS])
{
    uint64_t h = 0;
    for (unsigned i = 0; i < AGG_KEYS; i++)
        h = (h ^ key[i]) * 0x9e3779b97f4a7c15;
    return (uint32_t)(h >> 32);
}

// The key's row, a new one with its key, or `other`.
static struct agg_row *row_of(struct agg_table *t, const uint64_t key[AGG_KEYS])
{
    uint32_t n = slots_of(t->shape), i = hash(key) % n;
    struct agg_row *r;
    for (; (r = row_at(t, i))->count; i = (i + 1) % n)
        if (memcmp(r->key, key, sizeof r->key) == 0)
            return r;
    if (t->used == t->shape->rows)
        return row_at(t, n);
    t->used++;
    memcpy(r->key, key, sizeof r->key);
    return r;
}

static bool less(const struct agg_shape *s, uint64_t a, uint64_t b)
{
    return s->is_signed ? (int64_t)a < (int64_t)b : a < b;
}

unsigned agg_bucket(uint64_t v, bool is_signed)
{
    if (is_signed && (int64_t)v < 0)
        return 0;
    return v == 0 ? 1 : 65 - (unsigned)__builtin_clzl(v);
}

void agg_bucket_bounds(unsigned bucket, int64_t *lo, uint64_t *hi)
{
    *lo = bucket == 0 ? INT64_MIN : bucket == 1 ? 0 : (int64_t)(1ul << (bucket - 2));
    *hi = bucket < 2 ? (bucket == 0 ? (uint64_t)-1 : 0) : (1ul << (bucket - 2)) * 2 - 1;
}

// Of `n` events: the reader sees the count last.
static void note(const struct agg_shape *s, struct agg_row *r, uint64_t n, uint64_t sum,
                 uint64_t min, uint64_t max)
{
    if (!r->count || less(s, min, r->min))
        r->min = min;
    if (!r->count || less(s, r->max, max))
        r->max = max;
    r->sum += sum;
    store_release(&r->count, r->count + n);
}

void agg_add(struct agg_table *t, const struct trace_event *e)
{
    const struct agg_shape *s = t->shape;
    uint64_t key[AGG_KEYS] = {0};
    for (unsigned i = 0; i < s->keys; i++)
        key[i] = trace_var_value(e, s->key[i]);
    uint64_t v = s->value == AGG_NONE ? 0 : trace_var_value(e, s->value);
    struct agg_row *r = row_of(t, key);
    if (s->quantize)
        r->bucket[agg_bucket(v, s->is_signed)]++;
    note(s, r, 1, v, v, v);
}

static void merge_row(const struct agg_shape *s, struct agg_row *into, const struct agg_row *from,
                      uint64_t count)
{
    for (unsigned i = 0; s->quantize && i < AGG_BUCKETS; i++)
        into->bucket[i] += load_relaxed(&from->bucket[i]);
    note(s, into, count, load_relaxed(&from->sum), load_relaxed(&from->min),
         load_relaxed(&from->max));
}

void agg_merge(struct agg_table *into, const struct agg_table *from)
{
    uint32_t n = slots_of(from->shape);
    for (uint32_t i = 0; i <= n; i++) {
        const struct agg_row *r = row_at(from, i);
        uint64_t count = load_acquire(&r->count);
        if (count)
            merge_row(into->shape, i < n ? row_of(into, r->key) : row_at(into, n), r, count);
    }
}

const struct agg_row *agg_next(const struct agg_table *t, const struct agg_row *row)
{
    uint32_t n = slots_of(t->shape);
    uint32_t i = row ? (uint32_t)(((const char *)row - t->memory) / row_bytes(t->shape)) + 1 : 0;
    for (; i < n; i++)
        if (row_at(t, i)->count)
            return row_at(t, i);
    return NULL;
}

const struct agg_row *agg_other(const struct agg_table *t)
{
    const struct agg_row *r = row_at(t, slots_of(t->shape));
    return r->count ? r : NULL;
}
