// SPDX-License-Identifier: MIT
// k.on: trace points that call back into Lua, after the fact or with what happened held meanwhile.
//
// Where the point is only C runs. The session hands events to Lua when it is waiting: in k.sleep, or
// between two requests. What is held goes on when its callback has returned.
#pragma once

#include <lua.h>
#include <stdbool.h>

bool probes_active(void); // of the session that runs, as all of these
// Calls back for every event so far. Raises what a callback raises; what it held goes on before.
void probes_run(lua_State *L);
// Ends all tracing and lets go what is held: the state that knew of it is gone.
void probes_reset(void);
