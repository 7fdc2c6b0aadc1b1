// SPDX-License-Identifier: MIT
// Page tables: walks as the hardware does them, leaves, and changing one entry's bits.
//
// PageTable#n is the table of Space#n; PageTable#0 is the kernel's.
#include "arch/start.h"
#include "class/classes.h"
#include "class/options.h"
#include "mem/huge.h"
#include "mem/space.h"
#include "session/journal.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { LEAVES_MAX = 4096, LEAVES_BATCH = 32 };

// Bits by the letters that stand for them, from the highest.
static const struct {
    char letter;
    uint16_t bit;
} letters[] = {{'h', PTE_HELD}, {'d', PTE_D}, {'a', PTE_A}, {'g', PTE_G}, {'u', PTE_U},
               {'x', PTE_X},    {'w', PTE_W}, {'r', PTE_R}, {'v', PTE_V}};
_Static_assert(sizeof letters / sizeof *letters == PTE_LETTERS, "one letter each");

void pte_bits_text(char out[PTE_LETTERS + 1], pte_t e)
{
    for (int i = 0; i < PTE_LETTERS; i++)
        out[i] = e & letters[i].bit ? letters[i].letter : '-';
    out[PTE_LETTERS] = 0;
}

void pte_push_bits(lua_State *L, pte_t e)
{
    char text[PTE_LETTERS + 1];
    pte_bits_text(text, e);
    lua_pushstring(L, text);
}

pte_t pte_check_bits(lua_State *L, int idx)
{
    const char *s = luaL_checkstring(L, idx);
    pte_t bits = 0;
    for (const char *p = s; *p; p++) {
        int i = 0;
        while (i < PTE_LETTERS && letters[i].letter != *p)
            i++;
        if (i < PTE_LETTERS)
            bits |= letters[i].bit;
        else if (*p != '-')
            luaL_error(L, "bits of an entry are letters of vrwxugad and h: '%s'", s);
    }
    return bits;
}

// ---- the table

struct table_view {
    uint64_t root, satp, tables, resident;
};

static long table_copy(const struct class_key *key, void *out)
{
    struct table_view *v = out;
    if (key->id == 0) {
        *v = (struct table_view){.root = kva_to_pa(kernel_root),
                                 .satp = satp_of_root(kva_to_pa(kernel_root))};
        return 0;
    }
    struct space *s = key->id <= UINT32_MAX ? space_find((uint32_t)key->id) : NULL;
    if (!s)
        return -ENOENT;
    spin_lock(&s->lock);
    *v = (struct table_view){kva_to_pa(s->root), s->satp, s->tables, s->resident};
    spin_unlock(&s->lock);
    space_unref(s);
    return 0;
}

static void table_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct table_view *v = copy;
    snprintf(buf, n, "%s, root %lx", key->id ? "of a space" : "of the kernel",
             (unsigned long)v->root);
}

// 0 steps: the space is gone.
unsigned page_table_walk(uint64_t space, va_t va, struct pt_step *steps)
{
    if (!space)
        return pt_walk(kernel_root, va, steps);
    struct space *s = space <= UINT32_MAX ? space_find((uint32_t)space) : NULL;
    if (!s)
        return 0;
    spin_lock(&s->lock);
    unsigned n = pt_walk(s->root, va, steps);
    spin_unlock(&s->lock);
    space_unref(s);
    return n;
}

bool class_is_va(lua_State *L, va_t va)
{
    char text[48];
    if ((va_t)((int64_t)(va << 25) >> 25) == va)
        return true;
    snprintf(text, sizeof text, "0x%lx is no Sv39 address", (unsigned long)va);
    lua_pushnil(L);
    lua_pushstring(L, text);
    return false;
}

static int table_walk(lua_State *L)
{
    struct table_view v;
    struct class_key key = class_self(L, 1, class_page_table, &v);
    va_t va = (va_t)luaL_checkinteger(L, 2);
    if (!class_is_va(L, va))
        return 2;
    class_push(L, class_walk, (struct class_key){va, key.id});
    return 1;
}

