// SPDX-License-Identifier: MIT
// The monitor's session: what bindings need of the task that runs them.
#pragma once

#include "session/fiber.h"

#include <lua.h>

struct fiber *session_fiber(void);
struct task *session_task(void);
struct lua_limits *session_limits(void);

// On the session's fiber: waits for an async call. No spinlock held.
#define session_await(callee, ...) fiber_await(session_fiber(), callee, __VA_ARGS__)

// Throws the Lua state away and makes a new one; probes are gone, the journal stays.
void session_fresh(void);

// Waits, answering the host meanwhile. Raises when the script is interrupted.
void session_sleep(lua_State *L, uint64_t ms);
