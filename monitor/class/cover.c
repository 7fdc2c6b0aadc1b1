// SPDX-License-Identifier: MIT
// k.cover(): which places of the kernel have run (lib/cover.h). Only there in builds with COVER=1.
#include "lib/cover.h"
#include "class/class.h"
#include "lib/symbols.h"

#include <lauxlib.h>
#include <string.h>

// Functions with fresh places: {name = how many}.
static int fresh_functions(lua_State *L)
{
    const char *last = NULL;
    lua_Integer n = 0;

    lua_newtable(L);
    for (uint64_t pc = cover_next_fresh(0); pc; pc = cover_next_fresh(pc + 4)) {
        const char *name = symbol_at(pc, NULL);
        if (name != last) {
            if (last)
                class_set_int(L, last, (uint64_t)n);
            last = name;
            n = 0;
        }
        n++;
    }
    if (last)
        class_set_int(L, last, (uint64_t)n);
    return 1;
}

static int k_cover(lua_State *L)
{
    static const char *const what[] = {"count", "functions", "forget", NULL};
    struct cover_count n;

    switch (luaL_checkoption(L, 1, "count", what)) {
    case 1:
        return fresh_functions(L);
    case 2:
        cover_forget();
    }
    n = cover_count();
    lua_createtable(L, 0, 2);
    class_set_int(L, "places", n.places);
    class_set_int(L, "fresh", n.fresh);
    return 1;
}
MONITOR_API(
    cover, "cover",
    "k.cover([\"functions\" | \"forget\"]) -> {places, fresh} or {function = fresh places}",
    "places of the kernel that have run, and those of them that had not before the last \"forget\"",
    "k.cover(\"functions\")", k_cover, NULL);
