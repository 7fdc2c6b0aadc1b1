// SPDX-License-Identifier: MIT
// What is in a virtqueue, as Lua sees it: the rings, the requests, the descriptors of one of them.
#include "class/ring_check.h"

#include "async/timer.h"
#include "class/classes.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 64 };

// A checked copy of the queue that argument 1 is; it stays on the stack.
static struct ring_copy *ring_of_self(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_virtqueue);
    struct ring_copy *r = lua_newuserdatauv(L, sizeof *r, 0);
    ring_copy(virtqueue_at(key.id), r);
    ring_check(r);
    return r;
}

static void set_broken(lua_State *L, const char *why)
{
    class_set_text(L, "broken", why[0] ? why : NULL);
}

static void set_waiter(lua_State *L, uint32_t task)
{
    if (!task)
        return;
    class_push(L, class_task, (struct class_key){task, 0});
    lua_setfield(L, -2, "task");
}

static void append(char buf[TEXT], const char *word)
{
    size_t n = strlen(buf);
    snprintf(buf + n, TEXT - n, "%s%s", n ? " " : "", word);
}

static void set_desc(lua_State *L, const struct ring_copy *r, uint16_t i)
{
    static const char *const name[] = {"NEXT", "WRITE", "INDIRECT"}; // by bit
    const struct virtq_desc *d = &r->desc[i];
    char flags[TEXT] = "", other[8];
    for (unsigned bit = 0; bit < 16; bit++) {
        if (!(d->flags & 1u << bit))
            continue;
        snprintf(other, sizeof other, "%#x", 1u << bit);
        append(flags, bit < 3 ? name[bit] : other);
    }
    class_set_int(L, "index", i);
    class_set_address(L, "addr", d->addr);
    class_set_int(L, "len", d->len);
    class_set_text(L, "flags", flags);
    class_set_int(L, "next", d->next);
}

// ---- all of it

static const char *state_text(uint8_t state)
{
    return state == VIRTQ_FREE ? "free" : state == VIRTQ_HELD ? "held" : "in flight";
}

static void set_owner(lua_State *L, const struct ring_copy *r, uint16_t i)
{
    uint16_t head = r->head[i];
    const struct ring_slot *s = head < r->size ? &r->slot[head] : NULL;
    class_set_text(L, "state", s ? state_text(s->state) : head == RING_FREE ? "free" : "lost");
    if (!s)
        return;
    class_set_int(L, "head", head);
    set_waiter(L, s->waiter);
}

// Which indices stand here. They run freely; each is the number of the next entry.
static void set_indices(lua_State *L, const struct ring_copy *r, uint16_t i)
{
    const struct {
        const char *name;
        uint16_t at;
    } indices[] = {{"free_head", r->free_count ? r->free_head : RING_FREE},
                   {"avail_idx", r->avail_idx % r->size},
                   {"kicked_idx", r->kicked_idx % r->size},
                   {"used_idx", r->used_idx % r->size},
                   {"last_used", r->last_used % r->size}};
    char text[TEXT] = "";
    for (size_t k = 0; k < sizeof indices / sizeof *indices; k++)
        if (indices[k].at == i)
            append(text, indices[k].name);
    class_set_text(L, "at", text);
}

static void push_row(lua_State *L, const struct ring_copy *r, uint16_t i)
{
    lua_createtable(L, 0, 13);
    set_desc(L, r, i);
    set_owner(L, r, i);
    set_indices(L, r, i);
    if (i < r->avail_written)
        class_set_int(L, "avail", r->avail[i]);
    if (i < r->used_written) {
        class_set_int(L, "used", r->used[i].id);
        class_set_int(L, "written", r->used[i].len);
    }
    set_broken(L, r->entry_why[i][0] ? r->entry_why[i] : r->desc_why[i]);
}

int class_queue_ring(lua_State *L)
{
    const struct ring_copy *r = ring_of_self(L);
    lua_createtable(L, r->size, 0);
    for (uint16_t i = 0; i < r->size; i++) {
        push_row(L, r, i);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    class_set_columns(
        L, "index> at state head> addr> len> flags next> avail> used> written> broken task");
    return 1;
}

// ---- requests

// The first thing that is wrong in a chain.
static const char *chain_why(const struct ring_copy *r, uint16_t head)
{
    uint16_t order[VIRTQ_SIZE_MAX];
    unsigned n = ring_walk(r, head, order);
    for (unsigned k = 0; k < n; k++)
        if (r->desc_why[order[k]][0])
            return r->desc_why[order[k]];
    return "";
}

int class_queue_chains(lua_State *L)
{
    const struct ring_copy *r = ring_of_self(L);
    uint64_t now = clock_monotonic_ns();
    lua_Integer n = 0;
    lua_newtable(L);
    for (uint16_t head = 0; head < r->size; head++) {
        const struct ring_slot *s = &r->slot[head];
        if (s->state == VIRTQ_FREE)
            continue;
        lua_createtable(L, 0, 6);
        class_set_int(L, "head", head);
        class_set_text(L, "state", state_text(s->state));
        class_set_int(L, "descs", s->descs);
        class_set_int(L, "us", (now - ticks_to_ns(s->since)) / 1000);
        set_waiter(L, s->waiter);
        set_broken(L, chain_why(r, head));
        lua_rawseti(L, -2, ++n);
    }
    class_set_columns(L, "head> state descs> us> broken task");
    return 1;
}

int class_queue_chain(lua_State *L)
{
    lua_Integer head = luaL_checkinteger(L, 2);
    const struct ring_copy *r = ring_of_self(L);
    uint16_t order[VIRTQ_SIZE_MAX];
    luaL_argcheck(L, head >= 0 && head < r->size, 2, "no such descriptor");
    if (r->slot[head].state == VIRTQ_FREE)
        return luaL_error(L, "descriptor %I heads no chain in flight", (LUAI_UACINT)head);
    unsigned n = ring_walk(r, (uint16_t)head, order);
    lua_createtable(L, (int)n, 0);
    for (unsigned k = 0; k < n; k++) {
        lua_createtable(L, 0, 6);
        set_desc(L, r, order[k]);
        set_broken(L, r->desc_why[order[k]]);
        lua_rawseti(L, -2, (lua_Integer)k + 1);
    }
    class_set_columns(L, "index> addr> len> flags next> broken");
    return 1;
}
