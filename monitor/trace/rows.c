// SPDX-License-Identifier: MIT
// Counts as Lua records; histograms as text.
#include "trace/rows.h"

#include "class/class.h"
#include "session/prelude.h"
#include "trace/lua.h"

#include <stdlib.h>
#include <string.h>

const char *const rows_functions[] = {"count", "sum", "min", "max", "avg", "quantize", NULL};

// ---- records

static const struct trace_point *point_of(const struct tracer *tr)
{
    return tracer_uses((unsigned)__builtin_ctz(tr->uses))->point;
}

static void set(lua_State *L, const char *name, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, name);
}

void rows_push_hist(lua_State *L, const uint64_t bucket[AGG_BUCKETS])
{
    unsigned from = 0, to = AGG_BUCKETS;
    while (from < to && !bucket[from])
        from++;
    while (to > from && !bucket[to - 1])
        to--;
    lua_createtable(L, (int)(to - from), 0);
    for (unsigned i = from; i < to; i++) {
        int64_t lo;
        uint64_t hi;
        agg_bucket_bounds(i, &lo, &hi);
        lua_createtable(L, 0, 3);
        set(L, "lo", (uint64_t)lo);
        set(L, "hi", hi);
        set(L, "count", bucket[i]);
        lua_rawseti(L, -2, (lua_Integer)(i - from) + 1);
    }
}

static void push_avg(lua_State *L, const struct agg_shape *s, const struct agg_row *r)
{
    if (s->is_signed)
        lua_pushnumber(L, (lua_Number)(int64_t)r->sum / (lua_Number)r->count);
    else
        lua_pushinteger(L, (lua_Integer)(r->sum / r->count));
    lua_setfield(L, -2, "avg");
}

static void push_row(lua_State *L, const struct tracer *tr, const struct agg_row *r, bool other)
{
    const struct trace_point *p = point_of(tr);
    const struct agg_shape *s = &tr->shape;
    lua_createtable(L, 0, 8);
    for (unsigned i = 0; i < s->keys && !other; i++) {
        trace_push_value(L, p, s->key[i], r->key[i]);
        lua_setfield(L, -2, trace_var_name(p, s->key[i]));
    }
    if (other) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, "other");
    }
    set(L, "count", r->count);
    if (tr->functions & ROWS_SUM)
        set(L, "sum", r->sum);
    if (tr->functions & ROWS_MIN)
        set(L, "min", r->min);
    if (tr->functions & ROWS_MAX)
        set(L, "max", r->max);
    if (tr->functions & ROWS_AVG)
        push_avg(L, s, r);
    if (tr->functions & ROWS_QUANTIZE) {
        rows_push_hist(L, r->bucket);
        lua_setfield(L, -2, "hist");
    }
}

static int by_count(const void *a, const void *b)
{
    uint64_t x = (*(const struct agg_row *const *)a)->count,
             y = (*(const struct agg_row *const *)b)->count;
    return (x < y) - (x > y);
}

// ---- all of them

// The columns of a table, as k.ps() and others have them; those of a histogram are its prelude's.
static void push_columns(lua_State *L, const struct tracer *tr)
{
    lua_Integer n = 0;
    lua_newtable(L);
    for (unsigned i = 0; i < tr->shape.keys; i++) {
        lua_pushstring(L, trace_var_name(point_of(tr), tr->shape.key[i]));
        lua_rawseti(L, -2, ++n);
    }
    for (unsigned i = 0; rows_functions[i]; i++) {
        uint32_t bit = 1u << i;
        if (bit == ROWS_QUANTIZE || !((tr->functions | ROWS_COUNT) & bit))
            continue;
        lua_pushfstring(L, "%s>", rows_functions[i]);
        lua_rawseti(L, -2, ++n);
    }
}

// Of the rows on top: the one of the other keys has none of its own.
static void set_names(lua_State *L, const struct tracer *tr)
{
    lua_pushliteral(L, "other hist");
    for (unsigned i = 0; i < tr->shape.keys; i++) {
        lua_pushfstring(L, "%s %s", lua_tostring(L, -1),
                        trace_var_name(point_of(tr), tr->shape.key[i]));
        lua_remove(L, -2);
    }
    lua_insert(L, -2);
    class_set_row_names(L, lua_tostring(L, -2));
    lua_remove(L, -2);
}

static size_t sorted(const struct agg_table *t, const struct agg_row **out)
{
    size_t n = 0;
    for (const struct agg_row *r = NULL; (r = agg_next(t, r));)
        out[n++] = r;
    qsort(out, n, sizeof(struct agg_row *), by_count);
    return n;
}

int rows_push(lua_State *L, struct tracer *tr)
{
    const struct agg_row *rows[AGG_ROWS_MAX];
    const struct agg_table *all = tracer_merge(tr);
    size_t n = sorted(all, rows);
    prelude_push(L, "counted");
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        push_row(L, tr, rows[i], false);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    if (agg_other(all)) {
        push_row(L, tr, agg_other(all), true);
        lua_rawseti(L, -2, (lua_Integer)n + 1);
    }
    set_names(L, tr);
    push_columns(L, tr);
    lua_call(L, 2, 1);
    return 1;
}
