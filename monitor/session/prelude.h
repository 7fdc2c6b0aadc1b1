// SPDX-License-Identifier: MIT
// The Lua functions of session/prelude/*.lua, for session/eval.c.
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

void prelude_push(lua_State *L, const char *name); // what a file of it put into `p`
void prelude_write(lua_State *L, const char *text, size_t n);
// The message of the latest failed assert(), nil when none did: by it the error is told from others.
void prelude_push_asserted(lua_State *L);
void prelude_forget_assert(lua_State *L);
// The function nearest to the top that is a script's, not the prelude's; false: there is none.
bool prelude_caller(lua_State *L, lua_Debug *ar);
// luaL_error with that one's place. fmt as for lua_pushfstring.
int prelude_refuse(lua_State *L, const char *fmt, ...);
