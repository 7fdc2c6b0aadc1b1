// SPDX-License-Identifier: MIT
// Callbacks: what a script leaves behind to be called at the session's safe points, between two requests, in k.sleep and
// while the host is waited for: probes (trace/calls.h), constructors (class/constructors.h), and jobs, which run again and again
// (k.every). Each session has its own: these are of the one that runs.
#pragma once

#include <lua.h>
#include <stdint.h>

// Milliseconds after which they are to be looked for, at least 1; 0: there are none.
uint32_t callbacks_ms(void);
// Runs what is due. Raises what one raises; a job is taken off before.
void callbacks_run(lua_State *L);
// Forgets all: the state that knew them is gone.
void callbacks_reset(void);
