// SPDX-License-Identifier: MIT
// k.fault: switching faults on and off, and what there is.
#include "fault/fault.h"

#include "class/classes.h"
#include "class/options.h"
#include "lib/errno.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static bool on[64]; // by place in the set

// ---- changes. arg: place in the set, then the options.

static const struct fault *fault_at(uint64_t i)
{
    return &SET_BEGIN(faults)[i];
}

static struct fault_options options_of(const struct change *c)
{
    return (struct fault_options){c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]};
}

static long inject_validate(struct change *c)
{
    const struct fault *x = fault_at(c->arg[0]);
    struct fault_options o = options_of(c);
    if (on[c->arg[0]]) {
        snprintf(c->why, sizeof c->why, "'%s' is in force already: k.fault.remove ends it",
                 x->name);
        return -EBUSY;
    }
    long r = x->validate ? x->validate(&o, c->why, sizeof c->why) : 0;
    memcpy(&c->arg[1], &o, sizeof o);
    size_t n = (size_t)snprintf(c->text, sizeof c->text, "inject %s, seed %lu", x->name,
                                (unsigned long)o.seed);
    if (o.task && n < sizeof c->text)
        snprintf(c->text + n, sizeof c->text - n, ", Task#%lu", (unsigned long)o.task);
    return r;
}

static long inject_apply(struct change *c);
static long remove_validate(struct change *c)
{
    snprintf(c->text, sizeof c->text, "switch %s off", fault_at(c->arg[0])->name);
    if (!on[c->arg[0]])
        snprintf(c->why, sizeof c->why, "'%s' is off", fault_at(c->arg[0])->name);
    return on[c->arg[0]] ? 0 : -EINVAL;
}

static long remove_apply(struct change *c)
{
    fault_at(c->arg[0])->end();
    on[c->arg[0]] = false;
    return 0;
}

static const struct change_kind inject_kind = {"fault.inject", MODE_RW, inject_validate,
                                               inject_apply};
static const struct change_kind unsafe_kind = {"fault.inject", MODE_UNSAFE, inject_validate,
                                               inject_apply};
static const struct change_kind remove_kind = {"fault.remove", MODE_RW, remove_validate,
                                               remove_apply};

static long inject_apply(struct change *c)
{
    struct fault_options o = options_of(c);
    long r = fault_at(c->arg[0])->begin(&o);
    if (r) {
        snprintf(c->why, sizeof c->why, "%s",
                 r == -ENOMEM ? "there is no memory for it" : "it cannot be now");
        return r;
    }
    on[c->arg[0]] = true;
    c->undo = &remove_kind;
    c->undo_arg[0] = c->arg[0];
    return 0;
}

// ---- Lua

static const char *fault_name(const void *ctx, size_t i)
{
    (void)ctx;
    return i < SET_COUNT(faults) ? SET_BEGIN(faults)[i].name : NULL;
}

static uint64_t check_fault(lua_State *L, int idx)
{
    const char *name = luaL_checkstring(L, idx);
    for (uint64_t i = 0; i < SET_COUNT(faults); i++)
        if (strcmp(fault_at(i)->name, name) == 0)
            return i;
    const char *near = class_nearest(name, fault_name, NULL);
    return (uint64_t)luaL_error(
        L, near ? "no fault '%s'; did you mean '%s'?" : "no fault '%s': k.fault.list() names them",
        name, near);
}

// Which options there are is the fault's own.
static void check_options(lua_State *L, const struct fault *x, uint64_t *arg)
{
    static const char *const names[] = {"every", "ms", "task",
                                        "queue"}; // by the bit of enum fault_option
    const char *known[5];
    size_t n = 0;
    for (unsigned i = 0; i < 4; i++)
        if (x->options >> i & 1)
            known[n++] = names[i];
    known[n] = NULL;
    options_check(L, 3, known);
    arg[2] = (uint64_t)options_integer(L, 3, "every", 0, 1, 1 << 30);
    arg[3] = (uint64_t)options_integer(L, 3, "ms", 0, 1, 600000);
    options_object(L, 3, "task", class_task, &arg[4]);
    if (options_object(L, 3, "queue", class_virtqueue, &arg[5]))
        arg[5]++;
}

static int inject(lua_State *L)
{
    struct change c = {.arg = {check_fault(L, 1)}};
    const struct fault *x = fault_at(c.arg[0]);
    c.arg[1] = (uint64_t)luaL_optinteger(L, 2, 1);
    check_options(L, x, c.arg);
    c.kind = x->mode == MODE_UNSAFE ? &unsafe_kind : &inject_kind;
    change_make(L, &c);
    return 0;
}

// By its name: what has begun long ago may have left the journal.
static int remove_fault(lua_State *L)
{
    change_make(L, &(struct change){.kind = &remove_kind, .arg = {check_fault(L, 1)}});
    return 0;
}

static int list(lua_State *L)
{
    static const char *const modes[] = {"ro", "rw", "unsafe"};
    lua_newtable(L);
    for (uint64_t i = 0; i < SET_COUNT(faults); i++) {
        const struct fault *x = fault_at(i);
        lua_createtable(L, 0, 5);
        lua_pushstring(L, x->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, x->doc);
        lua_setfield(L, -2, "doc");
        lua_pushstring(L, modes[x->mode]);
        lua_setfield(L, -2, "mode");
        lua_pushboolean(L, on[i]);
        lua_setfield(L, -2, "on");
        lua_pushinteger(L, x->hits ? (lua_Integer)x->hits() : 0);
        lua_setfield(L, -2, "hits");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    class_set_columns(L, "name mode on hits> doc");
    return 1;
}

static int k_fault(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"inject", inject}, {"remove", remove_fault}, {"list", list}, {NULL, NULL}};
    luaL_newlib(L, functions);
    class_set_names(L, "k.fault", "");
    return 1;
}
MONITOR_API(
    fault, "fault", NULL,
    "faults on purpose: .inject(name [, seed [, {every=, ms=, task=, queue=}]]), .remove(name), .list()",
    "k.fault.inject(\"delayed-io\", 1, {ms = 100})", k_fault, NULL);
