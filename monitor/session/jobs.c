// SPDX-License-Identifier: MIT
// k.every, k.jobs, k.stop. A job that is late is not run twice to catch up: the next time counts from now.
#include "session/jobs.h"

#include "async/timer.h"
#include "class/class.h"
#include "class/constructors.h"
#include "session/journal.h"
#include "session/number.h"
#include "trace/calls.h"

#include <lauxlib.h>
#include <math.h>

enum {
    JOBS = 8,
    EVENT_MS = 5
}; // EVENT_MS: how often events of probes, and newborns, are looked for

static struct job {
    uint32_t number;      // 0: free; never used again
    uint64_t period, due; // ns
    uint64_t runs;
    bool running;
} of_session[WIRE_SESSIONS][JOBS];
static uint32_t next_number;
static const char functions; // registry key: number -> function

static struct job *own_jobs(void)
{
    return of_session[session_number()];
}

uint32_t callbacks_ms(void)
{
    bool events = probes_active() || constructors_active();
    const struct job *jobs = own_jobs();
    uint64_t due = UINT64_MAX, now = clock_monotonic_ns();
    for (int i = 0; i < JOBS; i++)
        if (jobs[i].number && !jobs[i].running && jobs[i].due < due)
            due = jobs[i].due;
    if (due == UINT64_MAX)
        return events ? EVENT_MS : 0;
    uint64_t ms = due > now ? (due - now + 999999) / 1000000 : 1;
    return events && ms > EVENT_MS ? EVENT_MS : (uint32_t)ms;
}

void callbacks_reset(void)
{
    struct job *jobs = own_jobs();
    probes_reset();
    constructors_reset();
    for (int i = 0; i < JOBS; i++)
        jobs[i] = (struct job){0};
}

static void push_functions(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &functions) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &functions);
}

static void take_off(lua_State *L, struct job *j)
{
    push_functions(L);
    lua_pushnil(L);
    lua_rawseti(L, -2, j->number);
    lua_pop(L, 1);
    j->number = 0;
}

static int call(lua_State *L, uint32_t number)
{
    push_functions(L);
    lua_rawgeti(L, -1, number);
    lua_remove(L, -2);
    lua_pushinteger(L, number);
    return lua_pcall(L, 1, 0, 0);
}

// A job that sleeps lets others run meanwhile, not itself; and it may stop itself, or be stopped.
static void run(lua_State *L, struct job *j)
{
    uint32_t number = j->number;
    j->due = clock_monotonic_ns() + j->period;
    j->runs++;
    j->running = true;
    int status = call(L, number);
    if (j->number == number)
        j->running = false;
    if (status == LUA_OK)
        return;
    if (j->number == number)
        take_off(L, j);
    lua_error(L);
}

void callbacks_run(lua_State *L)
{
    struct job *jobs = own_jobs();
    luaL_checkstack(L, 8, "jobs");
    uint64_t was = journal_repeats(0); // of a constructor that sleeps
    constructors_run(L);
    probes_run(L);
    for (int i = 0; i < JOBS; i++)
        if (jobs[i].number && !jobs[i].running && jobs[i].due <= clock_monotonic_ns())
            run(L, &jobs[i]);
    journal_repeats(was);
}

static int k_every(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, seconds >= 0.001 && seconds <= 86400, 1, "a millisecond to a day");
    struct job *jobs = own_jobs();
    int i = 0;
    while (i < JOBS && jobs[i].number)
        i++;
    if (i == JOBS)
        return luaL_error(L, "%d jobs are the most: stop one (k.stop)", JOBS);
    // A cast that is checked wants a function that is not there.
    uint64_t period = (uint64_t)llround(seconds * 1e9);
    uint32_t number = ++next_number;
    push_functions(L);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, number);
    jobs[i] = (struct job){number, period, clock_monotonic_ns() + period, 0, false};
    lua_pushinteger(L, number);
    return 1;
}
MONITOR_API(every, "every", "k.every(seconds, fn) -> number",
            "runs fn(number) again and again, also when the script has ended, until k.stop",
            "k.every(1, function() print(#k.tasks()) end)", k_every, NULL);

static int k_stop(lua_State *L)
{
    struct job *jobs = own_jobs();
    lua_Integer number = luaL_optinteger(L, 1, 0);
    bool found = !number;
    for (int i = 0; i < JOBS; i++)
        if (jobs[i].number && (!number || jobs[i].number == number)) {
            take_off(L, &jobs[i]);
            found = true;
        }
    return found ? 0 : luaL_error(L, "there is no job %I", (LUAI_UACINT)number);
}
MONITOR_API(stop, "stop", "k.stop([number])", "stops one job, or all of them", "k.stop()", k_stop,
            NULL);

static int k_jobs(lua_State *L)
{
    const struct job *jobs = own_jobs();
    lua_newtable(L);
    for (int i = 0; i < JOBS; i++) {
        if (!jobs[i].number)
            continue;
        lua_createtable(L, 0, 3);
        class_set_int(L, "number", jobs[i].number);
        class_set_int(L, "every_ms", jobs[i].period / 1000000);
        class_set_int(L, "runs", jobs[i].runs);
        lua_rawseti(L, -2, luaL_len(L, -2) + 1);
    }
    class_set_columns(L, "number> every_ms> runs>");
    return 1;
}
MONITOR_API(jobs, "jobs", "k.jobs() -> list of {number, every_ms, runs}",
            "what runs again and again (k.every)", "k.jobs()", k_jobs, NULL);
