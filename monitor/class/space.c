// SPDX-License-Identifier: MIT
// Address spaces: what they have mapped, and where there is room. Their mappings: mapping.c.
#include "mem/space.h"

#include "class/classes.h"

#include <lauxlib.h>
#include <stdio.h>

struct space_view {
    uint64_t mapped, resident, huge, tables, peak, faults, cow_copies, major, harts, limit,
        stack_limit;
    uint64_t brk_start, brk, mmap_top, mappings;
};

static long space_copy(const struct class_key *key, void *out)
{
    struct space *s = key->id <= UINT32_MAX ? space_find((uint32_t)key->id) : NULL;
    if (!s)
        return -ENOENT;
    spin_lock(&s->lock);
    *(struct space_view *)out = (struct space_view){
        .mapped = s->mapped,
        .resident = s->resident,
        .huge = s->huge,
        .tables = s->tables,
        .peak = s->peak,
        .faults = s->faults,
        .cow_copies = s->cow_copies,
        .major = s->major,
        .harts = s->harts,
        .limit = s->limit,
        .stack_limit = s->stack_limit,
        .brk_start = s->brk_start,
        .brk = s->brk,
        .mmap_top = s->mmap_top,
        .mappings = s->map.count,
    };
    spin_unlock(&s->lock);
    space_unref(s);
    return 0;
}

struct collect {
    struct class_key *out;
    size_t n, max;
    uint64_t owner;
};

static bool collect(struct space *s, void *arg)
{
    struct collect *c = arg;
    if (c->n < c->max)
        c->out[c->n++] = (struct class_key){s->id, c->owner};
    return c->n < c->max;
}

static size_t space_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct collect c = {out, 0, max, owner};
    if (from <= UINT32_MAX)
        space_foreach((uint32_t)from, collect, &c);
    return c.n;
}

static void space_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct space_view *v = copy;
    (void)key;
    snprintf(buf, n, "%lu mappings, %lu KiB, %lu KiB resident", (unsigned long)v->mappings,
             (unsigned long)v->mapped >> 10, (unsigned long)v->resident << 2);
}

// ---- a space's methods

static int space_map_method(lua_State *L)
{
    struct space_view v;
    struct class_key key = class_self(L, 1, class_space, &v);
    class_push_list(L, class_mapping, key.id);
    return 1;
}

static int space_find_method(lua_State *L)
{
    struct space_view v;
    struct mapping_info m;
    struct class_key key = class_self(L, 1, class_space, &v);
    uint64_t va = (uint64_t)luaL_checkinteger(L, 2);
    if (!class_is_va(L, va))
        return 2;
    if (class_mapping_at(key.id, va, &m, NULL) && m.lo <= va) {
        class_push(L, class_mapping, (struct class_key){m.lo, key.id});
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "nothing is mapped there");
    return 2;
}

static void push_gap(lua_State *L, uint64_t lo, uint64_t hi)
{
    lua_createtable(L, 0, 3);
    class_set_address(L, "from", lo);
    class_set_address(L, "to", hi);
    lua_pushinteger(L, (lua_Integer)(hi - lo));
    lua_setfield(L, -2, "bytes");
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

static int space_gaps(lua_State *L)
{
    struct space_view v;
    struct class_key key = class_self(L, 1, class_space, &v);
    struct mapping_info m;
    uint64_t at = 0;
    lua_newtable(L);
    while (class_mapping_at(key.id, at, &m, NULL)) {
        if (m.lo > at)
            push_gap(L, at, m.lo);
        at = m.hi;
    }
    if (at < USER_TOP)
        push_gap(L, at, USER_TOP);
    class_set_columns(L, "from> to> bytes>");
    return 1;
}

// sp:add(bytes, perm [, at]) -> Mapping
static int space_add(lua_State *L)
{
    struct space_view v;
    struct class_key key = class_self(L, 1, class_space, &v);
    uint64_t bytes = (uint64_t)luaL_checkinteger(L, 2), prot = class_check_perm(L, 3);
    uint64_t at = class_mapping_add(L, key.id, (uint64_t)luaL_optinteger(L, 4, 0), bytes, prot);
    if (!at)
        return 0; // a dry run
    class_push(L, class_mapping, (struct class_key){at, key.id});
    return 1;
}

static void push_page_table(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push(L, class_page_table, (struct class_key){key->id, 0});
}

static const struct class_field space_fields[] = {
    FIELD(struct space_view, mappings, "how many"),
    FIELD(struct space_view, mapped, "bytes in mappings"),
    FIELD(struct space_view, resident, "pages that are there"),
    FIELD(struct space_view, huge, "2 MiB leaves: 512 of these pages each"),
    FIELD(struct space_view, peak, "the most pages there ever were"),
    FIELD(struct space_view, tables, "frames of its page table"),
    FIELD(struct space_view, faults, "page faults served"),
    FIELD(struct space_view, cow_copies, "pages copied on write"),
    FIELD(struct space_view, major, "pages read from a file"),
    FIELD_ADDRESS(struct space_view, harts, "mask of harts whose satp is this root"),
    FIELD_ADDRESS(struct space_view, brk_start, "where the heap begins"),
    FIELD_ADDRESS(struct space_view, brk, "where it ends"),
    FIELD_ADDRESS(struct space_view, mmap_top, "mappings are placed below"),
    FIELD_OTHER("pt", "PageTable", "its page table", push_page_table),
    {0},
};

static const struct class_method space_methods[] = {
    {"map", "sp:map() -> list of Mapping", "its mappings by address", "k.pid(1).space:map()",
     space_map_method},
    {"find", "sp:find(va) -> Mapping", "the mapping that contains va; nil when there is none",
     "k.pid(1).space:find(0x10000)", space_find_method},
    {"gaps", "sp:gaps() -> list of {from, to, bytes}", "what is not mapped",
     "k.pid(1).space:gaps()", space_gaps},
    {"add", "sp:add(bytes, perm [, at]) -> Mapping",
     "maps fresh memory, which no program knows of, at `at` or where there is room",
     "k.pid(5).space:add(4096, \"rw-\")", space_add},
    {0},
};

CLASS(space, .name = "Space", .doc = "an address space: mappings over a page table",
      .place = "struct space, kernel/mem/space.h", .example = "k.pid(1).space",
      .gone = "was released", .size = sizeof(struct space_view), .copy = space_copy,
      .keys = space_keys, .line = space_line, .fields = space_fields, .methods = space_methods,
      .changing = "add");

static int k_spaces(lua_State *L)
{
    class_push_list(L, class_space, 0);
    return 1;
}
MONITOR_API(spaces, "spaces", "k.spaces() -> list of Space", "every address space", "k.spaces()",
            k_spaces, NULL);
