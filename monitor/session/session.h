// SPDX-License-Identifier: MIT
// The session that runs: what bindings need of it. There are up to WIRE_SESSIONS, each a task with a fiber, a
// Lua state, a mode, callbacks; all are pinned to one hart and run by turns, from one wait to the next. So what
// C code keeps in static memory across fiber_yield, fiber_await, or anything that allocates for Lua is another
// session's by then: it belongs into the Lua state or into an array by session_number().
#pragma once

#include "session/fiber.h"
#include "session/number.h"

#include <lua.h>

struct fiber *session_fiber(void);
struct task *session_task(void);
struct lua_limits *session_limits(void);

// Of another session; NULL: it is not open.
struct task *session_task_of(unsigned session);
bool session_is_task(const struct task *t); // of any

// On the session's fiber: waits for an async call. No spinlock held.
#define session_await(callee, ...) fiber_await(session_fiber(), callee, __VA_ARGS__)

// Throws the Lua state away and makes a new one; probes are gone, the journal stays.
void session_fresh(void);

// Waits, answering the host meanwhile. Raises when the script is interrupted.
void session_sleep(lua_State *L, uint64_t ms);

// To the session's client; see link_event.
bool session_event(const void *cbor, size_t len);
// Sends a message on rpc: 0 or -ENOTCONN.
long session_send(const void *message, size_t len);
