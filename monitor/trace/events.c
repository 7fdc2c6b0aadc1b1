// SPDX-License-Identifier: MIT
// k.events: what trace points tell, event by event, to a function or to the host.
//
// Each hart keeps events in a ring of the tracer's own; from there they are taken, oldest first, when
// the session waits. What found no room in a ring is told at its place, as {lost = n, hart = h}.
#include "async/timer.h"
#include "class/classes.h"
#include "class/options.h"
#include "session/link.h"
#include "session/session.h"
#include "trace/encode.h"
#include "trace/lua.h"

#include <lauxlib.h>

enum {
    RING_USUAL = 1024, // of each hart
    RING_MOST = 16384,
    PUMP_MS = 5,
    ROOM_MS = 2, // until the line has taken some
    AT_ONCE = 4096,
};

struct run {
    uint64_t id, until; // ns
    lua_Integer left;   // events that may still come
    uint64_t events, lost;
};

// ---- taking them out of the rings

struct taken {
    struct trace_event e;
    uint32_t lost, hart; // lost > 0: that many are missing before it, of this hart
    bool is_event;       // false: only a loss
};

// What was lost at the end is known when nothing is written any more.
static bool take_missing(struct tracer *tr, struct taken *out)
{
    for (uint32_t h = 0; h < hart_count && !tr->running; h++)
        if (trace_ring_missing(&tr->ring[h])) {
            *out = (struct taken){.lost = tr->ring[h].missing, .hart = h};
            tr->ring[h].missing = 0;
            return true;
        }
    return false;
}

static bool take(struct tracer *tr, struct taken *out)
{
    struct trace_ring *r = trace_rings_oldest(tr->ring, hart_count);
    if (!r)
        return take_missing(tr, out);
    out->e = *trace_ring_peek(r);
    out->lost = out->e.lost;
    out->hart = out->e.hart;
    out->is_event = true;
    trace_ring_take(r);
    return true;
}

// ---- to Lua

static void push_loss(lua_State *L, const struct taken *x)
{
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, x->lost);
    lua_setfield(L, -2, "lost");
    lua_pushinteger(L, x->hart);
    lua_setfield(L, -2, "hart");
}

int events_push(lua_State *L, struct tracer *tr, lua_Integer max)
{
    struct taken x;
    lua_Integer n = 0;
    lua_newtable(L);
    while (max-- > 0 && take(tr, &x)) {
        if (x.lost) {
            push_loss(L, &x);
            lua_rawseti(L, -2, ++n);
        }
        if (x.is_event) {
            trace_push_event(L, &x.e);
            lua_rawseti(L, -2, ++n);
        }
    }
    return 1;
}

// Calls the function at index 2 with the value on top. False: it wants no more.
static bool call(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_rotate(L, -2, 1);
    lua_call(L, 1, 1);
    bool more = !lua_isboolean(L, -1) || lua_toboolean(L, -1);
    lua_pop(L, 1);
    return more;
}

static bool give_to_lua(lua_State *L, const struct taken *x)
{
    if (x->lost) {
        push_loss(L, x);
        if (!call(L))
            return false;
    }
    if (!x->is_event)
        return true;
    trace_push_event(L, &x->e);
    return call(L);
}

// ---- to the host

static void send(lua_State *L, const uint8_t *data, size_t n)
{
    while (!session_event(data, n))
        session_sleep(L, ROOM_MS);
}

static void give_to_host(lua_State *L, const struct taken *x)
{
    uint8_t buf[WIRE_PAYLOAD];
    if (x->lost)
        send(L, buf, trace_encode_loss(buf, sizeof buf, x->lost, x->hart));
    if (x->is_event)
        send(L, buf, trace_encode_event(buf, sizeof buf, &x->e));
}

// ---- while it runs

// Hands on what there is. False: no more is wanted, or somebody took the tracer off.
static bool drain(lua_State *L, struct run *r)
{
    struct taken x;
    for (unsigned n = 0; n < AT_ONCE; n++) {
        struct tracer *tr = tracer_find(r->id);
        if (!tr || r->left == 0)
            return false;
        if (!take(tr, &x))
            break;
        r->lost += x.lost;
        r->events += x.is_event;
        r->left -= x.is_event;
        if (lua_isnil(L, 2))
            give_to_host(L, &x);
        else if (!give_to_lua(L, &x))
            return false;
    }
    return true;
}

static void stop(uint64_t id)
{
    struct tracer *tr = tracer_find(id);
    if (tr)
        tracer_stop(tr);
}

