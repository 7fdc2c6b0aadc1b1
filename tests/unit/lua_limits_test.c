// SPDX-License-Identifier: MIT
// sources: monitor/lua/arena.c monitor/lua/limits.c
// sources: build/third_party/lua/src/lapi.c build/third_party/lua/src/lauxlib.c
// sources: build/third_party/lua/src/lbaselib.c build/third_party/lua/src/lcode.c
// sources: build/third_party/lua/src/lcorolib.c build/third_party/lua/src/lctype.c
// sources: build/third_party/lua/src/ldebug.c build/third_party/lua/src/ldo.c
// sources: build/third_party/lua/src/ldump.c build/third_party/lua/src/lfunc.c
// sources: build/third_party/lua/src/lgc.c build/third_party/lua/src/llex.c
// sources: build/third_party/lua/src/lmathlib.c build/third_party/lua/src/lmem.c
// sources: build/third_party/lua/src/lobject.c build/third_party/lua/src/lopcodes.c
// sources: build/third_party/lua/src/lparser.c build/third_party/lua/src/lstate.c
// sources: build/third_party/lua/src/lstring.c build/third_party/lua/src/lstrlib.c
// sources: build/third_party/lua/src/ltable.c build/third_party/lua/src/ltablib.c
// sources: build/third_party/lua/src/ltm.c build/third_party/lua/src/lundump.c
// sources: build/third_party/lua/src/lutf8lib.c build/third_party/lua/src/lvm.c
// sources: build/third_party/lua/src/lzio.c
// flags: -include monitor/lua/luaport.h
// Every way we know in which a script could hang, exhaust or escape the monitor: each must end in
// a Lua error, in bounded time, and leave a state that works.
#include "lua/limits.h"
#include "lua/luaport.h"

#include <lauxlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEAP = 1 << 20, STACK = 128 * 1024, STACK_ROOM = 128 * 1024 };

_Noreturn void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

static struct lua_limits limits;
static void *heap;
static unsigned yields, interrupt_at;
static uint64_t longest; // ticks between two yields

static void on_yield(void *arg)
{
    static uint64_t last;
    (void)arg;
    uint64_t step = limits.spent >= last ? limits.spent - last : limits.spent;
    last = limits.spent;
    if (step > longest)
        longest = step;
    if (++yields == interrupt_at)
        limits_interrupt(&limits);
}

