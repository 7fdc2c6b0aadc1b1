// SPDX-License-Identifier: MIT
// Memory objects: page caches of files, and shared anonymous memory; the pages they have, and who maps them.
//
// An object has no number of its own. A file's is named as the file is (number, st_dev); anonymous
// memory by a mapping that shows it (first address, id of the space), with SHARED set in the owner.
#include "mem/phys.h"

#include "class/classes.h"
#include "fs/vnode.h"
#include "lib/errno.h"
#include "mem/space.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define SHARED (1ul << 63)
enum { PAGES_MAX = 4096, BATCH = 32, MAPPERS_MAX = 64 };

struct phys_view {
    const char *kind;
    uint64_t size, pages, dirty, writing, mappings, hits, misses, written, dirty_since;
    int32_t error;
};

struct phys *class_phys_find(const struct class_key *key)
{
    if (key->owner & SHARED) {
        struct space *s = space_find((uint32_t)key->owner);
        struct phys *ph = s ? space_object(s, key->id) : NULL;
        if (s)
            space_unref(s);
        if (ph && ph->kind != PHYS_SHARED_ANON) {
            phys_put(ph);
            ph = NULL;
        }
        return ph;
    }
    struct vnode *v = class_vnode_find(key->owner, key->id);
    if (v && !v->pages) {
        vnode_put(v);
        v = NULL;
    }
    return v ? v->pages : NULL; // the object's reference is the vnode's
}

bool class_phys_key(const struct phys *ph, struct class_key *key)
{
    struct phys_mapper m;
    if (ph->kind == PHYS_FILE) {
        const struct vnode *v = ph->owner;
        *key = (struct class_key){v->ino, v->super->dev};
        return true;
    }
    if (!phys_mappers((struct phys *)ph, 0, &m, 1))
        return false;
    *key = (struct class_key){m.lo, SHARED | m.space};
    return true;
}

static uint64_t count_mappings(struct phys *ph)
{
    struct phys_mapper m[BATCH];
    uint64_t all = 0;
    size_t n;
    while ((n = phys_mappers(ph, all, m, BATCH)))
        all += n;
    return all;
}

static long phys_copy(const struct class_key *key, void *out)
{
    struct phys *ph = class_phys_find(key);
    struct phys_view *v = out;
    if (!ph)
        return -ENOENT;
    spin_lock(&ph->lock);
    *v = (struct phys_view){
        .kind = ph->kind == PHYS_FILE ? "file" : "shared memory",
        .size = ph->size,
        .pages = ph->pages,
        .dirty = ph->dirty,
        .writing = ph->writing,
        .hits = ph->hits,
        .misses = ph->misses,
        .written = ph->written,
        .dirty_since = ph->dirty ? ph->dirty_since_ns : 0,
        .error = ph->error,
    };
    spin_unlock(&ph->lock);
    v->mappings = count_mappings(ph);
    phys_put(ph);
    return 0;
}

static void phys_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct phys_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s of %lu bytes, %lu pages, %lu dirty, mapped %lu times", v->kind,
             (unsigned long)v->size, (unsigned long)v->pages, (unsigned long)v->dirty,
             (unsigned long)v->mappings);
}

static void push_vnode(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    if (key->owner & SHARED)
        lua_pushnil(L);
    else
        class_push(L, class_vnode, *key);
}

static void push_page(lua_State *L, const struct phys_page_info *p)
{
    char flags[PAGE_FLAGS_TEXT];
    page_flags_text(flags, (uint16_t)p->flags);
    lua_createtable(L, 0, 4);
    class_set_int(L, "index", p->index);
    class_set_address(L, "pa", p->pa);
    class_set_int(L, "refs", p->refs);
    class_set_text(L, "flags", flags);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

// o:frames([from]): a batch under the lock, then Lua, then the next one.
static int phys_frames(lua_State *L)
{
    struct phys_view v;
    struct phys_page_info batch[BATCH];
    struct class_key key = class_self(L, 1, class_phys, &v);
    uint64_t from = (uint64_t)luaL_optinteger(L, 2, 0);
    size_t n = BATCH;
    lua_newtable(L);
    for (size_t all = 0; n == BATCH && all < PAGES_MAX; all += n) {
        struct phys *ph = class_phys_find(&key);
        if (!ph)
            break;
        n = phys_snapshot(ph, from, batch, BATCH);
        phys_put(ph);
        for (size_t i = 0; i < n; i++)
            push_page(L, &batch[i]);
        from = n ? batch[n - 1].index + 1 : from;
    }
    class_set_columns(L, "index> pa> flags refs>");
    return 1;
}

// o:mappers() -> list of Mapping
static int phys_mappers_method(lua_State *L)
{
    struct phys_view v;
    struct phys_mapper m[MAPPERS_MAX];
    struct class_key key = class_self(L, 1, class_phys, &v);
    struct phys *ph = class_phys_find(&key);
    size_t n = ph ? phys_mappers(ph, 0, m, MAPPERS_MAX) : 0;
    if (ph)
        phys_put(ph);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        class_push(L, class_mapping, (struct class_key){m[i].lo, m[i].space});
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const struct class_field fields[] = {
    FIELD(struct phys_view, kind, "file or shared memory"),
    FIELD(struct phys_view, size, "bytes; who touches a page beyond gets SIGBUS"),
    FIELD(struct phys_view, pages, "pages that are in memory"),
    FIELD(struct phys_view, dirty, "of them, newer than the store"),
    FIELD_NS(struct phys_view, dirty_since, "since when some are, 0: none is"),
    FIELD(struct phys_view, writing, "of them, being written"),
    FIELD(struct phys_view, written, "pages written back so far"),
    FIELD(struct phys_view, hits, "lookups that found their page"),
    FIELD(struct phys_view, misses, "lookups that did not"),
    FIELD(struct phys_view, error, "of the last write that failed"),
    FIELD(struct phys_view, mappings, "how often it is mapped"),
    FIELD_OTHER("vnode", "Vnode", "whose page cache it is; nil: shared memory", push_vnode),
    {0},
};

static const struct class_method methods[] = {
    {"frames", "o:frames([from]) -> list of {index, pa, flags, refs}",
     "its pages in memory, at most 4096, from page number `from` on",
     "k.pid(1).space:map():first().object:frames()", phys_frames},
    {"mappers", "o:mappers() -> list of Mapping", "the mappings that show it, at most 64",
     "k.pid(1).space:map():first().object:mappers()", phys_mappers_method},
    {0},
};

CLASS(phys, .name = "Phys", .doc = "a memory object: the page cache of a file, or shared memory",
      .place = "struct phys, kernel/mem/phys.h", .gone = "was let go of",
      .example = "k.pid(1).space:map():first().object", .size = sizeof(struct phys_view),
      .copy = phys_copy, .line = phys_line, .fields = fields, .methods = methods);
