// SPDX-License-Identifier: MIT
// Limits of a Lua state: the count hook, the ticks of the patched loops, the C stack, the heap.
//
// A slice that is over is noticed in two places: in luaport_tick (may switch away, raises nothing)
// and in luaport_check (may also raise). While a command is unwound the slice stays empty, so that
// every check takes the slow path, and the hook counts single instructions.
#include "lua/limits.h"

#include "lib/errno.h"
#include "lib/log.h"
#include "lua/luaport.h"

#include <lauxlib.h>
#include <lualib.h>

#ifdef __SANITIZE_ADDRESS__
enum { FRAMES = 4 }; // the sanitizers' frames are that much larger
#else
enum { FRAMES = 1 };
#endif
enum {
    STACK_RESERVE = FRAMES * 24 * 1024, // below this an error is raised
    STACK_LAST = FRAMES * 12 * 1024, // below this handlers are refused too; leaf functions need it
    RAISE_COST = 50,                 // of an error, in ticks
};

int luaport_slice;
uintptr_t luaport_stack;
static struct lua_limits *current;

static uint64_t seed_state = 0x9e3779b97f4a7c15;

// Hash seeds and pivots: need to differ, not to be secret.
unsigned luaport_seed(void)
{
    seed_state ^= (uintptr_t)__builtin_frame_address(0) ^ (current ? current->spent : 0);
    seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed_state >> 33);
}

// ---- ticks

static void account(struct lua_limits *l)
{
    uint64_t ticks = (uint64_t)(int64_t)(l->slice - luaport_slice);
    l->spent += ticks;
    l->ran += ticks;
    l->slice = luaport_slice = l->stop ? 0 : LIMITS_SLICE;
    if ((uintptr_t)__builtin_frame_address(0) > luaport_stack)
        l->stack_reported = false;
}

void luaport_slice_over(void)
{
    if (!current) {
        luaport_slice = LIMITS_SLICE;
        return;
    }
    struct lua_limits *l = current;
    account(l);
    if (l->spent - l->yielded < LIMITS_SLICE)
        return; // unwinding: every check comes here
    l->yielded = l->spent;
    if (l->yield)
        l->yield(l->arg);
}

static void count_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    int count = lua_gethookcount(L);
    if (count == 1 && !current->stop)
        lua_sethook(L, count_hook, LUA_MASKCOUNT, LIMITS_SLICE); // left over from an unwinding
    luaport_check(L, count);
}

