// SPDX-License-Identifier: MIT
// System calls: the table, and while k.syscall_counts is on how often each was made, how it failed and how long it took.
//
// Who counts is one more listener of the trace point sys.exit: off, a call costs what it costs anyway. Each hart has counters
// that only it writes, and who reads adds them up. How many calls there were is the sum of a call's buckets, so that the two
// are never at odds. A call counts when it is over, if it began while somebody listened: one that sleeps since before does not.
#include "syscall/syscall.h"

#include "class/classes.h"
#include "page/heap.h"
#include "session/journal.h"
#include "session/prelude.h"
#include "trace/rows.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

TRACE_DECLARE(sys_exit);
enum { EXIT_CALL, EXIT_RESULT, EXIT_NS }; // its arguments
enum { ERRNO_MAX = 4095 };                // results from -ERRNO_MAX to -1 are errors

// Of one call, by one hart.
struct syscall_count {
    uint64_t ns, errors, bucket[AGG_BUCKETS];
    uint64_t failed_at; // ticks, of the last error
    uint64_t last_errno;
};

static struct tracer *counter;                     // NULL: nobody counts
static struct syscall_count *counts_of[MAX_HARTS]; // in the order of the linker set

static void count(const struct trace_event *e)
{
    const struct syscall_entry *call = syscall_lookup(e->arg[EXIT_CALL]);
    uint64_t result = e->arg[EXIT_RESULT];
    if (!call)
        return;
    struct syscall_count *c = &counts_of[e->hart][call - SET_BEGIN(syscalls)];
    c->ns += e->arg[EXIT_NS];
    c->bucket[agg_bucket(e->arg[EXIT_NS], false)]++;
    if (result >= (uint64_t)-ERRNO_MAX) {
        c->errors++;
        c->failed_at = e->at;
        c->last_errno = -result;
    }
}

// ---- on and off

static void free_counts(void)
{
    for (uint32_t h = 0; h < hart_count; h++) {
        kfree(counts_of[h]);
        counts_of[h] = NULL;
    }
}

static long start(void)
{
    static const struct trace_filter all;
    struct tracer *tr = NULL;
    long e = 0;
    for (uint32_t h = 0; h < hart_count && !e; h++)
        if (!(counts_of[h] = kzalloc(SET_COUNT(syscalls) * sizeof *counts_of[h])))
            e = -ENOMEM;
    if (!e)
        e = tracer_new(TRACER_FUNCTION, &tr);
    if (!e) {
        tr->session = TRACER_NOBODYS;
        tr->tell = count;
        e = tracer_use(tr, trace_ptr_sys_exit, &all, false);
    }
    if (e) {
        if (tr)
            tracer_free(tr);
        free_counts();
        return e;
    }
    counter = tr;
    tracer_start(tr);
    return 0;
}

static void stop(void)
{
    tracer_free(counter); // nobody counts any more when it returns
    counter = NULL;
    free_counts();
}

// arg: whether to count.
static long count_validate(struct change *c)
{
    if (c->arg[0] == (counter != NULL)) {
        snprintf(c->why, sizeof c->why, "system calls are %s",
                 counter ? "counted already" : "not counted");
        return -EINVAL;
    }
    snprintf(c->text, sizeof c->text, "%s system calls", counter ? "no longer count" : "count");
    return 0;
}

static long count_apply(struct change *c);
static const struct change_kind count_kind = {"syscalls.count", MODE_RW, count_validate,
                                              count_apply};

static long count_apply(struct change *c)
{
    long e = 0;
    c->undo = &count_kind;
    c->undo_arg[0] = !c->arg[0];
    if (c->arg[0])
        e = start();
    else
        stop();
    if (e)
        snprintf(c->why, sizeof c->why,
                 e == -ENOMEM ? "there is no memory for that"
                              : "there are too many traces (k.off)");
    return e;
}

// ---- the class

struct syscall_view {
    const char *name, *kind, *last_error;
    uint64_t nr, args, calls, errors, ns, last_errno, failed_at, bucket[AGG_BUCKETS];
    bool counted;
};

static const char *error_name(uint64_t number)
{
#define ERRNO_NAME(name, n) [n] = #name,
    static const char *const names[] = {ERRNOS(ERRNO_NAME)};
    return number < sizeof names / sizeof *names ? names[number] : NULL;
}

static void add_hart(struct syscall_view *v, const struct syscall_count *c)
{
    for (unsigned i = 0; i < AGG_BUCKETS; i++) {
        uint64_t n = load_relaxed(&c->bucket[i]);
        v->bucket[i] += n;
        v->calls += n;
    }
    v->ns += load_relaxed(&c->ns);
    v->errors += load_relaxed(&c->errors);
    if (load_relaxed(&c->failed_at) > v->failed_at) {
        v->failed_at = load_relaxed(&c->failed_at);
        v->last_errno = load_relaxed(&c->last_errno);
    }
}

static long syscall_copy(const struct class_key *key, void *out)
{
    const struct syscall_entry *e = syscall_lookup(key->id);
    struct syscall_view *v = out;
    if (!e)
        return -ENOENT;
    *v = (struct syscall_view){
        .name = e->name,
        .kind = !e->async  ? "plain"
                : e->plain ? "plain first"
                           : "async",
        .nr = e->nr,
        .args = e->nargs,
        .counted = counter,
    };
    for (uint32_t h = 0; v->counted && h < hart_count; h++)
        add_hart(v, &counts_of[h][e - SET_BEGIN(syscalls)]);
    v->last_error = error_name(v->last_errno);
    return 0;
}

