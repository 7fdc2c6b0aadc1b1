// SPDX-License-Identifier: MIT
// k.freeze and k.snapshot: looking at a system that stands still.
#include "session/freeze.h"

#include "async/freeze.h"
#include "async/timer.h"
#include "class/class.h"
#include "class/options.h"
#include "lib/errno.h"
#include "session/session.h"

#include <lauxlib.h>

enum { FREEZE_MS = 50, FREEZE_MS_MOST = 1000, SNAPSHOT_MS = 100, OBJECTS = 64 };

// By the session that runs; its time may be over. No other one runs before it thaws, so they wait.
static bool frozen;
static bool within_fn; // by k.freeze: what it calls is to be unwound when it thaws
static struct {
    bool waited;       // its freeze was ended because something waited
    uint64_t pause_ns; // of its last one
} sessions[WIRE_SESSIONS];

static void thaw(void)
{
    frozen = within_fn = false;
    sessions[session_number()].pause_ns = freeze_end();
}

// Too early: whatever is in k.freeze ends.
static void thaw_and_stop(struct lua_limits *l)
{
    if (within_fn && !l->stop)
        l->stop = LIMITS_THAWED;
    thaw();
}

void session_thaw(void)
{
    if (!frozen)
        return;
    sessions[session_number()].waited = true;
    thaw_and_stop(session_limits());
}

bool session_stays_frozen(struct lua_limits *l)
{
    if (!frozen)
        return false;
    if (freeze_holds())
        return true;
    thaw_and_stop(l);
    return false;
}

void session_not_frozen(lua_State *L, const char *what)
{
    if (frozen)
        luaL_error(L,
                   "%s inside k.freeze: it would wait for who stands still; return what you found",
                   what);
}

static void begin(lua_State *L, uint64_t ms)
{
    uint32_t hart;
    if (session_limits()->stop) // within one that is over, and is just being unwound
        luaL_error(L, "thawed");
    long r = freeze_begin(ms * 1000000, &hart);
    if (r == -EBUSY)
        luaL_error(L, "the system is frozen already: one freezer at a time");
    if (r)
        luaL_error(L, "hart %d came to no safe point within %d ms", (int)hart, FREEZE_GATHER_MS);
    frozen = true;
    sessions[session_number()].waited = false;
}

// False: it was over before.
static bool end(void)
{
    if (!frozen)
        return false;
    bool held = freeze_holds();
    thaw();
    return held;
}

static int k_freeze(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    static const char *const known[] = {"ms", NULL};
    options_check(L, 2, known);
    uint64_t ms = (uint64_t)options_integer(L, 2, "ms", FREEZE_MS, 1, FREEZE_MS_MOST);
    lua_settop(L, 1);
    begin(L, ms);
    within_fn = true;
    int status = lua_pcall(L, 0, LUA_MULTRET, 0);
    bool held = end();
    if (session_limits()->stop == LIMITS_THAWED) {
        session_limits()->stop = LIMITS_RUN;
        if (sessions[session_number()].waited)
            return luaL_error(L, "thawed, since fn waited for something");
        return luaL_error(L, "thawed after %d ms: fn was not done", (int)ms);
    }
    if (status != LUA_OK)
        return lua_error(L);
    if (!held)
        return luaL_error(L, "thawed after %d ms: fn took longer", (int)ms);
    return lua_gettop(L);
}
MONITOR_API(
    freeze, "freeze", "k.freeze(fn [, {ms=}]) -> what fn returns",
    "runs fn while all other harts and tasks stand still, for 50 ms at most; k.pause_us says how long they did",
    "k.freeze(function() return k.task(1).state, k.task(2).state end)", k_freeze, NULL);

static int k_pause_us(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)(sessions[session_number()].pause_ns / 1000));
    return 1;
}
MONITOR_API(pause_us, "pause_us", NULL,
            "microseconds that the last k.freeze or k.snapshot held the system up", "k.pause_us",
            k_pause_us, NULL);

// ---- snapshots

struct view {
    const struct class *c;
    struct class_key key;
    bool there;
    uint64_t copy[CLASS_COPY_MAX / 8];
};

// The objects of the table at index 1, named by its keys, which go into a list (index 2) in the same order.
static struct view *collect(lua_State *L, int *n)
{
    *n = 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
        if (!class_of(L, -1, NULL))
            luaL_error(L, "k.snapshot takes kernel objects, not a %s", luaL_typename(L, -1));
        else if (++*n > OBJECTS)
            luaL_error(L, "k.snapshot takes at most %d objects", OBJECTS);
    lua_createtable(L, *n, 0);
    struct view *v = lua_newuserdatauv(L, sizeof *v * (size_t)(*n ? *n : 1), 0);
    int i = 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        v[i].c = class_of(L, -1, &v[i].key);
        lua_pushvalue(L, -2);
        lua_rawseti(L, 2, ++i);
    }
    return v;
}

// All is made ready first: the pause is the copying.
static int k_snapshot(lua_State *L)
{
    int n;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct view *v = collect(L, &n);
    bool alone = !frozen;
    if (alone)
        begin(L, SNAPSHOT_MS);
    uint64_t at = clock_monotonic_ns();
    for (int i = 0; i < n; i++)
        v[i].there = class_copy(v[i].c, &v[i].key, v[i].copy);
    if (alone && !end())
        return luaL_error(L, "thawed after %d ms: the snapshot was not done", SNAPSHOT_MS);
    lua_createtable(L, 0, n);
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, 2, i + 1);
        if (v[i].there)
            class_push_snap(L, v[i].c, &v[i].key, v[i].copy, at);
        else
            lua_pushboolean(L, 0);
        lua_rawset(L, -3);
    }
    return 1;
}
MONITOR_API(
    snapshot, "snapshot",
    "k.snapshot{name = object, ...} -> {name = Snap, or false when it is gone}",
    "the fields of up to 64 objects at one moment, all harts standing still; k.pause_us says how long they did",
    "k.snapshot{sh = k.task(\"sh\"), hart = k.harts[0]}", k_snapshot, NULL);
