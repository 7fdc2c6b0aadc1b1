// SPDX-License-Identifier: MIT
// Walks: an address on its way through a page table. It is walked anew at each look, so that one
// Walk shows a page come and go; its last entry's bits can be changed.
#include "arch/pt.h"
#include "class/classes.h"
#include "lib/errno.h"

#include <stdio.h>
#include <string.h>

struct walk_view {
    struct pt_step step[PT_LEVELS];
    uint64_t n, pa, pte;
    char bits[PTE_LETTERS + 1], stops[64];
};

static long walk_copy(const struct class_key *key, void *out)
{
    struct walk_view *v = out;
    memset(v, 0, sizeof *v);
    v->n = page_table_walk(key->owner, key->id, v->step);
    if (!v->n)
        return -ENOENT;
    v->pte = v->step[v->n - 1].entry;
    pte_bits_text(v->bits, v->pte);
    unsigned level = PT_LEVELS - (unsigned)v->n;
    if (v->pte & PTE_V)
        v->pa = pte_pa(v->pte) | (key->id & ((PAGE_SIZE << 9 * level) - 1));
    else
        snprintf(v->stops, sizeof v->stops, "level %u: the entry %s", level,
                 v->pte ? "keeps a frame but is not valid" : "is empty");
    return 0;
}

static void walk_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct walk_view *v = copy;
    (void)key;
    if (v->pa)
        snprintf(buf, n, "-> %lx %s", (unsigned long)v->pa, v->bits);
    else
        snprintf(buf, n, "stops at %s", v->stops);
}

static void push_steps(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct walk_view *v = copy;
    (void)key;
    lua_newtable(L);
    for (unsigned i = 0; i < v->n; i++) {
        lua_createtable(L, 0, 5);
        lua_pushinteger(L, PT_LEVELS - 1 - (int)i);
        lua_setfield(L, -2, "level");
        class_set_address(L, "table", v->step[i].table);
        lua_pushinteger(L, v->step[i].index);
        lua_setfield(L, -2, "index");
        class_set_address(L, "entry", v->step[i].entry);
        pte_push_bits(L, v->step[i].entry);
        lua_setfield(L, -2, "bits");
        lua_rawseti(L, -2, (int)i + 1);
    }
    class_set_columns(L, "level> table> index> entry> bits");
}

static void push_pa(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct walk_view *v = copy;
    (void)key;
    if (v->pa)
        lua_pushinteger(L, (lua_Integer)v->pa);
    else
        lua_pushnil(L);
}

static void push_stops(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct walk_view *v = copy;
    (void)key;
    lua_pushstring(L, *v->stops ? v->stops : NULL);
}

static void push_table(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push(L, class_page_table, (struct class_key){key->owner, 0});
}

static void set_bits(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    page_table_change(L, key->owner, key->id, pte_check_bits(L, value));
}

static const struct class_field walk_fields[] = {
    FIELD_OTHER("pa", "address", "where the address leads; nil when the walk stops", push_pa),
    FIELD_OTHER("stops", "string", "where and why it stops; nil when it does not", push_stops),
    FIELD(struct walk_view, bits, "of the last entry: held dirty accessed global user x w r valid",
          .set = set_bits),
    FIELD_ADDRESS(struct walk_view, pte, "the last entry"),
    FIELD_OTHER("steps", "list of {level, table, index, entry, bits}", "from the root down",
                push_steps),
    FIELD_OTHER("pt", "PageTable", "where it walks", push_table),
    {0},
};

CLASS(walk, .name = "Walk", .doc = "an address on its way through a page table",
      .place = "struct pt_step, kernel/arch/riscv/include/arch/pt.h",
      .example = "k.pid(1).space.pt:walk(0x10000)", .gone = "has lost its table", .hex = 1,
      .size = sizeof(struct walk_view), .copy = walk_copy, .line = walk_line,
      .fields = walk_fields);
