// SPDX-License-Identifier: MIT
// The table `k`: functions and fields from the linker set monitor_api.
#include "class/class_impl.h"

#include <lauxlib.h>
#include <string.h>

static const struct monitor_api *find(const char *name)
{
    SET_FOREACH(monitor_api, struct monitor_api, a)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

static const char *api_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i < SET_COUNT(monitor_api) ? SET_BEGIN(monitor_api)[i].name : NULL;
}

static const struct monitor_api *find_or_raise(lua_State *L, int idx)
{
    if (lua_type(L, idx) != LUA_TSTRING)
        luaL_error(L, "k is indexed by names, not by a %s", luaL_typename(L, idx));
    const char *name = lua_tostring(L, idx);
    const struct monitor_api *a = find(name);
    if (a)
        return a;
    const char *near = class_nearest(name, api_name, NULL);
    if (near)
        luaL_error(L, "k has no member '%s'; did you mean '%s'?", name, near);
    luaL_error(L, "k has no member '%s'", name);
    return NULL;
}

static int k_index(lua_State *L)
{
    const struct monitor_api *a = find_or_raise(L, 2);
    lua_pushcfunction(L, a->fn);
    if (!a->signature)
        lua_call(L, 0, 1);
    return 1;
}

void class_check_assigned(lua_State *L, const char *member, const char *type)
{
    if (strcmp(luaL_typename(L, 1), type) != 0)
        luaL_error(L, "k.%s: %s expected, got %s", member, type, luaL_typename(L, 1));
}

static int k_newindex(lua_State *L)
{
    const struct monitor_api *a = find_or_raise(L, 2);
    if (!a->set)
        return luaL_error(L, "k.%s is read-only", a->name);
    lua_replace(L, 1);
    lua_settop(L, 1);
    return a->set(L); // not by lua_call: what it raises names the line that assigns
}

static int pairs_next(lua_State *L)
{
    size_t i = (size_t)lua_tointeger(L, lua_upvalueindex(1));
    if (i >= SET_COUNT(monitor_api))
        return 0;
    const struct monitor_api *a = &SET_BEGIN(monitor_api)[i];
    lua_pushinteger(L, (lua_Integer)i + 1);
    lua_replace(L, lua_upvalueindex(1));
    lua_pushstring(L, a->name);
    lua_pushcfunction(L, a->fn);
    if (!a->signature)
        lua_call(L, 0, 1);
    return 2;
}

static int k_pairs(lua_State *L)
{
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, pairs_next, 1);
    return 1;
}

static int k_tostring(lua_State *L)
{
    lua_pushliteral(L, "k: the kernel. help() lists what it has");
    return 1;
}

void class_open_api(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__index", k_index}, {"__newindex", k_newindex},
        {"__pairs", k_pairs}, {"__tostring", k_tostring},
        {NULL, NULL},
    };
    lua_newuserdatauv(L, 0, 0);
    luaL_newlib(L, metamethods);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "k");
}