static bool is_empty(uint64_t id)
{
    const struct tracer *tr = tracer_find(id);
    return !tr || !trace_rings_oldest(tr->ring, hart_count);
}

static int run(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    bool more = true;
    while (more && clock_monotonic_ns() < r->until) {
        session_sleep(L, PUMP_MS);
        more = drain(L, r);
    }
    stop(r->id);
    while (more && drain(L, r) && !is_empty(r->id))
        ;
    while (lua_isnil(L, 2) && link_connected() && link_events_waiting(session_number()))
        session_sleep(L, ROOM_MS);
    return 0;
}

// ---- k.events

// The i-th of the points at index 1, a name or a list of names, on top; false: there are no more.
static bool push_point(lua_State *L, lua_Integer i)
{
    if (lua_istable(L, 1))
        return lua_rawgeti(L, 1, i) != LUA_TNIL;
    lua_pushvalue(L, 1);
    return i == 1;
}

// What is wrong with points and conditions is told of the script's line: before anything is begun that
// would have to be given back, and so in no other function than the script's call.
static void check_points(lua_State *L)
{
    struct trace_filter filter;
    lua_Integer i = 1;
    luaL_argexpected(L, lua_istable(L, 1) || lua_type(L, 1) == LUA_TSTRING, 1,
                     "name or list of names");
    for (; push_point(L, i); lua_settop(L, 3), i++) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "points: a name expected, not a %s", luaL_typename(L, -1));
        trace_check_where(L, 2, trace_check_point(L, 4), &filter);
    }
    lua_settop(L, 3);
    luaL_argcheck(L, i > 1, 1, "no trace point is named");
}

static int listen(lua_State *L)
{
    struct tracer *tr = lua_touserdata(L, 3);
    struct trace_filter filter;
    for (lua_Integer i = 1; push_point(L, i); lua_settop(L, 3), i++) {
        const struct trace_point *p = trace_check_point(L, 4);
        trace_check_where(L, 2, p, &filter);
        int e = tracer_use(tr, p, &filter, false);
        if (e)
            trace_refuse(L, NULL, e);
    }
    return 0;
}

static uint32_t power_of_two(lua_Integer n)
{
    uint32_t p = 16;
    while (p < n)
        p *= 2;
    return p;
}

// A running tracer, from points and options.
static struct tracer *begin(lua_State *L)
{
    struct tracer *tr = NULL;
    uint32_t ring = power_of_two(options_integer(L, 2, "ring", RING_USUAL, 1, RING_MOST));
    int e = tracer_new(TRACER_EVENTS, &tr);
    if (!e)
        e = tracer_reserve(tr, ring);
    if (e)
        trace_refuse(L, tr, e);
    lua_pushcfunction(L, listen);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushlightuserdata(L, tr);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK) {
        tracer_free(tr);
        lua_error(L);
    }
    tracer_start(tr);
    return tr;
}

static int k_events(lua_State *L)
{
    static const char *const known[] = {"where", "secs", "max", "ring", NULL};
    lua_settop(L, 3);
    if (!lua_isnil(L, 3))
        luaL_checktype(L, 3, LUA_TFUNCTION);
    options_check(L, 2, known);
    check_points(L);
    lua_Integer ms = trace_option_ms(L, 2);
    lua_Integer most = options_integer(L, 2, "max", LUA_MAXINTEGER, 1, LUA_MAXINTEGER);
    struct run r = {.left = most};
    struct tracer *tr = begin(L);
    if (ms < 0 && lua_isnil(L, 3)) {
        trace_push_handle(L, tr);
        return 1;
    }
    r.id = tr->id;
    r.until = ms < 0 ? UINT64_MAX : clock_monotonic_ns() + (uint64_t)ms * 1000000;
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &r);
    lua_pushvalue(L, 3);
    int status = lua_pcall(L, 2, 0, 0);
    if ((tr = tracer_find(r.id)))
        tracer_free(tr);
    if (status != LUA_OK)
        return lua_error(L);
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)r.events);
    lua_setfield(L, -2, "events");
    lua_pushinteger(L, (lua_Integer)r.lost);
    lua_setfield(L, -2, "lost");
    return 1;
}
MONITOR_API(events, "events",
            "k.events(point or list [, {where=, secs=, max=, ring=1024} [, fn]]) -> Trace, or "
            "{events, lost}",
            "every event, to fn(event) until it returns false, or with secs to the host's events "
            "channel; without both it goes on: t:take(n), t:stop(). What found no room is told as "
            "{lost = n, hart = h}",
            "k.events({\"sys.enter\", \"sys.exit\"}, {where = {pid = 3}, secs = 1}, print)",
            k_events, NULL);
