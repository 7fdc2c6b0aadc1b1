// SPDX-License-Identifier: MIT
// sources: monitor/lua/arena.c monitor/lua/limits.c monitor/class/class.c monitor/class/list.c
// sources: monitor/class/api.c monitor/class/reflect.c monitor/class/snap.c monitor/class/record.c
// sources: monitor/class/options.c monitor/session/eval.c
// sources: monitor/session/value.c monitor/session/journal.c monitor/session/prelude_text.S monitor/session/prelude.c
// sources: monitor/session/texts.c monitor/wire/cbor.c monitor/wire/hash.c
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
// What the host's requests get for an answer, and what a class table gives to Lua, on a made-up
// class of things that live, change and die.
#include "class/class.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "session/eval.h"
#include "session/journal.h"
#include "session/texts.h"
#include "session/value.h"
#include "wire/hash.h"

#include <lauxlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

_Noreturn void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

void log_write(enum log_level level, const char *fmt, ...)
{
    va_list ap;
    (void)level;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

static unsigned session;

unsigned session_number(void)
{
    return session;
}

static uint64_t now = 1000000;

uint64_t clock_monotonic_ns(void)
{
    return now;
}

// ---- the made-up class

enum { THINGS = 80 };
static struct thing {
    bool dead;
    uint32_t weight;
} things[THINGS];
static unsigned fetches;

struct thing_view {
    char name[16];
    const char *color;
    uint64_t address;
    uint32_t weight, size;
    bool heavy;
};

static const struct class *const class_thing;

static long thing_copy(const struct class_key *key, void *out)
{
    if (key->id >= THINGS || things[key->id].dead)
        return -ENOENT;
    struct thing_view *v = out;
    *v = (struct thing_view){.color = key->id % 2 ? "red" : NULL,
                             .address = 0xffffffc080000000 + key->id,
                             .weight = things[key->id].weight,
                             .size = 100,
                             .heavy = things[key->id].weight > 50};
    snprintf(v->name, sizeof v->name, "thing%u", (unsigned)key->id);
    return 0;
}

static size_t thing_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    fetches++;
    for (uint64_t i = from; i < THINGS && n < max; i++)
        if (!things[i].dead)
            out[n++] = (struct class_key){i, owner};
    return n;
}

static void thing_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    (void)key;
    snprintf(buf, n, "weighs %u", ((const struct thing_view *)copy)->weight);
}

static void (*meanwhile)(void); // what others do while a change is made

static long weight_validate(struct change *c)
{
    snprintf(c->text, sizeof c->text, "set the weight of Thing#%lu to %lu",
             (unsigned long)c->arg[0], (unsigned long)c->arg[1]);
    if (c->arg[1] <= 1000)
        return 0;
    snprintf(c->why, sizeof c->why, "nothing weighs %lu", (unsigned long)c->arg[1]);
    return -EINVAL;
}

static long weight_apply(struct change *c);
static const struct change_kind weight_kind = {"thing.weight", MODE_RW, weight_validate,
                                               weight_apply};

static long weight_apply(struct change *c)
{
    c->undo = &weight_kind;
    c->undo_arg[0] = c->arg[0];
    c->undo_arg[1] = things[c->arg[0]].weight;
    things[c->arg[0]].weight = (uint32_t)c->arg[1];
    if (meanwhile) // as if this waited
        meanwhile();
    return 0;
}

static void set_weight(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    change_make(L, &(struct change){.kind = &weight_kind,
                                    .arg = {key->id, (uint64_t)luaL_checkinteger(L, value)}});
}

static void push_next(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push(L, class_thing, (struct class_key){key->id + 1, 0});
}

static int thing_poke(lua_State *L)
{
    struct thing_view v;
    class_self(L, 1, class_thing, &v);
    lua_pushfstring(L, "%s was poked", v.name);
    return 1;
}

static void push_around(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    if (key->id == 2 || key->id == 3)
        class_push(L, class_thing, (struct class_key){key->id - 1, 0});
    else
        lua_pushnil(L);
}

