// SPDX-License-Identifier: MIT
// Hart-local and task-local storage: the lists of constructors, and one owner's instances of them.
//
// key.owner says whose list it is: all hart-locals, all task-locals, or those of one hart or task,
// which then show where the instance lies. What is changed (disabled, order) belongs to the list:
// it counts for owners born from then on.
#include "lib/local.h"

#include "async/task.h"
#include "class/classes.h"
#include "lib/errno.h"
#include "lib/symbols.h"
#include "session/journal.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { OF_TASKS = 1, KIND_SHIFT = 1 }; // owner: (id of hart or task + 1) << 1 | of tasks

static const struct local_ctor *ctor_at(uint64_t owner, uint64_t id)
{
    bool tasks = owner & OF_TASKS;
    size_t n = tasks ? SET_COUNT(task_locals) : SET_COUNT(hart_locals);
    const struct local_ctor *c = tasks ? SET_BEGIN(task_locals) : SET_BEGIN(hart_locals);
    return id < n ? c + id : NULL;
}

struct tls_view {
    const char *name, *of, *state;
    uint64_t address, ctor, dtor, constructed, destroyed, failed;
    uint32_t size, order, line;
    bool disabled, skipped_last;
    char at[80];
};

// The instance of one owner. A hart's lies at the same distance from its block as ours from ours.
static long find_instance(const struct local_ctor *c, uint64_t owner, uint64_t *address)
{
    uint64_t id = (owner >> KIND_SHIFT) - 1;
    if (owner >> KIND_SHIFT == 0)
        return 0;
    if (!(owner & OF_TASKS)) {
        if (id >= hart_count)
            return -ENOENT;
        *address = (uint64_t)c->hart_object() - (uint64_t)this_hart() + (uint64_t)harts[id];
        return 0;
    }
    struct task *t = task_find((uint32_t)id);
    if (!t)
        return -ENOENT;
    *address = t->locals ? (uint64_t)t->locals + c->state->offset : 0;
    task_put(t);
    return 0;
}

static long tls_copy(const struct class_key *key, void *out)
{
    const struct local_ctor *c = ctor_at(key->owner, key->id);
    struct tls_view *v = out;
    uint64_t address = 0;
    if (!c || find_instance(c, key->owner, &address))
        return -ENOENT;
    const struct local_state *s = c->state;
    *v = (struct tls_view){
        .name = c->name,
        .of = key->owner & OF_TASKS ? "task" : "hart",
        .state = s->disabled ? "disabled"
                 : c->ctor   ? "constructed at birth"
                             : "zeroed at birth",
        .address = address,
        .ctor = (uint64_t)c->ctor,
        .dtor = (uint64_t)c->dtor,
        .constructed = s->constructed,
        .destroyed = s->destroyed,
        .failed = s->failed,
        .size = c->size,
        .order = s->order,
        .line = c->line,
        .disabled = s->disabled,
        .skipped_last = s->skipped_last,
    };
    snprintf(v->at, sizeof v->at, "%s:%u", c->file, c->line);
    return 0;
}

static size_t tls_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t i = from; n < max && ctor_at(owner, i); i++)
        out[n++] = (struct class_key){i, owner};
    return n;
}

static void tls_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct tls_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s of each %s, %u bytes, %s", v->name, v->of, v->size, v->state);
}

// ---- changes: arg: owner's kind, index, value

static long disable_validate(struct change *c)
{
    const struct local_ctor *l = ctor_at(c->arg[0], c->arg[1]);
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
    const struct local_ctor *l = ctor_at(c->arg[0], c->arg[1]);
    store_relaxed(&l->state->disabled, (bool)c->arg[2]);
    c->undo = &disable_kind;
    memcpy(c->undo_arg, c->arg, sizeof c->arg);
    c->undo_arg[2] = !c->arg[2];
    return 0;
}

static const struct local_ctor *with_order(uint64_t owner, uint64_t order)
{
    const struct local_ctor *c;
    for (uint64_t i = 0; (c = ctor_at(owner, i)); i++)
        if (c->state->order == order)
            return c;
    return NULL;
}

// Two constructors change places: the order stays one of different numbers.
static long order_validate(struct change *c)
{
    const struct local_ctor *l = ctor_at(c->arg[0], c->arg[1]);
    const struct local_ctor *other = with_order(c->arg[0], c->arg[2]);
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
    const struct local_ctor *l = ctor_at(c->arg[0], c->arg[1]);
    const struct local_ctor *other = with_order(c->arg[0], c->arg[2]);
    uint16_t was = l->state->order;
    locals_exchange(l, other);
    c->undo = &order_kind;
    memcpy(c->undo_arg, c->arg, sizeof c->arg);
    c->undo_arg[2] = was;
    return 0;
}

// ---- running again, for one owner. arg: owner, index; of the undo also what was there

enum { SAVED = (CHANGE_ARGS - 2) * 8 };

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

static void give_back(struct task *t)
{
    if (t && t != current_task())
        task_release(t);
    if (t)
        task_put(t);
}

static long run_validate(struct change *c)
{
    const struct local_ctor *l = ctor_at(c->arg[0], c->arg[1]);
    snprintf(c->text, sizeof c->text, "run the constructor of %s again", l ? l->name : "?");
    if (!l || !l->ctor)
        snprintf(c->why, sizeof c->why, "it has no constructor");
    else if (c->arg[0] >> KIND_SHIFT == 0)
        snprintf(c->why, sizeof c->why, "this is the list: take it from a hart's or a task's .tls");
    else if (!(c->arg[0] & OF_TASKS) && monitor_mode() < MODE_UNSAFE)
        snprintf(c->why, sizeof c->why, "a hart's is in use (unsafe mode does it all the same)");
    return c->why[0] ? -EINVAL : 0;
}

