// SPDX-License-Identifier: MIT
// Changes to the lists of constructors, and to one owner's instance.
#include "class/tls_impl.h"

#include "async/task.h"
#include "class/classes.h"
#include "class/constructors.h"
#include "lib/errno.h"
#include "session/journal.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

// ---- changes: arg: owner's kind, index, value

static long disable_validate(struct change *c)
{
    const struct local_ctor *l = tls_at(c->arg[0], c->arg[1]);
    if (!l) {
        snprintf(c->why, sizeof c->why, "there is no such constructor");
        return -ENOENT;
    }
    snprintf(c->text, sizeof c->text, "%s the constructor of %s", c->arg[2] ? "disable" : "enable",
             l->name);
    if (l->state->disabled == (bool)c->arg[2]) {
        snprintf(c->why, sizeof c->why, "it is so already");
        return -EINVAL;
    }
    return 0;
}

static long disable_apply(struct change *c);
static const struct change_kind disable_kind = {"tls.disabled", MODE_RW, disable_validate,
                                                disable_apply};

static long disable_apply(struct change *c)
{
    const struct local_ctor *l = tls_at(c->arg[0], c->arg[1]);
    store_relaxed(&l->state->disabled, (bool)c->arg[2]);
    c->undo = &disable_kind;
    memcpy(c->undo_arg, c->arg, sizeof c->arg);
    c->undo_arg[2] = !c->arg[2];
    return 0;
}

static bool is_lua(uint64_t id)
{
    return id >= CONSTRUCTOR_FIRST;
}

// Of the same language: those in Lua come after all in C.
static const struct local_ctor *with_order(uint64_t owner, uint64_t id, uint64_t order)
{
    struct class_key key[CLASS_KEYS];
    size_t n = tls_keys(owner, 0, key, CLASS_KEYS);
    for (size_t i = 0; i < n; i++) {
        const struct local_ctor *c = tls_at(owner, key[i].id);
        if (c->state->order == order && is_lua(key[i].id) == is_lua(id))
            return c;
    }
    return NULL;
}

// Two constructors change places: the order stays one of different numbers.
static long order_validate(struct change *c)
{
    const struct local_ctor *l = tls_at(c->arg[0], c->arg[1]);
    const struct local_ctor *other = with_order(c->arg[0], c->arg[1], c->arg[2]);
    snprintf(c->text, sizeof c->text, "run the constructor of %s as number %lu", l ? l->name : "?",
             (unsigned long)c->arg[2]);
    if (!l || !other || other == l) {
        snprintf(c->why, sizeof c->why, "no other constructor is number %lu",
                 (unsigned long)c->arg[2]);
        return -EINVAL;
    }
    return 0;
}

static long order_apply(struct change *c);
static const struct change_kind order_kind = {"tls.order", MODE_RW, order_validate, order_apply};

static long order_apply(struct change *c)
{
    const struct local_ctor *l = tls_at(c->arg[0], c->arg[1]);
    const struct local_ctor *other = with_order(c->arg[0], c->arg[1], c->arg[2]);
    uint16_t was = l->state->order;
    locals_exchange(l, other);
    c->undo = &order_kind;
    memcpy(c->undo_arg, c->arg, sizeof c->arg);
    c->undo_arg[2] = was;
    return 0;
}

// ---- running again, for one owner. arg: owner, index; of the undo also whether it was made, and what was there

enum { SAVED_AT = 3, SAVED = (CHANGE_ARGS - SAVED_AT) * 8 };

// The object of the owner, which nobody uses until it is given back. NULL, with the reason.
static void *take_object(struct change *c, const struct local_ctor *l, struct task **t)
{
    uint64_t id = (c->arg[0] >> KIND_SHIFT) - 1;
    *t = NULL;
    if (!(c->arg[0] & OF_TASKS)) {
        if (id < hart_count && harts[id] == this_hart())
            return l->hart_object();
        snprintf(c->why, sizeof c->why, "only hart %u, where the monitor runs, can do this here",
                 hart_index());
        return NULL;
    }
    struct task *owner = task_find((uint32_t)id);
    if (owner && owner->locals && (owner == current_task() || task_borrow(owner))) {
        *t = owner;
        return (char *)owner->locals + l->state->offset;
    }
    snprintf(c->why, sizeof c->why, owner ? "the task runs: suspend it first" : "the task exited");
    if (owner)
        task_put(owner);
    return NULL;
}

