// SPDX-License-Identifier: MIT
// dump: what the kernel's objects say, into a file; and --dump: the same names over that file, offline.
//
// The file is JSON, one record a line (dump.lua says which). Offline, `k` is made of it by
// offline.lua and answers.lua, in Lua on the host; help, k.diff and what is shown are of the kernel's own prelude.
#include "dump.h"

#include "client.h"
#include "files.h"
#include "report.h"
#include "shorthand.h"

#include <errno.h>
#include <jansson.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_COUNT = 1000000 }; // instructions of Lua between two looks whether ^C came

#define TEXT(name, path)                                                                           \
    __asm__(".section .rodata\n" #name ":\n.incbin \"" path "\"\n.byte 0\n.previous\n");           \
    extern const char name[]

TEXT(dump_lua, "host-console/dump.lua");
TEXT(offline_lua, "host-console/offline.lua");
TEXT(answers_lua, "host-console/answers.lua");
TEXT(print_lua, "monitor/session/prelude/print.lua");
TEXT(seq_lua, "monitor/session/prelude/seq.lua");
TEXT(layout_lua, "monitor/session/prelude/layout.lua");
TEXT(show_lua, "monitor/session/prelude/show.lua");
TEXT(snap_lua, "monitor/session/prelude/snap.lua");
TEXT(help_lua, "monitor/session/prelude/help.lua");

// ---- dump

static struct bytes records;

static void keep(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    bytes_add(&records, data, n);
}

static void prepare(struct console *c, const struct options *o)
{
    const char *name = option_value(o, "-o");

    if (!name)
        console_fail(c, EXIT_USAGE, "dump needs -o FILE");
    // Its folder, where there is no such file yet: a machine is not started to find that out.
    const char *slash = strrchr(name, '/');
    char *folder = slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");
    bool can = access(access(name, F_OK) == 0 ? name : folder, W_OK) == 0;
    free(folder);
    if (!can)
        console_fail(c, EXIT_USAGE, "cannot write %s: %s", name, strerror(errno));
}

// A dump that was cut off is no dump: its last record says that it is one.
static bool whole(const char *data, size_t n)
{
    const char *end = n > 1 ? memrchr(data, '\n', n - 1) : NULL;

    return end && strncmp(end, "\n{\"end\":true", 12) == 0;
}

static void write_file(struct console *c, const char *name)
{
    FILE *f = fopen(name, "w");

    if (!f || fwrite(records.data, 1, records.len, f) != records.len || fclose(f) != 0)
        console_fail(c, EXIT_USAGE, "cannot write %s: %s", name, strerror(errno));
}

static int run_dump(struct console *c, const struct options *o)
{
    struct request q;
    struct reply reply;

    console_connect(c);
    c->on_repl = keep;
    request_begin(&q, "eval");
    request_text(&q, "source", dump_lua, strlen(dump_lua));
    request_text(&q, "chunk", "=dump", 5);
    request_text(&q, "mode", "script", 6);
    reply = client_finish(c, &q, "the dump was made");
    if (!reply.ok)
        return report_failure(c, reply.result);
    if (!records.len || !whole(records.data, records.len))
        console_fail(c, EXIT_PROTOCOL, "a part of the dump was lost on the line");
    write_file(c, option_value(o, "-o"));
    return EXIT_OK;
}

static const struct verb_option dump_options[] = {
    {"-o", "FILE", "where to"},
    {0},
};
VERB(dump, .help = "all objects into a file, for kmon --dump FILE", .options = dump_options,
     .prepare = prepare, .run = run_dump);

// ---- --dump

static void push(lua_State *L, const json_t *v)
{
    const char *key;
    json_t *x;
    size_t i;

    luaL_checkstack(L, 8, "the dump is nested too deeply");
    switch (json_typeof(v)) {
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(v), json_string_length(v));
        return;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(v));
        return;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(v));
        return;
    case JSON_ARRAY:
        lua_newtable(L);
        json_array_foreach(v, i, x)
        {
            push(L, x);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return;
    case JSON_OBJECT:
        lua_newtable(L);
        json_object_foreach((json_t *)v, key, x)
        {
            push(L, x);
            lua_setfield(L, -2, key);
        }
        return;
    case JSON_NULL:
        lua_pushnil(L);
        return;
    default:
        lua_pushboolean(L, json_is_true(v));
    }
}

// The records of a file onto the stack. NULL, or what is wrong with it, in a piece of static memory.
static const char *push_records(lua_State *L, FILE *f, const char *name)
{
    static char why[512];
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    lua_Integer number = 0;
    bool ended = false;
    json_error_t e;

    *why = 0;
    lua_newtable(L);
    while (!*why && (n = getline(&line, &cap, f)) > 0) {
        json_t *v = json_loadb(line, (size_t)n, 0, &e);
        number++;
        ended = json_is_true(json_object_get(v, "end"));
        if (json_is_object(v)) {
            push(L, v);
            lua_rawseti(L, -2, number);
        } else {
            snprintf(why, sizeof why, "%s:%d: this is no dump of kmon's", name, (int)number);
        }
        json_decref(v);
    }
    free(line);
    if (!*why && !ended)
        snprintf(why, sizeof why, "%s: this is no dump of kmon's, or not all of one", name);
    return *why ? why : NULL;
}

