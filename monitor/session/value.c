// SPDX-License-Identifier: MIT
// Lua to CBOR and back.
#include "session/value.h"

#include "class/class.h"
#include "session/eval.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

enum { LEVELS = 16 };

static void encode(lua_State *L, int idx, struct cbor_out *o, unsigned level);

static void encode_line(struct cbor_out *o, const struct class *c, const struct class_key *key)
{
    char line[200];
    class_line(c, key, line, sizeof line);
    cbor_tag(o, CBOR_TAG_HANDLE);
    cbor_array(o, 3);
    cbor_str(o, c->name);
    cbor_uint(o, key->id);
    cbor_str(o, line);
}

static void encode_field(lua_State *L, const struct class_field *f, const struct class_key *key,
                         const void *copy, struct cbor_out *o, unsigned level)
{
    uint64_t v;
    memcpy(&v, (const char *)copy + f->offset, sizeof v);
    cbor_str(o, f->name);
    if (f->kind == KIND_ADDRESS || f->kind == KIND_NS) {
        cbor_tag(o, f->kind == KIND_NS ? CBOR_TAG_TIME : CBOR_TAG_ADDRESS);
        cbor_uint(o, v);
        return;
    }
    class_push_field(L, f, key, copy);
    encode(L, lua_gettop(L), o, level + 1);
    lua_pop(L, 1);
}

static void encode_object(lua_State *L, const struct class *c, const struct class_key *key,
                          struct cbor_out *o, unsigned level)
{
    uint64_t copy[CLASS_COPY_MAX / 8 + 1] = {0};
    if (level > 1 || !class_copy(c, key, copy)) {
        encode_line(o, c, key);
        return;
    }
    size_t at = cbor_open_map(o);
    unsigned n = 2;
    cbor_str(o, "class");
    cbor_str(o, c->name);
    cbor_str(o, "id");
    if (c->hex)
        cbor_tag(o, CBOR_TAG_ADDRESS);
    cbor_uint(o, key->id);
    for (const struct class_field *f = c->fields; f && f->name; f++)
        if (strcmp(f->name, "id") != 0) {
            encode_field(L, f, key, copy, o, level);
            n++;
        }
    cbor_close(o, at, n);
}

// Are the keys exactly 1..n?
static bool is_array(lua_State *L, int idx)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, idx), seen = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1 || lua_tointeger(L, -2) > n) {
            lua_pop(L, 2);
            return false;
        }
        seen++;
    }
    return seen == n;
}

static void encode_array(lua_State *L, int idx, struct cbor_out *o, unsigned level)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, idx);
    cbor_array(o, (uint64_t)n);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, idx, i);
        encode(L, lua_gettop(L), o, level + 1);
        lua_pop(L, 1);
    }
}

// Pushes which integers of the record at idx are addresses (class/class.h), or nil.
static void push_addresses(lua_State *L, int idx)
{
    if (!lua_getmetatable(L, idx)) {
        lua_pushnil(L);
        return;
    }
    lua_pushliteral(L, "__addresses");
    if (lua_rawget(L, -2) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    lua_remove(L, -2);
}

// Of the record that has the key and value on top.
static bool is_address(lua_State *L, int addresses)
{
    if (!lua_istable(L, addresses) || !lua_isinteger(L, -1))
        return false;
    lua_pushvalue(L, -2);
    bool is = lua_rawget(L, addresses) != LUA_TNIL;
    lua_pop(L, 1);
    return is;
}

static void encode_table(lua_State *L, int idx, struct cbor_out *o, unsigned level)
{
    if (is_array(L, idx)) {
        encode_array(L, idx, o, level);
        return;
    }
    size_t at = cbor_open_map(o);
    unsigned n = 0;
    push_addresses(L, idx);
    int addresses = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, idx) && n < 65535; lua_pop(L, 1), n++) {
        lua_pushvalue(L, -2); // lua_tolstring would change the key in place
        size_t len;
        const char *s = luaL_tolstring(L, -1, &len);
        cbor_text(o, s, len);
        lua_pop(L, 2);
        if (is_address(L, addresses)) {
            cbor_tag(o, CBOR_TAG_ADDRESS);
            cbor_uint(o, (uint64_t)lua_tointeger(L, -1));
        } else {
            encode(L, lua_gettop(L), o, level + 1);
        }
    }
    lua_settop(L, addresses - 1);
    cbor_close(o, at, n);
}