static int thing_cells(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_thing);
    lua_newtable(L);
    for (int i = 0; i < 4; i++) {
        lua_pushinteger(L, key.id >> i & 1);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static const struct class_field fields[] = {
    FIELD(struct thing_view, name, "what it is called"),
    FIELD(struct thing_view, color, "red, or none"),
    FIELD_ADDRESS(struct thing_view, address, "where it lies"),
    FIELD(struct thing_view, weight, "in kilograms", .set = set_weight),
    FIELD(struct thing_view, heavy, "more than 50"),
    FIELD(struct thing_view, size, "places in it"),
    FIELD_OTHER("next", "Thing", "its neighbour", push_next),
    FIELD_OTHER("around", "Thing", "what it is in", push_around),
    {0},
};
static const struct class_method methods[] = {
    {"poke", "t:poke() -> string", "pokes it", "k.things()[3]:poke()", thing_poke},
    {"cells", "t:cells() -> list", "four", "k.things()[3]:cells()", thing_cells},
    {0},
};
static char thing_display[40] = "table";
SET_ITEM(classes, struct class, class_table_thing) = {.name = "Thing",
                                                      .doc = "something",
                                                      .place = "struct thing, here",
                                                      .gone = "broke",
                                                      .display = thing_display,
                                                      .size = sizeof(struct thing_view),
                                                      .copy = thing_copy,
                                                      .keys = thing_keys,
                                                      .line = thing_line,
                                                      .fields = fields,
                                                      .methods = methods};
static const struct class *const class_thing = &class_table_thing;

static int k_things(lua_State *L)
{
    class_push_list(L, class_thing, 0);
    return 1;
}
MONITOR_API(things, "things", "k.things() -> list of Thing", "all things", "k.things()", k_things,
            NULL);

static int k_kill(lua_State *L)
{
    things[luaL_checkinteger(L, 1)].dead = true;
    return 0;
}
MONITOR_API(kill, "kill", "k.kill(id)", "breaks one", NULL, k_kill, NULL);

static int k_ns(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)now);
    return 1;
}
MONITOR_API(ns, "ns", NULL, "the time", NULL, k_ns, NULL);

static int k_sleep(lua_State *L)
{
    now += (uint64_t)luaL_checkinteger(L, 1) * 1000000;
    return 0;
}
MONITOR_API(sleep, "sleep", "k.sleep(ms)", "passes the time", NULL, k_sleep, NULL);

// ---- the host

static char printed[8192];

static void on_write(lua_State *L, const char *text, size_t n)
{
    (void)L;
    strncat(printed, text, n < sizeof printed - strlen(printed) - 1 ? n : 0);
}

static const struct {
    const char *name, *text;
} modules[] = {
    {"m", "return {answer = 42}"},
    {"same", "return {answer = 42}"},
    {"a", "return require 'b'"},
    {"b", "\nlocal c = require('c') return c"},
    {"c", "\n\nlocal a = require('a') return a"},
    {"self", "local x = require('self') return x"},
    {"bad", "\n\n\nlocal x = nil + 1"},
    {"worse", "\n\nlocal = 5"},
    {"slow", "while true do end"},
    {"twice", "local n = 0 return function() n = n + 1 return n end"},
};
static unsigned sent; // texts

// As the host does (host-console/calls.c).
static int give_module(lua_State *L)
{
    char hash[17];
    size_t i = 0;
    lua_getfield(L, 2, "name");
    while (strcmp(modules[i].name, lua_tostring(L, -1)) != 0)
        i++;
    snprintf(hash, sizeof hash, "%016lx",
             (unsigned long)wire_hash(WIRE_HASH, modules[i].text, strlen(modules[i].text)));
    bool has = lua_getfield(L, 2, "have") == LUA_TSTRING && strstr(lua_tostring(L, -1), hash);
    sent += !has;
    lua_newtable(L);
    lua_pushfstring(L, "lua-scripts/%s.lua", modules[i].name);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, has ? hash : modules[i].text);
    lua_setfield(L, -2, has ? "hash" : "data");
    return 1;
}

static int on_call(lua_State *L, const char *op)
{
    if (strcmp(op, "sh") == 0) {
        lua_newtable(L);
        lua_pushinteger(L, 3);
        lua_setfield(L, -2, "status");
        lua_getfield(L, 2, "command");
        lua_setfield(L, -2, "output");
        return 1;
    }
    if (strcmp(op, "file") == 0)
        return give_module(L);
    return luaL_error(L, "host.%s: refused", op);
}

static const struct eval_host host = {on_write, on_call};

// ---- asking

enum { HEAP = 1 << 20 };
static struct lua_limits limits;
static void *heap;
static uint8_t answer[65536];
static struct cbor_out out;
static char text[65536];

