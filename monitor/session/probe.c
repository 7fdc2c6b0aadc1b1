// SPDX-License-Identifier: MIT
// Probes on trace points: k.on, k.off, k.points.
//
// One spinlock guards probes, ring and the passes. It is innermost: a point may fire under any
// other lock. A task that was released comes to the same point again with the same first argument
// and must get by once: that is a pass.
#include "task/thread.h" // before Lua: <limits.h> defines names that the file system's ABI enumerates

#include "async/task.h"
#include "class/classes.h"
#include "lib/local.h"
#include "lib/spinlock.h"
#include "lib/trace.h"
#include "session/probe.h"

#include <lauxlib.h>
#include <string.h>

enum { PROBES = 8, EVENTS = 128, PASSES = 16, FILTERS = 3 };

struct filter {
    int arg; // index into args, or one of the next
    uint64_t value;
};
enum { FILTER_TASK = -1, FILTER_PID = -2 };

struct probe {
    const struct trace_point *point; // NULL: free
    struct filter filter[FILTERS];
    unsigned filters;
    uint32_t number; // never used again
    bool pause;
    uint64_t hits, lost;
};

struct probe_event {
    const struct trace_point *point;
    uint32_t probe, task, hart; // probe: its number
    bool parked;
    uint64_t ns, args[TRACE_ARGS];
};

// Per hart, so that the totals survive whatever the ring drops.
struct probe_counts {
    uint64_t recorded, dropped;
};
static _Thread_local struct probe_counts probe_counts;

static int counts_construct(void *obj, void *owner)
{
    (void)owner;
    *(struct probe_counts *)obj = (struct probe_counts){0, 0};
    return 0;
}
HART_LOCAL(probe_counts, counts_construct, NULL);

static struct spinlock lock = SPINLOCK_INIT("probes");
static struct probe probes[PROBES];
static struct probe_event events[EVENTS];
static uint32_t head, tail, next_number;
static struct {
    uint32_t task;
    uint64_t arg;
} passes[PASSES];
static uint32_t next_pass;
static const char callbacks; // registry key: number -> function

// ---- where the point is; lock held

static bool passes_by(uint32_t task, uint64_t arg)
{
    for (unsigned i = 0; i < PASSES; i++)
        if (passes[i].task == task && passes[i].arg == arg) {
            passes[i].task = 0;
            return true;
        }
    return false;
}

static bool wanted(const struct probe *p, const struct task *t, const uint64_t args[TRACE_ARGS])
{
    for (unsigned i = 0; i < p->filters; i++) {
        const struct filter *f = &p->filter[i];
        uint64_t got = f->arg >= 0             ? args[f->arg]
                       : !t                    ? 0
                       : f->arg == FILTER_TASK ? t->id
                       : t->thread             ? t->thread->process->pid
                                               : 0;
        if (got != f->value)
            return false;
    }
    return true;
}

static void note(struct probe *p, struct task *t, const uint64_t args[TRACE_ARGS])
{
    bool park = p->pause && t && t->thread;
    if (park && passes_by(t->id, args[0]))
        return;
    p->hits++;
    if (tail - head == EVENTS) {
        p->lost++;
        probe_counts.dropped++;
        return;
    }
    probe_counts.recorded++;
    struct probe_event *e = &events[tail++ % EVENTS];
    *e = (struct probe_event){.point = p->point,
                              .probe = p->number,
                              .task = t ? t->id : 0,
                              .hart = hart_index(),
                              .parked = park,
                              .ns = clock_monotonic_ns()};
    memcpy(e->args, args, sizeof e->args);
    if (park)
        atomic_or32(&t->attn, ATTN_HOLD);
}

static void fire(const struct trace_point *point, const uint64_t args[TRACE_ARGS])
{
    struct task *t = current_task();
    spin_lock(&lock);
    for (unsigned i = 0; i < PROBES; i++)
        if (probes[i].point == point && wanted(&probes[i], t, args))
            note(&probes[i], t, args);
    spin_unlock(&lock);
}

// ---- events to Lua

