// SPDX-License-Identifier: MIT
// k.session: what a session takes, and what it may take. Until it is begun anew (:reset, another host).
#include "class/class.h"
#include "lua/limits.h"
#include "session/journal.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 64 * 1024, BUDGET_LEAST = 1000000 };
#define BUDGET_MOST 1000000000000

static int k_session(lua_State *L)
{
    const struct lua_limits *l = session_limits();
    lua_createtable(L, 0, 7);
    class_set_int(L, "number", session_number() + 1);
    class_set_int(L, "used", l->arena.used);
    class_set_int(L, "peak", l->arena.peak);
    class_set_int(L, "size", l->arena.size);
    class_set_int(L, "failures", l->arena.failures);
    class_set_int(L, "heap", l->heap);
    class_set_int(L, "budget", l->usual);
    return 1;
}

// Of the table at 1; `usual` when it does not say.
static uint64_t limit_in(lua_State *L, const char *name, uint64_t usual, uint64_t least,
                         uint64_t most)
{
    lua_Integer v = (lua_Integer)usual;
    if (lua_getfield(L, 1, name) != LUA_TNIL) {
        v = luaL_checkinteger(L, -1);
        if (v < (lua_Integer)least || v > (lua_Integer)most)
            luaL_error(L, "%s is from %I to %I", name, (LUAI_UACINT)least, (LUAI_UACINT)most);
    }
    lua_pop(L, 1);
    return (uint64_t)v;
}

static int k_session_set(lua_State *L)
{
    struct lua_limits *l = session_limits();
    luaL_checktype(L, 1, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(name, "heap") != 0 && strcmp(name, "budget") != 0)
            return luaL_error(L, "the limits are heap and budget, not '%s'", name);
    }
    // Room for a command that sets it higher again.
    uint64_t heap = limit_in(L, "heap", l->heap, l->arena.used + ROOM, l->arena.size);
    uint64_t budget = limit_in(L, "budget", l->usual, BUDGET_LEAST, BUDGET_MOST);
    char text[100];
    snprintf(text, sizeof text, "make the limits of this session: heap %lu, budget %lu",
             (unsigned long)heap, (unsigned long)budget);
    if (change_is_dry(L, text))
        return 0;
    l->heap = heap;
    l->usual = budget;
    return 0;
}
MONITOR_API(
    session, "session", NULL,
    "this session's number (journal rows and traces name it), its heap (used, peak, size, failures) and its limits; assign {heap = bytes in use, budget = "
    "instructions of a command} to change them",
    "k.session = {budget = 1000000000}", k_session, k_session_set);
