// SPDX-License-Identifier: MIT
// k.on and k.off: see trace/calls.h.
#include "trace/calls.h"

#include "class/classes.h"
#include "class/options.h"
#include "session/number.h"
#include "trace/lua.h"

#include <lauxlib.h>

static const char callbacks; // registry key: id -> function

bool probes_active(void)
{
    for (unsigned i = 0; i < TRACERS; i++)
        if (tracer_at(i)->kind == TRACER_CALLS && tracer_at(i)->session == session_number())
            return true;
    return false;
}

// Protected as a whole: without memory for the event, too, what the callback holds is let go.
static int call_back(lua_State *L)
{
    const struct trace_event *e = lua_touserdata(L, 1);
    const struct trace_use *u = e->use < USES ? tracer_uses(e->use) : NULL;
    if (!u || !u->point || lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks) != LUA_TTABLE ||
        lua_rawgeti(L, -1, (lua_Integer)u->tracer->id) == LUA_TNIL)
        return 0; // it was taken off meanwhile
    trace_push_event(L, e);
    lua_call(L, 1, 0);
    return 0;
}

void probes_run(lua_State *L)
{
    struct trace_event e;
    luaL_checkstack(L, 8, "probes");
    while (tracer_next_call(&e)) {
        lua_pushcfunction(L, call_back); // a light function, as the pointer: neither takes memory
        lua_pushlightuserdata(L, &e);
        int status = lua_pcall(L, 1, 0, 0);
        tracer_let_go(&e, true);
        if (status != LUA_OK)
            lua_error(L);
    }
}

void probes_reset(void)
{
    tracers_reset();
}

static void check_pause(lua_State *L, const struct trace_point *p, const struct trace_filter *f)
{
    if (!p->parks && !p->release)
        luaL_error(L, "'%s' cannot pause: it lies inside of locks", p->name);
    for (unsigned i = 0; i < f->terms; i++)
        if (!trace_known_when_held(p, f->term[i].var))
            luaL_error(L, "where: '%s' is not known yet when '%s' pauses",
                       trace_var_name(p, f->term[i].var), p->name);
}

static int k_on(lua_State *L)
{
    static const char *const known[] = {"where", "pause", NULL};
    const struct trace_point *point = trace_check_point(L, 1);
    struct trace_filter filter;
    struct tracer *tr = NULL;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    options_check(L, 3, known);
    trace_check_where(L, 3, point, &filter);
    bool pause = options_flag(L, 3, "pause", false);
    if (pause)
        check_pause(L, point, &filter);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks) != LUA_TTABLE) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &callbacks);
    }
    int e = tracer_new(TRACER_CALLS, &tr);
    if (!e)
        e = tracer_use(tr, point, &filter, pause);
    if (e)
        return trace_refuse(L, tr, e);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, (lua_Integer)tr->id); // without memory, it calls back to nobody
    tracer_start(tr);
    lua_pushinteger(L, (lua_Integer)tr->id);
    return 1;
}
MONITOR_API(
    on, "on", "k.on(point, fn [, {pause=, where={}}]) -> number",
    "calls fn(event) when the trace point is passed; with pause, what it tells of is held "
    "until fn returns: the task, or of vq.used the completion. Of several pauses one holds it: event.held",
    "k.on(\"fault.page\", function(e) print(e.task, e.va) end, {pause = true, where = "
    "{pid = 5}})",
    k_on, NULL);

static int k_off(lua_State *L)
{
    struct class_key key = {0, 0};
    const struct class *c = class_of(L, 1, &key);
    luaL_argexpected(L, !c || c == class_trace, 1, "Trace or its number");
    if (!c)
        key.id = (uint64_t)luaL_optinteger(L, 1, 0);
    bool all = lua_isnoneornil(L, 1), found = all;
    for (unsigned i = 0; i < TRACERS; i++) {
        struct tracer *tr = tracer_at(i);
        bool own = tr->session == session_number();
        if (tr->kind == TRACER_FREE || (all ? !own : tr->id != key.id))
            continue;
        found = true;
        if (!own)
            return trace_of_another(L, tr);
        if (tr->kind == TRACER_CALLS &&
            lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks) == LUA_TTABLE) {
            lua_pushnil(L);
            lua_rawseti(L, -2, (lua_Integer)tr->id);
        }
        tracer_free(tr);
    }
    if (!found)
        return luaL_error(L, "there is no trace %I: k.traces() lists them", (LUAI_UACINT)key.id);
    return 0;
}
MONITOR_API(off, "off", "k.off([number or Trace])",
            "takes off what k.on, k.trace or k.events began, or all of it that this session did",
            "k.off()", k_off, NULL);
