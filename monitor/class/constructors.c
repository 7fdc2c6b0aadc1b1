// SPDX-License-Identifier: MIT
// Constructors in Lua: see class/constructors.h.
//
// A row that is taken out keeps its number and function until another needs its place: to take it out can be undone.
#include "class/constructors.h"

#include "class/classes.h"
#include "class/newborns.h"
#include "class/tls_impl.h"
#include "lib/errno.h"
#include "lua/limits.h"
#include "session/journal.h"
#include "session/number.h"
#include "session/prelude.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum {
    AT_ONCE = 32,        // newborns, then others have their turn
    BUDGET = 200 * 1000, // ticks of one call
    ORDER_FIRST = 101,   // of the places in the list
    NAME_SIZE = 32,
};

static struct row {
    uint64_t id; // 0: never used
    bool in_list, reported;
    uint64_t late, missed_before;
    struct local_ctor ctor;
    struct local_state state;
    char name[NAME_SIZE], file[64], error[CONSTRUCTOR_ERROR];
} rows[CONSTRUCTORS];
static uint64_t next_id = CONSTRUCTOR_FIRST;
static unsigned owner; // the session whose Lua state has their functions
static bool running;
static const char functions; // registry key: id -> function

static bool is_own(void)
{
    return owner == session_number();
}

// ---- the list

static struct row *row_with(uint64_t id)
{
    for (unsigned i = 0; i < CONSTRUCTORS; i++)
        if (rows[i].id == id && id)
            return &rows[i];
    return NULL;
}

const struct local_ctor *constructor_find(uint64_t id)
{
    struct row *r = row_with(id);
    return r && r->in_list ? &r->ctor : NULL;
}

size_t constructor_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (unsigned i = 0; i < CONSTRUCTORS; i++)
        if (rows[i].in_list && rows[i].id >= from)
            n = class_keep_least(out, n, max, (struct class_key){rows[i].id, owner});
    return n;
}

const char *constructor_error(uint64_t id, uint64_t *late)
{
    const struct row *r = row_with(id);
    *late = r->late + newborns_missed() - r->missed_before;
    return r->error;
}

bool constructors_active(void)
{
    return is_own() && newborns_asked();
}

static void put_in_list(struct row *r, bool in_list)
{
    bool any = false;
    r->in_list = in_list;
    for (unsigned i = 0; i < CONSTRUCTORS; i++)
        any = any || rows[i].in_list;
    newborns_ask(any);
}

static void forget_all(void)
{
    running = false;
    memset(rows, 0, sizeof rows);
    newborns_ask(false);
}

void constructors_reset(void)
{
    if (is_own())
        forget_all();
}

// ---- changes. arg: id

static long remove_apply(struct change *c);
static long add_apply(struct change *c);

static long validate(struct change *c, bool add)
{
    const struct row *r = row_with(c->arg[0]);
    snprintf(c->text, sizeof c->text, "%s the constructor %s", add ? "add" : "take out",
             r ? r->name : "?");
    if (!r)
        snprintf(c->why, sizeof c->why, "it is gone: with its session, or another has its place");
    else if (r->in_list == add)
        snprintf(c->why, sizeof c->why, "it is so already");
    return c->why[0] ? -EINVAL : 0;
}

static long add_validate(struct change *c)
{
    long r = validate(c, true);
    if (r == 0 && !is_own()) {
        snprintf(c->why, sizeof c->why, "its function is in session %u, which alone can add it",
                 owner + 1);
        return -EINVAL;
    }
    return r;
}

static long remove_validate(struct change *c)
{
    return validate(c, false);
}

static const struct change_kind add_kind = {"tls.add", MODE_RW, add_validate, add_apply};
static const struct change_kind remove_kind = {"tls.remove", MODE_RW, remove_validate,
                                               remove_apply};

static long add_apply(struct change *c)
{
    put_in_list(row_with(c->arg[0]), true);
    c->undo = &remove_kind;
    c->undo_arg[0] = c->arg[0];
    return 0;
}

static long remove_apply(struct change *c)
{
    put_in_list(row_with(c->arg[0]), false);
    c->undo = &add_kind;
    c->undo_arg[0] = c->arg[0];
    return 0;
}

void constructor_remove(lua_State *L, uint64_t id)
{
    change_make(L, &(struct change){.kind = &remove_kind, .arg = {id}});
}

// The row that has been out of the list for longest, which becomes the last of it; NULL: all are in it.
static struct row *oldest_out(void)
{
    struct row *r = NULL;
    for (unsigned i = 0; i < CONSTRUCTORS; i++)
        if (!rows[i].in_list && (!r || rows[i].id < r->id))
            r = &rows[i];
    for (unsigned i = 0; r && r->id && i < CONSTRUCTORS; i++)
        rows[i].state.order -= rows[i].state.order > r->state.order;
    return r;
}

