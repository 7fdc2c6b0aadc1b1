// SPDX-License-Identifier: MIT
// Frames of memory: what each is used for, and, by a walk over everything that can have one, whose it is.
#include "page/frame.h"

#include "class/classes.h"
#include "lib/errno.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "page/heap.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { OWNERS_MAX = 256 };

static const char *const kinds[FRAME_KINDS] = {
    [FRAME_RESERVED] = "reserved", [FRAME_FREE] = "free",   [FRAME_KERNEL] = "kernel",
    [FRAME_ANON] = "anon",         [FRAME_CACHE] = "cache", [FRAME_TABLE] = "table",
    [FRAME_SLAB] = "slab",         [FRAME_HEAP] = "heap",
};

struct frame_view {
    const char *kind;
    char flags[PAGE_FLAGS_TEXT];
    uint64_t pa, index, owner;
    uint32_t refs, pins;
    bool zero, cache;
};

void page_flags_text(char out[PAGE_FLAGS_TEXT], uint16_t flags)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } names[] = {
        {PAGE_UPTODATE, "uptodate"}, {PAGE_DIRTY, "dirty"},
        {PAGE_BUSY, "busy"},         {PAGE_WRITEBACK, "writeback"},
        {PAGE_RECENT, "recent"},     {PAGE_GONE, "gone"},
        {PAGE_HOT, "hot"},           {PAGE_ACTIVE, "active"},
    };
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].bit)
            n +=
                (size_t)snprintf(out + n, PAGE_FLAGS_TEXT - n, "%s%s", n ? " " : "", names[i].name);
}

// Each word by itself, without a lock: a frame may become another's while this looks.
static long frame_copy(const struct class_key *key, void *out)
{
    struct frame_view *v = out;
    if (!frame_is_ram(key->id))
        return -ENOENT;
    const struct page *pg = page_of(key->id);
    uint8_t kind = load_relaxed(&pg->kind);
    *v = (struct frame_view){
        .kind = kind < FRAME_KINDS && kinds[kind] ? kinds[kind] : "reserved",
        .pa = page_round_down(key->id),
        .cache = kind == FRAME_CACHE,
        .zero = page_round_down(key->id) == frame_zero,
    };
    if (kind == FRAME_FREE || kind == FRAME_SLAB) // they keep something else there
        return 0;
    v->refs = load_relaxed(&pg->refs);
    v->pins = load_relaxed(&pg->pins);
    if (!v->cache)
        return 0;
    v->index = load_relaxed(&pg->index);
    v->owner = (uint64_t)load_relaxed(&pg->owner);
    page_flags_text(v->flags, load_relaxed(&pg->flags));
    return 0;
}

static void frame_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct frame_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s, %u references, %u pins%s%s", v->kind, v->refs, v->pins,
             v->flags[0] ? ", " : "", v->flags);
}

// ---- owners

struct owners {
    lua_State *L;
    pa_t pa;
    uint64_t n, references;
};

static bool next_owner(struct owners *o, const char *what)
{
    if (o->n == OWNERS_MAX)
        return false;
    lua_createtable(o->L, 0, 4);
    class_set_text(o->L, "what", what);
    o->n++;
    return true;
}

static void end_owner(struct owners *o)
{
    lua_rawseti(o->L, -2, (lua_Integer)o->n);
}

static void look_at_entry(void *arg, uint32_t space, const struct pte_info *e)
{
    struct owners *o = arg;
    uint64_t at = pte_pa(e->entry);
    if (o->pa - at >= e->pages * PAGE_SIZE)
        return;
    o->references++;
    if (!next_owner(o, e->pages > 1 ? "part of a 2 MiB page" : "page table entry"))
        return;
    class_push(o->L, class_space, (struct class_key){space, 0});
    lua_setfield(o->L, -2, "space");
    class_set_address(o->L, "va", e->va + (o->pa - at));
    pte_push_bits(o->L, e->entry);
    lua_setfield(o->L, -2, "bits");
    end_owner(o);
}

