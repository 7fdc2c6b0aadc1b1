// SPDX-License-Identifier: MIT
// Trace points as objects.
#include "class/classes.h"
#include "lib/errno.h"
#include "trace/lua.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

CLASS_DECLARE(point);

struct point_view {
    const char *name, *help;
    char arguments[CLASS_COPY_MAX / 2];
    uint64_t hits, lost;
    bool on, pausable;
};

static const char *const types[] = {
    [TRACE_NUMBER] = NULL,   [TRACE_SIGNED] = "signed",  [TRACE_ADDRESS] = "address",
    [TRACE_BYTES] = "bytes", [TRACE_NS] = "nanoseconds", [TRACE_TASK] = "Task",
    [TRACE_CALL] = "call",   [TRACE_CODE] = "code",      [TRACE_ENTRY] = "entry",
    [TRACE_NAME] = "name",   [TRACE_WORD] = NULL,
};

// "va: address, access: - read write, ns: nanoseconds"
static void describe(const struct trace_point *p, char *buf, size_t n)
{
    size_t len = 0;
    buf[0] = 0;
    for (unsigned i = 0; i < TRACE_ARGS && p->arg[i].name && len < n; i++) {
        const struct trace_arg *a = &p->arg[i];
        const char *type = a->type == TRACE_WORD ? a->words : types[a->type];
        len += (size_t)snprintf(buf + len, n - len, "%s%s%s%s", i ? ", " : "", a->name,
                                type ? ": " : "", type ? type : "");
    }
}

static long point_copy(const struct class_key *key, void *out)
{
    struct point_view *v = out;
    if (key->id >= SET_COUNT(trace_points))
        return -ENOENT;
    const struct trace_point *p = trace_point_at((unsigned)key->id);
    struct tracer_totals sum = trace_point_totals(p);
    *v = (struct point_view){
        .name = p->name,
        .help = p->help,
        .hits = sum.hits,
        .lost = sum.lost,
        .on = p->state->handler || p->state->hold,
        .pausable = p->parks || p->release,
    };
    describe(p, v->arguments, sizeof v->arguments);
    return 0;
}

static size_t point_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (; n < max && from < SET_COUNT(trace_points); from++)
        out[n++] = (struct class_key){from, owner};
    return n;
}

static void point_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct point_view *v = copy;
    (void)key;
    snprintf(buf, n, "%-14s %s (%s)%s", v->name, v->help, v->arguments,
             v->on         ? ", on"
             : v->pausable ? ", pausable"
                           : "");
}

static const struct class_field fields[] = {
    FIELD(struct point_view, name, "as k.on, k.trace and k.events take it"),
    FIELD(struct point_view, help, "what it tells of"),
    FIELD(struct point_view, arguments,
          "its arguments and what they are; task, pid, hart have all"),
    FIELD(struct point_view, on, "somebody listens"),
    FIELD(struct point_view, pausable, "k.on may hold what it tells of (pause = true)"),
    FIELD(struct point_view, hits, "events that those who listen now wanted"),
    FIELD(struct point_view, lost, "how many of them found no room"),
    {0},
};

CLASS(point, .name = "Point", .doc = "a place in the kernel that can tell that it was passed",
      .place = "struct trace_point, kernel/lib/trace.h", .example = "k.points()[0]",
      .size = sizeof(struct point_view), .copy = point_copy, .keys = point_keys, .line = point_line,
      .fields = fields);

static int k_points(lua_State *L)
{
    class_push_list(L, class_point, 0);
    return 1;
}
MONITOR_API(points, "points", "k.points() -> list of Point",
            "the trace points: a load and a branch each while nobody listens",
            "k.points():where{pausable = true}", k_points, NULL);