bool probes_active(void)
{
    for (unsigned i = 0; i < PROBES; i++)
        if (load_relaxed(&probes[i].point))
            return true;
    return false;
}

static bool take(struct probe_event *e)
{
    spin_lock(&lock);
    bool some = head != tail;
    if (some)
        *e = events[head++ % EVENTS];
    spin_unlock(&lock);
    return some;
}

static void let_go(const struct probe_event *e, bool pass)
{
    struct task *t = e->parked ? task_find(e->task) : NULL;
    if (!t)
        return;
    if (pass) {
        spin_lock(&lock);
        passes[next_pass].task = e->task;
        passes[next_pass].arg = e->args[0];
        next_pass = (next_pass + 1) % PASSES;
        spin_unlock(&lock);
    }
    task_unhold(t);
    task_put(t);
}

static void push_event(lua_State *L, const struct probe_event *e)
{
    lua_createtable(L, 0, 8);
    lua_pushstring(L, e->point->name);
    lua_setfield(L, -2, "point");
    if (e->task) {
        class_push(L, class_task, (struct class_key){e->task, 0});
        lua_setfield(L, -2, "task");
    }
    lua_pushinteger(L, e->hart);
    lua_setfield(L, -2, "hart");
    lua_pushinteger(L, (lua_Integer)e->ns);
    lua_setfield(L, -2, "ns");
    lua_pushboolean(L, e->parked);
    lua_setfield(L, -2, "parked");
    for (int i = 0; i < TRACE_ARGS && e->point->arg[i]; i++) {
        lua_pushinteger(L, (lua_Integer)e->args[i]);
        lua_setfield(L, -2, strcmp(e->point->arg[i], "task") ? e->point->arg[i] : "task_id");
    }
}

// Pushes the callback, or returns false: the probe was taken off meanwhile.
static bool push_callback(lua_State *L, uint32_t number)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks) != LUA_TTABLE) {
        lua_pop(L, 1);
        return false;
    }
    lua_rawgeti(L, -1, number);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

void probes_run(lua_State *L)
{
    struct probe_event e;
    luaL_checkstack(L, 8, "probes");
    while (take(&e)) {
        int status = LUA_OK;
        if (push_callback(L, e.probe)) {
            push_event(L, &e);
            status = lua_pcall(L, 1, 0, 0);
        }
        let_go(&e, true);
        if (status != LUA_OK)
            lua_error(L);
    }
}

static void listen(const struct trace_point *point)
{
    bool any = false;
    for (unsigned i = 0; i < PROBES; i++)
        any |= probes[i].point == point;
    store_release(&point->state->handler, any ? fire : NULL);
}

static void take_off(struct probe *p)
{
    const struct trace_point *point = p->point;
    spin_lock(&lock);
    p->point = NULL;
    if (point)
        listen(point);
    spin_unlock(&lock);
}

void probes_reset(void)
{
    struct probe_event e;
    for (unsigned i = 0; i < PROBES; i++)
        take_off(&probes[i]);
    while (take(&e))
        let_go(&e, false);
}

// ---- k.on, k.off, k.points

static const char *point_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i < SET_COUNT(trace_points) ? SET_BEGIN(trace_points)[i].name : NULL;
}

static const struct trace_point *check_point(lua_State *L, int idx)
{
    const char *name = luaL_checkstring(L, idx);
    SET_FOREACH(trace_points, struct trace_point, p) {
        if (strcmp(p->name, name) == 0)
            return p;
    }
    const char *near = class_nearest(name, point_name, NULL);
    luaL_error(L, near ? "no trace point '%s'; did you mean '%s'?" : "no trace point '%s'", name,
               near);
    return NULL;
}

static int filter_of(lua_State *L, const struct trace_point *point, const char *name)
{
    for (int i = 0; i < TRACE_ARGS && point->arg[i]; i++)
        if (strcmp(point->arg[i], name) == 0)
            return i;
    if (strcmp(name, "task") == 0)
        return FILTER_TASK;
    if (strcmp(name, "pid") == 0)
        return FILTER_PID;
    return luaL_error(L, "'%s' has no argument '%s' to filter by", point->name, name);
}

