// SPDX-License-Identifier: MIT
// Records: plain tables of names and values, as rows of lists and members of k give them.
//
// A record has what its kind may have and nothing else: reading any other name raises, with the nearest one that it has.
// What its kind may have, but this one lacks, is nil.
#include "class/class_impl.h"

#include <lauxlib.h>
#include <string.h>

enum { NAMES_MOST = 48 };

void class_set_int(lua_State *L, const char *name, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, name);
}

void class_set_text(lua_State *L, const char *name, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

// ---- addresses: their names are in __addresses of the metatable

static const char of_records; // registry key: the metatable of records until they get names

void class_set_address(lua_State *L, const char *name, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, name);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &of_records) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_newtable(L);
        lua_setfield(L, -2, "__addresses");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &of_records);
    }
    lua_getfield(L, -1, "__addresses");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    lua_setmetatable(L, -2);
}

// ---- names

size_t class_next_word(const char **word, const char **text)
{
    *text += strspn(*text, " ");
    *word = *text;
    *text += strcspn(*text, " ");
    size_t n = (size_t)(*text - *word);
    return n && (*word)[n - 1] == '>' ? n - 1 : n;
}

bool class_has_word(const char *words, const char *name)
{
    const char *word;
    size_t n, len = strlen(name);
    while (words && (n = class_next_word(&word, &words)))
        if (n == len && memcmp(word, name, n) == 0)
            return true;
    return false;
}

struct names {
    const char *name[NAMES_MOST + 1];
};

static const char *name_at(const void *ctx, size_t i)
{
    return ((const struct names *)ctx)->name[i];
}

// Those of the record at 1, in the order of its table.
static size_t collect(lua_State *L, struct names *n)
{
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && i < NAMES_MOST)
            n->name[i++] = lua_tostring(L, -2);
    n->name[i] = NULL;
    return i;
}

// __index. Upvalues: whose name is asked for; which names it may lack. A script may call it with anything, by getmetatable.
static int unknown(lua_State *L)
{
    struct names n;
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *what = lua_tostring(L, lua_upvalueindex(1));
    if (lua_type(L, 2) != LUA_TSTRING ||
        class_has_word(lua_tostring(L, lua_upvalueindex(2)), lua_tostring(L, 2)))
        return 0;
    const char *wrong = lua_tostring(L, 2);
    collect(L, &n);
    const char *near = class_nearest(wrong, name_at, &n);
    if (near)
        return luaL_error(L, "%s has no '%s'; did you mean '%s'?", what, wrong, near);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; n.name[i]; i++) {
        luaL_addstring(&b, i ? ", " : "");
        luaL_addstring(&b, n.name[i]);
    }
    luaL_pushresult(&b);
    return luaL_error(L, "%s has no '%s'; it has %s", what, wrong, lua_tostring(L, -1));
}

void class_push_names(lua_State *L, const char *what, const char *absent)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, what);
    lua_pushstring(L, absent);
    lua_pushcclosure(L, unknown, 2);
    lua_setfield(L, -2, "__index");
}

void class_set_names(lua_State *L, const char *what, const char *absent)
{
    class_push_names(L, what, absent);
    if (lua_getmetatable(L, -2)) { // it has addresses
        lua_getfield(L, -1, "__addresses");
        lua_setfield(L, -3, "__addresses");
        lua_pop(L, 1);
    }
    lua_setmetatable(L, -2);
}

// Two metatables for all: one for those with addresses.
void class_set_row_names(lua_State *L, const char *absent)
{
    int list = lua_gettop(L);
    class_push_names(L, "the row", absent);
    class_push_names(L, "the row", absent);
    for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
        bool addresses = lua_getmetatable(L, -1);
        if (addresses) {
            lua_getfield(L, -1, "__addresses");
            lua_setfield(L, list + 2, "__addresses");
            lua_pop(L, 1);
        }
        lua_pushvalue(L, addresses ? list + 2 : list + 1);
        lua_setmetatable(L, -2);
        lua_pop(L, 1);
    }
    lua_settop(L, list);
}

void class_set_columns(lua_State *L, const char *columns)
{
    const char *text = columns, *word;
    lua_createtable(L, 0, 1);
    lua_newtable(L);
    for (lua_Integer n = 1; class_next_word(&word, &text) && *word != '|'; n++) {
        lua_pushlstring(L, word, (size_t)(text - word));
        lua_rawseti(L, -2, n);
    }
    lua_setfield(L, -2, "__columns");
    lua_setmetatable(L, -2);
    class_set_row_names(L, columns);
}
