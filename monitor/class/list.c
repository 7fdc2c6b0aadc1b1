// SPDX-License-Identifier: MIT
// Sequences of objects: `for t in k.tasks() do`, `k.harts[1]`, `#k.harts`, and the methods that
// session/prelude.lua adds (:where{} :map() :sort() :take() :list()).
//
// A sequence holds keys, never pointers. Up to CLASS_KEYS keys are fetched under the owner's lock;
// each is looked up again before it is handed out, so that what died meanwhile is left out. The
// position is the loop's control variable: one sequence can be walked by two loops at once.
#include "class/class_impl.h"
#include "lua/luaport.h"

#include <lauxlib.h>
#include <string.h>

enum { STEP_COST = 20 }; // in ticks, each an instruction of Lua's

static const char mark; // registry key of the metatable, and in it of the methods

// Its user value is the metatable of the objects' handles.
struct list {
    const struct class *c;
    uint64_t owner;
    uint32_t n, next;   // what the last fetch found, and which of it comes next
    const void *handed; // the handle that a loop was given last, by its address, and its key
    struct class_key handed_key;
    struct class_key key[CLASS_KEYS];
};

static struct list *list_at(lua_State *L, int idx)
{
    return luaL_checkudata(L, idx, "List");
}

// The first key with id >= from, through the cache when the loop goes on where it was.
static bool find(struct list *l, uint64_t from, struct class_key *out)
{
    if (l->next == 0 || l->next >= l->n || l->key[l->next - 1].id + 1 != from) {
        l->n = (uint32_t)l->c->keys(l->owner, from, l->key, CLASS_KEYS);
        l->next = 0;
    }
    if (l->next >= l->n)
        return false;
    *out = l->key[l->next++];
    return true;
}

size_t class_keep_least(struct class_key *out, size_t n, size_t max, struct class_key key)
{
    size_t at = n;
    while (at && out[at - 1].id > key.id)
        at--;
    if (at == max || (at && out[at - 1].id == key.id))
        return n;
    n += n < max;
    for (size_t i = n - 1; i > at; i--)
        out[i] = out[i - 1];
    out[at] = key;
    return n;
}

static bool is_there(const struct list *l, const struct class_key *key)
{
    uint64_t copy[CLASS_COPY_MAX / 8];
    return l->c->alive ? l->c->alive(key) : class_copy(l->c, key, copy);
}

static bool step(struct list *l, bool first, uint64_t after, struct class_key *out)
{
    do {
        if ((!first && after == UINT64_MAX) || !find(l, first ? 0 : after + 1, out))
            return false;
        first = false;
        after = out->id;
    } while (!is_there(l, out));
    return true;
}

// Where a loop stands: argument 3, mostly the handle that it was given last, which needs no further look.
static struct class_key control(lua_State *L, const struct list *l)
{
    if (l->handed && lua_touserdata(L, 3) == l->handed)
        return l->handed_key;
    return class_key_at(L, 3, l->c);
}

// The step of a loop over many: nobody but Lua calls it, and argument 1 is a list.
static int list_call(lua_State *L)
{
    struct list *l = lua_touserdata(L, 1);
    struct class_key key = {0, 0};
    bool first = lua_isnoneornil(L, 3);
    if (first && !lua_isnoneornil(L, 2))
        return luaL_error(L, "a list takes no arguments: :take(n) and :tail(n) cut it");
    if (!first)
        key = control(L, l);
    else
        l->n = 0;
    if (!step(l, first, key.id, &key))
        return 0;
    struct handle *h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = (struct handle){l->c, key};
    lua_getiuservalue(L, 1, 1);
    lua_setmetatable(L, -2);
    l->handed = h;
    l->handed_key = key;
    return 1;
}

// How many there are, those up to the key left out that is not NULL. Nothing is pushed for each.
static lua_Integer count(lua_State *L, struct list *l, const struct class_key *behind)
{
    struct class_key key = behind ? *behind : (struct class_key){0, 0};
    lua_Integer n = 0;
    l->n = 0;
    for (bool first = !behind; step(l, first, key.id, &key); first = false, n++)
        luaport_check(L, STEP_COST);
    return n;
}

static int list_len(lua_State *L)
{
    lua_pushinteger(L, count(L, list_at(L, 1), NULL));
    return 1;
}

