// SPDX-License-Identifier: MIT
// Named options.
#include "class/options.h"

#include "class/class.h"

#include <lauxlib.h>
#include <string.h>

static const char *option_name(const void *ctx, size_t i)
{
    return ((const char *const *)ctx)[i];
}

static void refuse(lua_State *L, const char *name, const char *const *known)
{
    luaL_Buffer b;
    if (!known[0])
        luaL_error(L, "no option '%s': there are none", name);
    const char *near = class_nearest(name, option_name, known);
    if (near)
        luaL_error(L, "no option '%s'; did you mean '%s'?", name, near);
    luaL_buffinit(L, &b);
    for (size_t i = 0; known[i]; i++) {
        luaL_addstring(&b, i ? ", " : "");
        luaL_addstring(&b, known[i]);
    }
    luaL_pushresult(&b);
    luaL_error(L, "no option '%s'; the options are %s", name, lua_tostring(L, -1));
}

void options_check(lua_State *L, int idx, const char *const *known)
{
    if (lua_isnoneornil(L, idx))
        return;
    idx = lua_absindex(L, idx);
    if (!lua_istable(L, idx))
        luaL_error(L, "options: table expected, got %s", luaL_typename(L, idx));
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "options: {name = value} expected, not a %s for a name",
                       luaL_typename(L, -2));
        size_t i = 0;
        while (known[i] && strcmp(known[i], lua_tostring(L, -2)) != 0)
            i++;
        if (!known[i])
            refuse(L, lua_tostring(L, -2), known);
    }
}

// Pushes the option; false (nothing is pushed): there is none.
static bool push(lua_State *L, int idx, const char *name)
{
    if (lua_isnoneornil(L, idx))
        return false;
    if (lua_getfield(L, idx, name) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

// A number as it is, of anything else what it is.
static const char *got(lua_State *L)
{
    return lua_type(L, -1) == LUA_TNUMBER ? luaL_tolstring(L, -1, NULL)
                                          : lua_pushfstring(L, "a %s", luaL_typename(L, -1));
}

lua_Integer options_integer(lua_State *L, int idx, const char *name, lua_Integer otherwise,
                            lua_Integer lo, lua_Integer hi)
{
    int ok;
    if (!push(L, idx, name))
        return otherwise;
    lua_Integer n = lua_tointegerx(L, -1, &ok);
    if (!ok || n < lo || n > hi)
        luaL_error(L, "%s: a whole number from %I to %I expected, not %s", name, (LUAI_UACINT)lo,
                   (LUAI_UACINT)hi, got(L));
    lua_pop(L, 1);
    return n;
}

bool options_flag(lua_State *L, int idx, const char *name, bool otherwise)
{
    if (!push(L, idx, name))
        return otherwise;
    if (!lua_isboolean(L, -1))
        luaL_error(L, "%s: true or false expected, not %s", name, got(L));
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

bool options_object(lua_State *L, int idx, const char *name, const struct class *c, uint64_t *id)
{
    struct class_key key;
    if (!push(L, idx, name))
        return false;
    if (class_of(L, -1, &key) != c)
        luaL_error(L, "%s: a %s expected, not %s", name, c->name, got(L));
    *id = key.id;
    lua_pop(L, 1);
    return true;
}
