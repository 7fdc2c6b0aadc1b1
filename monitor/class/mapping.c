// SPDX-License-Identifier: MIT
// Mappings: the ranges of a space. One has no identity in the kernel (neighbours merge, unmapping
// splits): here it is the address it begins at, in its space. A handle whose address is no longer the
// beginning of a mapping is stale.
#include "mem/space.h"

#include "class/classes.h"
#include "mem/phys.h"
#include "session/journal.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

struct mapping_view {
    uint64_t lo, hi, bytes, resident, offset;
    const char *kind;
    char perm[8];
    bool lazy;
    uint32_t prot, flags;
};

static const char *kind_of(const struct mapping_info *m)
{
    if (m->flags & MAPPING_STACK)
        return "stack";
    if (m->flags & MAPPING_HEAP)
        return "heap";
    if (m->flags & MAPPING_VDSO)
        return "vdso";
    if (!m->phys)
        return "anonymous";
    return m->file ? "file" : "shared memory";
}

bool class_mapping_at(uint64_t space, uint64_t from, struct mapping_info *m, const char **kind)
{
    struct space *s = space <= UINT32_MAX ? space_find((uint32_t)space) : NULL;
    if (!s)
        return false;
    bool found = space_mappings(s, from, m, 1, true) == 1;
    if (found && kind)
        *kind = kind_of(m);
    space_unref(s);
    return found;
}

void class_perm_text(char out[8], uint32_t prot, uint32_t flags)
{
    snprintf(out, 8, "%c%c%c%c", prot & ACCESS_READ ? 'r' : '-', prot & ACCESS_WRITE ? 'w' : '-',
             prot & ACCESS_EXEC ? 'x' : '-', flags & MAPPING_SHARED ? 's' : 'p');
}

static long mapping_copy(const struct class_key *key, void *out)
{
    struct mapping_info m;
    struct mapping_view *v = out;
    const char *kind;
    if (!class_mapping_at(key->owner, key->id, &m, &kind) || m.lo != key->id)
        return -ENOENT;
    *v = (struct mapping_view){
        .lo = m.lo,
        .hi = m.hi,
        .bytes = m.hi - m.lo,
        .resident = m.resident,
        .offset = m.offset,
        .kind = kind,
        .lazy = m.resident << PAGE_SHIFT < m.hi - m.lo,
        .prot = m.prot,
        .flags = m.flags,
    };
    class_perm_text(v->perm, m.prot, m.flags);
    return 0;
}

static size_t mapping_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct mapping_info m[CLASS_KEYS];
    struct space *s = owner <= UINT32_MAX ? space_find((uint32_t)owner) : NULL;
    if (!s)
        return 0;
    size_t n = space_mappings(s, from, m, max < CLASS_KEYS ? max : CLASS_KEYS, false), k = 0;
    space_unref(s);
    for (size_t i = 0; i < n; i++)
        if (m[i].lo >= from)
            out[k++] = (struct class_key){m[i].lo, owner};
    return k;
}

static void mapping_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct mapping_view *v = copy;
    (void)key;
    snprintf(buf, n, "%lx-%lx %s %s, %lu of %lu pages", (unsigned long)v->lo, (unsigned long)v->hi,
             v->perm, v->kind, (unsigned long)v->resident, (unsigned long)v->bytes >> PAGE_SHIFT);
}

// ---- what is assigned and called

uint64_t class_check_perm(lua_State *L, int idx)
{
    const char *s = luaL_checkstring(L, idx);
    uint64_t prot = 0;
    for (const char *p = s; *p; p++)
        if (*p == 'r')
            prot |= ACCESS_READ;
        else if (*p == 'w')
            prot |= ACCESS_WRITE | ACCESS_READ; // the hardware knows no write without read
        else if (*p == 'x')
            prot |= ACCESS_EXEC;
        else if (*p != '-')
            luaL_error(L, "rights are of r, w, x and -, as in \"r-x\": '%s'", s);
    return prot;
}

static void set_perm(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    const struct mapping_view *v = copy;
    const char *s = luaL_checkstring(L, value);
    char rights[8] = "";
    strncpy(rights, s, 3); // what perm shows may be assigned: its last letter cannot change
    lua_pushstring(L, rights);
    uint64_t prot = class_check_perm(L, -1);
    if (strlen(s) > 4 || (s[0] && strlen(s) == 4 && s[3] != v->perm[3]))
        luaL_error(L, "rights are of r, w, x and -, as in \"r-x\": '%s'", s);
    class_mapping_protect(L, key->owner, v->lo, v->hi, prot);
}

