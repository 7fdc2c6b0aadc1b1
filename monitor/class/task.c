// SPDX-License-Identifier: MIT
// Tasks: what runs, what each one waits for and since when, its frames; suspend and resume.
#include "task/thread.h"

#include "async/wait_async.h"
#include "class/birth.h"
#include "class/classes.h"
#include "lib/errno.h"
#include "lib/local.h"
#include "mem/space.h"
#include "session/later.h"
#include "session/session.h"
#include "task/cputime.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 48, HOLD_MS = 100 };

struct task_view {
    char name[24];
    char wait[48];
    const char *kind, *state, *fn;
    uint64_t since, polls, utime, stime, born, creator;
    const struct space *space; // not to be followed
    uint32_t id, pid, tid, parent, hart, attn, shield;
    uint64_t affinity, deadline;
    int32_t nice;
    bool suspended;
};

// "event" alone says little: then also whose it is, the nearest function that is not a wait itself.
static void look_at_leaf(struct task *t, struct task_view *v)
{
    const struct frame *f = t->top;
    v->since = ticks_to_ns(t->since);
    if (!f)
        return;
    const struct light_wait *light = load_relaxed(&t->light);
    v->fn = light ? light->name : f->fn->name;
    if (!light && f->fn == &event_wait_fn && f->parent)
        snprintf(v->wait, sizeof v->wait, "%s of %s", f->at->what, f->parent->fn->name);
    else
        strlcpy(v->wait, light ? light->what : f->at->what, sizeof v->wait);
}

// The task may be in exec on another hart: its space is compared with those that live, not followed; and only when it is
// asked for, since there may be many.
struct space_search {
    const struct space *wanted;
    uint64_t id;
};

static bool is_wanted(struct space *s, void *arg)
{
    struct space_search *search = arg;
    if (s == search->wanted)
        search->id = s->id;
    return !search->id;
}

static uint64_t space_id(const struct space *s)
{
    struct space_search search = {s, 0};
    if (s)
        space_foreach(0, is_wanted, &search);
    return search.id;
}

static void look_at_thread(struct thread *th, struct task_view *v)
{
    struct cpu_times times = thread_times(th);
    const struct process *p = th->process;
    v->kind = "user";
    v->tid = th->tid;
    v->pid = p->pid;
    v->utime = ticks_to_ns(times.user);
    v->stime = ticks_to_ns(times.system);
    v->nice = th->sched.nice;
    v->deadline = later_deadline(th->task.id);
    v->space = load_relaxed(&th->space);
    memcpy(v->name, p->comm, sizeof p->comm);
    v->name[sizeof p->comm - 1] = 0;
    spin_lock(&process_tree_lock);
    v->parent = p->parent ? p->parent->pid : 0;
    spin_unlock(&process_tree_lock);
}

// The frames are read only while nobody runs the task: borrowed for a moment, or the asker's own.
static long task_copy(const struct class_key *key, void *out)
{
    struct task *t = key->id <= UINT32_MAX ? task_find((uint32_t)key->id) : NULL;
    if (!t)
        return -ENOENT;
    uint32_t state = load_acquire(&t->state), attn = load_relaxed(&t->attn);
    struct task_view *v = out;
    *v = (struct task_view){
        .kind = "kernel",
        .state = task_state_name(state, attn),
        .since = ticks_to_ns(load_relaxed(&t->since)),
        .polls = t->polls,
        .stime = t->thread ? 0 : ticks_to_ns(task_ticks(t)),
        .id = t->id,
        .hart = load_relaxed(&t->hart),
        .attn = attn,
        .shield = load_relaxed(&t->shield),
        .affinity = t->affinity,
        .suspended = attn & ATTN_SUSPEND,
    };
    memcpy(v->name, t->name, sizeof v->name);
    if (t->locals) {
        v->born = birth_of(t)->ns;
        v->creator = creator_of(t)->id;
    }
    if (t->thread && !(state & TASK_DEAD))
        look_at_thread(t->thread, v);
    if (t == current_task()) {
        look_at_leaf(t, v);
    } else if (task_borrow(t)) {
        look_at_leaf(t, v);
        task_release(t);
    }
    task_put(t);
    return state & TASK_DEAD ? -ENOENT : 0;
}

static bool task_alive(const struct class_key *key)
{
    struct task *t = key->id <= UINT32_MAX ? task_find((uint32_t)key->id) : NULL;
    bool alive = t && !(load_acquire(&t->state) & TASK_DEAD);
    if (t)
        task_put(t);
    return alive;
}

struct collect {
    struct class_key *out;
    size_t n, max;
    uint64_t owner;
};

static bool collect(struct task *t, void *arg)
{
    struct collect *c = arg;
    if (!(load_relaxed(&t->state) & TASK_DEAD))
        c->out[c->n++] = (struct class_key){t->id, c->owner};
    return c->n < c->max;
}

