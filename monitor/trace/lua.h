// SPDX-License-Identifier: MIT
// What k.on, k.trace and k.events share: reading options, showing variables. On the session's fiber.
#pragma once

#include "class/class.h"
#include "trace/tracer.h"

#include <lua.h>

static inline const struct trace_point *trace_point_at(unsigned i)
{
    return &SET_BEGIN(trace_points)[i];
}

// How a task's call or fault ends is not known while it is held.
static inline bool trace_known_when_held(const struct trace_point *p, unsigned var)
{
    return !p->parks || var >= TRACE_ARGS || var < p->parks;
}

// The point named at idx, or raises.
const struct trace_point *trace_check_point(lua_State *L, int idx);
// The variable of that name, or raises.
unsigned trace_check_var(lua_State *L, const struct trace_point *point, const char *name);
// `where` of the table of options at idx (or nothing there): all conditions, or raises.
void trace_check_where(lua_State *L, int idx, const struct trace_point *point,
                       struct trace_filter *f);
// The option `secs` in milliseconds, -1: there is none. Raises when it is not a number above 0.
lua_Integer trace_option_ms(lua_State *L, int idx);

// As Lua sees it: a Task, the name of a call, "func+0x12", a word, a name, else an integer. nil for
// what is none.
void trace_push_value(lua_State *L, const struct trace_point *point, unsigned var, uint64_t v);
// {point, at, hart, task, pid, held, arguments}; those that the event of a pause cannot have yet are nil.
void trace_push_event(lua_State *L, const struct trace_event *e);

// Frees the tracer and raises what -ENOSPC or -ENOMEM means.
int trace_refuse(lua_State *L, struct tracer *tr, int error);
// Calls the C function with one light userdata, for that many results; when it raises, frees the
// tracer and raises the same.
void trace_guard(lua_State *L, uint64_t tracer, lua_CFunction fn, void *arg, int results);

int trace_of_another(lua_State *L, const struct tracer *tr); // raises whose it is
CLASS_DECLARE(trace);
void trace_push_handle(lua_State *L, const struct tracer *tr);     // a Trace
int events_push(lua_State *L, struct tracer *tr, lua_Integer max); // EVENTS: a list of the oldest