static int set_up(void **state)
{
    (void)state;
    char here;
    heap = aligned_alloc(16, HEAP);
    memset(&limits, 0, sizeof limits);
    for (unsigned i = 0; i < THINGS; i++)
        things[i] = (struct thing){false, i};
    session = 0;
    meanwhile = NULL;
    monitor_mode_set("ro");
    *printed = 0;
    limits_enter(&limits, &here - 256 * 1024);
    assert_int_equal(limits_open(&limits, heap, HEAP), 0);
    assert_int_equal(eval_open(&limits, &host), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lua_close(limits.L);
    assert_int_equal(limits.arena.used, 0);
    free(heap);
    return 0;
}

static struct cbor_in ask(const char *source, enum eval_mode mode)
{
    struct eval_request r = {
        .source = source, .len = strlen(source), .chunk = "=k", .mode = mode, .budget = 2000000};
    out = (struct cbor_out){answer, sizeof answer, 0};
    eval_run(&limits, &r, &out);
    assert_true(cbor_fits(&out));
    assert_true(cbor_valid(answer, out.len));
    return cbor_in(answer, out.len);
}

static const char *string_of(struct cbor_in in, const char *key)
{
    const char *s;
    size_t n;
    if (!cbor_find_text(in, key, &s, &n))
        return NULL;
    memcpy(text, s, n);
    text[n] = 0;
    return text;
}

static void check_contains(const char *source, const char *got, const char *part)
{
    if (!got || !strstr(got, part))
        fail_msg("%s\n  gave: %.1500s\n  not:  %s", source, got ? got : "(nothing)", part);
}

static void says(const char *source, const char *part)
{
    struct cbor_in in = ask(source, EVAL_TEXT), error;
    if (cbor_find(in, "error", &error))
        fail_msg("%s\n  failed: %s", source, string_of(error, "message"));
    check_contains(source, string_of(in, "text"), part);
}

static void fails(const char *source, const char *kind, const char *part)
{
    struct cbor_in in = ask(source, EVAL_TEXT), error;
    if (!cbor_find(in, "error", &error))
        fail_msg("%s\n  did not fail", source);
    check_contains(source, string_of(error, "message"), part);
    check_contains(source, string_of(error, "kind"), kind);
}

#define TEST(name)   static void name(void **state)
#define UNUSED_STATE (void)state

TEST(expressions_and_statements)
{
    UNUSED_STATE;
    says("1 + 1", "2");
    says("1, 'a', nil", "1\ta\tnil");
    says("x = 5 return x", "5");
    says("{1, 2, a = {b = 'c'}}", "{1, 2, a = {b = \"c\"}}");
    says("local t = {} t.t = t return t", "<cycle>");
    assert_null(string_of(ask("x = 7", EVAL_TEXT), "text"));
    says("x", "7");
    ask("print(1, 'two', nil)", EVAL_SCRIPT);
    assert_string_equal(printed, "1\ttwo\tnil\n");
}

TEST(errors_say_what_and_where)
{
    UNUSED_STATE;
    uint64_t line;
    fails("error('boom')", "lua", "k:1: boom");
    fails("error({1})", "lua", "{1}");
    fails("error{code = 5, why = 'broken', {1, 2}}", "lua", "{{1, 2}, code = 5, why = \"broken\"}");
    fails("error(setmetatable({}, {__tostring = function() return 'as it says' end}))", "lua",
          "as it says");
    fails("\nk.mode = 'x'", "lua", "k:2: no mode 'x'");
    fails("k.things()[1].weight = 3.5", "lua", "k:1: Thing.weight: integer expected, got 3.5");
    fails("k.things()[1].weight = '3'", "lua", "k:1: Thing.weight: integer expected, got string");
    fails("k.mode = nil", "lua", "k:1: k.mode: string expected, got nil");
    fails("k[1] = 2", "lua", "k:1: k is indexed by names, not by a number");
    fails("assert(false, 'no!')", "assert", "no!");
    fails("assert(1 == 2)", "assert", "assertion failed!");
    fails("\n\nlocal a = nil + 1", "lua", "k:3: attempt to perform arithmetic");
    fails("while true do end", "limit", "budget");
    fails("local t = {} for i = 1, 1e9 do t[i] = i end", "limit", "memory");
    fails("1 +", "syntax", "<eof>");
    struct cbor_in error;
    assert_true(
        cbor_find(ask("local function f() error('deep') end f()", EVAL_TEXT), "error", &error));
    check_contains("traceback", string_of(error, "traceback"), "in upvalue 'f'" + 12);
    assert_true(cbor_find_uint(error, "line", &line));
    assert_int_equal(line, 1);
    bool incomplete = false;
    assert_true(cbor_find(ask("for i = 1, 2 do", EVAL_TEXT), "error", &error));
    assert_true(cbor_find_bool(error, "incomplete", &incomplete) && incomplete);
    assert_true(cbor_find(ask("for for", EVAL_TEXT), "error", &error));
    assert_false(cbor_find_bool(error, "incomplete", &incomplete));
    says("'still ' .. 'alive'", "still alive");
}

TEST(fields_of_objects)
{
    UNUSED_STATE;
    says("k.things()[3].name", "thing3");
    says("k.things()[3].color", "red");
    says("k.things()[4].color", "nil");
    says("k.things()[4].next.next", "Thing#6 weighs 6");
    says("k.things()[4]", "address        0xffffffc080000004");
    says("k.things()[4]:poke()", "thing4 was poked");
    fails("k.things()[4].nmae", "lua", "Thing has no field 'nmae'; did you mean 'name'?");
    fails("k.things()[4].qqq", "lua", "Thing has no field 'qqq'");
    fails("k.things()[4].name = 'x'", "lua", "Thing.name is read-only");
    fails("k.things()[4].poke = 1", "lua", "is a method");
    fails("k.things()[99]", "lua", "there is no Thing#99");
    fails("k.thigns()", "lua", "k has no member 'thigns'; did you mean 'things'?");
    fails("k.things().poke(k)", "lua", "a list has no method 'poke'");
    says("local s = '' for name in pairs(k.things()[1]) do s = s .. name .. ' ' end return s",
         "name color address weight heavy size next ");
    says("k.things()[1] == k.things()[1]", "true");
    says("getmetatable(k.things()[1])", "Thing");
    fails("setmetatable(k.things()[1], {})", "lua", "table expected");
}

TEST(stale_handles)
{
    UNUSED_STATE;
    says("t = k.things()[7] k.kill(7) return 1", "1");
    fails("t.name", "lua", "stale handle: Thing#7 broke");
    fails("t:poke()", "lua", "stale handle: Thing#7 broke");
    fails("t.weight = 3", "lua", "stale handle");
    says("tostring(t)", "Thing#7 (broke)");
    says("#k.things()", "79");
    says("k.things():where{name = 'thing7'}:count()", "0");
}

TEST(sequences)
{
    UNUSED_STATE;
    fetches = 0;
    says("local n = 0 for t in k.things() do n = n + t.weight end return n", "3160");
    assert_in_range(fetches, 3, 4);
    says(
        "local n = 0 for t in k.things() do if t.weight == 10 then k.kill(20) end n = n + 1 end return n",
        "79");
    says("local s, n = k.things(), 0 for a in s do for b in s do n = n + 1 break end end return n",
         "79");
    says("#k.things():where{color = 'red', heavy = true}", "15");
    says("k.things():where(function(t) return t.weight == 9 end):first()", "Thing#9");
    says("table.concat(k.things():take(3):map('name'):list(), ' ')", "thing0 thing1 thing2");
    says("k.things():sort('weight', true):first().weight", "79");
    says("k.things():take(2)", "Thing#0 weighs 0\nThing#1 weighs 1");
    says("k.things():map(function(t) if t.weight > 77 then return t.weight end end):list()",
         "{78, 79}");
    says("k.things():where{heavy = 'x'}", "(none)");
    fails("k.things():were{}", "lua", "no method 'were'");
}

TEST(lists_are_laid_out_as_their_class_says)
{
    UNUSED_STATE;
    says("k.things():where(function(t) return t.weight < 4 end)",
         "Thing#0 weighs 0\nThing#1 weighs 1\nThing#2 weighs 2\nThing#3 weighs 3");
    strcpy(thing_display, "tree around");
    says(
        "k.things():where(function(t) return t.weight < 5 end)",
        "Thing#0 weighs 0\nThing#1 weighs 1\n  Thing#2 weighs 2\n    Thing#3 weighs 3\nThing#4 weighs 4");
    says("k.things():where(function(t) return t.weight == 3 end)", "Thing#3 weighs 3");
    says("k.things():take(2):map('name')", "\"thing0\"\n\"thing1\""); // which are no objects
    strcpy(thing_display, "map cells");
    says("k.things():where(function(t) return t.weight > 8 and t.weight < 12 end)",
         "Thing#9 weighs 9    |#..#|\nThing#10 weighs 10  |.#.#|\nThing#11 weighs 11  |##.#|");
    strcpy(thing_display, "ring size weight");
    says("{k.things()[0], k.things()[50], k.things()[79]}",
         "Thing#0 weighs 0    |################|\nThing#50 weighs 50  |########........|\n"
         "Thing#79 weighs 79  |####............|");
    says("k.things()[0].__display.kind, k.things()[0].__display.by",
         "ring\t{\"size\", \"weight\"}");
    strcpy(thing_display, "table");
    says("k.things()[0].__display.kind, #k.things()[0].__display.by", "table\t0");
}

TEST(sequences_name_what_is_wrong_and_where)
{
    UNUSED_STATE;
    static const struct {
        const char *source, *message;
    } cases[] = {
        {"k.things():where('red')",
         ":where: {field = value, ...} or a function expected, got string"},
        {"k.things():where()", ":where: {field = value, ...} or a function expected, got nil"},
        {"k.things():map(5)", ":map: a function or the name of a field expected, got number"},
        {"k.things():sort(5)", ":sort: the name of a field or a function expected, got number"},
        {"k.things():sort('weight', 1)", ":sort: true (descending) or false expected, got number"},
        {"k.things():take('x')", ":take: a whole number expected, got string"},
        {"k.things():take('3')", ":take: a whole number expected, got string"},
        {"k.things():take(1.5)", ":take: a whole number expected, got 1.5"},
        {"k.things():take(-1)", ":take: a whole number expected, got -1"},
        {"k.things():take()", ":take: a whole number expected, got nil"},
        {"k.things():where{wieght = 1}:list()",
         "Thing has no field 'wieght'; did you mean 'weight'?"},
        {"k.things():map('wieght'):list()", "Thing has no field 'wieght'; did you mean 'weight'?"},
        {"k.things():sort('wieght')", "Thing has no field 'wieght'; did you mean 'weight'?"},
        {"k.things():sort('heavy')",
         ":sort: a boolean and a boolean have no order; sort by a field "
         "that is a number or a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char source[200], message[200];
        snprintf(source, sizeof source, "\nlocal x = %s\nreturn x", cases[i].source);
        snprintf(message, sizeof message, "k:2: %s", cases[i].message);
        fails(source, "lua", message);
    }
    says("#k.things():take(3.0)", "3");
}

// A list of two, the first with a name that the second lacks; and one record.
static int k_rows(lua_State *L)
{
    lua_newtable(L);
    for (int i = 1; i <= 2; i++) {
        lua_newtable(L);
        class_set_int(L, "weight", (uint64_t)i);
        if (i == 1)
            class_set_address(L, "at", 0x1000);
        lua_rawseti(L, -2, i);
    }
    class_set_columns(L, "weight> at> | owner");
    return 1;
}
MONITOR_API(rows, "rows", "k.rows() -> list", "two rows", NULL, k_rows, NULL);

static int k_record(lua_State *L)
{
    lua_newtable(L);
    class_set_int(L, "weight", 5);
    class_set_address(L, "at", 0xffffffc080000000);
    class_set_names(L, "k.record", "owner");
    return 1;
}
MONITOR_API(record, "record", NULL, "one record", NULL, k_record, NULL);

TEST(records_refuse_unknown_names)
{
    UNUSED_STATE;
    struct cbor_in value;
    struct cbor_item it;
    fails("\nlocal x = k.record.wieght", "lua",
          "k:2: k.record has no 'wieght'; did you mean 'weight'?");
    fails("k.record.something", "lua", "k.record has no 'something'; it has ");
    fails("getmetatable(k.record).__index(5, 'x')", "lua", "table expected, got number");
    fails("getmetatable(k.record).__index()", "lua", "table expected, got no value");
    fails("k.rows()[2].aat", "lua", "k:1: the row has no 'aat'");
    fails("k.rows()[2].wei", "lua", "the row has no 'wei'");
    says("k.rows()[2].at, k.rows()[2].owner, k.record.owner, k.record[1]", "nil\tnil\tnil\tnil");
    says("k.rows()", "weight      at\n     1  0x1000\n     2       -");
    says("{k.rows()[1], {other = 1}}", "other"); // a table with columns that not all rows know
    says("k.record", "{at = 0xffffffc080000000, weight = 5}");
    says("local n = 0 for name, v in pairs(k.record) do n = n + 1 end return n", "2");
    says("local n = 0 for i, v in ipairs(k.record) do n = n + 1 end return n", "0");
    assert_true(cbor_find(ask("k.record", EVAL_JSON), "value", &value));
    assert_true(cbor_find(value, "at", &value) && cbor_next(&value, &it));
    assert_true(it.type == CBOR_TAG && it.n == CBOR_TAG_ADDRESS); // it is one in JSON, too
}

TEST(changes_are_validated_written_down_and_undone)
{
    UNUSED_STATE;
    fails("k.things()[1].weight = 5", "lua", "needs mode rw; the mode is ro");
    fails("k.mode = 'wr'", "lua", "no mode 'wr'");
    assert_int_equal(things[1].weight, 1);
    says("k.dry(function() k.things()[1].weight = 5 end)", "set the weight of Thing#1 to 5");
    assert_int_equal(things[1].weight, 1);
    fails("k.mode = 'rw' k.things()[1].weight = 5000", "lua", "nothing weighs 5000");
    says("k.things()[1].weight = 5 return k.things()[1].weight", "5");
    says("k.things()[1].weight = 6 return #k.journal()", "2");
    says("k.undo()", "to 5");
    assert_int_equal(things[1].weight, 5);
    says("k.undo(1)", "to 1");
    assert_int_equal(things[1].weight, 1);
    fails("k.undo(1)", "lua", "was undone by row 4");
    fails("k.undo()", "lua", "nothing to undo");
    fails("k.undo(77)", "lua", "no row 77");
    fails("\n k.undo(77)", "lua", "k:2: the journal has no row 77");
    says("k.journal()", "thing.weight");
    fails("k.dry(function() error('inside') end)", "lua", "inside");
    says("k.things()[1].weight = 9 return k.things()[1].weight", "9");
    fails("k.ns = 1", "lua", "k.ns is read-only");
}

// All of it on one Lua state: the journal asks for the session's number only.
TEST(undo_takes_what_the_session_itself_changed)
{
    UNUSED_STATE;
    says("k.mode = 'rw' k.things()[10].weight = 21 return 1", "1");
    session = 1;
    fails("k.undo()", "lua",
          "k:1: there is nothing of this session's to undo; k.undo(n) takes back row n");
    says("k.mode = 'rw' k.things()[10].weight = 22 k.things()[11].weight = 23 return 1", "1");
    session = 0;
    says("k.undo()", "the weight of Thing#10 to 10");
    assert_int_equal(things[11].weight, 23);
    says("k.things()[12].weight = 24 return 1", "1");
    session = 1;
    says("k.undo()", "the weight of Thing#11 to 11");
    journal_forget_session(); // the next client's
    fails("k.undo()", "lua", "nothing of this session's to undo");
    fails("k.undo(#k.journal() - 1)", "lua", "needs mode rw; the mode is ro");
    says("k.mode = 'rw' return 1", "1");
    says("local j = k.journal() return k.undo(j[#j - 1].n)", "the weight of Thing#12 to 12");
}

TEST(what_is_repeated_has_one_row_of_a_kind)
{
    UNUSED_STATE;
    says("k.mode = 'rw' k.things()[20].weight = 40 return 1", "1");
    journal_repeats(7);
    for (int i = 0; i < 2 * JOURNAL_ROWS; i++)
        says("k.things()[21].weight = k.things()[21].weight + 1 return 1", "1");
    says("local j = k.journal() return j[#j].what, j[#j].times", "Thing#21 to 149\t128");
    journal_repeats(0);
    says("k.things()[22].weight = 41 return 1", "1");
    says("local j = k.journal() return j[#j - 2].what, j[#j].times", "Thing#20 to 40\tnil");
    says("k.undo()", "Thing#22 to 22");
    says("k.undo()", "Thing#21 to 148");
    says("k.undo()", "Thing#20 to 20");
}

static char said[200];

static void undo_the_same(void)
{
    lua_State *L = limits.L;
    meanwhile = NULL;
    session = 1;
    luaL_loadstring(L, "local j = k.journal() return k.undo(j[#j].n)");
    lua_pcall(L, 0, 1, 0);
    snprintf(said, sizeof said, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    session = 0;
}

TEST(two_undo_one_row)
{
    UNUSED_STATE;
    says("k.mode = 'rw' k.things()[10].weight = 31 return 1", "1");
    session = 1;
    says("k.mode = 'rw' return 1", "1");
    session = 0;
    meanwhile = undo_the_same;
    says("k.undo()", "the weight of Thing#10 to 10");
    check_contains("the other", said, "is just being undone");
    fails("local j = k.journal() k.undo(j[#j - 1].n)", "lua", "was undone by row");
    fails("k.things()[10].weight = 1000 k.things()[10].weight = 2000", "lua",
          "k:1: thing.weight: nothing weighs 2000");
    things[10].weight = 5000; // what the next one would be undone to
    says("k.things()[10].weight = 9 return 1", "1");
    fails("k.undo()", "lua", "k:1: thing.weight: nothing weighs 5000");
    fails("k.undo()", "lua", "nothing weighs 5000"); // given back: not "being undone"
}

TEST(json)
{
    UNUSED_STATE;
    struct cbor_in in, value, item;
    uint64_t n;
    struct cbor_item it;
    assert_true(cbor_find(ask("k.things()[3]", EVAL_JSON), "value", &value));
    assert_string_equal(string_of(value, "class"), "Thing");
    assert_string_equal(string_of(value, "name"), "thing3");
    assert_true(cbor_find_uint(value, "weight", &n));
    assert_true(cbor_find(value, "address", &item));
    assert_true(cbor_next(&item, &it) && it.type == CBOR_TAG && it.n == CBOR_TAG_ADDRESS);
    assert_true(cbor_find(value, "next", &item));
    assert_true(cbor_next(&item, &it) && it.type == CBOR_MAP);
    assert_true(
        cbor_find(ask("{k.things(), {1, 2.5}, true, a = nil}", EVAL_JSON), "value", &value));
    assert_true(cbor_next(&value, &it) && it.type == CBOR_ARRAY && it.n == 3);
    assert_true(cbor_next(&value, &it) && it.type == CBOR_ARRAY && it.n == THINGS);
    assert_true(
        cbor_find(ask("setmetatable({pa = -4096, n = 1}, {__addresses = {pa = true}})", EVAL_JSON),
                  "value", &value));
    assert_true(cbor_find(value, "pa", &item));
    assert_true(cbor_next(&item, &it) && it.type == CBOR_TAG && it.n == CBOR_TAG_ADDRESS);
    assert_true(cbor_next(&item, &it) && it.type == CBOR_UINT && it.n == (uint64_t)-4096);
    assert_true(cbor_find_uint(value, "n", &n) && n == 1);
    in = ask("string.rep('x', 70000)", EVAL_JSON);
    assert_true(cbor_find(in, "error", &value));
    assert_string_equal(string_of(value, "kind"), "limit");
}

TEST(completion)
{
    UNUSED_STATE;
    static const struct {
        const char *line, *words;
        uint64_t start;
    } cases[] = {
        {"k.th", "things", 2},
        {"k.record.we", "weight", 9},
        {"return #k.thi", "things", 10},
        {"k.things()[1].na", "name", 14},
        {"k.things():first().next.we", "weight", 24},
        {"k.things():where{a = 1}:fi", "first", 24},
        {"t.next:po", "poke", 7},
        {"mod.deep.in", "inner", 9},
        {"str.upp", "", 4},
        {"k.nothing.x", "", 10},
        {"coroutine.wr", "wrap", 10},
        {"prin", "print", 0},
        {"whi", "while", 0},
    };
    says("t = k.things()[1] mod = {deep = {inner = 1}} return 1", "1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cbor_in words;
        struct cbor_item it;
        uint64_t start;
        out = (struct cbor_out){answer, sizeof answer, 0};
        eval_complete(&limits, cases[i].line, strlen(cases[i].line), strlen(cases[i].line), &out);
        assert_true(cbor_find(cbor_in(answer, out.len), "words", &words));
        assert_true(cbor_find_uint(cbor_in(answer, out.len), "start", &start));
        assert_true(cbor_next(&words, &it));
        *text = 0;
        for (uint64_t n = it.n; n; n--) {
            assert_true(cbor_next(&words, &it));
            strncat(text, (const char *)it.data, it.n);
        }
        if (strcmp(text, cases[i].words) || start != cases[i].start)
            fail_msg("%s: %s from %lu", cases[i].line, text, (unsigned long)start);
    }
}

static void helps(const char *what, const char *part)
{
    out = (struct cbor_out){answer, sizeof answer, 0};
    eval_help(&limits, what, strlen(what), &out);
    check_contains(what, string_of(cbor_in(answer, out.len), "text"), part);
}

TEST(help)
{
    UNUSED_STATE;
    helps("", "k.things() -> list of Thing");
    helps("k.things", "all things\n  for example: k.things()");
    helps("Thing", "behind it: struct thing, here");
    helps("Thing.weight", "integer, writable\n  in kilograms");
    helps("Thing:poke", "pokes it");
    helps("k.things()[1]", "t:poke() -> string");
    helps("k.things()[1].poke", "pokes it");
    helps("nonsense", "nothing is known");
    says("help(k.things)", "all things");
    says("stubs()", "---@class Thing");
}

TEST(checks_speak_tap)
{
    UNUSED_STATE;
    uint64_t tests, failed;
    struct cbor_in in = ask("ok(true, 'fine') is(1 + 1, 3, 'sums') like('abc', '^a', 'begins')\n"
                            "fails(function() error('x y') end, 'x y', 'raises')\n"
                            "local n = 0\n"
                            "eventually(function() n = n + 1 return n > 5 end, 1, 'comes')\n"
                            "eventually(function() return false end, 0.1, 'never')",
                            EVAL_CHECK);
    assert_true(cbor_find_uint(in, "tests", &tests) && tests == 6);
    assert_true(cbor_find_uint(in, "failed", &failed) && failed == 2);
    check_contains("tap", printed, "ok 1 - fine\nnot ok 2 - sums\n# failed at k:1");
    check_contains("tap", printed,
                   "# got:      2\n# expected: 3\nok 3 - begins\nok 4 - raises\nok 5 - comes\n"
                   "not ok 6 - never");
    check_contains("tap", printed, "1..6\n");
    in = ask("plan(2) ok(true)", EVAL_CHECK);
    assert_true(cbor_find_uint(in, "failed", &failed) && failed == 1);
}

TEST(the_host_is_called)
{
    UNUSED_STATE;
    says("host.sh('ls -l')", "3\tls -l");
    fails("host.spawn('x')", "lua", "host.spawn: refused");
}

TEST(modules_are_sent_once)
{
    UNUSED_STATE;
    sent = 0;
    says("require('m').answer", "42");
    says("require('m').answer", "42");
    assert_int_equal(sent, 1);
    ask("print(require('m').answer)", EVAL_SCRIPT); // which reads its modules anew
    assert_string_equal(printed, "42\n");
    says("require('same').answer", "42"); // another name for it
    assert_int_equal(sent, 1);
    ask("f = require('twice')", EVAL_SCRIPT);
    says("f() + require('twice')() + require('twice')()", "6"); // it ran once
    assert_int_equal(sent, 2);
}

TEST(texts_make_room)
{
    UNUSED_STATE;
    static char large[TEXTS_BYTES + 1];
    char got[8];
    uint64_t hashes[TEXTS], one = wire_hash(WIRE_HASH, "one", 3);
    texts_keep("one", 3);
    assert_true(texts_size(one) == 3 && texts_copy(one, got, 3) && memcmp(got, "one", 3) == 0);
    assert_false(texts_copy(one, got, 4));
    texts_keep(large, TEXTS_BYTES + 1);
    assert_int_equal(texts_size(one), 3); // too large to be kept: nothing made room
    for (unsigned i = 0; i < TEXTS; i++) {
        memcpy(large, &i, sizeof i);
        texts_keep(large, 100);
    }
    assert_int_equal(texts_size(one), 0);
    assert_int_equal(texts_hashes(hashes), TEXTS);
    texts_keep("one", 3);
    assert_int_equal(texts_hashes(hashes), TEXTS);
    assert_true(texts_copy(one, got, 3) && memcmp(got, "one", 3) == 0);
    texts_keep(large, TEXTS_BYTES);
    assert_int_equal(texts_hashes(hashes), 1);
    assert_int_equal(hashes[0], wire_hash(WIRE_HASH, large, TEXTS_BYTES));
    assert_int_equal(texts_size(one), 0);
}

TEST(modules_that_fail)
{
    UNUSED_STATE;
    fails("return require('a')", "lua", "lua-scripts/c.lua:3: require: a cycle: a -> b -> c -> a");
    fails("local x = require('c')", "lua",
          "lua-scripts/b.lua:2: require: a cycle: c -> a -> b -> c");
    fails("require('self')", "lua", "lua-scripts/self.lua:1: require: a cycle: self -> self");
    fails("require('bad')", "lua", "lua-scripts/bad.lua:4: attempt to perform arithmetic");
    fails("require('bad')", "lua",
          "lua-scripts/bad.lua:4: attempt"); // no cycle: the first has ended
    fails("pcall(require, 'slow')", "limit", "budget");
    fails("pcall(require, 'slow')", "limit", "budget"); // nor here, where nothing noted the end
    fails("require('worse')", "lua", "lua-scripts/worse.lua:3: ");
    fails("require(5)", "lua", "require: the name of a module expected, got number");
    says("require('m').answer", "42");
}

TEST(arguments)
{
    UNUSED_STATE;
    uint8_t args[64];
    struct cbor_out a = {args, sizeof args, 0};
    cbor_array(&a, 2);
    cbor_str(&a, "one");
    cbor_str(&a, "two");
    const char *source = "print(...)";
    struct eval_request r = {.source = source,
                             .len = strlen(source),
                             .chunk = "@x.lua",
                             .mode = EVAL_SCRIPT,
                             .args = cbor_in(args, a.len)};
    out = (struct cbor_out){answer, sizeof answer, 0};
    eval_run(&limits, &r, &out);
    assert_string_equal(printed, "one\ttwo\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(expressions_and_statements),
        T(errors_say_what_and_where),
        T(fields_of_objects),
        T(stale_handles),
        T(sequences),
        T(lists_are_laid_out_as_their_class_says),
        T(sequences_name_what_is_wrong_and_where),
        T(records_refuse_unknown_names),
        T(changes_are_validated_written_down_and_undone),
        T(undo_takes_what_the_session_itself_changed),
        T(what_is_repeated_has_one_row_of_a_kind),
        T(two_undo_one_row),
        T(json),
        T(completion),
        T(help),
        T(checks_speak_tap),
        T(the_host_is_called),
        T(modules_are_sent_once),
        T(texts_make_room),
        T(modules_that_fail),
        T(arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
