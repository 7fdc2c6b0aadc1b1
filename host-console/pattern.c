// SPDX-License-Identifier: MIT
// Uses liblua5.4 so that patterns mean on the host what they mean in the kernel.
#include "pattern.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

static lua_State *lua(void)
{
    static lua_State *L;

    if (!L) {
        L = luaL_newstate();
        if (!L)
            abort();
        luaL_requiref(L, "string", luaopen_string, 1);
        lua_settop(L, 0);
    }
    return L;
}

int pattern_find(const char *text, size_t n, const char *pattern, size_t pattern_n, size_t *end,
                 struct cbor_out *out, const char **why)
{
    static char message[200];
    lua_State *L = lua();
    const char *s;
    size_t len;

    lua_settop(L, 0);
    lua_getglobal(L, "string");
    lua_getfield(L, -1, "find");
    lua_pushlstring(L, text, n);
    lua_pushlstring(L, pattern, pattern_n);
    if (lua_pcall(L, 2, LUA_MULTRET, 0) != LUA_OK) {
        strncpy(message, lua_tostring(L, -1), sizeof message - 1);
        *why = message;
        return -1;
    }
    if (lua_isnil(L, 2))
        return 0;
    size_t from = (size_t)lua_tointeger(L, 2) - 1;
    *end = (size_t)lua_tointeger(L, 3);
    cbor_str(out, "text");
    cbor_text(out, text + from, *end - from);
    cbor_str(out, "captures");
    cbor_array(out, (uint64_t)(lua_gettop(L) - 3));
    for (int i = 4; i <= lua_gettop(L); i++) {
        if (lua_isinteger(L, i)) {
            cbor_int(out, lua_tointeger(L, i));
            continue;
        }
        s = lua_tolstring(L, i, &len);
        cbor_text(out, s, len);
    }
    return 1;
}

static int load(const char *source, size_t n)
{
    return luaL_loadbufferx(lua(), source, n, "=k", "t");
}

// The message on top says that the text ended too early.
static bool ends_early(void)
{
    const char *message = lua_tostring(lua(), -1);
    size_t len = strlen(message);

    return len >= 5 && strcmp(message + len - 5, "<eof>") == 0;
}

enum chunk_state pattern_chunk(const char *source, size_t n)
{
    char *expression = malloc(n + 8);
    bool more;
    int r;

    if (!expression)
        abort();
    lua_settop(lua(), 0);
    memcpy(expression, "return ", 7);
    memcpy(expression + 7, source, n);
    r = load(expression, n + 7);
    free(expression);
    if (r == LUA_OK)
        return CHUNK_WHOLE;
    more = ends_early();
    if (load(source, n) == LUA_OK)
        return CHUNK_WHOLE;
    return more || ends_early() ? CHUNK_MORE : CHUNK_WRONG;
}
