// SPDX-License-Identifier: MIT
// A mapping as a row of cells: where in it pages are, for a map that is drawn.
#include "class/classes.h"
#include "mem/space.h"

#include <lauxlib.h>

enum { CELLS_USUAL = 24, CELLS_MAX = 256 };

// The cells of one mapping; fewer than *n when it has fewer pages. False: it is gone. The lock is taken
// for each cell anew.
static bool count_cells(const struct class_key *key, uint64_t *n, uint64_t *count)
{
    struct mapping_info m;
    struct space *s = key->owner <= UINT32_MAX ? space_find((uint32_t)key->owner) : NULL;
    if (!s)
        return false;
    bool found = space_mappings(s, key->id, &m, 1, false) == 1 && m.lo == key->id;
    uint64_t pages = found ? (m.hi - m.lo) >> PAGE_SHIFT : 0;
    if (*n > pages)
        *n = pages;
    for (uint64_t i = 0; i < *n; i++)
        count[i] = space_present(s, m.lo + (pages * i / *n << PAGE_SHIFT),
                                 m.lo + (pages * (i + 1) / *n << PAGE_SHIFT));
    space_unref(s);
    return found;
}

int mapping_cells(lua_State *L)
{
    uint64_t count[CELLS_MAX], n;
    struct class_key key = class_key_at(L, 1, class_mapping);
    lua_Integer wanted = luaL_optinteger(L, 2, CELLS_USUAL);
    luaL_argcheck(L, wanted >= 1 && wanted <= CELLS_MAX, 2, "there are 1 to 256 cells");
    n = (uint64_t)wanted;
    if (!count_cells(&key, &n, count))
        return luaL_error(L, "stale handle: the mapping was unmapped or merged");
    lua_createtable(L, (int)n, 0);
    for (uint64_t i = 0; i < n; i++) {
        lua_pushinteger(L, (lua_Integer)count[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}
