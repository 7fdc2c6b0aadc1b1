// SPDX-License-Identifier: MIT
// A thread's registers, as they will be when it enters user mode. They are read while nobody runs it,
// and changed while it is suspended and has parked at the user border; status bits are not among them.
#include "task/user_loop.h"

#include "class/classes.h"
#include "lib/errno.h"
#include "session/journal.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { REGISTERS = 32, SOON_MS = 100 };

// The trap frame keeps sepc in the place of x0.
static const char *const names[REGISTERS] = {
    "pc", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1", "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

static int number_of(const char *name)
{
    for (int i = 0; i < REGISTERS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

// A task that runs or is queued will wait again, or park, soon: or not within SOON_MS.
static bool borrow_soon(struct task *t)
{
    uint64_t till = clock_monotonic_ns() + SOON_MS * 1000000ul;
    while (!task_borrow(t)) {
        if (t == current_task() || clock_monotonic_ns() > till)
            return false;
        fiber_yield(session_fiber());
    }
    return true;
}

// t:registers() -> list of {name, value}
int class_task_registers(lua_State *L)
{
    uint64_t x[REGISTERS];
    struct class_key key = class_key_at(L, 1, class_task);
    struct task *t = task_find((uint32_t)key.id);
    bool user = t && t->thread, parked = user && borrow_soon(t);
    if (parked) {
        memcpy(x, t->thread->tf.x, sizeof x);
        task_release(t);
    }
    if (t)
        task_put(t);
    if (!user)
        return luaL_error(L, t ? "a kernel task has no registers of a user" : "the task exited");
    if (!parked)
        return luaL_error(L, "it runs just now: suspend it, or ask again");
    lua_createtable(L, REGISTERS, 0);
    for (int i = 0; i < REGISTERS; i++) {
        lua_createtable(L, 0, 2);
        class_set_text(L, "name", names[i]);
        class_set_address(L, "value", x[i]);
        lua_rawseti(L, -2, i + 1);
    }
    class_set_columns(L, "name value>");
    return 1;
}

// ---- a change. arg: task, number, value

// Borrowed and referenced, at the user border; or NULL, with the reason.
static struct task *take(struct change *c)
{
    struct task *t = task_find((uint32_t)c->arg[0]);
    if (!t || !t->thread) {
        snprintf(c->why, sizeof c->why,
                 t ? "a kernel task has no registers of a user" : "the task exited");
        if (t)
            task_put(t);
        return NULL;
    }
    if (load_relaxed(&t->attn) & ATTN_SUSPEND && borrow_soon(t)) {
        if (t->top && t->top->fn == &user_attend_fn)
            return t;
        task_release(t);
    }
    snprintf(c->why, sizeof c->why, "it is not at the user border: suspend it first, then wait");
    task_put(t);
    return NULL;
}

static void give_back(struct task *t)
{
    task_release(t);
    task_put(t);
}

static long register_validate(struct change *c)
{
    snprintf(c->text, sizeof c->text, "make %s of Task#%lu %lx", names[c->arg[1]],
             (unsigned long)c->arg[0], (unsigned long)c->arg[2]);
    struct task *t = take(c);
    if (!t)
        return -EBUSY;
    if (c->arg[1] == 0 && c->arg[2] & 1)
        snprintf(c->why, sizeof c->why, "an instruction does not begin at an odd address");
    else if (t->thread->process->pid == 1 && monitor_mode() < MODE_UNSAFE)
        snprintf(c->why, sizeof c->why,
                 "it is init: the machine dies with it (unsafe mode does it)");
    give_back(t);
    return c->why[0] ? -EINVAL : 0;
}

static long register_apply(struct change *c);
static const struct change_kind register_kind = {"task.register", MODE_RW, register_validate,
                                                 register_apply};

static long register_apply(struct change *c)
{
    struct task *t = take(c);
    if (!t)
        return -EBUSY;
    c->undo = &register_kind;
    memcpy(c->undo_arg, c->arg, sizeof c->arg);
    c->undo_arg[2] = t->thread->tf.x[c->arg[1]];
    t->thread->tf.x[c->arg[1]] = c->arg[2];
    if (c->arg[1] == 0)
        t->thread->restart = 0; // a call that was to begin again is left where it was
    give_back(t);
    return 0;
}

// t:set_register("a0", 1)
int class_task_set_register(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_task);
    const char *name = luaL_checkstring(L, 2);
    int n = number_of(name);
    uint64_t value = (uint64_t)luaL_checkinteger(L, 3);
    if (n < 0)
        return luaL_error(L, "there is no register '%s'; t:registers() lists them", name);
    change_make(L, &(struct change){.kind = &register_kind, .arg = {key.id, (uint64_t)n, value}});
    return 0;
}