static uint64_t filter_value(lua_State *L, int idx)
{
    struct class_key key;
    if (class_of(L, idx, &key))
        return key.id;
    return (uint64_t)luaL_checkinteger(L, idx);
}

static void read_options(lua_State *L, int idx, struct probe *p)
{
    if (lua_isnoneornil(L, idx))
        return;
    luaL_checktype(L, idx, LUA_TTABLE);
    lua_getfield(L, idx, "pause");
    p->pause = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (p->pause && !p->point->pausable)
        luaL_error(L, "'%s' cannot pause: it lies inside of locks", p->point->name);
    if (lua_getfield(L, idx, "where") == LUA_TTABLE)
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
            luaL_argcheck(L, p->filters < FILTERS, idx, "at most 3 conditions");
            const char *name = luaL_checkstring(L, -2);
            p->filter[p->filters].arg = filter_of(L, p->point, name);
            p->filter[p->filters++].value = filter_value(L, -1);
        }
    lua_pop(L, 1);
}

static int k_on(lua_State *L)
{
    struct probe p = {.point = check_point(L, 1)};
    luaL_checktype(L, 2, LUA_TFUNCTION);
    read_options(L, 3, &p);
    unsigned i = 0;
    while (i < PROBES && probes[i].point)
        i++;
    if (i == PROBES)
        return luaL_error(L, "%d probes are the most: take one off (k.off)", PROBES);
    p.number = ++next_number;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks) != LUA_TTABLE) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &callbacks);
    }
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, p.number);
    spin_lock(&lock);
    probes[i] = p;
    listen(p.point);
    spin_unlock(&lock);
    lua_pushinteger(L, p.number);
    return 1;
}
MONITOR_API(
    on, "on", "k.on(point, fn [, {pause=, where={}}]) -> number",
    "calls fn(event) when the trace point is passed; with pause the task waits parked meanwhile",
    "k.on(\"fault.page\", function(e) print(e.task, e.va) end, {pause = true, where = {pid = 5}})",
    k_on, NULL);

static int k_off(lua_State *L)
{
    lua_Integer number = luaL_optinteger(L, 1, 0);
    for (unsigned i = 0; i < PROBES; i++)
        if (!number || probes[i].number == number)
            take_off(&probes[i]);
    return 0;
}
MONITOR_API(off, "off", "k.off([number])", "takes off one probe, or all of them", "k.off()", k_off,
            NULL);

static void push_uses(lua_State *L, const struct trace_point *p)
{
    uint64_t hits = 0, lost = 0;
    for (unsigned i = 0; i < PROBES; i++)
        if (probes[i].point == p) {
            hits += probes[i].hits;
            lost += probes[i].lost;
        }
    lua_pushinteger(L, (lua_Integer)hits);
    lua_setfield(L, -2, "hits");
    lua_pushinteger(L, (lua_Integer)lost);
    lua_setfield(L, -2, "lost");
}

static int k_points(lua_State *L)
{
    lua_newtable(L);
    SET_FOREACH(trace_points, struct trace_point, p) {
        lua_createtable(L, 0, 5);
        lua_pushstring(L, p->name);
        lua_setfield(L, -2, "point");
        luaL_Buffer b;
        luaL_buffinit(L, &b);
        for (int i = 0; i < TRACE_ARGS && p->arg[i]; i++) {
            luaL_addstring(&b, i ? " " : "");
            luaL_addstring(&b, p->arg[i]);
        }
        luaL_pushresult(&b);
        lua_setfield(L, -2, "arguments");
        lua_pushboolean(L, p->pausable != 0);
        lua_setfield(L, -2, "pausable");
        push_uses(L, p);
        lua_rawseti(L, -2, luaL_len(L, -2) + 1);
    }
    class_set_columns(L, "point arguments pausable hits> lost>");
    return 1;
}
MONITOR_API(points, "points", "k.points() -> list of {point, arguments, pausable, hits, lost}",
            "the trace points, and what probes on them have seen", "k.points()", k_points, NULL);