static void look_at_table(void *arg, uint32_t space, uint64_t table, bool root)
{
    struct owners *o = arg;
    if (table != o->pa)
        return;
    o->references++;
    if (!next_owner(o, root ? "root of a page table" : "page table"))
        return;
    class_push(o->L, class_space, (struct class_key){space, 0});
    lua_setfield(o->L, -2, "space");
    end_owner(o);
}

static void look_for_object(struct owners *o, const struct frame_view *v)
{
    struct class_key key;
    if (!v->owner || !class_phys_of(v->owner, &key))
        return;
    o->references++;
    if (!next_owner(o, "memory object"))
        return;
    class_push(o->L, class_phys, key);
    lua_setfield(o->L, -2, "object");
    class_set_int(o->L, "index", v->index);
    end_owner(o);
}

static const char *owner_by_kind(const struct frame_view *v)
{
    return v->zero                            ? "the kernel: it reads as zero wherever nothing is"
           : strcmp(v->kind, "kernel") == 0   ? "the kernel: an object of a page"
           : strcmp(v->kind, "slab") == 0     ? "the kernel heap: small objects"
           : strcmp(v->kind, "heap") == 0     ? "the kernel heap: a large object"
           : strcmp(v->kind, "reserved") == 0 ? "firmware, kernel image or device tree"
                                              : NULL;
}

// f:owners() -> list of {what, space, va, bits, object, index}
static int frame_owners(lua_State *L)
{
    struct frame_view v;
    struct class_key key = class_self(L, 1, class_frame, &v);
    struct owners o = {L, page_round_down(key.id), 0, 0};
    const char *by_kind = owner_by_kind(&v);
    lua_newtable(L);
    if (by_kind && next_owner(&o, by_kind))
        end_owner(&o);
    if (v.cache)
        look_for_object(&o, &v);
    bool table = strcmp(v.kind, "table") == 0, mapped = v.cache || strcmp(v.kind, "anon") == 0;
    for (uint32_t id = 0; (table || mapped || v.zero) && class_next_space(&id);)
        if (table)
            class_each_table(id, look_at_table, &o);
        else
            class_each_entry(id, look_at_entry, &o);
    class_set_columns(L, "what space va> bits object index>");
    return 1;
}

static void push_object(lua_State *L, const struct class_key *key, const void *copy)
{
    struct class_key object;
    const struct frame_view *v = copy;
    (void)key;
    if (v->owner && class_phys_of(v->owner, &object))
        class_push(L, class_phys, object);
    else
        lua_pushnil(L);
}

static const struct class_field fields[] = {
    FIELD_ADDRESS(struct frame_view, pa, "physical address"),
    FIELD(struct frame_view, kind, "anon, cache, table, kernel, slab, heap, free or reserved"),
    FIELD(struct frame_view, refs, "references: entries, the object, requests under way"),
    FIELD(struct frame_view, pins, "of them, by I/O under way"),
    FIELD(struct frame_view, flags, "of a page of an object: uptodate, dirty, busy, ..."),
    FIELD(struct frame_view, index, "of a page of an object: its number there"),
    FIELD(struct frame_view, zero, "it is the frame that reads as zero"),
    FIELD_OTHER("object", "Phys", "whose page it is; nil: of no object", push_object),
    {0},
};

static const struct class_method methods[] = {
    {"owners", "f:owners() -> list of {what, space, va, bits, object, index}",
     "who has it, at most 256: entries of page tables, an object, the kernel",
     "k.phys:frame(k.pid(1).space.pt:walk(0x10000).pa):owners()", frame_owners},
    {0},
};

CLASS(frame, .name = "Frame", .doc = "4 KiB of memory", .place = "struct page, kernel/page/frame.h",
      .gone = "is not memory", .hex = 1, .example = "k.phys:frame(k.phys.lo)",
      .size = sizeof(struct frame_view), .copy = frame_copy, .line = frame_line, .fields = fields,
      .methods = methods);