// Where the Lua code is that a check was called from: it may be inside a C function.
static void push_where(lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0) {
            lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

static void raise(struct lua_limits *l, lua_State *L)
{
    luaport_slice = l->slice = 0;
    l->spent += RAISE_COST;
    l->ran += RAISE_COST;
    lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
    lua_checkstack(L, 4);
    push_where(L);
    if (l->stop == LIMITS_INTERRUPTED)
        lua_pushliteral(L, "interrupted");
    else if (l->stop == LIMITS_THAWED)
        lua_pushliteral(L, "thawed");
    else
        lua_pushfstring(L, "instruction budget of %I spent", (LUAI_UACINT)l->budget);
    lua_concat(L, 2);
    lua_error(L);
}

void luaport_slice_over_check(lua_State *L)
{
    struct lua_limits *l = current;
    luaport_slice_over();
    if (!l)
        return;
    if (!l->stop && __atomic_load_n(&l->interrupt, __ATOMIC_RELAXED))
        l->stop = LIMITS_INTERRUPTED;
    if (!l->stop && l->spent > l->budget)
        l->stop = LIMITS_BUDGET_SPENT;
    if (l->stop)
        raise(l, L);
}

// A coroutine made before the interrupt has a hook of its own.
void luaport_resumed(lua_State *L)
{
    if (current && current->stop)
        lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
}

// ---- C stack

int luaport_stack_low_slow(uintptr_t at)
{
    return at < luaport_stack - (STACK_RESERVE - STACK_LAST) ? 2 : 1;
}

// The error's own handling runs inside the reserve and must not raise it again. Once a slice ends
// outside the reserve, the next descent is reported anew.
bool luaport_stack_report(void)
{
    bool first = !current->stack_reported;
    current->stack_reported = first;
    return first;
}

// ---- heap

static void *allocate(void *ud, void *p, size_t old, size_t size)
{
    struct lua_limits *l = ud;
    if (!p)
        old = 0; // what kind of object it will be
    REQUIRE(!l->lock_depth || *l->lock_depth == 0);
    if (l == current)
        luaport_tick(2);
    if (size > old && l->arena.used + (size - old) > l->heap) {
        l->arena.failures++;
        return NULL;
    }
    return arena_realloc(&l->arena, p, size);
}

// ---- opening

static int traceback(lua_State *L)
{
    lua_State *of = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    int arg = of != L || lua_isthread(L, 1) ? 2 : 1;
    if (!lua_isnoneornil(L, arg) && !lua_isstring(L, arg)) {
        lua_pushvalue(L, arg); // not a message: handed back untouched
        return 1;
    }
    luaL_traceback(L, of, lua_tostring(L, arg), (int)luaL_optinteger(L, arg + 1, of == L));
    return 1;
}

static int open_libraries(lua_State *L)
{
    static const luaL_Reg libraries[] = {
        {LUA_GNAME, luaopen_base},        {LUA_TABLIBNAME, luaopen_table},
        {LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math},
        {LUA_UTF8LIBNAME, luaopen_utf8},  {LUA_COLIBNAME, luaopen_coroutine},
    };
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, traceback);
    lua_setfield(L, -2, "traceback");
    lua_setglobal(L, LUA_DBLIBNAME);
    return 0;
}

static int unprotected(lua_State *L)
{
    panic("monitor: a Lua error outside of any protected call: %s", lua_tostring(L, -1));
}

_Noreturn void luaport_abort(void);
_Noreturn void luaport_abort(void)
{
    panic("monitor: Lua gave up");
}

int limits_open(struct lua_limits *l, void *mem, size_t size)
{
    arena_init(&l->arena, mem, size);
    l->spent = l->yielded = 0;
    l->budget = l->usual = LIMITS_BUDGET;
    l->heap = size;
    l->interrupt = 0;
    l->stop = LIMITS_RUN;
    l->L = lua_newstate(allocate, l);
    if (!l->L)
        return -ENOMEM;
    lua_atpanic(l->L, unprotected);
    lua_gc(l->L, LUA_GCINC, 150, 200, 12);
    lua_pushcfunction(l->L, open_libraries);
    if (lua_pcall(l->L, 0, 0, 0) != LUA_OK)
        return -ENOMEM;
    lua_sethook(l->L, count_hook, LUA_MASKCOUNT, LIMITS_SLICE);
    return 0;
}

void limits_enter(struct lua_limits *l, void *stack_lo)
{
    current = l;
    l->stack_lo = (uintptr_t)stack_lo;
    luaport_stack = l->stack_lo + STACK_RESERVE;
    l->slice = luaport_slice = LIMITS_SLICE;
}

struct lua_limits *limits_leave(void)
{
    struct lua_limits *l = current;
    if (l)
        l->left = luaport_slice;
    current = NULL;
    return l;
}

void limits_return(struct lua_limits *l)
{
    current = l;
    if (!l)
        return;
    luaport_slice = l->left;
    luaport_stack = l->stack_lo + STACK_RESERVE;
}

struct lua_limits *limits_of(lua_State *L)
{
    void *l;
    lua_getallocf(L, &l);
    return l;
}

void limits_begin(struct lua_limits *l, uint64_t budget)
{
    l->stop = LIMITS_RUN;
    __atomic_store_n(&l->interrupt, 0, __ATOMIC_RELAXED);
    l->spent = l->yielded = 0;
    l->budget = budget;
    l->slice = luaport_slice = LIMITS_SLICE;
    l->stack_reported = false;
    lua_sethook(l->L, count_hook, LUA_MASKCOUNT, LIMITS_SLICE);
}
