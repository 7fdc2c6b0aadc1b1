// SPDX-License-Identifier: MIT
// What a task has used since it was born, as getrusage(2) counts it for a thread.
#include "async/timer.h"
#include "class/birth.h"
#include "class/classes.h"
#include "task/cputime.h"
#include "task/process.h"

#include <lauxlib.h>

struct task_stats {
    uint64_t age, utime, stime, polls, preempted, faults;
};

static bool stats_of(uint32_t id, struct task_stats *out)
{
    struct task *t = task_find(id);
    if (!t)
        return false;
    bool alive = !(load_acquire(&t->state) & TASK_DEAD);
    *out = (struct task_stats){.preempted = t->thread ? load_relaxed(&t->thread->preempted) : 0};
    fence_full(); // each of these was a poll
    out->polls = load_relaxed(&t->polls);
    out->faults = t->faults;
    if (t->locals && birth_of(t)->ns)
        out->age = clock_monotonic_ns() - birth_of(t)->ns;
    if (t->thread && alive) {
        struct cpu_times times = thread_times(t->thread);
        out->utime = ticks_to_ns(times.user);
        out->stime = ticks_to_ns(times.system);
    } else {
        out->stime = ticks_to_ns(task_ticks(t));
    }
    task_put(t);
    return alive;
}

static void set_number(lua_State *L, const char *name, double v)
{
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

int class_task_stats(lua_State *L)
{
    struct task_stats s;
    struct class_key key = class_key_at(L, 1, class_task);
    if (!stats_of((uint32_t)key.id, &s))
        return luaL_error(L, "stale handle: Task#%d exited", (int)key.id);
    uint64_t ran = s.utime + s.stime;
    lua_createtable(L, 0, 10);
    class_set_int(L, "age", s.age);
    class_set_int(L, "utime", s.utime);
    class_set_int(L, "stime", s.stime);
    set_number(L, "percent", s.age ? 100.0 * (double)ran / (double)s.age : 0);
    class_set_int(L, "polls", s.polls);
    class_set_int(L, "waits", s.polls - s.preempted);
    class_set_int(L, "preempted", s.preempted);
    class_set_int(L, "per_poll", s.polls ? ran / s.polls : 0);
    class_set_int(L, "faults", s.faults);
    class_set_names(L, "t:stats()", "");
    return 1;
}