static int set_up(void **state)
{
    (void)state;
    char here;
    heap = aligned_alloc(16, HEAP);
    memset(&limits, 0, sizeof limits);
    limits.yield = on_yield;
    yields = interrupt_at = 0;
    longest = 0;
    assert_int_equal(limits_open(&limits, heap, HEAP), 0);
    limits_enter(&limits, &here - STACK - STACK_ROOM); // frames are larger under the sanitizers
    limits_begin(&limits, 3000000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(arena_is_sound(&limits.arena));
    limits_begin(&limits, 3000000); // whatever happened, the state goes on working
    assert_int_equal(luaL_dostring(limits.L, "local t = {} for i = 1, 100 do t[i] = i .. '' end "
                                             "assert(table.concat(t):len() == 192)"),
                     LUA_OK);
    lua_close(limits.L);
    assert_int_equal(limits.arena.used, 0);
    assert_true(arena_is_sound(&limits.arena));
    free(heap);
    return 0;
}

static const char *result(const char *code)
{
    lua_settop(limits.L, 0);
    int status = luaL_loadbufferx(limits.L, code, strlen(code), "=t", "t");
    if (status == LUA_OK)
        status = lua_pcall(limits.L, 0, 1, 0);
    const char *text = luaL_tolstring(limits.L, -1, NULL);
    return status == LUA_OK ? text : lua_pushfstring(limits.L, "error %s", text);
}

static void expect(const char *code, const char *part)
{
    limits_begin(&limits, 3000000);
    const char *got = result(code);
    if (!strstr(got, part))
        fail_msg("%s\n  gave: %.200s\n  not:  %s", code, got, part);
}

#define TEST(name)   static void name(void **state)
#define UNUSED_STATE (void)state

TEST(ordinary_code_runs)
{
    UNUSED_STATE;
    expect("local t = {} for w in ('a bc d'):gmatch('%a+') do t[#t+1] = w end "
           "table.sort(t, function(a, b) return a > b end) return table.concat(t, ',')",
           "d,bc,a");
    expect("return string.format('%5.2f %d %q %x', 3.14159, 42, 'a\\n', 255)", "3.14 42");
    expect("return math.maxinteger // 1 | 0", "9223372036854775807");
    expect("return 2^10 + 10 / 4 + 7 % 3", "1027.5");
    expect("return utf8.len('h\xc3\xa9llo')", "5");
    expect("return select(2, pcall(error, {1})) ~= nil", "true");
    expect("return ('x'):rep(3, '-')", "x-x-x");
    expect("return #('x'):rep(100000)", "100000");
    expect(
        "local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) "
        "return co(1) + co(10)",
        "22");
    expect("return debug.traceback('m')", "stack traceback");
}

TEST(repetition_is_bounded)
{
    UNUSED_STATE;
    expect("return #(''):rep(1 << 62)", "0");
    expect("return #(''):rep(1 << 62, '')", "0");
    expect("return #('x'):rep(1e9)", "not enough memory");
    expect("return #('x'):rep(1 << 62, 'abc')", "too large");
    expect("local s = 'x' while true do s = s .. s end", "not enough memory");
}

TEST(patterns_are_interrupted)
{
    UNUSED_STATE;
    expect("return ('a'):rep(40):find(('a-'):rep(12) .. 'b')", "budget");
    expect("return ('a'):rep(300000):find('.-b')", "budget");
    expect("return ('a'):rep(300000):find(('a'):rep(100000) .. 'b', 1, true)", "budget");
    expect("return ('('):rep(200000):find('%b()')", "budget");
    expect("return ('x'):rep(100000):find('[' .. ('a'):rep(200000) .. ']')", "budget");
    expect("return ('x'):rep(200000):gsub('(.*)(%1)y', '')", "budget");
    expect("return ('a'):rep(400):find(('(a'):rep(30))", "error");
}

TEST(table_loops_are_interrupted)
{
    UNUSED_STATE;
    expect("return table.move({}, 1, 1 << 40, 2)", "budget");
    expect("return table.move({}, 1, 1 << 40, 1, {})", "budget");
    expect(
        "local t = setmetatable({}, {__len = function() return 1 << 40 end}) table.insert(t, 1, 0)",
        "budget");
    expect("local t = setmetatable({}, {__len = function() return 1 << 40 end}) table.remove(t, 1)",
           "budget");
    expect("local t = setmetatable({}, {__len = function() return 1 << 40 end, __index = "
           "function() return '' end}) return #table.concat(t)",
           "budget");
    expect("local t = setmetatable({}, {__len = function() return 1 << 30 end}) "
           "table.sort(t, rawequal)",
           "budget");
    expect("return table.unpack({}, 1, 1e7)", "too many results");
    expect("return table.unpack({}, 1, 1 << 40)", "too many results");
}

TEST(finalizers_do_not_run)
{
    UNUSED_STATE;
    expect("for i = 1, 100 do setmetatable({}, {__gc = function() while true do end end}) end "
           "collectgarbage() collectgarbage() return 'fine'",
           "fine");
    expect("setmetatable({}, {__gc = function() while true do end end}) return 'until close'",
           "until");
}

TEST(recursion_is_bounded)
{
    UNUSED_STATE;
    expect("local function f(n) return 1 + f(n + 1) end return f(0)", "stack overflow");
    expect("local function f() return (('a'):gsub('a', f)) end return f()", "stack overflow");
    expect("local function f() return select(2, pcall(f)) end return tostring(f())", "");
    expect(
        "local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return tostring(t) end "
        "return tostring(t)",
        "stack overflow");
    expect("local t = {} t.__index = function(_, k) return t[k] end setmetatable(t, t) return t.x",
           "stack overflow");
    expect("local function f() return coroutine.wrap(f)() end return f()", "stack overflow");
    expect("local s = ('('):rep(5000) .. ('1') .. (')'):rep(5000) return load('return ' .. s)",
           "nil");
    expect("return (load('return ' .. ('x..'):rep(99) .. 'x'))", "function");
    expect("x = 'a' return #load('return ' .. ('x..'):rep(99) .. 'x')()", "100");
    expect("return select('#', table.sort({3, 1, 2}))", "0");
}

TEST(stack_overflow_leaves_room_for_the_handler)
{
    UNUSED_STATE;
    expect("local function f() return (('a'):gsub('a', f)) end "
           "return select(2, xpcall(f, function(m) return 'handled ' .. tostring(m) end))",
           "handled");
    expect("local function f() return (('a'):gsub('a', f)) end "
           "return select(2, xpcall(f, debug.traceback))",
           "stack traceback");
}

TEST(endless_code_spends_its_budget)
{
    UNUSED_STATE;
    expect("while true do end", "t:1: instruction budget of 3000000 spent");
    expect("local t = {} while true do t.x = {} end", "budget");
    expect("repeat local x = 2.5 ^ 3.1 until false", "budget");
    expect("local f = load(function() return ' ' end) return f", "budget");
    expect("return load('return ' .. ('1+'):rep(200000) .. '1')", "");
    expect("local t = {} for i = 1, 1e9 do t[i] = i end", "not enough memory");
    expect("local t = {} for i = 1, 1e9 do t['k' .. i] = i end", "not enough memory");
}

TEST(pcall_does_not_swallow_an_interrupt)
{
    UNUSED_STATE;
    interrupt_at = 5;
    expect("while true do pcall(function() while true do end end) end", "interrupted");
    assert_in_range(yields, 5, 200);
}

TEST(coroutines_do_not_swallow_an_interrupt)
{
    UNUSED_STATE;
    static const char *const codes[] = {
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "local old = coroutine.wrap(function() while true do coroutine.yield() end end) "
        "while true do pcall(function() while true do old() end end) end",
        "while true do pcall(coroutine.wrap(function() while true do pcall(pcall, pcall) end end)) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local co = coroutine.wrap(function() for i = 1, 1e9 do end end) "
        "for i = 1, 1e9 do pcall(co) co = coroutine.wrap(function() while true do end end) end",
        "local function guard() return setmetatable({}, {__close = function() while true do end end}) end "
        "while true do pcall(function() local g <close> = guard() while true do end end) end",
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        yields = 0;
        interrupt_at = 5;
        expect(codes[i], "");
        if (limits.stop != LIMITS_INTERRUPTED)
            fail_msg("not interrupted: %s", codes[i]);
        assert_in_range(yields, 5, 500);
    }
}

TEST(after_an_unwinding_all_is_as_before)
{
    UNUSED_STATE;
    expect("co = coroutine.create(function() while true do coroutine.yield(1) end end) "
           "coroutine.resume(co) while true do end",
           "budget");
    unsigned before = yields;
    expect("local n = 0 for i = 1, 10000 do n = n + select(2, coroutine.resume(co)) end return n",
           "10000");
    assert_in_range(yields - before, 1, 500);
}

TEST(the_hart_is_given_back_at_least_every_few_slices)
{
    UNUSED_STATE;
    static const char *const codes[] = {
        "local t = {} for i = 1, 5000 do t[i] = {i} end collectgarbage() return #t",
        "local t = {} for i = 1, 5000 do t['k' .. i] = i end return next(t)",
        "return #('x'):rep(150000):upper():lower():reverse()",
        "return #('%q'):format(('\\n'):rep(50000))",
        "local w = setmetatable({}, {__mode = 'k'}) for i = 1, 2000 do w[{}] = i end collectgarbage() return 1",
        "local s = ('x'):rep(200000) local t = {[s] = 1} return t[s]",
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        longest = 0;
        unsigned before = yields;
        expect(codes[i], "");
        if (strncmp(lua_tostring(limits.L, -1), "error", 5) == 0)
            fail_msg("%s: %s", codes[i], lua_tostring(limits.L, -1));
        assert_true(yields > before);
        if (longest > 6 * LIMITS_SLICE)
            fail_msg("%lu ticks without a yield: %s", (unsigned long)longest, codes[i]);
    }
}

TEST(long_work_inside_lua_yields_often)
{
    UNUSED_STATE;
    static const struct {
        const char *before, *code;
        unsigned yields;
    } cases[] = {
        {"t = {} for i = 1, 5000 do t[i] = {i} end", "collectgarbage()", 8},
        {"t = nil s = ('x'):rep(200000)", "local t = {[s] = 1}", 20},
        {"s = ('x = 1 '):rep(20000)", "f = load(s)", 100},
        {"t = {} for i = 1, 4096 do t[-i] = i end", "t.x = 1", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(cases[i].before, "nil");
        unsigned before = yields;
        expect(cases[i].code, "nil");
        if (yields - before < cases[i].yields)
            fail_msg("%s: %u yields", cases[i].code, yields - before);
    }
}

TEST(the_compiler_is_interrupted)
{
    UNUSED_STATE;
    expect("s = ('x = 1 '):rep(20000)", "nil");
    interrupt_at = yields + 5;
    expect("local f, message = load(s) f = 1", "interrupted");
}

TEST(no_way_out)
{
    UNUSED_STATE;
    expect("return tostring(io) .. tostring(os) .. tostring(require) .. tostring(dofile) .. "
           "tostring(loadfile) .. tostring(package) .. tostring(string.dump) .. tostring(print)",
           "nilnilnilnilnilnilnilnil");
    expect("local n = 0 for k in pairs(debug) do n = n + 1 end return n .. type(debug.traceback)",
           "1function");
    expect("return select(2, load('\\27Lua', 'x', 'b'))", "attempt to load a binary chunk");
    expect("return select(2, load('\\27Lua', 'x', 'bt'))", "attempt to load a binary chunk");
}

TEST(works_in_the_smallest_heap_or_says_no)
{
    UNUSED_STATE;
    for (size_t size = ARENA_MIN; size <= 64 * 1024; size += 1024) {
        struct lua_limits small = {0};
        void *mem = aligned_alloc(16, size);
        if (limits_open(&small, mem, size) == 0)
            lua_close(small.L);
        assert_true(arena_is_sound(&small.arena));
        free(mem);
    }
    char here;
    limits_enter(&limits, &here - STACK - STACK_ROOM);
}

TEST(arena_keeps_its_invariants)
{
    UNUSED_STATE;
    enum { N = 200 };
    static char mem[65536] __attribute__((aligned(8)));
    struct lua_arena a;
    unsigned char *p[N] = {0};
    size_t n[N] = {0};
    uint32_t r = 12345;
    arena_init(&a, mem, sizeof mem);
    for (unsigned step = 0; step < 20000; step++) {
        r = r * 1664525 + 1013904223;
        unsigned i = (r >> 8) % N;
        size_t want = (r >> 20) % ((step & 64) ? 40 : 1500);
        for (size_t k = 0; k < n[i]; k++)
            assert_int_equal(p[i][k], (unsigned char)(i + k));
        unsigned char *q = arena_realloc(&a, p[i], want);
        if (!q && want)
            continue; // full: what was there stays
        for (size_t k = 0; k < (want < n[i] ? want : n[i]); k++)
            assert_int_equal(q[k], (unsigned char)(i + k));
        p[i] = q;
        n[i] = want;
        for (size_t k = 0; k < want; k++)
            q[k] = (unsigned char)(i + k);
        if (step % 16 == 0)
            assert_true(arena_is_sound(&a));
    }
    assert_true(a.failures > 0);
    for (unsigned i = 0; i < N; i++)
        arena_free(&a, p[i]);
    assert_true(arena_is_sound(&a));
    assert_int_equal(a.used, 0);
    void *all = arena_alloc(&a, sizeof mem - 64); // everything has been merged again
    assert_non_null(all);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(ordinary_code_runs),
        T(repetition_is_bounded),
        T(patterns_are_interrupted),
        T(table_loops_are_interrupted),
        T(finalizers_do_not_run),
        T(recursion_is_bounded),
        T(stack_overflow_leaves_room_for_the_handler),
        T(endless_code_spends_its_budget),
        T(pcall_does_not_swallow_an_interrupt),
        T(coroutines_do_not_swallow_an_interrupt),
        T(after_an_unwinding_all_is_as_before),
        T(the_hart_is_given_back_at_least_every_few_slices),
        T(long_work_inside_lua_yields_often),
        T(the_compiler_is_interrupted),
        T(no_way_out),
        T(works_in_the_smallest_heap_or_says_no),
        T(arena_keeps_its_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