static uint16_t last_order(void)
{
    uint16_t last = ORDER_FIRST - 1;
    for (unsigned i = 0; i < CONSTRUCTORS; i++)
        if (rows[i].id && rows[i].state.order > last)
            last = rows[i].state.order;
    return last;
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

// name: NAME_SIZE with its end; the function is at index 2, the table of them at 3. Not in the list yet.
static struct row *prepare(lua_State *L, const char *name)
{
    lua_Debug ar;
    struct row *r = oldest_out();
    if (!r)
        luaL_error(L, "%d constructors in Lua are the most: take one out (x:remove())",
                   CONSTRUCTORS);
    lua_pushnil(L);
    lua_rawseti(L, 3, (lua_Integer)r->id);
    *r = (struct row){0};
    *r = (struct row){.id = next_id++,
                      .state.order = (uint16_t)(last_order() + 1),
                      .missed_before = newborns_missed()};
    lua_pushvalue(L, 2);
    lua_getinfo(L, ">S", &ar);
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(r->file, sizeof r->file, "%s", ar.short_src);
    r->ctor = (struct local_ctor){.name = r->name,
                                  .file = r->file,
                                  .line = (uint32_t)(ar.linedefined > 0 ? ar.linedefined : 0),
                                  .state = &r->state};
    return r;
}

// One session has them at a time, until none is in the list.
static void claim(lua_State *L)
{
    if (is_own())
        return;
    if (newborns_asked())
        luaL_error(L, "session %d has constructors in the list: take them out first (x:remove())",
                   (int)owner + 1);
    forget_all();
    owner = session_number();
}

static int k_construct(lua_State *L)
{
    size_t n;
    const char *name = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, n > 0 && n < NAME_SIZE, 1, "a name of 1 to 31 bytes");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    claim(L);
    push_functions(L);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, (lua_Integer)next_id); // first: without memory nothing was done
    struct row *r = prepare(L, name);
    change_make(L, &(struct change){.kind = &add_kind, .arg = {r->id}});
    class_push(L, class_tls, (struct class_key){r->id, OF_TASKS});
    return 1;
}
MONITOR_API(
    construct, "construct", "k.construct(name, fn) -> Tls",
    "calls fn(Task) on the monitor for each thread that is born from then on, which waits for that before its "
    "first step, for half a second at most",
    "k.construct(\"polite\", function(t) t.nice = 10 end)", k_construct, NULL);

// ---- calling them

void constructor_run(lua_State *L, uint64_t id, uint64_t task)
{
    luaL_checkstack(L, 8, "constructors");
    if (!is_own())
        luaL_error(L, "its function is in session %d", (int)owner + 1);
    push_functions(L);
    lua_rawgeti(L, -1, (lua_Integer)id);
    lua_remove(L, -2);
    class_push(L, class_task, (struct class_key){task, 0});
    lua_call(L, 1, 0);
}

struct call {
    struct row *row;
    uint32_t task;
};

static int protected_call(lua_State *L)
{
    const struct call *c = lua_touserdata(L, 1);
    constructor_run(L, c->row->id, c->task);
    return 0;
}

// Index 1: what was raised.
static int report(lua_State *L)
{
    struct call *c = lua_touserdata(L, 2);
    struct row *r = c->row;
    snprintf(r->error, sizeof r->error, "%s", luaL_tolstring(L, 1, NULL));
    if (r->reported)
        return 0;
    r->reported = true;
    size_t n;
    lua_pushfstring(L, "\nin the constructor %s of Task#%d: %s\n", r->name, (int)c->task, r->error);
    const char *text = lua_tolstring(L, -1, &n);
    prelude_write(L, text, n);
    return 0;
}

// With instructions of its own. LUA_OK, or the error is on the stack, and the script around goes on.
static int call_within_budget(lua_State *L, struct call *c)
{
    struct lua_limits *l = session_limits();
    uint64_t usual = l->budget, spent = l->spent;
    lua_pushcfunction(L, protected_call);
    lua_pushlightuserdata(L, c);
    l->spent = l->yielded = 0;
    l->budget = BUDGET;
    int status = lua_pcall(L, 1, 0, 0);
    l->spent = l->yielded = l->spent + spent;
    l->budget = usual;
    if (l->stop == LIMITS_BUDGET_SPENT)
        l->stop = LIMITS_RUN;
    return status;
}

static void construct(lua_State *L, struct row *r, uint32_t task)
{
    struct call c = {r, task};
    uint64_t id = r->id;
    r->state.skipped_last = r->state.disabled;
    if (r->state.disabled)
        return;
    uint64_t was = journal_repeats(id);
    int status = call_within_budget(L, &c);
    journal_repeats(was);
    bool same = r->id == id; // it may have taken itself out, and put another there
    if (same)
        *(status == LUA_OK ? &r->state.constructed : &r->state.failed) += 1;
    if (status == LUA_OK || !same || session_limits()->stop) {
        if (status != LUA_OK)
            lua_pop(L, 1);
        return;
    }
    lua_pushcfunction(L, report);
    lua_rotate(L, -2, 1);
    lua_pushlightuserdata(L, &c);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        lua_pop(L, 1);
}

// All of the list, in the order of this moment, until the newborn has waited for long enough.
static void construct_all(lua_State *L, uint32_t task)
{
    for (unsigned place = 0; place < CONSTRUCTORS && !session_limits()->stop; place++)
        for (unsigned i = 0; i < CONSTRUCTORS; i++) {
            struct row *r = &rows[i];
            if (!r->in_list || r->state.order != ORDER_FIRST + place)
                continue;
            if (newborns_wait_still(task))
                construct(L, r, task);
            else
                r->late++;
            break;
        }
}

void constructors_run(lua_State *L)
{
    uint32_t task;
    luaL_checkstack(L, 8, "constructors");
    if (running || !is_own())
        return;
    running = true;
    for (int n = 0; n < AT_ONCE && !session_limits()->stop && (task = newborns_take()); n++) {
        construct_all(L, task);
        newborns_let_go(task);
    }
    running = false;
    if (session_limits()->stop)
        luaL_error(L, "interrupted");
}
