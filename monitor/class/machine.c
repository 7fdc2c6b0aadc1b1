// SPDX-License-Identifier: MIT
// The rest of `k`: memory in figures, symbols; reading RAM.
#include "class/class.h"
#include "lib/dt.h"
#include "lib/symbols.h"
#include "mem/phys.h"
#include "mem/shortage.h"
#include "page/frame.h"
#include "session/journal.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { READ_MAX = 4096 };

static int k_memory(lua_State *L)
{
    static const char *const kinds[FRAME_KINDS] = {
        [FRAME_RESERVED] = "reserved", [FRAME_FREE] = "free",   [FRAME_KERNEL] = "kernel",
        [FRAME_ANON] = "anon",         [FRAME_CACHE] = "cache", [FRAME_TABLE] = "table",
        [FRAME_SLAB] = "slab",         [FRAME_HEAP] = "heap",
    };
    struct frame_stats s = {0};
    frame_stats_get(&s);
    lua_newtable(L);
    class_set_int(L, "total", s.total);
    class_set_int(L, "free", s.free);
    class_set_int(L, "allocs", s.allocs);
    class_set_int(L, "frees", s.frees);
    class_set_int(L, "failures", s.failures);
    class_set_int(L, "zeroed", s.zeroed);
    class_set_int(L, "harts", s.cached);
    class_set_int(L, "depot", s.depot);
    class_set_int(L, "refills", s.refills);
    class_set_int(L, "from_depot", s.from_depot);
    class_set_int(L, "spills", s.spills);
    class_set_int(L, "to_depot", s.to_depot);
    class_set_int(L, "spare", frame_spare());
    class_set_int(L, "reserve", frame_reserve);
    class_set_int(L, "ended", memory_stats.ended);
    class_set_int(L, "collected", memory_stats.collected);
    class_set_int(L, "cached", phys_totals.cached);
    class_set_int(L, "dirty", phys_totals.dirty);
    class_set_int(L, "written", phys_totals.written);
    class_set_int(L, "evicted", phys_totals.evicted);
    class_set_int(L, "throttled", phys_totals.throttled);
    class_set_int(L, "fills", phys_totals.fills);
    class_set_int(L, "filled", phys_totals.filled);
    class_set_int(L, "ahead", phys_totals.ahead);
    class_set_int(L, "waits", phys_totals.waits);
    class_set_int(L, "reading_ahead", phys_totals.reading_ahead);
    if (lua_toboolean(L, 1)) {
        frame_count_kinds(&s);
        for (int i = 0; i < FRAME_KINDS; i++)
            if (kinds[i] && i != FRAME_FREE)
                class_set_int(L, kinds[i], s.kind[i]);
    }
    class_set_names(L, "k.memory()", "");
    return 1;
}
MONITOR_API(memory, "memory", "k.memory([true]) -> {total, free, allocs, ...}",
            "page frames, the page cache; with true also counted by use (slow)", "k.memory(true)",
            k_memory, NULL);

// A name gives an address, an address the function it lies in.
static int k_sym(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TNUMBER) {
        struct symbol_text name;
        lua_pushstring(L, symbol_describe(&name, (uint64_t)luaL_checkinteger(L, 1)));
        return 1;
    }
    uint64_t at = symbol_find(luaL_checkstring(L, 1));
    if (at) {
        lua_pushinteger(L, (lua_Integer)at);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "the kernel has no function '%s'", lua_tostring(L, 1));
    return 2;
}
MONITOR_API(sym, "sym", "k.sym(name or address) -> address or name", "functions of the kernel",
            "k.sym(\"space_fault\")", k_sym, NULL);

// ---- reading memory

// RAM is safe to read (where it is not the kernel's, the fault is caught); a device register may not be, since reading can have effects.
static const char *refuse(uint64_t address, uint64_t n)
{
    if (address + n < address)
        return "the range wraps around";
    if (address < KVA_OFFSET || monitor_mode() == MODE_UNSAFE)
        return NULL; // user and unmapped addresses fault, which is caught
    pa_t pa = address - KVA_OFFSET;
    return dt_is_ram(pa, pa + n) ? NULL : "not RAM (unsafe mode reads it all the same)";
}

// k.peek(address, n) -> bytes as a string; nil, message
static int k_peek(lua_State *L)
{
    luaL_Buffer b;
    uint64_t address = (uint64_t)luaL_checkinteger(L, 1);
    lua_Integer n = luaL_optinteger(L, 2, 8);
    luaL_argcheck(L, n > 0 && n <= READ_MAX, 2, "1 to 4096 bytes");
    const char *no = refuse(address, (uint64_t)n);
    char *bytes = luaL_buffinitsize(L, &b, (size_t)n);
    if (!no && probe_read(bytes, (const void *)address, (uint64_t)n) == 0) {
        luaL_pushresultsize(&b, (size_t)n);
        return 1;
    }
    char text[96];
    if (no)
        snprintf(text, sizeof text, "0x%lx: %s", (unsigned long)address, no);
    else
        snprintf(text, sizeof text, "fault 0x%lx", (unsigned long)address);
    lua_pushnil(L);
    lua_pushstring(L, text);
    return 2;
}
MONITOR_API(peek, "peek", "k.peek(address [, n]) -> string",
            "n bytes (8) of kernel memory; nil and why when they cannot be read",
            "k.peek(0xffffffc080200000, 4)", k_peek, NULL);

static void hex_line(luaL_Buffer *b, uint64_t address, const char *p, size_t n)
{
    char line[100];
    int at = snprintf(line, sizeof line, "%016lx ", (unsigned long)address);
    for (size_t i = 0; i < 16; i++)
        at += i < n ? snprintf(line + at, sizeof line - (size_t)at, " %02x", (uint8_t)p[i])
                    : snprintf(line + at, sizeof line - (size_t)at, "   ");
    luaL_addlstring(b, line, (size_t)at);
    luaL_addstring(b, "  ");
    for (size_t i = 0; i < n; i++)
        luaL_addchar(b, p[i] >= 32 && p[i] < 127 ? p[i] : '.');
    luaL_addchar(b, '\n');
}

static int k_hexdump(lua_State *L)
{
    uint64_t address = (uint64_t)luaL_checkinteger(L, 1);
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_pushinteger(L, 64);
        lua_replace(L, 2);
    }
    lua_pushcfunction(L, k_peek);
    lua_insert(L, 1);
    lua_call(L, 2, 2);
    if (lua_isnil(L, 1))
        return 2;
    size_t n;
    const char *p = lua_tolstring(L, 1, &n);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i += 16)
        hex_line(&b, address + i, p + i, n - i < 16 ? n - i : 16);
    luaL_pushresult(&b);
    return 1;
}
MONITOR_API(hexdump, "hexdump", "k.hexdump(address [, n]) -> string",
            "n bytes (64) of kernel memory, sixteen to a line", "k.hexdump(0xffffffc080200000, 64)",
            k_hexdump, NULL);

// k.mem:hexdump(address, n), k.mem:read(address, n)
static int mem_hexdump(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_remove(L, 1);
    return k_hexdump(L);
}

static int mem_read(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_remove(L, 1);
    return k_peek(L);
}

static int k_mem(lua_State *L)
{
    static const luaL_Reg methods[] = {{"hexdump", mem_hexdump}, {"read", mem_read}, {NULL, NULL}};
    luaL_newlib(L, methods);
    class_set_names(L, "k.mem", "");
    return 1;
}
MONITOR_API(mem, "mem", NULL, "memory: :hexdump(address, n), :read(address, n)",
            "print(k.mem:hexdump(0xffffffc080200000, 64))", k_mem, NULL);
