// SPDX-License-Identifier: MIT
// k.lint: runs the checks, waits between their two looks.
#include "lint/lint.h"

#include "async/timer.h"
#include "class/classes.h"
#include "class/options.h"
#include "session/session.h"

#include <lauxlib.h>
#include <string.h>

enum {
    GAP_MS = 100,
    SETTLE_MS = 3000,
    STEP_MS = 10,
    IO_MS = 5000,
    POLL_MS = 1000,
    MS_MOST = 3600000
};

void lint_found(lua_State *L, const char *kind, uint32_t task, uint64_t ms, const char *text)
{
    luaL_checkstack(L, 8, "lint");
    lua_createtable(L, 0, 4);
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, text);
    lua_setfield(L, -2, "text");
    lua_pushinteger(L, (lua_Integer)ms);
    lua_setfield(L, -2, "ms");
    if (task) {
        class_push(L, class_task, (struct class_key){task, 0});
        lua_setfield(L, -2, "task");
    }
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

// One check's behind the other's.
static size_t in_memory(const struct lint_check *c)
{
    return (c->size + 7) & ~7ul;
}

static size_t noticed_bytes(void)
{
    size_t sum = 0;
    SET_FOREACH(lint_checks, struct lint_check, c)
        sum += in_memory(c);
    return sum;
}

// The checks that have noticed something, a bit each, by place in the set.
static uint64_t notice(char *noticed, const struct lint_limits *limits)
{
    uint64_t some = 0, bit = 1;
    SET_FOREACH(lint_checks, struct lint_check, c) {
        if (c->notice(noticed, limits))
            some |= bit;
        noticed += in_memory(c);
        bit <<= 1;
    }
    return some;
}

static uint64_t unsettled(const char *noticed, uint64_t some)
{
    uint64_t bit = 1;
    SET_FOREACH(lint_checks, struct lint_check, c) {
        if ((some & bit) && (!c->settled || c->settled(noticed)))
            some &= ~bit;
        noticed += in_memory(c);
        bit <<= 1;
    }
    return some;
}

// ---- leaks: k.phys:leaks(), which looks twice itself, asked twice

static void push_leaks(lua_State *L)
{
    lua_pushcfunction(L, class_memory_leaks);
    class_push(L, class_memory, (struct class_key){0, 0});
    lua_call(L, 1, 1);
}

// The frame of row i of the list at idx, pushed.
static void push_frame(lua_State *L, int idx, lua_Integer i)
{
    lua_rawgeti(L, idx, i);
    lua_getfield(L, -1, "frame");
    lua_remove(L, -2);
}

static bool has_frame(lua_State *L, int idx)
{
    bool found = false;
    for (lua_Integer i = luaL_len(L, idx); i > 0 && !found; i--) {
        push_frame(L, idx, i);
        found = lua_compare(L, -1, -2, LUA_OPEQ);
        lua_pop(L, 1);
    }
    return found;
}

// The findings are at index 1.
static void find_leaks(lua_State *L)
{
    push_leaks(L);
    if (luaL_len(L, 2)) {
        session_sleep(L, GAP_MS);
        push_leaks(L);
        for (lua_Integer i = 1; i <= luaL_len(L, 2); i++) {
            push_frame(L, 2, i);
            if (has_frame(L, 3)) {
                const char *frame = luaL_tolstring(L, -1, NULL);
                lua_pushfstring(L, "%s: nobody has so many", frame);
                lua_pushvalue(L, 1);
                lint_found(L, "leak", 0, 0, lua_tostring(L, -2));
                lua_pop(L, 3);
            }
            lua_pop(L, 1);
        }
    }
    lua_settop(L, 1);
}

static int k_lint(lua_State *L)
{
    static const char *const known[] = {"io_ms", "poll_ms", "leaks", NULL};
    options_check(L, 1, known);
    struct lint_limits limits = {
        (uint64_t)options_integer(L, 1, "io_ms", IO_MS, 1, MS_MOST),
        (uint64_t)options_integer(L, 1, "poll_ms", POLL_MS, 1, MS_MOST),
    };
    bool leaks = options_flag(L, 1, "leaks", false);
    lua_settop(L, 0);
    lua_newtable(L);
    char *noticed = memset(lua_newuserdatauv(L, noticed_bytes(), 0), 0, noticed_bytes());
    uint64_t some = notice(noticed, &limits), open = some, bit = 1;
    uint64_t till = clock_monotonic_ns() + (limits.poll_ms + SETTLE_MS) * 1000000;
    if (some)
        session_sleep(L, GAP_MS);
    while ((open = unsettled(noticed, open)) && clock_monotonic_ns() < till)
        session_sleep(L, STEP_MS);
    SET_FOREACH(lint_checks, struct lint_check, c) {
        lua_pushvalue(L, 1);
        if (some & ~open & bit) // what never settled is not judged
            c->judge(L, noticed);
        lua_settop(L, 2);
        noticed += in_memory(c);
        bit <<= 1;
    }
    lua_settop(L, 1);
    if (leaks)
        find_leaks(L);
    class_set_columns(L, "kind ms> text | task");
    return 1;
}
MONITOR_API(
    lint, "lint", "k.lint([{io_ms=, poll_ms=, leaks=}]) -> list of {kind, task, ms, text}",
    "what is wrong in the running system: lost wakes, deadlocks, stuck I/O, broken rings, long polls; with leaks = true also frames that are nobody's",
    "k.lint()", k_lint, NULL);