static size_t task_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct collect c = {out, 0, max, owner};
    if (from <= UINT32_MAX)
        task_foreach((uint32_t)from, collect, &c);
    return c.n;
}

static void task_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct task_view *v = copy;
    char pid[16] = "";
    (void)key;
    if (v->pid)
        snprintf(pid, sizeof pid, " pid %u", v->pid);
    if (v->wait[0] && strcmp(v->state, "waiting") == 0)
        snprintf(buf, n, "%s%s waits for %s since %lu ms", v->name, pid, v->wait,
                 (unsigned long)((clock_monotonic_ns() - v->since) / 1000000));
    else
        snprintf(buf, n, "%s%s %s on hart %u", v->name, pid, v->state, v->hart);
}

static void push_hart(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)key;
    class_push(L, class_hart, (struct class_key){((const struct task_view *)copy)->hart, 0});
}

static void push_space(lua_State *L, const struct class_key *key, const void *copy)
{
    uint64_t id = space_id(((const struct task_view *)copy)->space);
    (void)key;
    if (id)
        class_push(L, class_space, (struct class_key){id, 0});
    else
        lua_pushnil(L);
}

static void push_tls(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push_tls_of_task(L, key->id);
}

static void push_files(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push_list(L, class_file, key->id);
}

static void push_signals(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push_list(L, class_signal, key->id);
}

// ---- the backtrace

// Frames of t, leaf first. A task that runs or is queued is held until it can be borrowed.
static size_t copy_frames(struct task *t, struct async_step *steps)
{
    size_t n = 0;
    if (t == current_task())
        return task_backtrace(t, steps, STEPS);
    bool borrowed = task_borrow(t), held = !borrowed && !(load_relaxed(&t->attn) & ATTN_HOLD);
    if (!borrowed) {
        uint64_t till = clock_monotonic_ns() + HOLD_MS * 1000000ul;
        if (held)
            task_hold(t);
        while (!(borrowed = task_borrow(t)) && clock_monotonic_ns() < till)
            fiber_yield(session_fiber());
    }
    if (borrowed) {
        n = task_backtrace(t, steps, STEPS);
        task_release(t);
    }
    if (held)
        task_unhold(t);
    return n;
}

static const char *from_root(const char *path)
{
    const char *kernel = strstr(path, "kernel/");
    return kernel ? kernel : path;
}

static void push_steps(lua_State *L, const struct async_step *steps, size_t n)
{
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 5);
        lua_pushstring(L, steps[i].function);
        lua_setfield(L, -2, "fn");
        lua_pushfstring(L, "%s:%d", from_root(steps[i].file), (int)steps[i].line);
        lua_setfield(L, -2, "at");
        lua_pushstring(L, steps[i].what);
        lua_setfield(L, -2, "waits_for");
        lua_pushinteger(L, steps[i].frame_size);
        lua_setfield(L, -2, "bytes");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    class_set_columns(L, "fn at waits_for bytes>");
}

static int task_backtrace_method(lua_State *L)
{
    struct task_view v;
    struct class_key key = class_self(L, 1, class_task, &v);
    struct async_step *steps = lua_newuserdatauv(L, STEPS * sizeof *steps, 0);
    struct task *t = task_find((uint32_t)key.id);
    if (!t)
        return luaL_error(L, "stale handle: Task#%d exited", (int)key.id);
    size_t n = copy_frames(t, steps);
    task_put(t);
    if (!n)
        return luaL_error(L, "%s reached no safe point within %d ms: hart %d", v.name, HOLD_MS,
                          (int)v.hart);
    push_steps(L, steps, n);
    return 1;
}

// ---- the class

static const struct class_field fields[] = {
    FIELD(struct task_view, id, "number of the task, never used again"),
    FIELD(struct task_view, name, "of the program, or of the kernel task"),
    FIELD(struct task_view, kind, "user or kernel"),
    FIELD(struct task_view, pid, "process, as user programs know it; 0 for a kernel task"),
    FIELD(struct task_view, tid, "thread, as user programs know it"),
    FIELD(struct task_view, parent, "pid of the parent process"),
    FIELD(struct task_view, state, "running, ready, waiting, suspended, stopped or held"),
    FIELD(struct task_view, wait, "what its leaf frame waits for"),
    FIELD(struct task_view, fn, "the function of its leaf frame"),
    FIELD_NS(struct task_view, since,
             "when it last left a hart, or came to the one it runs on, since boot"),
    FIELD_NS(struct task_view, born, "when it was made, since boot; 0 when Tls birth was disabled"),
    FIELD(struct task_view, creator,
          "id of the task that made it; 0: boot, or Tls creator was disabled"),
    FIELD_OTHER("hart", "Hart", "where it runs, or ran last", push_hart),
    FIELD_OTHER("space", "Space", "its address space; nil for a kernel task", push_space),
    FIELD_ADDRESS(struct task_view, affinity, "a bit per hart it may run on"),
    FIELD_NS(struct task_view, utime, "how long it ran in user mode, of all it ran, by samples"),
    FIELD_NS(struct task_view, stime,
             "how long the kernel worked for it; a kernel task: all it ran"),
    FIELD(struct task_view, polls, "times it was resumed"),
    FIELD(struct task_view, attn, "attention bits: cancel 1, signal 2, stop 4, hold 8, ..."),
    FIELD(struct task_view, shield, "depth of regions that cancel does not enter"),
    FIELD_OTHER("tls", "list of Tls", "its task-local storage", push_tls),
    FIELD_OTHER("files", "list of File", "its open files, by descriptor", push_files),
    FIELD_OTHER("signals", "list of Signal", "what it does with signals, by number", push_signals),
    FIELD(struct task_view, nice, "niceness, from -20 to 19", .set = class_task_set_nice),
    FIELD_NS(struct task_view, deadline, "when it is ended (k.ns + ...), since boot; 0: never",
             .set = class_task_set_deadline),
    FIELD(struct task_view, suspended, "by the monitor"),
    {0},
};

