// SPDX-License-Identifier: MIT
// Probes: trace points that call back into Lua, after the fact or with the task parked meanwhile.
//
// Where the point fires only C runs: it filters, writes the event into a ring, and perhaps asks the
// running task to park. The session hands events to Lua when it is waiting: in k.sleep, or between
// two requests. A parked task goes on when its callback has returned.
#pragma once

#include <lua.h>
#include <stdbool.h>

bool probes_active(void);
// Calls back for every event so far. Raises what a callback raises, its task released before.
void probes_run(lua_State *L);
// Drops every probe and lets every parked task go: the state that knew them is gone.
void probes_reset(void);
