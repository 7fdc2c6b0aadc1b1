// SPDX-License-Identifier: MIT
// Hart-local and task-local storage: the lists of constructors, and one owner's instances of them.
//
// key.owner says whose list it is: all hart-locals, all task-locals, or those of one hart or task,
// which then show where the instance lies and whether it is constructed. What is changed (disabled,
// order) belongs to the list: it counts for owners born from then on. A constructor in Lua (class/constructors.h) has a place in
// the list of tasks, behind those in C, and no instance.
#include "class/tls_impl.h"

#include "async/task.h"
#include "class/classes.h"
#include "class/constructors.h"
#include "lib/errno.h"
#include "lib/symbols.h"

#include <lauxlib.h>
#include <stdio.h>

const struct local_ctor *tls_at(uint64_t owner, uint64_t id)
{
    bool tasks = owner & OF_TASKS;
    if (id >= CONSTRUCTOR_FIRST)
        return tasks ? constructor_find(id) : NULL;
    size_t n = tasks ? SET_COUNT(task_locals) : SET_COUNT(hart_locals);
    const struct local_ctor *c = tasks ? SET_BEGIN(task_locals) : SET_BEGIN(hart_locals);
    return id < n ? c + id : NULL;
}

struct tls_view {
    const char *name, *of, *state;
    uint64_t address, ctor, dtor, constructed, destroyed, failed, late;
    uint32_t size, order, line;
    bool disabled, skipped_last;
    char at[80], error[CONSTRUCTOR_ERROR];
};

struct instance {
    uint64_t address; // 0: it has none
    uint32_t made;    // task_locals_made of its owner
};

// The instance of one owner. A hart's lies at the same distance from its block as ours from ours.
static long find_instance(const struct local_ctor *c, uint64_t owner, struct instance *out)
{
    uint64_t id = (owner >> KIND_SHIFT) - 1;
    *out = (struct instance){0};
    if (owner >> KIND_SHIFT == 0)
        return 0;
    if (!(owner & OF_TASKS)) {
        if (id >= hart_count)
            return -ENOENT;
        out->address = (uint64_t)c->hart_object() - (uint64_t)this_hart() + (uint64_t)harts[id];
        out->made = *HART_VAR(harts[id], hart_locals_made);
        return 0;
    }
    struct task *t = task_find((uint32_t)id);
    if (!t)
        return -ENOENT;
    if (t->locals && c->size)
        *out = (struct instance){(uint64_t)t->locals + c->state->offset,
                                 load_relaxed(task_locals_made(t->locals))};
    task_put(t);
    return 0;
}

// Of the list: what happens when an owner is born. Of an instance: what it is.
static const char *state_of(const struct local_ctor *c, const struct class_key *key,
                            const struct instance *of)
{
    if (key->id >= CONSTRUCTOR_FIRST)
        return c->state->disabled ? "disabled" : "run by the monitor at birth";
    if (!(key->owner >> KIND_SHIFT))
        return c->state->disabled ? "disabled"
               : c->ctor          ? "constructed at birth"
                                  : "zeroed at birth";
    if (!of->address)
        return "none";
    return !c->ctor ? "zeroed" : of->made >> key->id & 1 ? "constructed" : "not constructed";
}

static long tls_copy(const struct class_key *key, void *out)
{
    const struct local_ctor *c = tls_at(key->owner, key->id);
    struct tls_view *v = out;
    struct instance of;
    if (!c || find_instance(c, key->owner, &of))
        return -ENOENT;
    const struct local_state *s = c->state;
    bool lua = key->id >= CONSTRUCTOR_FIRST;
    *v = (struct tls_view){
        .name = c->name,
        .of = key->owner & OF_TASKS ? "task" : "hart",
        .state = state_of(c, key, &of),
        .address = of.address,
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
    if (lua)
        snprintf(v->error, sizeof v->error, "%s", constructor_error(key->id, &v->late));
    return 0;
}

size_t tls_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t i = from; n < max && i < CONSTRUCTOR_FIRST && tls_at(owner, i); i++)
        out[n++] = (struct class_key){i, owner};
    return owner & OF_TASKS ? n + constructor_keys(owner, from, out + n, max - n) : n;
}

static void tls_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct tls_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s of each %s, %u bytes, %s", v->name, v->of, v->size, v->state);
}

static void push_function(lua_State *L, uint64_t pc)
{
    struct symbol_text name;
    lua_pushstring(L, pc ? symbol_describe(&name, pc) : NULL);
}

static void push_ctor(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct tls_view *v = copy;
    if (key->id >= CONSTRUCTOR_FIRST)
        lua_pushliteral(L, "in Lua");
    else
        push_function(L, v->ctor);
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
    FIELD(struct tls_view, state,
          "of an owner's instance: constructed or not; else what happens at birth"),
    FIELD(struct tls_view, order, "its place in the list, lower runs first", .set = tls_set_order),
    FIELD(struct tls_view, disabled, "owners are born without it, all zero",
          .set = tls_set_disabled),
    FIELD(struct tls_view, skipped_last, "the newest owner was born without it"),
    FIELD(struct tls_view, constructed, "owners it was made for"),
    FIELD(struct tls_view, destroyed, "owners it was unmade for"),
    FIELD(struct tls_view, failed, "births it refused; of one in Lua, calls that raised an error"),
    FIELD(struct tls_view, late, "born without it since the monitor had no time; in Lua only"),
    FIELD(struct tls_view, error, "what the latest of these errors said"),
    FIELD_OTHER("ctor", "string", "constructor, nil: none", push_ctor),
    FIELD_OTHER("dtor", "string", "destructor, nil: none", push_dtor),
    FIELD(struct tls_view, at, "where it is declared"),
    {0},
};

static const struct class_method methods[] = {
    {"run_again", "x:run_again()",
     "destroys and constructs the instance of one owner anew; a hart's in unsafe mode only",
     "k.task(5).tls:first():run_again()", tls_run_again},
    {"remove", "x:remove()", "takes one in Lua out of the list: those born from then on go without",
     "k.tls(\"task\"):where{name = \"polite\"}:first():remove()", tls_remove},
    {0},
};

CLASS(
    tls, .name = "Tls",
    .doc =
        "a piece of hart-local or task-local storage with its constructor; k.construct adds one in Lua",
    .place = "struct local_ctor, kernel/lib/local.h; in Lua: monitor/class/constructors.h",
    .example = "k.tls(\"task\"):first()", .gone = "has lost its owner",
    .size = sizeof(struct tls_view), .copy = tls_copy, .keys = tls_keys, .line = tls_line,
    .fields = fields, .methods = methods, .changing = "run_again remove");

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