static void push_leaf(lua_State *L, const struct pte_info *e)
{
    lua_createtable(L, 0, 5);
    class_set_address(L, "va", e->va);
    class_set_address(L, "pa", pte_pa(e->entry));
    lua_pushinteger(L, (lua_Integer)e->pages);
    lua_setfield(L, -2, "pages");
    pte_push_bits(L, e->entry);
    lua_setfield(L, -2, "bits");
    lua_pushinteger(L, load_relaxed(&page_of(pte_pa(e->entry))->refs));
    lua_setfield(L, -2, "refs");
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

// A batch under the lock, then Lua, then the next batch from where it ended.
static int table_leaves(lua_State *L)
{
    struct table_view v;
    struct pte_info batch[LEAVES_BATCH];
    struct class_key key = class_self(L, 1, class_page_table, &v);
    static const char *const known[] = {"lo", "hi", NULL};
    options_check(L, 2, known);
    va_t at = (va_t)options_integer(L, 2, "lo", 0, 0, LUA_MAXINTEGER);
    va_t hi = (va_t)options_integer(L, 2, "hi", USER_TOP, 0, LUA_MAXINTEGER);
    size_t n = LEAVES_BATCH, all = 0;
    if (hi > USER_TOP)
        hi = USER_TOP;
    if (!key.id)
        return luaL_error(L, "only the tables of spaces list their leaves");
    lua_newtable(L);
    while (n == LEAVES_BATCH && all < LEAVES_MAX) {
        struct space *s = space_find((uint32_t)key.id);
        if (!s)
            break;
        n = space_entries(s, at, hi, batch, LEAVES_BATCH);
        space_unref(s);
        for (size_t i = 0; i < n; i++)
            push_leaf(L, &batch[i]);
        all += n;
        at = n ? batch[n - 1].va + batch[n - 1].pages * PAGE_SIZE : hi;
    }
    class_set_columns(L, "va> pa> bits pages> refs>");
    return 1;
}

// ---- a change: the bits of one entry

// What the walk says of the page at va: its entry, or the one that its 2 MiB leaf stands for. 0: no frame.
static pte_t entry_of(const struct pt_step *steps, unsigned n, va_t va)
{
    pte_t e = n ? steps[n - 1].entry : 0;
    if (n == PT_LEVELS - 1 && pte_is_leaf(e))
        return e + pte_make(va & (HUGE_SIZE - PAGE_SIZE), 0);
    return n == PT_LEVELS ? e : 0;
}

// arg: space, va, entry.
static long pte_validate(struct change *c)
{
    struct pt_step steps[PT_LEVELS];
    char bits[PTE_LETTERS + 1];
    pte_bits_text(bits, c->arg[2]);
    snprintf(c->text, sizeof c->text, "entry of %lx in Space#%lu: %s", (unsigned long)c->arg[1],
             (unsigned long)c->arg[0], bits);
    if (!c->arg[0] || c->arg[1] >= USER_TOP) {
        snprintf(c->why, sizeof c->why, "only entries of user addresses may change");
        return -EPERM;
    }
    unsigned n = page_table_walk(c->arg[0], c->arg[1], steps);
    pte_t now = entry_of(steps, n, c->arg[1]);
    if (!now)
        snprintf(c->why, sizeof c->why, "there is no frame at this address (level %u)",
                 n ? PT_LEVELS - n : 2);
    else if (pte_pa(now) != pte_pa(c->arg[2]))
        snprintf(c->why, sizeof c->why, "the frame is another one by now");
    else if ((c->arg[2] & (PTE_V | PTE_R | PTE_W)) == (PTE_V | PTE_W))
        snprintf(c->why, sizeof c->why, "w without r is reserved (Privileged 4.3.1)");
    else if (c->arg[2] & PTE_G)
        snprintf(c->why, sizeof c->why, "a user's entry is never global");
    else if (c->arg[2] & PTE_V && !(c->arg[2] & PTE_U))
        snprintf(c->why, sizeof c->why,
                 "without u the user could not reach it and the kernel must not");
    else if (c->arg[2] & PTE_V && !pte_is_leaf(c->arg[2]))
        snprintf(c->why, sizeof c->why, "v without r, w or x would point to a table");
    else if (c->arg[2] & PTE_W && !(now & PTE_W) && load_relaxed(&page_of(pte_pa(now))->refs) > 1)
        snprintf(c->why, sizeof c->why,
                 "the frame is shared (%u references): a write would reach others",
                 load_relaxed(&page_of(pte_pa(now))->refs));
    else
        return 0;
    return -EINVAL;
}

static long pte_apply(struct change *c);
static const struct change_kind pte_kind = {"pte.set", MODE_RW, pte_validate, pte_apply};
static const struct change_kind stale_kind = {"pte.set_stale", MODE_UNSAFE, pte_validate,
                                              pte_apply};

static long pte_apply(struct change *c)
{
    pte_t old;
    struct space *s = space_find((uint32_t)c->arg[0]);
    if (!s)
        return -ENOENT;
    int e = c->kind == &stale_kind ? space_pte_set_stale(s, c->arg[1], c->arg[2], &old)
                                   : space_pte_set(s, c->arg[1], c->arg[2], &old);
    space_unref(s);
    if (e) {
        snprintf(c->why, sizeof c->why, "the entry changed meanwhile (error %d)", e);
        return e;
    }
    c->undo = &pte_kind;
    c->undo_arg[0] = c->arg[0];
    c->undo_arg[1] = c->arg[1];
    c->undo_arg[2] = old;
    return 0;
}

static void change_entry(lua_State *L, const struct change_kind *kind, uint64_t space, va_t va,
                         pte_t bits)
{
    struct pt_step steps[PT_LEVELS];
    unsigned n = page_table_walk(space, va, steps);
    pte_t now = entry_of(steps, n, va);
    change_make(
        L, &(struct change){.kind = kind, .arg = {space, va, (now & ~(pte_t)PTE_FLAGS) | bits}});
}

void page_table_change(lua_State *L, uint64_t space, va_t va, pte_t bits)
{
    change_entry(L, &pte_kind, space, va, bits);
}

// pt:set(va, "vr-u-ad" [, {flush = false}])
static int table_set(lua_State *L)
{
    struct table_view v;
    struct class_key key = class_self(L, 1, class_page_table, &v);
    static const char *const known[] = {"flush", NULL};
    options_check(L, 4, known);
    change_entry(L, options_flag(L, 4, "flush", true) ? &pte_kind : &stale_kind, key.id,
                 (va_t)luaL_checkinteger(L, 2), pte_check_bits(L, 3));
    return 0;
}

static void push_space(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    if (key->id)
        class_push(L, class_space, (struct class_key){key->id, 0});
    else
        lua_pushnil(L);
}

// Of the kernel's table, which never changes after boot; other roots have its upper half, too.
static uint64_t count_tables(const pte_t *table, unsigned level)
{
    uint64_t n = 1;
    for (unsigned i = 0; level && i < PT_ENTRIES; i++)
        if (table[i] & PTE_V && !pte_is_leaf(table[i]))
            n += count_tables(pte_table(table[i]), level - 1);
    return n;
}

static void push_tables(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct table_view *v = copy;
    uint64_t n = key->id ? v->tables : count_tables(kernel_root, PT_LEVELS - 1);
    lua_pushinteger(L, (lua_Integer)n);
}

static void push_resident(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct table_view *v = copy;
    if (key->id)
        lua_pushinteger(L, (lua_Integer)v->resident);
    else
        lua_pushnil(L);
}

static const struct class_field table_fields[] = {
    FIELD_ADDRESS(struct table_view, root, "physical address of the root"),
    FIELD_ADDRESS(struct table_view, satp, "what the register holds when it is in use"),
    FIELD_OTHER("tables", "integer", "frames of tables, root included", push_tables),
    FIELD_OTHER("resident", "integer",
                "user frames it maps; nil for the kernel's, which maps all memory", push_resident),
    FIELD_OTHER("space", "Space", "whose table it is; nil for the kernel's", push_space),
    {0},
};

static const struct class_method table_methods[] = {
    {"walk", "pt:walk(va) -> Walk",
     "the way from the root to va, or to where it stops; nil when va is no Sv39 address",
     "k.pid(1).space.pt:walk(0x10000)", table_walk},
    {"leaves", "pt:leaves{lo=, hi=} -> list of {va, pa, bits, pages, refs}",
     "the entries that have a frame, or 512 in a run, whose first one's references they show; at most 4096",
     "k.pid(1).space.pt:leaves{hi = 0x20000}", table_leaves},
    {"set", "pt:set(va, bits [, {flush = false}])",
     "sets the bits of one page's entry and shoots down its translations; or (unsafe) does not",
     "k.pid(5).space.pt:set(0x10000, \"vr-u-ad\")", table_set},
    {0},
};

CLASS(page_table, .name = "PageTable", .doc = "a three-level Sv39 page table",
      .place = "pte_t, kernel/arch/riscv/include/arch/pt.h", .example = "k.pid(1).space.pt",
      .gone = "was freed", .size = sizeof(struct table_view), .copy = table_copy,
      .line = table_line, .fields = table_fields, .methods = table_methods, .changing = "set");

// ---- k.pt, k.pte

static int k_pt(lua_State *L)
{
    class_push(L, class_page_table, (struct class_key){0, 0});
    return 1;
}
MONITOR_API(pt, "pt", NULL, "PageTable of the kernel", "k.pt:walk(0xffffffc080200000)", k_pt, NULL);

// What an entry says, as a number from anywhere.
static int k_pte(lua_State *L)
{
    pte_t e = (pte_t)luaL_checkinteger(L, 1);
    lua_createtable(L, 0, 4);
    class_set_address(L, "pa", pte_pa(e));
    pte_push_bits(L, e);
    lua_setfield(L, -2, "bits");
    lua_pushstring(L, !(e & PTE_V)     ? e ? "not valid, keeps a frame" : "empty"
                      : pte_is_leaf(e) ? "leaf"
                                       : "points to a table");
    lua_setfield(L, -2, "is");
    class_set_names(L, "the entry", "");
    return 1;
}
MONITOR_API(pte, "pte", "k.pte(number) -> {pa, bits, is}", "decodes a page table entry",
            "k.pte(0x20000cf7)", k_pte, NULL);
