// SPDX-License-Identifier: MIT
// A fresh state's own Lua: printing, sequences, help, completion, checks; and how C calls it.
#include "session/prelude.h"

#include "class/class.h"
#include "lib/errno.h"
#include "session/eval.h"
#include "session/texts.h"
#include "session/value.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

// texts() -> hashes of the texts that are kept, as they are written in calls: 16 hexadecimal digits each, with spaces between
static int m_texts(lua_State *L)
{
    uint64_t hashes[TEXTS];
    char line[TEXTS * 17 + 1] = "";
    size_t n = texts_hashes(hashes);
    for (size_t i = 0; i < n; i++)
        snprintf(line + i * 17, sizeof line - i * 17, "%016llx ", (unsigned long long)hashes[i]);
    lua_pushstring(L, line);
    return 1;
}

// text(hash) -> the text, or nil. The room for it first: what makes it may let others run, who keep texts, too.
static int m_text(lua_State *L)
{
    uint64_t hash = strtoull(luaL_checkstring(L, 1), NULL, 16);
    size_t n = texts_size(hash);
    char *room = lua_newuserdatauv(L, n, 0);
    if (!n || !texts_copy(hash, room, n))
        return 0;
    lua_pushlstring(L, room, n);
    return 1;
}

static int m_keep(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    texts_keep(text, n);
    return 0;
}

static int open_session(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"write", m_write}, {"call", m_call}, {"asserted", m_asserted}, {"plain", value_plain},
        {"texts", m_texts}, {"text", m_text}, {"keep", m_keep},         {NULL, NULL}};
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

bool prelude_caller(lua_State *L, lua_Debug *ar)
{
    for (int level = 1; lua_getstack(L, level, ar); level++) {
        lua_getinfo(L, "Sl", ar);
        if (ar->currentline > 0 && strncmp(ar->source, "=prelude/", 9) != 0)
            return true;
    }
    return false;
}

int prelude_refuse(lua_State *L, const char *fmt, ...)
{
    lua_Debug ar;
    va_list ap;
    bool is = prelude_caller(L, &ar);
    if (is)
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    va_start(ap, fmt);
    lua_pushvfstring(L, fmt, ap);
    va_end(ap);
    if (is)
        lua_concat(L, 2);
    return lua_error(L);
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
