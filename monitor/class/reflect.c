// SPDX-License-Identifier: MIT
// The class tables as Lua tables: what help, completion, stubs and the prompt are made from.
#include "class/class_impl.h"
#include "wire/hash.h"

#include <lauxlib.h>
#include <string.h>

const char *class_type_name(const struct class_field *f)
{
    switch (f->kind) {
    case KIND_BOOL:
        return "boolean";
    case KIND_CHARS:
    case KIND_STRING:
        return "string";
    case KIND_ADDRESS:
        return "address";
    case KIND_NS:
        return "nanoseconds";
    case KIND_OTHER:
        return f->type;
    default:
        return "integer";
    }
}

static void push_fields(lua_State *L, const struct class *c)
{
    int n = 0;
    lua_newtable(L);
    for (const struct class_field *f = c->fields; f && f->name; f++) {
        lua_createtable(L, 0, 4);
        class_set_text(L, "name", f->name);
        class_set_text(L, "type", class_type_name(f));
        class_set_text(L, "doc", f->doc);
        lua_pushboolean(L, f->set != NULL);
        lua_setfield(L, -2, "writable");
        lua_rawseti(L, -2, ++n);
    }
}

static void push_method(lua_State *L, const char *name, const char *signature, const char *doc,
                        const char *example, lua_CFunction fn)
{
    lua_createtable(L, 0, 5);
    class_set_text(L, "name", name);
    class_set_text(L, "signature", signature);
    class_set_text(L, "doc", doc);
    class_set_text(L, "example", example);
    lua_pushcfunction(L, fn);
    lua_setfield(L, -2, "fn");
}

void class_push_display(lua_State *L, const struct class *c)
{
    int n = 0;
    const char *words = c->display ? c->display : "table", *word;
    size_t len = class_next_word(&word, &words);
    lua_createtable(L, 0, 4);
    lua_pushlstring(L, word, len);
    lua_setfield(L, -2, "kind");
    lua_newtable(L);
    while ((len = class_next_word(&word, &words))) {
        lua_pushlstring(L, word, len);
        lua_rawseti(L, -2, luaL_len(L, -2) + 1);
    }
    lua_setfield(L, -2, "by");
    class_set_text(L, "class", c->name);
    lua_newtable(L);
    for (const struct class_field *f = c->fields; f && f->name; f++) {
        lua_pushstring(L, f->name);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "columns");
}

// classes() -> list of {name, doc, place, example, display, fields, methods}
static int classes(lua_State *L)
{
    int n = 0;
    lua_newtable(L);
    SET_FOREACH(classes, struct class, c) {
        lua_newtable(L);
        class_set_text(L, "name", c->name);
        class_set_text(L, "doc", c->doc);
        class_set_text(L, "place", c->place);
        class_set_text(L, "example", c->example);
        class_set_text(L, "display", c->display ? c->display : "table");
        push_fields(L, c);
        lua_setfield(L, -2, "fields");
        lua_newtable(L);
        int k = 0;
        for (const struct class_method *m = c->methods; m && m->name; m++) {
            push_method(L, m->name, m->signature, m->doc, m->example, m->fn);
            lua_pushboolean(L, class_has_word(c->changing, m->name));
            lua_setfield(L, -2, "changes");
            lua_rawseti(L, -2, ++k);
        }
        for (const struct class_method *m = class_common_methods; m->name; m++) {
            push_method(L, m->name, m->signature, m->doc, m->example, m->fn);
            lua_rawseti(L, -2, ++k);
        }
        lua_setfield(L, -2, "methods");
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

// api() -> list of {name, signature, doc, example, fn}; without a signature it is a field
static int api(lua_State *L)
{
    int n = 0;
    lua_newtable(L);
    SET_FOREACH(monitor_api, struct monitor_api, a) {
        push_method(L, a->name, a->signature, a->doc, a->example, a->fn);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

// class(v) -> name, id, owner of a handle; nil for anything else
static int class_name(lua_State *L)
{
    struct class_key key;
    const struct class *c = class_of(L, 1, &key);
    if (!c)
        return 0;
    lua_pushstring(L, c->name);
    lua_pushinteger(L, (lua_Integer)key.id);
    lua_pushinteger(L, (lua_Integer)key.owner);
    return 3;
}

// copy(handle) -> {field = value}, all from one copy of the object; nil when it is gone
static int copy(lua_State *L)
{
    uint64_t view[CLASS_COPY_MAX / 8];
    struct class_key key;
    const struct class *c = class_of(L, 1, &key);
    if (!c)
        return luaL_typeerror(L, 1, "kernel object");
    if (!class_copy(c, &key, view))
        return 0;
    lua_newtable(L);
    for (const struct class_field *f = c->fields; f && f->name; f++) {
        class_push_field(L, f, &key, view);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}

void class_push_reflection(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"classes", classes},          {"api", api}, {"class", class_name}, {"copy", copy},
        {"behind", class_list_behind}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    class_push_list_methods(L);
    lua_setfield(L, -2, "list");
}

static uint64_t add(uint64_t h, const char *s)
{
    return wire_hash(wire_hash(h, s ? s : "", s ? strlen(s) : 0), "\xff", 1);
}

uint64_t class_schema_hash(void)
{
    uint64_t h = WIRE_HASH;
    SET_FOREACH(classes, struct class, c) {
        h = add(h, c->name);
        for (const struct class_field *f = c->fields; f && f->name; f++)
            h = add(add(add(h, f->name), class_type_name(f)), f->doc);
        for (const struct class_method *m = c->methods; m && m->name; m++)
            h = add(add(h, m->signature), m->doc);
    }
    for (const struct class_method *m = class_common_methods; m->name; m++)
        h = add(add(h, m->signature), m->doc);
    SET_FOREACH(monitor_api, struct monitor_api, a)
        h = add(add(add(h, a->name), a->signature), a->doc);
    return h;
}
