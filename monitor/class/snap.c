// SPDX-License-Identifier: MIT
// x:snap() and k.diff: an object as a value, all of whose fields are from one copy.
#include "class/class_impl.h"

#include "async/timer.h"
#include "session/prelude.h"

#include <lauxlib.h>

void class_push_snap(lua_State *L, const struct class *c, const struct class_key *key,
                     const void *copy, uint64_t ns)
{
    prelude_push(L, "wrap");
    lua_pushstring(L, c->name);
    lua_pushinteger(L, (lua_Integer)key->id);
    lua_newtable(L);
    for (const struct class_field *f = c->fields; f && f->name; f++) {
        class_push_field(L, f, key, copy);
        lua_setfield(L, -2, f->name);
    }
    lua_pushinteger(L, (lua_Integer)ns);
    lua_call(L, 4, 1);
}

static int snap(lua_State *L)
{
    uint64_t copy[CLASS_COPY_MAX / 8];
    struct class_key key;
    const struct class *c = class_of(L, 1, &key);
    if (!c)
        return luaL_typeerror(L, 1, "kernel object");
    class_self(L, 1, c, copy);
    class_push_snap(L, c, &key, copy, clock_monotonic_ns());
    return 1;
}

const struct class_method class_common_methods[] = {
    {"snap", "x:snap() -> Snap", "its fields as a value, which stays what it is",
     "s = k.task(1):snap(); k.diff(s, k.task(1))", snap},
    {0},
};

static int k_diff(lua_State *L)
{
    luaL_checkany(L, 1);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    prelude_push(L, "diff");
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}
MONITOR_API(diff, "diff", "k.diff(a, b) -> list of {field, before, after}",
            "what differs between two values: snaps, snapshots, lists; objects as they are now",
            "s = k.task(1):snap(); k.diff(s, k.task(1))", k_diff, NULL);
