// SPDX-License-Identifier: MIT
// Traces: what k.on, k.trace and k.events have begun and k.off ends.
#include "arch/cpu.h"
#include "class/classes.h"
#include "lib/errno.h"
#include "session/session.h"
#include "trace/lua.h"
#include "trace/rows.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

struct trace_view {
    uint64_t id, hits, lost, ns, bytes, session;
    char points[64];
    const char *kind;
    bool running;
};

static const char *const kinds[] = {"?", "calls", "counts", "events", "function"};

// "fault.page sys.enter", cut off.
static void names_of(const struct tracer *tr, char *buf, size_t n)
{
    size_t len = 0;
    buf[0] = 0;
    for (uint32_t m = tr->uses; m && len < n; m &= m - 1)
        len += (size_t)snprintf(buf + len, n - len, "%s%s", len ? " " : "",
                                tracer_uses((unsigned)__builtin_ctz(m))->point->name);
}

static long trace_copy(const struct class_key *key, void *out)
{
    const struct tracer *tr = tracer_find(key->id);
    struct trace_view *v = out;
    if (!tr)
        return -ENOENT;
    struct tracer_totals sum = tracer_totals(tr);
    *v = (struct trace_view){
        .id = tr->id,
        .hits = sum.hits,
        .lost = sum.lost,
        .ns = ticks_to_ns((tr->running ? time_ticks() : tr->ended) - tr->began),
        .bytes = tr->bytes,
        .session = tr->session == TRACER_NOBODYS ? 0 : tr->session + 1,
        .kind = kinds[tr->kind],
        .running = tr->running,
    };
    names_of(tr, v->points, sizeof v->points);
    return 0;
}

static size_t trace_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    while (n < max) {
        uint64_t next = UINT64_MAX;
        for (unsigned i = 0; i < TRACERS; i++) {
            const struct tracer *tr = tracer_at(i);
            if (tr->kind != TRACER_FREE && tr->id >= from && tr->id < next)
                next = tr->id;
        }
        if (next == UINT64_MAX)
            break;
        out[n++] = (struct class_key){next, owner};
        from = next + 1;
    }
    return n;
}

static void trace_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct trace_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s of %s: %llu hits, %llu lost%s", v->kind, v->points,
             (unsigned long long)v->hits, (unsigned long long)v->lost,
             v->running ? "" : ", stopped");
}

static const struct class_field fields[] = {
    FIELD(struct trace_view, id, "number, as k.on gives it and k.off takes it"),
    FIELD(struct trace_view, points, "the trace points it listens to"),
    FIELD(struct trace_view, kind,
          "\"calls\" (k.on), \"counts\" (k.trace), \"events\", or \"function\" (k.syscall_counts)"),
    FIELD(struct trace_view, running, "it listens"),
    FIELD(struct trace_view, hits, "events that passed its filters"),
    FIELD(struct trace_view, lost, "how many of them found no room"),
    FIELD_NS(struct trace_view, ns, "how long it has listened"),
    FIELD(struct trace_view, bytes, "memory it has for them"),
    FIELD(struct trace_view, session, "whose it is, as k.session.number; 0: the kernel's"),
    {0},
};

int trace_of_another(lua_State *L, const struct tracer *tr)
{
    if (tr->session == TRACER_NOBODYS)
        return luaL_error(L, "trace %I is no session's: k.syscall_counts = false ends it",
                          (LUAI_UACINT)tr->id);
    return luaL_error(L, "trace %I is of session %d", (LUAI_UACINT)tr->id, (int)tr->session + 1);
}

static struct tracer *self(lua_State *L, enum tracer_kind kind, const char *method)
{
    struct trace_view v;
    struct class_key key = class_self(L, 1, class_trace, &v);
    struct tracer *tr = tracer_find(key.id);
    if (tr->session != session_number()) // which may end it at any time
        trace_of_another(L, tr);
    if (kind != TRACER_FREE && tr->kind != kind)
        luaL_error(L, "%s: this trace is of kind '%s'", method, kinds[tr->kind]);
    return tr;
}

static int trace_rows(lua_State *L)
{
    return rows_push(L, self(L, TRACER_COUNTS, "rows"));
}

static int trace_take(lua_State *L)
{
    struct tracer *tr = self(L, TRACER_EVENTS, "take");
    lua_Integer n = luaL_optinteger(L, 2, 100);
    luaL_argcheck(L, n > 0 && n <= 10000, 2, "1 to 10000 events");
    return events_push(L, tr, n);
}

static int trace_stop(lua_State *L)
{
    struct tracer *tr = self(L, TRACER_FREE, "stop");
    tracer_stop(tr);
    if (tr->kind == TRACER_COUNTS)
        return rows_push(L, tr);
    return 0;
}

static const struct class_method methods[] = {
    {"rows", "t:rows() -> list of {keys, count, ...}", "what k.trace has counted so far",
     "k.trace(\"task.poll\", {by = {\"hart\"}}):rows()", trace_rows},
    {"take", "t:take([n]) -> list of events",
     "takes the oldest events of k.events, at most n (100)", "k.events(\"irq\"):take(10)",
     trace_take},
    {"stop", "t:stop() -> rows",
     "listens no more; what there is can still be read, until k.off(t) gives it back",
     "k.traces()[3]:stop()", trace_stop},
    {0},
};

CLASS(trace, .name = "Trace", .doc = "somebody who listens to trace points",
      .place = "struct tracer, monitor/trace/tracer.h", .gone = "was taken off",
      .example = "k.trace(\"task.spawn\")", .size = sizeof(struct trace_view), .copy = trace_copy,
      .keys = trace_keys, .line = trace_line, .fields = fields, .methods = methods);

void trace_push_handle(lua_State *L, const struct tracer *tr)
{
    class_push(L, class_trace, (struct class_key){tr->id, 0});
}

static int k_traces(lua_State *L)
{
    class_push_list(L, class_trace, 0);
    return 1;
}
MONITOR_API(traces, "traces", "k.traces() -> list of Trace", "who listens to trace points now",
            "k.traces()", k_traces, NULL);
