// SPDX-License-Identifier: MIT
// Handles: what happens when Lua reads, assigns, prints or walks the fields of a kernel object.
//
// A handle is a userdata {class, key}. Its metatable is made from the class table and hidden from
// scripts (__metatable), so that they can neither change it nor give it a finalizer.
#include "class/class.h"

#include "class/class_impl.h"
#include "lib/errno.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static const char metatables, handle_mark; // registry keys, by address

// ---- names

static unsigned distance(const char *a, const char *b)
{
    unsigned row[40], n = (unsigned)strlen(b), diagonal, above;
    if (n >= 40 || strlen(a) >= 40) // a script's may be as long as its heap, and nothing ticks here
        return 99;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            above = row[j];
            unsigned best = diagonal + (*a != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

const char *class_nearest(const char *wrong, const char *(*name)(const void *, size_t),
                          const void *ctx)
{
    const char *best = NULL, *s;
    unsigned least = strlen(wrong) < 4 ? 2 : 3; // two letters swapped count as two changes
    for (size_t i = 0; (s = name(ctx, i)); i++) {
        unsigned d = distance(wrong, s);
        if (d < least) {
            least = d;
            best = s;
        }
    }
    return best;
}

const struct class_field *class_field(const struct class *c, const char *name)
{
    for (const struct class_field *f = c->fields; f && f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

const struct class_method *class_method(const struct class *c, const char *name)
{
    for (const struct class_method *m = c->methods; m && m->name; m++)
        if (strcmp(m->name, name) == 0)
            return m;
    for (const struct class_method *m = class_common_methods; m->name; m++)
        if (strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

const char *class_member_name(const void *ctx, size_t i)
{
    const struct class *c = ctx;
    for (const struct class_field *f = c->fields; f && f->name; f++)
        if (i-- == 0)
            return f->name;
    for (const struct class_method *m = c->methods; m && m->name; m++)
        if (i-- == 0)
            return m->name;
    for (const struct class_method *m = class_common_methods; m->name; m++)
        if (i-- == 0)
            return m->name;
    return NULL;
}

static int unknown(lua_State *L, const struct class *c, const char *name)
{
    const char *near = class_nearest(name, class_member_name, c);
    if (near)
        return luaL_error(L, "%s has no field '%s'; did you mean '%s'?", c->name, name, near);
    return luaL_error(L, "%s has no field '%s'", c->name, name);
}

// ---- handles

void class_push_metatable(lua_State *L, const struct class *c)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatables);
    lua_rawgetp(L, -1, c);
    lua_remove(L, -2);
}

void class_push(lua_State *L, const struct class *c, struct class_key key)
{
    struct handle *h = lua_newuserdatauv(L, sizeof *h, 0);
    *h = (struct handle){c, key};
    class_push_metatable(L, c);
    lua_setmetatable(L, -2);
}

static const struct handle *handle_at(lua_State *L, int idx)
{
    if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
        return NULL;
    bool ours = lua_rawgetp(L, -1, &handle_mark) != LUA_TNIL;
    lua_pop(L, 2);
    return ours ? lua_touserdata(L, idx) : NULL;
}

const struct class *class_of(lua_State *L, int idx, struct class_key *key)
{
    const struct handle *h = handle_at(L, idx);
    if (h && key)
        *key = h->key;
    return h ? h->c : NULL;
}

struct class_key class_key_at(lua_State *L, int idx, const struct class *c)
{
    const struct handle *h = handle_at(L, idx);
    if (!h || h->c != c)
        luaL_typeerror(L, idx, c->name);
    return h->key;
}

static void name_of(const struct class *c, const struct class_key *key, char *buf, size_t n)
{
    if (c->hex)
        snprintf(buf, n, "%s#0x%lx", c->name, (unsigned long)key->id);
    else
        snprintf(buf, n, "%s#%lu", c->name, (unsigned long)key->id);
}

bool class_copy(const struct class *c, const struct class_key *key, void *copy)
{
    return c->copy(key, copy) == 0;
}

static void copy_or_raise(lua_State *L, const struct class *c, const struct class_key *key,
                          void *copy)
{
    if (!class_copy(c, key, copy)) {
        char name[64];
        name_of(c, key, name, sizeof name);
        luaL_error(L, "stale handle: %s %s", name, c->gone ? c->gone : "is gone");
    }
}

struct class_key class_self(lua_State *L, int idx, const struct class *c, void *copy)
{
    struct class_key key = class_key_at(L, idx, c);
    copy_or_raise(L, c, &key, copy);
    return key;
}

void class_line(const struct class *c, const struct class_key *key, char *buf, size_t n)
{
    uint64_t copy[CLASS_COPY_MAX / 8];
    name_of(c, key, buf, n);
    size_t at = strlen(buf);
    if (!class_copy(c, key, copy)) {
        snprintf(buf + at, n - at, " (%s)", c->gone ? c->gone : "gone");
    } else if (c->line && at + 2 < n) {
        buf[at] = ' ';
        buf[at + 1] = 0;
        c->line(buf + at + 1, n - at - 1, key, copy);
        if (!buf[at + 1])
            buf[at] = 0;
    }
}

// ---- fields

void class_push_field(lua_State *L, const struct class_field *f, const struct class_key *key,
                      const void *copy)
{
    const char *p = (const char *)copy + f->offset;
    switch (f->kind) {
    case KIND_BOOL:
        lua_pushboolean(L, *(const bool *)p);
        break;
    case KIND_U8:
        lua_pushinteger(L, *(const uint8_t *)p);
        break;
    case KIND_U16:
        lua_pushinteger(L, *(const uint16_t *)p);
        break;
    case KIND_U32:
        lua_pushinteger(L, *(const uint32_t *)p);
        break;
    case KIND_I32:
        lua_pushinteger(L, *(const int32_t *)p);
        break;
    case KIND_U64:
    case KIND_I64:
    case KIND_ADDRESS:
    case KIND_NS:
        lua_pushinteger(L, (lua_Integer) * (const uint64_t *)p);
        break;
    case KIND_CHARS:
        lua_pushstring(L, p);
        break;
    case KIND_STRING:
        lua_pushstring(L, *(const char *const *)p); // NULL pushes nil
        break;
    case KIND_OTHER:
        f->get(L, key, copy);
        break;
    }
}

static int not_a_name(lua_State *L, const struct class *c)
{
    return luaL_error(L, "%s is indexed by names of fields, not by a %s", c->name,
                      luaL_typename(L, 2));
}

// Nobody but Lua itself calls a metamethod of a handle: argument 1 is one, and of which class is known.
static int object_index(lua_State *L)
{
    const struct handle *h = lua_touserdata(L, 1);
    const struct class *c = h->c;
    if (lua_type(L, 2) != LUA_TSTRING)
        return not_a_name(L, c);
    const char *name = lua_tostring(L, 2);
    const struct class_field *f = class_field(c, name);
    if (f) {
        uint64_t copy[CLASS_COPY_MAX / 8];
        copy_or_raise(L, c, &h->key, copy);
        class_push_field(L, f, &h->key, copy);
        return 1;
    }
    if (strcmp(name, "__display") == 0) {
        class_push_display(L, c);
        return 1;
    }
    const struct class_method *m = class_method(c, name);
    if (!m)
        return unknown(L, c, name);
    lua_pushcfunction(L, m->fn);
    return 1;
}

static bool has_kind(lua_State *L, int idx, enum class_kind kind)
{
    switch (kind) {
    case KIND_BOOL:
        return lua_isboolean(L, idx);
    case KIND_CHARS:
    case KIND_STRING:
        return lua_type(L, idx) == LUA_TSTRING;
    case KIND_OTHER:
        return true; // its setter's affair
    default:
        return lua_type(L, idx) == LUA_TNUMBER &&
               lua_tointegerx(L, idx, NULL) == lua_tonumber(L, idx);
    }
}

static void check_value(lua_State *L, const struct class *c, const struct class_field *f, int idx)
{
    if (has_kind(L, idx, f->kind))
        return;
    bool number = lua_type(L, idx) == LUA_TNUMBER;
    luaL_error(L, "%s.%s: %s expected, got %s", c->name, f->name, class_type_name(f),
               number ? luaL_tolstring(L, idx, NULL) : luaL_typename(L, idx));
}

static int object_newindex(lua_State *L)
{
    const struct class *c = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_type(L, 2) != LUA_TSTRING)
        return not_a_name(L, c);
    const char *name = lua_tostring(L, 2);
    const struct class_field *f = class_field(c, name);
    if (!f && class_method(c, name))
        return luaL_error(L, "%s:%s is a method", c->name, name);
    if (!f)
        return unknown(L, c, name);
    if (!f->set)
        return luaL_error(L, "%s.%s is read-only", c->name, name);
    check_value(L, c, f, 3);
    uint64_t copy[CLASS_COPY_MAX / 8];
    struct class_key key = class_self(L, 1, c, copy);
    f->set(L, &key, copy, 3);
    return 0;
}

static int object_tostring(lua_State *L)
{
    const struct handle *h = lua_touserdata(L, 1);
    char text[200];
    class_line(h->c, &h->key, text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

static int object_eq(lua_State *L)
{
    const struct handle *a = handle_at(L, 1), *b = handle_at(L, 2);
    lua_pushboolean(L, a && b && a->c == b->c && a->key.id == b->key.id &&
                           a->key.owner == b->key.owner);
    return 1;
}

// Each step copies anew: the walk shows the present.
static int pairs_next(lua_State *L)
{
    const struct class *c = lua_touserdata(L, lua_upvalueindex(1));
    const struct class_field *f = c->fields + lua_tointeger(L, lua_upvalueindex(2));
    if (!f->name)
        return 0;
    lua_pushinteger(L, f - c->fields + 1);
    lua_replace(L, lua_upvalueindex(2));
    uint64_t copy[CLASS_COPY_MAX / 8];
    struct class_key key = class_self(L, 1, c, copy);
    lua_pushstring(L, f->name);
    class_push_field(L, f, &key, copy);
    return 2;
}

static int object_pairs(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, pairs_next, 2);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static void make_metatable(lua_State *L, const struct class *c)
{
    static const luaL_Reg metamethods[] = {
        {"__index", object_index}, {"__newindex", object_newindex}, {"__tostring", object_tostring},
        {"__eq", object_eq},       {"__pairs", object_pairs},       {NULL, NULL},
    };
    lua_createtable(L, 0, 8);
    lua_pushlightuserdata(L, (void *)c);
    luaL_setfuncs(L, metamethods, 1);
    lua_pushstring(L, c->name);
    lua_setfield(L, -2, "__name");
    lua_pushstring(L, c->name);
    lua_setfield(L, -2, "__metatable");
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &handle_mark);
}

void class_open(lua_State *L)
{
    lua_newtable(L);
    SET_FOREACH(classes, struct class, c) {
        make_metatable(L, c);
        lua_rawsetp(L, -2, c);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatables);
    class_open_lists(L);
    class_open_api(L);
    class_push_reflection(L);
}