static const struct change_kind restore_kind;

static long run_apply(struct change *c)
{
    struct task *t;
    const struct local_ctor *l = ctor_at(c->arg[0], c->arg[1]);
    void *object = take_object(c, l, &t);
    if (!object)
        return -EBUSY;
    if (!l->dtor && l->size <= SAVED) {
        c->undo = &restore_kind;
        memcpy(c->undo_arg, c->arg, 2 * sizeof *c->arg);
        memcpy(c->undo_arg + 2, object, l->size);
    }
    if (l->dtor)
        l->dtor(object, t);
    memset(object, 0, l->size);
    int e = l->ctor(object, t);
    *(e ? &l->state->failed : &l->state->constructed) += 1;
    if (e && c->undo)
        memcpy(object, c->undo_arg + 2, l->size);
    if (e)
        snprintf(c->why, sizeof c->why, "its constructor failed with %d; %s", e,
                 c->undo ? "the instance is as it was" : "the instance is all zero, or half made");
    give_back(t);
    return e;
}

static long restore_validate(struct change *c)
{
    const struct local_ctor *l = ctor_at(c->arg[0], c->arg[1]);
    snprintf(c->text, sizeof c->text, "put back what %s was", l->name);
    if (!(c->arg[0] & OF_TASKS) && monitor_mode() < MODE_UNSAFE)
        snprintf(c->why, sizeof c->why, "a hart's is in use (unsafe mode does it all the same)");
    return c->why[0] ? -EINVAL : 0;
}

static long restore_apply(struct change *c)
{
    struct task *t;
    const struct local_ctor *l = ctor_at(c->arg[0], c->arg[1]);
    void *object = take_object(c, l, &t);
    if (!object)
        return -EBUSY;
    memcpy(object, c->arg + 2, l->size);
    give_back(t);
    return 0;
}

static const struct change_kind restore_kind = {"tls.restore", MODE_RW, restore_validate,
                                                restore_apply};
static const struct change_kind run_kind = {"tls.run", MODE_RW, run_validate, run_apply};

// x:run_again()
static int tls_run_again(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_tls);
    change_make(L, &(struct change){.kind = &run_kind, .arg = {key.owner, key.id}});
    return 0;
}

static void set_disabled(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    luaL_checktype(L, value, LUA_TBOOLEAN);
    change_make(L, &(struct change){
                       .kind = &disable_kind,
                       .arg = {key->owner & OF_TASKS, key->id, (uint64_t)lua_toboolean(L, value)}});
}

static void set_order(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    change_make(L, &(struct change){.kind = &order_kind,
                                    .arg = {key->owner & OF_TASKS, key->id,
                                            (uint64_t)luaL_checkinteger(L, value)}});
}

static void push_function(lua_State *L, uint64_t pc)
{
    struct symbol_text name;
    lua_pushstring(L, pc ? symbol_describe(&name, pc) : NULL);
}

static void push_ctor(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)key;
    push_function(L, ((const struct tls_view *)copy)->ctor);
}

static void push_dtor(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)key;
    push_function(L, ((const struct tls_view *)copy)->dtor);
}

static const struct class_field fields[] = {
    FIELD(struct tls_view, name, "the variable or type"),
    FIELD(struct tls_view, of, "hart or task: who has an instance"),
    FIELD(struct tls_view, size, "bytes of an instance"),
    FIELD_ADDRESS(struct tls_view, address, "of this owner's instance; 0 in the lists of all"),
    FIELD(struct tls_view, state, "what happens when an owner is born"),
    FIELD(struct tls_view, order, "its place in the list, lower runs first", .set = set_order),
    FIELD(struct tls_view, disabled, "owners are born without it, all zero", .set = set_disabled),
    FIELD(struct tls_view, skipped_last, "the newest owner was born without it"),
    FIELD(struct tls_view, constructed, "owners it was made for"),
    FIELD(struct tls_view, destroyed, "owners it was unmade for"),
    FIELD(struct tls_view, failed, "births it refused"),
    FIELD_OTHER("ctor", "string", "constructor, nil: none", push_ctor),
    FIELD_OTHER("dtor", "string", "destructor, nil: none", push_dtor),
    FIELD(struct tls_view, at, "where it is declared"),
    {0},
};

static const struct class_method methods[] = {
    {"run_again", "x:run_again()",
     "destroys and constructs the instance of one owner anew; a hart's in unsafe mode only",
     "k.task(5).tls:first():run_again()", tls_run_again},
    {0},
};

CLASS(tls, .name = "Tls", .doc = "a piece of hart-local or task-local storage with its constructor",
      .place = "struct local_ctor, kernel/lib/local.h", .example = "k.tls(\"task\"):first()",
      .gone = "has lost its owner", .size = sizeof(struct tls_view), .copy = tls_copy,
      .keys = tls_keys, .line = tls_line, .fields = fields, .methods = methods);

void class_push_tls_of_hart(lua_State *L, uint64_t hart)
{
    class_push_list(L, class_tls, (hart + 1) << KIND_SHIFT);
}

void class_push_tls_of_task(lua_State *L, uint64_t task)
{
    class_push_list(L, class_tls, (task + 1) << KIND_SHIFT | OF_TASKS);
}

// k.tls("task") or k.tls("hart")
static int k_tls(lua_State *L)
{
    static const char *const kinds[] = {"hart", "task", NULL};
    class_push_list(L, class_tls, (uint64_t)luaL_checkoption(L, 1, "task", kinds));
    return 1;
}
MONITOR_API(tls, "tls", "k.tls(\"hart\" or \"task\") -> list of Tls",
            "the constructors that run when a hart or a task is born", "k.tls(\"task\")", k_tls,
            NULL);
