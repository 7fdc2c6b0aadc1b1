// SPDX-License-Identifier: MIT
// k.waits() and t:tree(): who waits for what, and who has it.
//
// The edges come from the wait queues themselves: a waiter of the task lies in the queue of the object, and the object
// says who holds it. Each task is looked at by itself: a list is no snapshot of the system.
#include "lint/look.h"

#include "class/classes.h"
#include "lint/lint.h"

#include <lauxlib.h>
#include <stdio.h>

enum { DEPTH = 16 };

static void set_int(lua_State *L, const char *name, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *v)
{
    lua_pushstring(L, v);
    lua_setfield(L, -2, name);
}

void lint_wait_text(char *buf, size_t n, const struct task_look *l)
{
    const struct wait_view *v = &l->wait;
    if (!l->suspended)
        snprintf(buf, n, "runs");
    else if (!v->kind)
        snprintf(buf, n, "waits for %s", l->what);
    else
        snprintf(buf, n, "waits for %s%s%s", v->kind, v->name ? " " : "", v->name ? v->name : "");
}

static uint64_t ms_since(uint64_t ticks)
{
    uint64_t now = time_ticks();
    return now > ticks ? ticks_to_ns(now - ticks) / 1000000 : 0;
}

// ---- k.waits

static void push_row(lua_State *L, const struct task_look *l)
{
    const struct wait_view *v = &l->wait;
    char text[64];
    lua_createtable(L, 0, 10);
    class_push(L, class_task, (struct class_key){l->id, 0});
    lua_setfield(L, -2, "task");
    set_text(L, "name", l->name);
    set_text(L, "waits_for", v->kind ? v->kind : l->what);
    if (v->name)
        set_text(L, "object", v->name);
    else if (v->object) {
        snprintf(text, sizeof text, "0x%lx", (unsigned long)v->object);
        set_text(L, "object", text);
    }
    if (v->holder)
        set_int(L, "holder", v->holder);
    if (v->holder_pid)
        set_int(L, "holder_pid", v->holder_pid);
    if (v->told) {
        lua_pushboolean(L, v->queued);
        lua_setfield(L, -2, "queued");
        lua_pushboolean(L, v->ready);
        lua_setfield(L, -2, "ready");
    }
    set_int(L, "id", l->id);
    set_int(L, "ms", ms_since(l->since));
}

static int k_waits(lua_State *L)
{
    struct task_look l[LOOKS];
    unsigned n;
    lua_Integer rows = 0;
    lua_newtable(L);
    for (uint32_t from = 0; (n = task_look_some(from, l)); from = l[n - 1].id + 1)
        for (unsigned i = 0; i < n; i++)
            if (l[i].suspended && !l[i].woken) {
                push_row(L, &l[i]);
                lua_rawseti(L, -2, ++rows);
            }
    class_set_columns(L, "id> name waits_for object holder> ms> | holder_pid queued ready");
    return 1;
}
MONITOR_API(waits, "waits", "k.waits() -> list of {task, name, waits_for, object, holder, ms}",
            "the wait-for graph: each suspended task, what it waits on, and who has that",
            "k.waits()", k_waits, NULL);

// ---- t:tree

// Of a process with more than one thread nobody knows which of them would let go.
uint32_t lint_holder(const struct wait_view *v)
{
    struct task_look l[LOOKS];
    uint32_t found = 0;
    unsigned n, threads = 0;
    if (v->holder || !v->holder_pid)
        return v->holder;
    for (uint32_t from = 0; (n = task_look_some(from, l)); from = l[n - 1].id + 1)
        for (unsigned i = 0; i < n; i++)
            if (l[i].pid == v->holder_pid) {
                found = l[i].id;
                threads++;
            }
    return threads == 1 ? found : 0;
}

static void add_line(lua_State *L, int depth, const struct task_look *l, const char *tail)
{
    static const char margin[] = "                                ";
    char wait[80];
    lint_wait_text(wait, sizeof wait, l);
    lua_createtable(L, 0, 4);
    lua_pushfstring(L, "%sTask#%d %s %s%s", &margin[2 * (DEPTH - depth)], (int)l->id, l->name, wait,
                    tail);
    lua_setfield(L, -2, "line");
    class_push(L, class_task, (struct class_key){l->id, 0});
    lua_setfield(L, -2, "task");
    set_int(L, "depth", (uint64_t)depth);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

// Whoever waits for what it has.
static void add_waiting(lua_State *L, uint32_t holder)
{
    struct task_look l[LOOKS];
    unsigned n;
    for (uint32_t from = 0; (n = task_look_some(from, l)); from = l[n - 1].id + 1)
        for (unsigned i = 0; i < n; i++)
            if (l[i].suspended && l[i].id != holder && lint_holder(&l[i].wait) == holder)
                add_line(L, 1, &l[i], " that it has");
}

int class_task_tree(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_task);
    struct task_look l;
    uint32_t seen[DEPTH], next = (uint32_t)key.id;
    lua_newtable(L);
    for (int depth = 0; depth < DEPTH && next && task_look_id(next, &l); depth++) {
        seen[depth] = next;
        next = l.suspended ? lint_holder(&l.wait) : 0;
        bool again = false;
        for (int i = 0; i <= depth; i++)
            again |= seen[i] == next;
        add_line(L, depth, &l,
                 again  ? ", of which it is a part itself: a deadlock"
                 : next ? ", had by"
                        : "");
        if (again)
            break;
    }
    if (!luaL_len(L, -1))
        return luaL_error(L, "stale handle: Task#%d exited", (int)key.id);
    add_waiting(L, (uint32_t)key.id);
    class_set_columns(L, "line");
    return 1;
}
