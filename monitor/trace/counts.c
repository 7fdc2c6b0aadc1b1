// SPDX-License-Identifier: MIT
// k.trace: events counted by key, in C, where they happen.
#include "class/classes.h"
#include "class/options.h"
#include "session/session.h"
#include "trace/lua.h"
#include "trace/rows.h"

#include <lauxlib.h>
#include <string.h>

enum { KEYS_USUAL = 64 };

// "sum(ns)": the function's number, and its variable in var. -1: it is none.
static int split_function(const char *text, char *var, size_t max)
{
    size_t len = strcspn(text, "("), n = text[len] ? strcspn(text + len + 1, ")") : 0;
    for (int i = 0; rows_functions[i]; i++) {
        if (strlen(rows_functions[i]) != len || memcmp(rows_functions[i], text, len) != 0)
            continue;
        if (i == 0) // count
            return text[len] ? -1 : 0;
        if (!text[len] || n == 0 || n >= max || strcmp(text + len + 1 + n, ")") != 0)
            return -1;
        memcpy(var, text + len + 1, n);
        var[n] = 0;
        return i;
    }
    return -1;
}

// All functions of one trace are of the same variable.
static void add_function(lua_State *L, const struct trace_point *p, struct agg_shape *shape,
                         uint32_t *shown, const char *text)
{
    char name[24];
    int n = split_function(text, name, sizeof name);
    if (n < 0)
        luaL_error(L, "agg: count, sum(x), min(x), max(x), avg(x) or quantize(x), not '%s'", text);
    *shown |= 1u << n;
    if (n == 0)
        return;
    unsigned var = trace_check_var(L, p, name);
    if (shape->value != AGG_NONE && shape->value != var)
        luaL_error(L, "agg: all of one trace are of the same variable");
    if (trace_var_type(p, var) == TRACE_NAME)
        luaL_error(L, "agg: '%s' is no number", name);
    shape->value = (uint8_t)var;
    shape->is_signed = trace_var_type(p, var) == TRACE_SIGNED;
    shape->quantize = *shown & ROWS_QUANTIZE;
}

// `agg`: a text or a list of texts.
static void check_functions(lua_State *L, int idx, const struct trace_point *p,
                            struct agg_shape *shape, uint32_t *shown)
{
    if (lua_getfield(L, idx, "agg") == LUA_TTABLE)
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++, lua_pop(L, 1))
            add_function(L, p, shape, shown, luaL_checkstring(L, -1));
    else if (!lua_isnil(L, -1))
        add_function(L, p, shape, shown, luaL_checkstring(L, -1));
    lua_settop(L, idx);
}

static void check_keys(lua_State *L, int idx, const struct trace_point *p, struct agg_shape *shape)
{
    if (lua_getfield(L, idx, "by") == LUA_TTABLE)
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
            if (shape->keys == AGG_KEYS)
                luaL_error(L, "by: at most %d keys", AGG_KEYS);
            shape->key[shape->keys++] = (uint8_t)trace_check_var(L, p, luaL_checkstring(L, -1));
        }
    else if (!lua_isnil(L, -1))
        shape->key[shape->keys++] = (uint8_t)trace_check_var(L, p, luaL_checkstring(L, -1));
    lua_settop(L, idx);
}

// What begins at index `ms` of the stack: a running tracer for the point at 1, as the options at 2 say.
static struct tracer *begin(lua_State *L)
{
    const struct trace_point *point = trace_check_point(L, 1);
    struct agg_shape shape = {.value = AGG_NONE};
    struct trace_filter filter;
    struct tracer *tr = NULL;
    uint32_t shown = 0;
    trace_check_where(L, 2, point, &filter);
    shape.rows = (uint32_t)options_integer(L, 2, "keys", KEYS_USUAL, 1, AGG_ROWS_MAX);
    if (!lua_isnil(L, 2)) {
        check_keys(L, 2, point, &shape);
        check_functions(L, 2, point, &shape, &shown);
    }
    int e = tracer_new(TRACER_COUNTS, &tr);
    if (e)
        trace_refuse(L, NULL, e);
    tr->shape = shape;
    tr->functions = shown ? shown : ROWS_COUNT;
    e = tracer_reserve(tr, 0);
    if (!e)
        e = tracer_use(tr, point, &filter, false);
    if (e)
        trace_refuse(L, tr, e);
    tracer_start(tr);
    return tr;
}

static int wait(lua_State *L)
{
    session_sleep(L, *(const uint64_t *)lua_touserdata(L, 1));
    return 0;
}

static int push_rows(lua_State *L)
{
    return rows_push(L, lua_touserdata(L, 1));
}

static int k_trace(lua_State *L)
{
    static const char *const known[] = {"where", "by", "agg", "keys", "secs", NULL};
    lua_settop(L, 2);
    options_check(L, 2, known);
    lua_Integer ms = trace_option_ms(L, 2);
    struct tracer *tr = begin(L);
    uint64_t id = tr->id, time = (uint64_t)ms;
    if (ms < 0) {
        trace_push_handle(L, tr);
        return 1;
    }
    trace_guard(L, id, wait, &time, 0);
    tr = tracer_find(id); // a callback may have taken it off
    if (!tr)
        return luaL_error(L, "the trace was taken off meanwhile");
    tracer_stop(tr);
    trace_guard(L, id, push_rows, tr, 1);
    tracer_free(tr);
    return 1;
}
MONITOR_API(trace, "trace",
            "k.trace(point [, {where=, by=, agg=, keys=64, secs=}]) -> Trace, or rows",
            "counts events by key, in C: agg is count, sum(x), min(x), max(x), avg(x), quantize(x) "
            "or a list of these; with secs it waits and gives the rows, else it goes on: t:rows(), "
            "t:stop()",
            "k.trace(\"fault.page\", {where = {pid = 3}, by = {\"kind\"}, agg = \"quantize(ns)\", "
            "secs = 10})",
            k_trace, NULL);