static const struct class_method methods[] = {
    {"backtrace", "t:backtrace() -> list of {fn, at, waits_for, bytes}",
     "its frames, leaf first: function, file:line, what each one awaits", "k.task(1):backtrace()",
     task_backtrace_method},
    {"tree", "t:tree() -> list of {line, task, depth}",
     "whom it waits for, whom that one waits for, and so on; then who waits for it",
     "k.task(1):tree()", class_task_tree},
    {"stats", "t:stats() -> {age, utime, stime, percent, polls, ...}",
     "what it has used since its birth: ns, and percent of a hart; waits, preempted, faults",
     "k.task(1):stats()", class_task_stats},
    {"suspend", "t:suspend()", "parks it the next time it is about to enter user mode",
     "k.task(5):suspend()", class_task_suspend},
    {"resume", "t:resume()", "lets a suspended task go on", "k.task(5):resume()",
     class_task_resume},
    {"hold", "t:hold() -> list of Lock",
     "parks it where it waits, and says what locks it keeps meanwhile (unsafe); resume lets it go",
     "k.task(5):hold()", class_task_hold},
    {"signal", "t:signal(name or number)", "sends its process a signal",
     "k.task(5):signal(\"TERM\")", class_task_signal},
    {"registers", "t:registers() -> list of {name, value}", "of its user mode, while it waits",
     "k.task(1):registers()", class_task_registers},
    {"set_register", "t:set_register(name, value)",
     "while it is suspended and has parked at the user border", "k.task(5):set_register(\"a0\", 1)",
     class_task_set_register},
    {0},
};

CLASS(task, .name = "Task", .doc = "what the executor runs: a user thread or a kernel task",
      .place = "struct task, kernel/async/task.h", .example = "k.pid(1)", .gone = "exited",
      .size = sizeof(struct task_view), .copy = task_copy, .alive = task_alive, .keys = task_keys,
      .line = task_line, .fields = fields, .methods = methods,
      .changing = "suspend resume hold signal set_register");

static int k_tasks(lua_State *L)
{
    class_push_list(L, class_task, 0);
    return 1;
}
MONITOR_API(tasks, "tasks", "k.tasks() -> list of Task", "every task, in order of birth",
            "k.tasks():where{state = \"ready\"}", k_tasks, NULL);

// By number, or by name.
static int k_task(lua_State *L)
{
    struct task_view v;
    struct class_key key = {0, 0};
    if (lua_isinteger(L, 1)) {
        key.id = (uint64_t)lua_tointeger(L, 1);
        if (task_copy(&key, &v))
            return luaL_error(L, "there is no Task#%I", lua_tointeger(L, 1));
        class_push(L, class_task, key);
        return 1;
    }
    const char *name = luaL_checkstring(L, 1);
    while (task_keys(0, key.id + 1, &key, 1))
        if (task_copy(&key, &v) == 0 && strcmp(v.name, name) == 0) {
            class_push(L, class_task, key);
            return 1;
        }
    return luaL_error(L, "there is no task named '%s'", name);
}
MONITOR_API(task, "task", "k.task(id or name) -> Task", "one task, by number or by name",
            "k.task(\"sh\"):backtrace()", k_task, NULL);

static int k_pid(lua_State *L)
{
    struct task_view v;
    struct class_key key = {0, 0};
    lua_Integer pid = luaL_checkinteger(L, 1);
    while (task_keys(0, key.id + 1, &key, 1))
        if (task_copy(&key, &v) == 0 && pid && (v.pid == pid || v.tid == pid)) {
            class_push(L, class_task, key);
            return 1;
        }
    return luaL_error(L, "there is no process %I", pid);
}
MONITOR_API(pid, "pid", "k.pid(pid) -> Task",
            "the thread or process that user programs know as pid", "k.pid(1)", k_pid, NULL);