// [lo, hi) from idx on, the whole mapping if they are left out.
static void check_range(lua_State *L, int idx, const struct mapping_view *v, uint64_t *lo,
                        uint64_t *hi)
{
    *lo = (uint64_t)luaL_optinteger(L, idx, (lua_Integer)v->lo);
    *hi = (uint64_t)luaL_optinteger(L, idx + 1, (lua_Integer)v->hi);
}

// m:protect("r--" [, lo, hi])
static int mapping_protect(lua_State *L)
{
    struct mapping_view v;
    struct class_key key = class_self(L, 1, class_mapping, &v);
    uint64_t prot = class_check_perm(L, 2);
    uint64_t lo, hi;
    check_range(L, 3, &v, &lo, &hi);
    class_mapping_protect(L, key.owner, lo, hi, prot);
    return 0;
}

// [lo, hi) of the mapping at 1, given to a change.
static int change_range(lua_State *L, void (*change)(lua_State *, uint64_t, uint64_t, uint64_t))
{
    struct mapping_view v;
    uint64_t lo, hi;
    struct class_key key = class_self(L, 1, class_mapping, &v);
    check_range(L, 2, &v, &lo, &hi);
    change(L, key.owner, lo, hi);
    return 0;
}

// m:remove([lo, hi])
static int mapping_remove(lua_State *L)
{
    return change_range(L, class_mapping_remove);
}

// m:unload([lo, hi])
static int mapping_unload(lua_State *L)
{
    return change_range(L, class_mapping_unload);
}

// m:split(at) -> Mapping
static int mapping_split(lua_State *L)
{
    struct mapping_view v;
    struct class_key key = class_self(L, 1, class_mapping, &v);
    uint64_t at = (uint64_t)luaL_checkinteger(L, 2);
    class_mapping_split(L, key.owner, at);
    class_push(L, class_mapping, (struct class_key){at, key.owner});
    return 1;
}

static void push_space(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push(L, class_space, (struct class_key){key->owner, 0});
}

static void push_object(lua_State *L, const struct class_key *key, const void *copy)
{
    struct class_key object;
    struct space *s = space_find((uint32_t)key->owner);
    struct phys *ph = s ? space_object(s, key->id) : NULL;
    bool has = ph && class_phys_key(ph, &object);
    (void)copy;
    if (ph)
        phys_put(ph);
    if (s)
        space_unref(s);
    if (has)
        class_push(L, class_phys, object);
    else
        lua_pushnil(L);
}

static const struct class_field mapping_fields[] = {
    FIELD_ADDRESS(struct mapping_view, lo, "first address"),
    FIELD_ADDRESS(struct mapping_view, hi, "first address behind it"),
    FIELD(struct mapping_view, bytes, "hi - lo"),
    FIELD(struct mapping_view, perm, "rights, and p: private, s: shared", .set = set_perm),
    FIELD(struct mapping_view, kind, "anonymous, heap, stack, file, shared memory or vdso"),
    FIELD(struct mapping_view, lazy, "some of its pages are not there yet"),
    FIELD(struct mapping_view, resident, "pages that are there"),
    FIELD_ADDRESS(struct mapping_view, offset, "of lo in its file or object"),
    FIELD(struct mapping_view, flags, "enum mapping_flag"),
    FIELD_OTHER("space", "Space", "whose mapping it is", push_space),
    FIELD_OTHER("object", "Phys", "whose pages it shows; nil: private memory", push_object),
    {0},
};

static const struct class_method mapping_methods[] = {
    {"protect", "m:protect(perm [, lo, hi])", "changes the rights of it, or of a part",
     "k.pid(5).space:find(0x10000):protect(\"r--\")", mapping_protect},
    {"split", "m:split(at) -> Mapping", "makes two of it, the second of which begins at `at`",
     "k.pid(5).space:find(0x10000):split(0x12000)", mapping_split},
    {"remove", "m:remove([lo, hi])",
     "unmaps it, or a part; what would be lost for ever only in unsafe",
     "k.pid(5).space:find(0x10000):remove()", mapping_remove},
    {"unload", "m:unload([lo, hi])",
     "makes it lazy again: the next touch of each page faults, and finds what was there",
     "k.pid(5).space:find(0x10000):unload()", mapping_unload},
    {"cells", "m:cells([n]) -> list of numbers",
     "pages that are there in each of n (24) equal parts", "k.pid(1).space:map():first():cells(8)",
     mapping_cells},
    {0},
};

CLASS(mapping, .name = "Mapping", .doc = "a range of a space with one set of rights and one source",
      .place = "struct mapping, kernel/mem/space.h", .example = "k.pid(1).space:map():first()",
      .display = "map cells", .gone = "was unmapped or merged", .hex = 1,
      .size = sizeof(struct mapping_view), .copy = mapping_copy, .keys = mapping_keys,
      .line = mapping_line, .fields = mapping_fields, .methods = mapping_methods,
      .changing = "protect split remove unload");