static void encode_number(lua_State *L, int idx, struct cbor_out *o)
{
    if (lua_isinteger(L, idx))
        cbor_int(o, lua_tointeger(L, idx));
    else
        cbor_double(o, lua_tonumber(L, idx));
}

static void encode_other(lua_State *L, int idx, struct cbor_out *o)
{
    size_t n;
    const char *s = luaL_tolstring(L, idx, &n);
    cbor_text(o, s, n);
    lua_pop(L, 1);
}

static void encode(lua_State *L, int idx, struct cbor_out *o, unsigned level)
{
    struct class_key key;
    const struct class *c;
    luaL_checkstack(L, 8, "value is nested too deeply");
    if (level >= LEVELS) {
        encode_other(L, idx, o);
        return;
    }
    switch (lua_type(L, idx)) {
    case LUA_TNONE:
    case LUA_TNIL:
        cbor_null(o);
        return;
    case LUA_TBOOLEAN:
        cbor_bool(o, lua_toboolean(L, idx));
        return;
    case LUA_TNUMBER:
        encode_number(L, idx, o);
        return;
    case LUA_TSTRING:
        encode_other(L, idx, o);
        return;
    }
    if ((c = class_of(L, idx, &key))) {
        encode_object(L, c, &key, o, level);
    } else if (eval_push_list(L, idx)) {
        encode_array(L, lua_gettop(L), o, level);
        lua_pop(L, 1);
    } else if (lua_istable(L, idx)) {
        encode_table(L, idx, o, level);
    } else {
        encode_other(L, idx, o);
    }
}

void value_encode(lua_State *L, int idx, struct cbor_out *o)
{
    encode(L, lua_absindex(L, idx), o, 0);
}

// ---- back

static bool decode(lua_State *L, struct cbor_in *in, unsigned level);

static bool decode_items(lua_State *L, struct cbor_in *in, uint64_t n, bool map, unsigned level)
{
    lua_newtable(L);
    for (uint64_t i = 1; i <= n; i++) {
        if (!decode(L, in, level + 1)) {
            lua_pop(L, 1);
            return false;
        }
        if (!map) {
            lua_rawseti(L, -2, (lua_Integer)i);
            continue;
        }
        if (lua_isnil(L, -1) || !decode(L, in, level + 1)) {
            lua_pop(L, 2);
            return false;
        }
        lua_rawset(L, -3);
    }
    return true;
}

static bool decode(lua_State *L, struct cbor_in *in, unsigned level)
{
    struct cbor_item it;
    if (level >= LEVELS || !lua_checkstack(L, 6) || !cbor_next(in, &it))
        return false;
    switch (it.type) {
    case CBOR_UINT:
        lua_pushinteger(L, (lua_Integer)it.n);
        return true;
    case CBOR_NEGINT:
        lua_pushinteger(L, -1 - (lua_Integer)it.n);
        return true;
    case CBOR_BYTES:
    case CBOR_TEXT:
        lua_pushlstring(L, (const char *)it.data, it.n);
        return true;
    case CBOR_ARRAY:
    case CBOR_MAP:
        return decode_items(L, in, it.n, it.type == CBOR_MAP, level);
    case CBOR_TAG:
        return decode(L, in, level + 1);
    case CBOR_BOOL:
        lua_pushboolean(L, it.n != 0);
        return true;
    case CBOR_NULL:
        lua_pushnil(L);
        return true;
    case CBOR_DOUBLE:
        lua_pushnumber(L, it.number);
        return true;
    }
    return false;
}

bool value_decode(lua_State *L, struct cbor_in *in)
{
    return decode(L, in, 0);
}

int value_plain(lua_State *L)
{
    enum { PLAIN_MAX = 32 * 1024 };
    luaL_checkany(L, 1);
    struct cbor_out out = {lua_newuserdatauv(L, PLAIN_MAX, 0), PLAIN_MAX, 0};
    value_encode(L, 1, &out);
    if (!cbor_fits(&out))
        return luaL_error(L, "it is more than %d bytes", (int)PLAIN_MAX);
    struct cbor_in in = cbor_in(out.buf, out.len);
    return value_decode(L, &in);
}