// monitor.behind(list, object): how many come behind it.
int class_list_behind(lua_State *L)
{
    struct list *l = list_at(L, 1);
    struct class_key key = class_key_at(L, 2, l->c);
    lua_pushinteger(L, count(L, l, &key));
    return 1;
}

static int list_index(lua_State *L)
{
    struct list *l = list_at(L, 1);
    if (!lua_isinteger(L, 2)) {
        lua_getmetatable(L, 1);
        lua_rawgetp(L, -1, &mark);
        lua_pushvalue(L, 2);
        if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "__display") == 0) {
            class_push_display(L, l->c);
            return 1;
        }
        if (lua_gettable(L, -2) == LUA_TNIL)
            return luaL_error(L, "a list has no method '%s'", luaL_tolstring(L, 2, NULL));
        return 1;
    }
    struct class_key key = {(uint64_t)lua_tointeger(L, 2), l->owner};
    if (!is_there(l, &key))
        return luaL_error(L, "there is no %s#%I", l->c->name, lua_tointeger(L, 2));
    class_push(L, l->c, key);
    return 1;
}

static int list_tostring(lua_State *L)
{
    lua_pushfstring(L, "list of %s", list_at(L, 1)->c->name);
    return 1;
}

// pairs(list): id and object.
static int pairs_next(lua_State *L)
{
    struct list *l = list_at(L, 1);
    struct class_key key = {(uint64_t)lua_tointeger(L, 2), l->owner};
    if (!step(l, lua_isnil(L, 2), key.id, &key))
        return 0;
    lua_pushinteger(L, (lua_Integer)key.id);
    class_push(L, l->c, key);
    return 2;
}

static int list_pairs(lua_State *L)
{
    list_at(L, 1)->n = 0;
    lua_pushcfunction(L, pairs_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

// ---- list:each("id", "name", ...): of each object these fields, all of one copy; no handle is made

enum { EACH_FIELDS = 12 };

// Upvalues: a list of its own, whose last key is where it stands; then the fields.
static int each_next(lua_State *L)
{
    struct list *l = lua_touserdata(L, lua_upvalueindex(1));
    uint64_t copy[CLASS_COPY_MAX / 8];
    struct class_key key = l->next ? l->key[l->next - 1] : (struct class_key){0, 0};
    for (bool first = !l->next;; first = false) {
        luaport_check(L, STEP_COST);
        if ((!first && key.id == UINT64_MAX) || !find(l, first ? 0 : key.id + 1, &key))
            return 0;
        if (class_copy(l->c, &key, copy))
            break;
    }
    int n = 0;
    luaL_checkstack(L, EACH_FIELDS, "each");
    for (; !lua_isnone(L, lua_upvalueindex(n + 2)); n++)
        class_push_field(L, lua_touserdata(L, lua_upvalueindex(n + 2)), &key, copy);
    return n;
}

static int list_each(lua_State *L)
{
    const struct list *l = list_at(L, 1);
    int n = lua_gettop(L) - 1;
    luaL_argcheck(L, n >= 1 && n <= EACH_FIELDS, 2, "the names of 1 to 12 fields");
    class_push_list(L, l->c, l->owner);
    for (int i = 2; i <= n + 1; i++) {
        const struct class_field *f = class_field(l->c, luaL_checkstring(L, i));
        if (!f)
            return luaL_error(L, "%s has no field '%s'", l->c->name, lua_tostring(L, i));
        lua_pushlightuserdata(L, (void *)f);
    }
    lua_pushcclosure(L, each_next, n + 1);
    return 1;
}

void class_push_list(lua_State *L, const struct class *c, uint64_t owner)
{
    struct list *l = lua_newuserdatauv(L, sizeof *l, 1);
    *l = (struct list){.c = c, .owner = owner};
    class_push_metatable(L, c);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, "List");
}

void class_push_list_methods(lua_State *L)
{
    luaL_getmetatable(L, "List");
    lua_rawgetp(L, -1, &mark);
    lua_remove(L, -2);
}

void class_open_lists(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__call", list_call},         {"__len", list_len},     {"__index", list_index},
        {"__tostring", list_tostring}, {"__pairs", list_pairs}, {NULL, NULL},
    };
    luaL_newmetatable(L, "List");
    luaL_setfuncs(L, metamethods, 0);
    lua_pushliteral(L, "List");
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    lua_pushcfunction(L, list_each);
    lua_setfield(L, -2, "each");
    lua_rawsetp(L, -2, &mark);
    lua_pop(L, 1);
}
