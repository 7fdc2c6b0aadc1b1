// SPDX-License-Identifier: MIT
// Address spaces and their mappings: the range map as a list; a mapping's rights can be changed.
//
// A mapping has no identity in the kernel (neighbours merge, unmapping splits): here it is the
// address it begins at, in its space. A handle whose address is no longer the beginning of a
// mapping is stale.
#include "mem/space.h"

#include "class/classes.h"
#include "mem/phys.h"
#include "session/journal.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

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

// ---- mappings

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

static bool mapping_at(uint64_t space, uint64_t from, struct mapping_info *m, const char **kind)
{
    struct space *s = space <= UINT32_MAX ? space_find((uint32_t)space) : NULL;
    if (!s)
        return false;
    bool found = space_mappings(s, from, m, 1, true) == 1;
    if (found && kind)
        *kind = kind_of(m); // while the space keeps the object
    space_unref(s);
    return found;
}

static void perm_text(char out[8], uint32_t prot, uint32_t flags)
{
    snprintf(out, 8, "%c%c%c%c", prot & ACCESS_READ ? 'r' : '-', prot & ACCESS_WRITE ? 'w' : '-',
             prot & ACCESS_EXEC ? 'x' : '-', flags & MAPPING_SHARED ? 's' : 'p');
}

static long mapping_copy(const struct class_key *key, void *out)
{
    struct mapping_info m;
    struct mapping_view *v = out;
    const char *kind;
    if (!mapping_at(key->owner, key->id, &m, &kind) || m.lo != key->id)
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
    perm_text(v->perm, m.prot, m.flags);
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

// ---- a change: the rights of a range that is mapped

// arg: space, lo, bytes, prot.
static long protect_validate(struct change *c)
{
    struct mapping_info m;
    char perm[8];
    perm_text(perm, (uint32_t)c->arg[3], 0);
    perm[3] = 0;
    snprintf(c->text, sizeof c->text, "protect %lx-%lx of Space#%lu: %s", (unsigned long)c->arg[1],
             (unsigned long)(c->arg[1] + c->arg[2]), (unsigned long)c->arg[0], perm);
    if (c->arg[1] & PAGE_MASK || c->arg[2] & PAGE_MASK || !c->arg[2])
        snprintf(c->why, sizeof c->why, "not whole pages");
    else if (c->arg[3] & ~7ul)
        snprintf(c->why, sizeof c->why, "rights are of r, w and x");
    else if (!mapping_at(c->arg[0], c->arg[1], &m, NULL) || m.lo > c->arg[1] ||
             m.hi < c->arg[1] + c->arg[2])
        snprintf(c->why, sizeof c->why, "this range is not within one mapping");
    else if (c->arg[3] & ACCESS_WRITE && m.flags & MAPPING_DENY_WRITE)
        snprintf(c->why, sizeof c->why, "its file was not opened for writing");
    else
        return 0;
    return -EINVAL;
}

static long protect_apply(struct change *c);
static const struct change_kind protect_kind = {"mapping.protect", MODE_RW, protect_validate,
                                                protect_apply};

static long protect_apply(struct change *c)
{
    struct mapping_info m;
    if (!mapping_at(c->arg[0], c->arg[1], &m, NULL))
        return -ENOENT;
    struct space *s = space_find((uint32_t)c->arg[0]);
    if (!s)
        return -ENOENT;
    long e = session_await(space_protect, s, c->arg[1], c->arg[2], (uint32_t)c->arg[3]);
    space_unref(s);
    if (e)
        return e;
    c->undo = &protect_kind;
    memcpy(c->undo_arg, c->arg, sizeof c->arg);
    c->undo_arg[3] = m.prot;
    return 0;
}

static uint64_t check_perm(lua_State *L, int idx)
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
    uint64_t prot = check_perm(L, -1);
    if (strlen(s) > 4 || (s[0] && strlen(s) == 4 && s[3] != v->perm[3]))
        luaL_error(L, "rights are of r, w, x and -, as in \"r-x\": '%s'", s);
    change_make(
        L, &(struct change){.kind = &protect_kind, .arg = {key->owner, v->lo, v->bytes, prot}});
}

// m:protect("r--" [, lo, hi])
static int mapping_protect(lua_State *L)
{
    struct mapping_view v;
    struct class_key key = class_self(L, 1, class_mapping, &v);
    uint64_t prot = check_perm(L, 2);
    uint64_t lo = (uint64_t)luaL_optinteger(L, 3, (lua_Integer)v.lo);
    uint64_t hi = (uint64_t)luaL_optinteger(L, 4, (lua_Integer)v.hi);
    change_make(L, &(struct change){.kind = &protect_kind, .arg = {key.owner, lo, hi - lo, prot}});
    return 0;
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
    {"cells", "m:cells([n]) -> list of numbers",
     "pages that are there in each of n (24) equal parts", "k.pid(1).space:map():first():cells(8)",
     mapping_cells},
    {0},
};

CLASS(mapping, .name = "Mapping", .doc = "a range of a space with one set of rights and one source",
      .place = "struct mapping, kernel/mem/space.h", .example = "k.pid(1).space:map():first()",
      .display = "map", .gone = "was unmapped or merged", .hex = 1,
      .size = sizeof(struct mapping_view), .copy = mapping_copy, .keys = mapping_keys,
      .line = mapping_line, .fields = mapping_fields, .methods = mapping_methods);

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
    if (mapping_at(key.id, va, &m, NULL) && m.lo <= va) {
        class_push(L, class_mapping, (struct class_key){m.lo, key.id});
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "nothing is mapped there");
    return 2;
}

static void push_gap(lua_State *L, uint64_t lo, uint64_t hi)
{
    char text[24];
    lua_createtable(L, 0, 3);
    snprintf(text, sizeof text, "%lx", (unsigned long)lo);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "from");
    snprintf(text, sizeof text, "%lx", (unsigned long)hi);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "to");
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
    while (mapping_at(key.id, at, &m, NULL)) {
        if (m.lo > at)
            push_gap(L, at, m.lo);
        at = m.hi;
    }
    if (at < USER_TOP)
        push_gap(L, at, USER_TOP);
    class_set_columns(L, "from> to> bytes>");
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
    {0},
};

CLASS(space, .name = "Space", .doc = "an address space: mappings over a page table",
      .place = "struct space, kernel/mem/space.h", .example = "k.pid(1).space", .display = "map",
      .gone = "was released", .size = sizeof(struct space_view), .copy = space_copy,
      .keys = space_keys, .line = space_line, .fields = space_fields, .methods = space_methods);

static int k_spaces(lua_State *L)
{
    class_push_list(L, class_space, 0);
    return 1;
}
MONITOR_API(spaces, "spaces", "k.spaces() -> list of Space", "every address space", "k.spaces()",
            k_spaces, NULL);
