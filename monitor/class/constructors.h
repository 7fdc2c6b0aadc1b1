// SPDX-License-Identifier: MIT
// Constructors in Lua: what k.construct(name, fn) adds to the list of task-local storage.
//
// A constructor in C runs on the hart of the newborn's creator, inside of fork, and must not wait: no place for Lua. So
// those in Lua run on the monitor, at the session's safe points, between two requests and while a script waits, and
// the newborn waits for them: in its own await, before its first step in user mode, with no lock held and with a
// deadline (CONSTRUCTOR_MS). When that is over it is born without those that have not begun. Hence
// - they come after all in C, and order counts among themselves;
// - a kernel task, which does not enter user mode, is born without: the monitor may be waiting for it;
// - while one of them runs no other newborn is attended to: a task that it makes, and waits for, waits for its deadline;
// - harts have none: they are all born at boot, before there is a session;
// - there is no instance in C: what fn makes it keeps itself.
// - one session has constructors at a time: their functions are in its Lua state, and end with it.
// fn gets the Task, and may do what the session's mode allows; its changes are in the journal, of each kind the latest. A
// mistake in it is printed once, with its place, counted (failed) and kept (error): the newborn is born without.
//
// Everything is bounded: CONSTRUCTORS, instructions of each call, newborns attended to in one go.
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct local_ctor;
struct class_key;

enum { CONSTRUCTORS = 8, CONSTRUCTOR_MS = 500, CONSTRUCTOR_FIRST = 100, CONSTRUCTOR_ERROR = 120 };

// ---- as items of the list. By sessions' tasks only, as everything here.
const struct local_ctor *constructor_find(
    uint64_t id); // >= CONSTRUCTOR_FIRST; NULL: not in the list
// Those with id >= from, ascending: how many, at most max.
size_t constructor_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max);
// Of one that is found: what its latest mistake said, and how many were born without it for lack of time.
const char *constructor_error(uint64_t id, uint64_t *late);
void constructor_remove(lua_State *L, uint64_t id);             // by way of the journal
void constructor_run(lua_State *L, uint64_t id, uint64_t task); // raises what fn raises

// ---- as callbacks (session/jobs.h)
bool constructors_active(void);
void constructors_run(lua_State *L); // raises when the script around it is interrupted
void constructors_reset(void);       // the state that knew them is gone: newborns go on
