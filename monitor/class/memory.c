// SPDX-License-Identifier: MIT
// k.phys: the machine's memory as frames. Frames by address, the objects that have pages, and what is
// allocated although nothing leads to it.
#include "class/classes.h"
#include "fs/vnode.h"
#include "lib/errno.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>

enum { OBJECTS_MAX = 2048, BATCH = 32 };

struct memory_view {
    uint64_t lo, hi, frames, free, cached, dirty, shared;
};

static long memory_copy(const struct class_key *key, void *out)
{
    if (key->id)
        return -ENOENT;
    *(struct memory_view *)out = (struct memory_view){
        .lo = frame_base,
        .hi = frame_end,
        .frames = frame_total(),
        .free = frame_free_count(),
        .cached = phys_totals.cached,
        .dirty = phys_totals.dirty,
        .shared = phys_totals.shared_anon,
    };
    return 0;
}

static int memory_frame(lua_State *L)
{
    class_key_at(L, 1, class_memory);
    uint64_t pa = (uint64_t)luaL_checkinteger(L, 2);
    if (frame_is_ram(pa)) {
        class_push(L, class_frame, (struct class_key){page_round_down(pa), 0});
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "no memory is there: it is from %p to %p", (void *)frame_base,
                    (void *)frame_end);
    return 2;
}

// ---- objects: of each file system in turn, then of each space's mappings

static size_t next_files(uint64_t *dev, uint64_t *from, struct class_key *out)
{
    size_t n = class_vnode->keys(*dev, *from, out, BATCH);
    *from = n ? out[n - 1].id + 1 : 0;
    return n;
}

uint64_t class_next_device(uint64_t after)
{
    uint64_t least = 0;
    spin_lock(&super_lock);
    LIST_FOREACH(it, &super_list) {
        uint64_t dev = list_entry(it, struct super, all)->dev;
        if (dev > after && (!least || dev < least))
            least = dev;
    }
    spin_unlock(&super_lock);
    return least;
}

static void visit_file(const struct class_key *key, class_object_fn *fn, void *arg)
{
    struct vnode *v = class_vnode_find(key->owner, key->id);
    if (!v)
        return;
    if (v->pages)
        fn(v->pages, key, arg);
    vnode_put(v);
}

// An object that several mappings show is visited at the one it names first.
static void visit_mapping(uint32_t space, va_t lo, class_object_fn *fn, void *arg)
{
    struct class_key key;
    struct space *s = space_find(space);
    struct phys *ph = s ? space_object(s, lo) : NULL;
    if (s)
        space_unref(s);
    if (!ph)
        return;
    if (ph->kind == PHYS_SHARED_ANON && class_phys_key(ph, &key) && key.id == lo &&
        (uint32_t)key.owner == space)
        fn(ph, &key, arg);
    phys_put(ph);
}

static void visit_space(uint32_t id, class_object_fn *fn, void *arg)
{
    struct mapping_info m[BATCH];
    va_t from = 0;
    size_t n = BATCH;
    while (n == BATCH) {
        struct space *s = space_find(id);
        if (!s)
            return;
        n = space_mappings(s, from, m, BATCH, false);
        space_unref(s);
        for (size_t i = 0; i < n; i++)
            if (m[i].phys && m[i].flags & MAPPING_SHARED)
                visit_mapping(id, m[i].lo, fn, arg);
        from = n ? m[n - 1].hi : 0;
        fiber_yield(session_fiber());
    }
}

void class_visit_objects(class_object_fn *fn, void *arg)
{
    struct class_key keys[BATCH];
    for (uint64_t dev = 0; (dev = class_next_device(dev));) {
        size_t n;
        for (uint64_t from = 0; (n = next_files(&dev, &from, keys));) {
            for (size_t i = 0; i < n; i++)
                visit_file(&keys[i], fn, arg);
            fiber_yield(session_fiber());
        }
    }
    for (uint32_t id = 0; class_next_space(&id);)
        visit_space(id, fn, arg);
}

struct by_address {
    uint64_t wanted;
    struct class_key *key;
    bool found;
};

static void compare(struct phys *ph, const struct class_key *key, void *arg)
{
    struct by_address *b = arg;
    if ((uint64_t)ph == b->wanted && !b->found) {
        *b->key = *key;
        b->found = true;
    }
}

bool class_phys_of(uint64_t address, struct class_key *key)
{
    struct by_address b = {address, key, false};
    class_visit_objects(compare, &b);
    return b.found;
}

struct found {
    struct class_key key[BATCH];
    size_t n, skip, seen;
};

static void note_object(struct phys *ph, const struct class_key *key, void *arg)
{
    struct found *f = arg;
    if (!load_relaxed(&ph->pages) || f->seen++ < f->skip || f->n == BATCH)
        return;
    f->key[f->n++] = *key;
}

// p:objects() -> list of Phys: no Lua while they are visited, so a batch of them at a time.
static int memory_objects(lua_State *L)
{
    struct found f = {.n = BATCH};
    lua_Integer all = 0;
    class_key_at(L, 1, class_memory);
    lua_newtable(L);
    while (f.n == BATCH && all < OBJECTS_MAX) {
        f.n = f.seen = 0;
        class_visit_objects(note_object, &f);
        for (size_t i = 0; i < f.n; i++) {
            class_push(L, class_phys, f.key[i]);
            lua_rawseti(L, -2, ++all);
        }
        f.skip += f.n;
    }
    return 1;
}

static const struct class_field fields[] = {
    FIELD_ADDRESS(struct memory_view, lo, "the first physical address"),
    FIELD_ADDRESS(struct memory_view, hi, "the first one behind"),
    FIELD(struct memory_view, frames, "that the allocator was given"),
    FIELD(struct memory_view, free, "of them, free now"),
    FIELD(struct memory_view, cached, "pages in files' caches"),
    FIELD(struct memory_view, dirty, "of them, newer than the store"),
    FIELD(struct memory_view, shared, "pages of shared anonymous memory"),
    {0},
};

static const struct class_method methods[] = {
    {"frame", "p:frame(pa) -> Frame", "the frame at a physical address; nil: there is none",
     "k.phys:frame(0x80200000)", memory_frame},
    {"objects", "p:objects() -> list of Phys", "the memory objects that have pages, at most 2048",
     "k.phys:objects()", memory_objects},
    {"leaks", "p:leaks() -> list of {frame, kind, refs, found}",
     "frames of programs with more references than can be found, twice in a row; at most 64",
     "k.phys:leaks()", class_memory_leaks},
    {"lose", "p:lose() -> Frame",
     "takes a frame and forgets it, for lessons (unsafe; undo gives it back)", "k.phys:lose()",
     class_memory_lose},
    {0},
};

CLASS(memory, .name = "Memory", .doc = "the machine's memory, as frames",
      .place = "struct frame_stats, kernel/page/frame.h", .example = "k.phys",
      .size = sizeof(struct memory_view), .copy = memory_copy, .fields = fields, .methods = methods,
      .changing = "lose");

static int k_phys(lua_State *L)
{
    class_push(L, class_memory, (struct class_key){0, 0});
    return 1;
}
MONITOR_API(phys, "phys", NULL, "physical memory: :frame(pa), :objects(), :leaks()",
            "k.phys:frame(0x80200000)", k_phys, NULL);
