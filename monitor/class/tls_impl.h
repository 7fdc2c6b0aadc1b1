// SPDX-License-Identifier: MIT
// What the files of the class Tls share (tls.c, tls_change.c).
#pragma once

#include "class/class.h"
#include "lib/local.h"

enum { OF_TASKS = 1, KIND_SHIFT = 1 }; // owner: (id of hart or task + 1) << 1 | of tasks

const struct local_ctor *tls_at(uint64_t owner, uint64_t id); // NULL: there is none
size_t tls_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max);

int tls_run_again(lua_State *L); // methods and setters
int tls_remove(lua_State *L);
void tls_set_disabled(lua_State *L, const struct class_key *key, const void *copy, int value);
void tls_set_order(lua_State *L, const struct class_key *key, const void *copy, int value);
