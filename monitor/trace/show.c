// SPDX-License-Identifier: MIT
// Variables and events as Lua values.
#include "syscall/syscall.h" // before Lua: <limits.h> defines names that the kernel enumerates

#include "arch/cpu.h"
#include "class/classes.h"
#include "lib/symbols.h"
#include "trace/lua.h"

#include <lauxlib.h>

static void push_code(lua_State *L, uint64_t pc)
{
    struct symbol_text text;
    uint64_t offset;
    const char *name = symbol_at(pc, &offset);
    lua_pushstring(L, name && !offset ? name : symbol_describe(&text, pc));
}

static void push_word(lua_State *L, const char *words, uint64_t n)
{
    unsigned len;
    const char *word = trace_word(words, n, &len);
    if (word)
        lua_pushlstring(L, word, len);
    else
        lua_pushinteger(L, (lua_Integer)n);
}

void trace_push_value(lua_State *L, const struct trace_point *point, unsigned var, uint64_t v)
{
    const struct syscall_entry *call;
    switch (trace_var_type(point, var)) {
    case TRACE_TASK:
        if (v)
            class_push(L, class_task, (struct class_key){v, 0});
        else
            lua_pushnil(L);
        break;
    case TRACE_CALL:
        if ((call = syscall_lookup(v)))
            lua_pushstring(L, call->name);
        else
            lua_pushinteger(L, (lua_Integer)v);
        break;
    case TRACE_CODE:
        push_code(L, v);
        break;
    case TRACE_NAME:
        lua_pushstring(L, (const char *)(uintptr_t)v); // nil for NULL
        break;
    case TRACE_WORD:
        push_word(L, point->arg[var].words, v);
        break;
    default:
        lua_pushinteger(L, (lua_Integer)v);
    }
}

// The metatable of the point's events: what cannot be known yet is nil; so is `lost`, which others have.
static void push_names(lua_State *L, const struct trace_point *p)
{
    luaL_Buffer b;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, p) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "lost");
    for (unsigned var = 0; var < VARS; var++) {
        luaL_addchar(&b, ' ');
        luaL_addstring(&b, trace_var_name(p, var) ? trace_var_name(p, var) : "");
    }
    luaL_pushresult(&b);
    lua_pushfstring(L, "the event %s", p->name);
    class_push_names(L, lua_tostring(L, -1), lua_tostring(L, -2));
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, p);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

void trace_push_event(lua_State *L, const struct trace_event *e)
{
    const struct trace_point *p = trace_point_at(e->point);
    bool early = e->held || tracer_uses(e->use)->hold; // told where it may be held, if by another
    lua_createtable(L, 0, 12);
    lua_pushstring(L, p->name);
    lua_setfield(L, -2, "point");
    lua_pushinteger(L, (lua_Integer)ticks_to_ns(e->at));
    lua_setfield(L, -2, "at");
    lua_pushboolean(L, e->held);
    lua_setfield(L, -2, "held");
    push_names(L, p);
    lua_setmetatable(L, -2);
    for (unsigned var = 0; var < VARS; var++) {
        const char *name = trace_var_name(p, var);
        if (!name || (early && !trace_known_when_held(p, var)))
            continue;
        trace_push_value(L, p, var, trace_var_value(e, var));
        lua_setfield(L, -2, name);
    }
}