// read(name) -> list of records
static int read_dump(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *why;
    FILE *f = fopen(name, "r");

    if (!f) {
        lua_pushfstring(L, "cannot read %s: %s", name, strerror(errno));
        return lua_error(L);
    }
    why = push_records(L, f, name);
    fclose(f);
    if (!why)
        return 1;
    lua_pushstring(L, why);
    return lua_error(L);
}

static bool asserted;

static int note_assert(lua_State *L)
{
    (void)L;
    asserted = true;
    return 0;
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

// The error on top, as report_failure shows one.
static int failed(lua_State *L)
{
    fflush(stdout);
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return asserted ? EXIT_ASSERT : EXIT_LUA;
}

static void load_text(struct console *c, lua_State *L, const char *text, const char *name)
{
    if (luaL_loadbuffer(L, text, strlen(text), name) != LUA_OK)
        console_fail(c, EXIT_USAGE, "%s", lua_tostring(L, -1));
}

static void push_texts(lua_State *L)
{
    static const struct {
        const char *name, *text;
    } texts[] = {
        {"answers", answers_lua}, {"print", print_lua}, {"seq", seq_lua},   {"layout", layout_lua},
        {"show", show_lua},       {"snap", snap_lua},   {"help", help_lua},
    };

    lua_newtable(L);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lua_pushstring(L, texts[i].text);
        lua_setfield(L, -2, texts[i].name);
    }
}

static void look_for_interrupt(lua_State *L, lua_Debug *at)
{
    struct console *c = *(struct console **)lua_getextraspace(L);

    (void)at;
    if (console_interrupted(c))
        console_fail_wait(c, WAIT_INTERRUPTED, "the script ran");
}

// Leaves the handler at 1, the function that shows results at 2.
static lua_State *open(struct console *c, const char *name)
{
    lua_State *L = luaL_newstate();

    if (!L)
        abort();
    *(struct console **)lua_getextraspace(L) = c;
    lua_sethook(L, look_for_interrupt, LUA_MASKCOUNT, LOOK_COUNT);
    luaL_openlibs(L);
    lua_pushcfunction(L, traceback);
    load_text(c, L, offline_lua, "=offline");
    lua_pushcfunction(L, read_dump);
    lua_pushstring(L, name);
    push_texts(L);
    lua_pushcfunction(L, note_assert);
    if (lua_pcall(L, 4, 1, 0) != LUA_OK)
        console_fail(c, EXIT_USAGE, "%s", lua_tostring(L, -1));
    return L;
}

static int eval_offline(lua_State *L, const char *source)
{
    enum shorthand what = SHORTHAND_RUN;
    char *text;

    if (*source == ':') {
        what = shorthand(source, strlen(source), &text);
        source = text;
    }
    if (what != SHORTHAND_RUN) {
        fprintf(what == SHORTHAND_SAY ? stdout : stderr, "%s%s\n",
                what == SHORTHAND_SAY ? "" : "kmon: ", source);
        return what == SHORTHAND_SAY ? EXIT_OK : EXIT_USAGE;
    }
    lua_pushfstring(L, "return %s", source);
    if (luaL_loadbuffer(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=k") != LUA_OK &&
        luaL_loadbuffer(L, source, strlen(source), "=k") != LUA_OK)
        return failed(L);
    lua_pushvalue(L, 2);
    lua_insert(L, -2);
    int base = lua_gettop(L) - 1;
    if (lua_pcall(L, 0, LUA_MULTRET, 1) != LUA_OK)
        return failed(L);
    bool any = lua_gettop(L) > base;
    if (lua_pcall(L, lua_gettop(L) - base, 1, 1) != LUA_OK)
        return failed(L);
    if (any)
        puts(lua_tostring(L, -1));
    return EXIT_OK;
}

static int load_script(lua_State *L, const char *name)
{
    const struct bytes *script = files_script();

    if (strcmp(name, "-") != 0)
        return luaL_loadfile(L, name);
    return luaL_loadbuffer(L, script->len ? script->data : "", script->len, "=stdin");
}

static int run_offline(lua_State *L, const struct options *o)
{
    if (load_script(L, o->args[0]) != LUA_OK)
        return failed(L);
    for (int i = 1; i < o->nargs; i++)
        lua_pushstring(L, o->args[i]);
    return lua_pcall(L, o->nargs - 1, 0, 1) == LUA_OK ? EXIT_OK : failed(L);
}

int dump_offline(struct console *c, const struct options *o)
{
    const char *verb = o->verb->name;
    bool eval = strcmp(verb, "eval") == 0;

    if (!eval && strcmp(verb, "run") != 0 && strcmp(verb, "exec") != 0)
        console_fail(c, EXIT_USAGE, "%s needs a kernel; with --dump there are eval, run and exec",
                     verb);
    for (int i = 0; i < VERB_OPTIONS; i++)
        if (o->set[i])
            console_fail(c, EXIT_USAGE, "%s: no option of %s goes with --dump", o->address, verb);
    lua_State *L = open(c, o->address);
    return eval ? eval_offline(L, o->args[0]) : run_offline(L, o);
}