// Of an owner that is taken. True: it was made.
static bool set_made(struct task *t, uint64_t index, bool made)
{
    uint32_t *bits = t ? task_locals_made(t->locals) : &hart_locals_made, bit = 1u << index;
    bool was = *bits & bit;
    store_relaxed(bits, (*bits & ~bit) | (made ? bit : 0));
    return was;
}

static void give_back(struct task *t)
{
    if (t && t != current_task())
        task_release(t);
    if (t)
        task_put(t);
}

static long run_validate(struct change *c)
{
    const struct local_ctor *l = tls_at(c->arg[0], c->arg[1]);
    snprintf(c->text, sizeof c->text, "run the constructor of %s again", l ? l->name : "?");
    if (c->arg[0] >> KIND_SHIFT == 0)
        snprintf(c->why, sizeof c->why, "this is the list: take it from a hart's or a task's .tls");
    else if (!l || !l->ctor)
        snprintf(c->why, sizeof c->why, "it has no constructor");
    else if (!(c->arg[0] & OF_TASKS) && monitor_mode() < MODE_UNSAFE)
        snprintf(c->why, sizeof c->why, "a hart's is in use (unsafe mode does it all the same)");
    return c->why[0] ? -EINVAL : 0;
}

static const struct change_kind restore_kind;

static long run_apply(struct change *c)
{
    struct task *t;
    const struct local_ctor *l = tls_at(c->arg[0], c->arg[1]);
    void *object = take_object(c, l, &t);
    if (!object)
        return -EBUSY;
    if (!l->dtor && l->size <= SAVED) {
        c->undo = &restore_kind;
        memcpy(c->undo_arg, c->arg, 2 * sizeof *c->arg);
        memcpy(c->undo_arg + SAVED_AT, object, l->size);
    }
    if (l->dtor)
        l->dtor(object, t);
    memset(object, 0, l->size);
    int e = l->ctor(object, t);
    atomic_add64(e ? &l->state->failed : &l->state->constructed, 1);
    c->undo_arg[2] = set_made(t, c->arg[1], !e);
    if (e && c->undo) {
        memcpy(object, c->undo_arg + SAVED_AT, l->size);
        set_made(t, c->arg[1], c->undo_arg[2]);
    }
    if (e)
        snprintf(c->why, sizeof c->why, "its constructor failed with %d; %s", e,
                 c->undo ? "the instance is as it was" : "the instance is all zero, or half made");
    give_back(t);
    return e;
}

static long restore_validate(struct change *c)
{
    const struct local_ctor *l = tls_at(c->arg[0], c->arg[1]);
    snprintf(c->text, sizeof c->text, "put back what %s was", l->name);
    if (!(c->arg[0] & OF_TASKS) && monitor_mode() < MODE_UNSAFE)
        snprintf(c->why, sizeof c->why, "a hart's is in use (unsafe mode does it all the same)");
    return c->why[0] ? -EINVAL : 0;
}

static long restore_apply(struct change *c)
{
    struct task *t;
    const struct local_ctor *l = tls_at(c->arg[0], c->arg[1]);
    void *object = take_object(c, l, &t);
    if (!object)
        return -EBUSY;
    memcpy(object, c->arg + SAVED_AT, l->size);
    set_made(t, c->arg[1], c->arg[2]);
    give_back(t);
    return 0;
}

static const struct change_kind restore_kind = {"tls.restore", MODE_RW, restore_validate,
                                                restore_apply};
static const struct change_kind run_kind = {"tls.run", MODE_RW, run_validate, run_apply};

// x:run_again(). What one in Lua changes is written down as that.
int tls_run_again(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_tls);
    if (is_lua(key.id) && key.owner >> KIND_SHIFT && constructor_find(key.id)) {
        constructor_run(L, key.id, (key.owner >> KIND_SHIFT) - 1);
        return 0;
    }
    change_make(L, &(struct change){.kind = &run_kind, .arg = {key.owner, key.id}});
    return 0;
}

// x:remove()
int tls_remove(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_tls);
    if (!is_lua(key.id))
        return luaL_error(L, "one in C is disabled, not removed: x.disabled = true");
    constructor_remove(L, key.id);
    return 0;
}

void tls_set_disabled(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    luaL_checktype(L, value, LUA_TBOOLEAN);
    change_make(L, &(struct change){
                       .kind = &disable_kind,
                       .arg = {key->owner & OF_TASKS, key->id, (uint64_t)lua_toboolean(L, value)}});
}

void tls_set_order(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    change_make(L, &(struct change){.kind = &order_kind,
                                    .arg = {key->owner & OF_TASKS, key->id,
                                            (uint64_t)luaL_checkinteger(L, value)}});
}
