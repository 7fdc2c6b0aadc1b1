// SPDX-License-Identifier: MIT
// A fresh state's own Lua: printing, sequences, help, completion, checks; and how C calls it.
#include "session/prelude.h"

#include "class/class.h"
#include "lib/errno.h"
#include "session/eval.h"
#include "session/value.h"

#include <lauxlib.h>

extern const struct prelude_part {
    const char *name, *text;
    uint64_t len;
} prelude_parts[]; // prelude_text.S

static const char prelude_key, host_key, asserted_key; // of the registry, by address

// ---- what the prelude finds in `monitor`

static const struct eval_host *host_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
    const struct eval_host *h = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return h;
}

static int m_write(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    host_of(L)->write(L, text, n);
    return 0;
}

static int m_call(lua_State *L)
{
    const char *op = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    return host_of(L)->call(L, op);
}

// The message of the latest failed assert(): by it the error is told from others at the end.
static int m_asserted(lua_State *L)
{
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &asserted_key);
    return 0;
}

static int open_session(lua_State *L)
{
    static const luaL_Reg functions[] = {{"write", m_write},
                                         {"call", m_call},
                                         {"asserted", m_asserted},
                                         {"plain", value_plain},
                                         {NULL, NULL}};
    lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key); // the argument
    class_open(L);
    luaL_setfuncs(L, functions, 0);
    lua_newtable(L);
    for (const struct prelude_part *p = prelude_parts; p->name; p++) {
        lua_pushfstring(L, "=prelude/%s.lua", p->name);
        if (luaL_loadbufferx(L, p->text, p->len, lua_tostring(L, -1), "t") != LUA_OK)
            return lua_error(L);
        lua_pushvalue(L, -4); // monitor
        lua_pushvalue(L, -4); // p
        lua_call(L, 2, 0);
        lua_pop(L, 1);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &prelude_key);
    return 0;
}

int eval_open(struct lua_limits *l, const struct eval_host *host)
{
    limits_begin(l, LIMITS_BUDGET);
    lua_pushcfunction(l->L, open_session);
    lua_pushlightuserdata(l->L, (void *)host);
    if (lua_pcall(l->L, 1, 0, 0) == LUA_OK)
        return 0;
    return -ENOMEM;
}

void prelude_push(lua_State *L, const char *name)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &prelude_key);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

void prelude_write(lua_State *L, const char *text, size_t n)
{
    host_of(L)->write(L, text, n);
}

void prelude_push_asserted(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &asserted_key);
}

void prelude_forget_assert(lua_State *L)
{
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &asserted_key);
}

bool eval_push_list(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    prelude_push(L, "is_seq");
    lua_pushvalue(L, idx);
    lua_call(L, 1, 1);
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (is) {
        prelude_push(L, "list");
        lua_pushvalue(L, idx);
        lua_call(L, 1, 1);
    }
    return is;
}