static size_t syscall_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t nr = from; nr < SYSCALL_MAX && n < max; nr++)
        if (syscall_lookup(nr))
            out[n++] = (struct class_key){nr, owner};
    return n;
}

static void syscall_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct syscall_view *v = copy;
    (void)key;
    int at = snprintf(buf, n, "%s, ", v->name);
    if (!v->counted)
        snprintf(buf + at, n - (size_t)at, "not counted");
    else if (!v->calls)
        snprintf(buf + at, n - (size_t)at, "no calls");
    else
        snprintf(buf + at, n - (size_t)at, "%lu calls of %lu ns, %lu errors%s%s",
                 (unsigned long)v->calls, (unsigned long)(v->ns / v->calls),
                 (unsigned long)v->errors, v->last_error ? ", the last " : "",
                 v->last_error ? v->last_error : "");
}

static void push_if(lua_State *L, bool there, uint64_t n)
{
    if (there)
        lua_pushinteger(L, (lua_Integer)n);
    else
        lua_pushnil(L);
}

static void push_calls(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct syscall_view *v = copy;
    (void)key;
    push_if(L, v->counted, v->calls);
}

static void push_errors(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct syscall_view *v = copy;
    (void)key;
    push_if(L, v->counted, v->errors);
}

static void push_errno(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct syscall_view *v = copy;
    (void)key;
    push_if(L, v->errors, v->last_errno);
}

static void push_mean(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct syscall_view *v = copy;
    (void)key;
    push_if(L, v->calls, v->calls ? v->ns / v->calls : 0);
}

static void push_latency(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct syscall_view *v = copy;
    (void)key;
    if (!v->counted) {
        lua_pushnil(L);
        return;
    }
    prelude_push(L, "histogram");
    rows_push_hist(L, v->bucket);
    lua_call(L, 1, 1);
}

#define UNLESS_COUNTED "; nil while nobody counts (k.syscall_counts)"
static const struct class_field fields[] = {
    FIELD(struct syscall_view, nr, "its number"),
    FIELD(struct syscall_view, name, "as Linux has it"),
    FIELD(struct syscall_view, args, "how many arguments it has"),
    FIELD(struct syscall_view, kind,
          "\"plain\": never waits, \"async\", or \"plain first\": async only if it has to wait"),
    FIELD_OTHER("calls", "integer or nil", "calls that are over" UNLESS_COUNTED, push_calls),
    FIELD_OTHER("errors", "integer or nil",
                "of them, how many failed; one that a signal cut short failed with ERESTARTSYS, "
                "and counts again if it is made again" UNLESS_COUNTED,
                push_errors),
    FIELD_OTHER("last_errno", "integer or nil", "the last error's number; nil: none was counted",
                push_errno),
    FIELD(struct syscall_view, last_error, "its name, as in \"ENOENT\""),
    FIELD_OTHER("mean", "integer or nil", "nanoseconds, of a call; nil: none was counted",
                push_mean),
    FIELD_OTHER("latency", "list of {lo, hi, count}",
                "how many calls took lo to hi nanoseconds, by powers of two" UNLESS_COUNTED,
                push_latency),
    {0},
};

CLASS(syscall, .name = "Syscall", .doc = "a system call",
      .place = "struct syscall_entry, kernel/syscall/syscall.h",
      .example = "k.syscall(\"getppid\")", .display = "hist latency",
      .size = sizeof(struct syscall_view), .copy = syscall_copy, .keys = syscall_keys,
      .line = syscall_line, .fields = fields);

static int k_syscalls(lua_State *L)
{
    class_push_list(L, class_syscall, 0);
    return 1;
}
MONITOR_API(syscalls, "syscalls", "k.syscalls() -> list of Syscall",
            "the table of system calls, and what k.syscall_counts has counted",
            "k.syscalls():sort(\"calls\", true):take(5)", k_syscalls, NULL);

static const char *syscall_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i < SET_COUNT(syscalls) ? SET_BEGIN(syscalls)[i].name : NULL;
}

static int k_syscall(lua_State *L)
{
    uint64_t nr = SYSCALL_MAX;
    if (lua_isinteger(L, 1))
        nr = (uint64_t)lua_tointeger(L, 1);
    else
        SET_FOREACH(syscalls, struct syscall_entry, e)
            if (strcmp(e->name, luaL_checkstring(L, 1)) == 0)
                nr = e->nr;
    if (syscall_lookup(nr)) {
        class_push(L, class_syscall, (struct class_key){nr, 0});
        return 1;
    }
    const char *name = luaL_tolstring(L, 1, NULL), *near = class_nearest(name, syscall_name, NULL);
    return luaL_error(L,
                      near ? "there is no system call '%s'; did you mean '%s'?"
                           : "there is no system call '%s'; k.syscalls() lists them",
                      name, near);
}
MONITOR_API(syscall, "syscall", "k.syscall(name or number) -> Syscall", "one system call",
            "k.syscall(\"openat\").latency", k_syscall, NULL);

static int k_counts(lua_State *L)
{
    lua_pushboolean(L, counter != NULL);
    return 1;
}

static int set_counts(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    change_make(L, &(struct change){.kind = &count_kind, .arg = {(uint64_t)lua_toboolean(L, 1)}});
    return 0;
}
MONITOR_API(syscall_counts, "syscall_counts", NULL,
            "system calls are counted: each then takes the slower way of a traced one; false "
            "forgets the counts",
            "k.syscall_counts = true", k_counts, set_counts);
