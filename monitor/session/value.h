// SPDX-License-Identifier: MIT
// Lua values as CBOR and back: what travels between scripts and the host.
//
// A kernel object becomes a map of its fields in declared order when it stands at the top or in a
// list at the top, else a handle tag [class, id, one line]. Addresses and times carry their tags.
// A table whose keys are 1..n is an array; other keys must be strings or numbers. What has no CBOR
// form (functions, threads) becomes its tostring. No more than 16 levels.
#pragma once

#include "wire/cbor.h"

#include <lua.h>
#include <stdbool.h>

void value_encode(lua_State *L, int idx, struct cbor_out *o);
// Pushes the next item; false (nothing pushed) when it is malformed or nested too deeply.
bool value_decode(lua_State *L, struct cbor_in *in);
// A Lua function: what the host would see of its argument, as plain tables. Raises when that is more than 32 KiB.
int value_plain(lua_State *L);
