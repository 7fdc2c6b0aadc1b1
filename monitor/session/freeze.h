// SPDX-License-Identifier: MIT
// The monitor as a freezer (async/freeze.h): while it is one, its fiber keeps the hart.
//
// What would switch away from the fiber ends the freeze first (fiber.c), so that nothing can wait for who stands still. A
// script that waited, or is not done in time, is unwound up to k.freeze, which raises: LIMITS_THAWED.
#pragma once

#include "lua/limits.h"

// From the session's yield: true when the fiber goes on, since other tasks must not run.
bool session_stays_frozen(struct lua_limits *l);
// For what prints or asks the host: raises inside k.freeze.
void session_not_frozen(lua_State *L, const char *what);
// The fiber is about to switch away: thaws.
void session_thaw(void);
