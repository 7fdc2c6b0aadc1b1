// SPDX-License-Identifier: MIT
// Options of k.on, k.trace and k.events, checked before anything is begun.
#include "syscall/syscall.h" // before Lua: <limits.h> defines names that the kernel enumerates

#include "class/class.h"
#include "lib/errno.h"
#include "lib/symbols.h"
#include "trace/lua.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *point_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i < SET_COUNT(trace_points) ? trace_point_at((unsigned)i)->name : NULL;
}

const struct trace_point *trace_check_point(lua_State *L, int idx)
{
    const char *name = luaL_checkstring(L, idx);
    SET_FOREACH(trace_points, struct trace_point, p)
        if (strcmp(p->name, name) == 0)
            return p;
    const char *near = class_nearest(name, point_name, NULL);
    luaL_error(L, near ? "no trace point '%s'; did you mean '%s'?" : "no trace point '%s'", name,
               near);
    return NULL;
}

static const char *var_name(const void *ctx, size_t i)
{
    const struct trace_point *p = ctx;
    size_t args = 0;
    while (args < TRACE_ARGS && p->arg[args].name)
        args++;
    return trace_var_name(p, (unsigned)(i < args ? i : i - args + TRACE_ARGS));
}

unsigned trace_check_var(lua_State *L, const struct trace_point *point, const char *name)
{
    int var = trace_var_find(point, name);
    if (var >= 0)
        return (unsigned)var;
    const char *near = class_nearest(name, var_name, point);
    luaL_error(L, near ? "'%s' has no '%s'; did you mean '%s'?" : "'%s' has no '%s'", point->name,
               name, near);
    return 0;
}

// ---- where

static uint64_t number_of_call(lua_State *L, const char *name)
{
    SET_FOREACH(syscalls, struct syscall_entry, e)
        if (strcmp(e->name, name) == 0)
            return e->nr;
    return (uint64_t)luaL_error(L, "there is no system call '%s'", name);
}

// A text, for the types that have names for their values.
static void value_of_text(lua_State *L, const struct trace_point *p, struct filter_term *t,
                          const char *text)
{
    const char *words = t->var < TRACE_ARGS ? p->arg[t->var].words : NULL;
    int n;
    switch (trace_var_type(p, t->var)) {
    case TRACE_NAME:
        t->is_text = true;
        snprintf(t->text, sizeof t->text, "%s", text);
        break;
    case TRACE_CALL:
        t->value = number_of_call(L, text);
        break;
    case TRACE_CODE:
        if (!(t->value = symbol_find(text)))
            luaL_error(L, "there is no function '%s'", text);
        break;
    case TRACE_WORD:
        if ((n = trace_word_find(words, text)) < 0)
            luaL_error(L, "'%s' is one of: %s", trace_var_name(p, t->var), words);
        t->value = (uint64_t)n;
        break;
    default:
        luaL_error(L, "'%s' is a number, not '%s'", trace_var_name(p, t->var), text);
    }
}

static void add_term(lua_State *L, const struct trace_point *p, struct trace_filter *f,
                     unsigned var, enum filter_op op, int idx)
{
    struct class_key key;
    if (f->terms == FILTER_TERMS)
        luaL_error(L, "where: at most %d conditions", FILTER_TERMS);
    struct filter_term *t = &f->term[f->terms++];
    *t = (struct filter_term){.var = (uint8_t)var,
                              .op = (uint8_t)op,
                              .is_signed = trace_var_type(p, var) == TRACE_SIGNED};
    if (class_of(L, idx, &key))
        t->value = key.id;
    else if (lua_isinteger(L, idx) && trace_var_type(p, var) != TRACE_NAME)
        t->value = (uint64_t)lua_tointeger(L, idx);
    else if (lua_type(L, idx) == LUA_TSTRING)
        value_of_text(L, p, t, lua_tostring(L, idx));
    else
        luaL_error(L, "where: '%s' cannot be compared with a %s", trace_var_name(p, var),
                   luaL_typename(L, idx));
    if (t->is_text && op > FILTER_NE)
        luaL_error(L, "where: names have no order");
}

// {ge = 4096, lt = 8192} on top.
static void add_comparisons(lua_State *L, const struct trace_point *p, struct trace_filter *f,
                            unsigned var)
{
    static const char *const ops[] = {"eq", "ne", "lt", "le", "gt", "ge", NULL};
    int idx = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        int op = 0;
        while (ops[op] && strcmp(ops[op], name) != 0)
            op++;
        if (!ops[op])
            luaL_error(L, "where: a comparison is one of eq ne lt le gt ge, not '%s'", name);
        add_term(L, p, f, var, (enum filter_op)op, lua_gettop(L));
    }
}

void trace_check_where(lua_State *L, int idx, const struct trace_point *point,
                       struct trace_filter *f)
{
    f->terms = 0;
    if (lua_isnoneornil(L, idx))
        return;
    if (lua_getfield(L, idx, "where") != LUA_TNIL) {
        if (!lua_istable(L, -1))
            luaL_error(L, "where: a table of conditions expected");
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
            if (lua_type(L, -2) != LUA_TSTRING)
                luaL_error(L, "where: {name = value} expected");
            unsigned var = trace_check_var(L, point, lua_tostring(L, -2));
            if (lua_istable(L, -1))
                add_comparisons(L, point, f, var);
            else
                add_term(L, point, f, var, FILTER_EQ, lua_gettop(L));
        }
    }
    lua_pop(L, 1);
}

// ---- the rest

lua_Integer trace_option_ms(lua_State *L, int idx)
{
    lua_Integer ms = -1;
    if (lua_isnoneornil(L, idx))
        return ms;
    if (lua_getfield(L, idx, "secs") != LUA_TNIL) {
        lua_Number secs = lua_tonumber(L, -1);
        if (!(secs > 0 && secs <= 86400))
            luaL_error(L, "secs: a number above 0, at most 86400, expected");
        ms = llround(secs * 1000); // a cast that is checked wants a function that is not there
    }
    lua_pop(L, 1);
    return ms;
}

int trace_refuse(lua_State *L, struct tracer *tr, int error)
{
    if (tr)
        tracer_free(tr);
    if (error == -ENOMEM)
        return luaL_error(L, "the kernel has no memory for that");
    return luaL_error(L,
                      "at most %d traces, %d points and %d KiB for all of them: take some off "
                      "(k.off)",
                      TRACERS, USES, TRACER_MEMORY >> 10);
}

void trace_guard(lua_State *L, uint64_t tracer, lua_CFunction fn, void *arg, int results)
{
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    if (lua_pcall(L, 1, results, 0) == LUA_OK)
        return;
    struct tracer *tr = tracer_find(tracer);
    if (tr)
        tracer_free(tr);
    lua_error(L);
}
