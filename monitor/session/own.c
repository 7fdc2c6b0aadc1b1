// SPDX-License-Identifier: MIT
// k.session: what a session takes, and what it may take. Until it is begun anew (:reset, another host).
#include "class/class.h"
#include "class/options.h"
#include "lua/limits.h"
#include "session/journal.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 64 * 1024, BUDGET_LEAST = 1000000 };
#define BUDGET_MOST 1000000000000

static int k_session(lua_State *L)
{
    const struct lua_limits *l = session_limits();
    lua_createtable(L, 0, 7);
    class_set_int(L, "number", session_number() + 1);
    class_set_int(L, "used", l->arena.used);
    class_set_int(L, "peak", l->arena.peak);
    class_set_int(L, "size", l->arena.size);
    class_set_int(L, "failures", l->arena.failures);
    class_set_int(L, "heap", l->heap);
    class_set_int(L, "budget", l->usual);
    class_set_names(L, "k.session", "");
    return 1;
}

static int k_session_set(lua_State *L)
{
    struct lua_limits *l = session_limits();
    static const char *const known[] = {"heap", "budget", NULL};
    class_check_assigned(L, "session", "table");
    options_check(L, 1, known);
    // Room for a command that sets it higher again.
    uint64_t heap =
        (uint64_t)options_integer(L, 1, "heap", (lua_Integer)l->heap,
                                  (lua_Integer)l->arena.used + ROOM, (lua_Integer)l->arena.size);
    uint64_t budget =
        (uint64_t)options_integer(L, 1, "budget", (lua_Integer)l->usual, BUDGET_LEAST, BUDGET_MOST);
    char text[100];
    snprintf(text, sizeof text, "make the limits of this session: heap %lu, budget %lu",
             (unsigned long)heap, (unsigned long)budget);
    if (change_is_dry(L, text))
        return 0;
    l->heap = heap;
    if (l->budget == l->usual) // of this command, too, unless it has one of its own
        l->budget = budget;
    l->usual = budget;
    return 0;
}
MONITOR_API(
    session, "session", NULL,
    "this session's number (journal rows and traces name it), its heap (used, peak, size, failures) and its limits; assign {heap = bytes in use, budget = "
    "instructions of a command, from this one on} to change them",
    "k.session = {budget = 1000000000}", k_session, k_session_set);
