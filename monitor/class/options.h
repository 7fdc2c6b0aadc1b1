// SPDX-License-Identifier: MIT
// Tables of named options, as in {where = ..., secs = 1}: what is misspelt or of a wrong kind raises and changes nothing.
#pragma once

#include <lua.h>
#include <stdbool.h>

struct class;

// The table at idx (or nil, or nothing) has no names but those `known`, up to a NULL: what is misspelt would otherwise
// be as if it was not there.
void options_check(lua_State *L, int idx, const char *const *known);
// Each for the option `name` of the table at idx, which has been checked; `otherwise` when there is none.
lua_Integer options_integer(lua_State *L, int idx, const char *name, lua_Integer otherwise,
                            lua_Integer lo, lua_Integer hi);
bool options_flag(lua_State *L, int idx, const char *name, bool otherwise);
// The id of an object of the class.
bool options_object(lua_State *L, int idx, const char *name, const struct class *c, uint64_t *id);
