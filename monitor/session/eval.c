// SPDX-License-Identifier: MIT
// Compile, run, and say what came of it.
//
// Everything runs inside one protected call, results and error alike are encoded inside it: memory
// may run out at any step. What could not be encoded is reported with constants only.
#include "session/eval.h"

#include "class/class.h"
#include "lib/errno.h"
#include "session/prelude.h"
#include "session/value.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

// ---- errors

struct job {
    struct lua_limits *limits;
    const struct eval_request *request;
    struct cbor_out *out;
    const char *line; // complete, help
    size_t len;
    uint64_t cursor;
    // of the error, filled by the message handler
    const char *kind;
    bool incomplete;
    char file[96];
    int at; // line, 0: unknown
};

static void note_place(lua_State *L, struct job *j)
{
    lua_Debug ar;
    if (!prelude_caller(L, &ar))
        return;
    const char *s = *ar.source == '@' || *ar.source == '=' ? ar.source + 1 : ar.short_src;
    strncpy(j->file, s, sizeof j->file - 1);
    j->at = ar.currentline;
}

static bool was_assert(lua_State *L)
{
    prelude_push_asserted(L);
    size_t n, k;
    const char *a = lua_isstring(L, -1) ? lua_tolstring(L, -1, &n) : NULL;
    const char *m = lua_isstring(L, 1) ? lua_tolstring(L, 1, &k) : NULL;
    bool is = (a && m && k >= n && memcmp(m + k - n, a, n) == 0) ||
              (!a && !lua_isnil(L, -1) && lua_rawequal(L, 1, -1));
    lua_pop(L, 1);
    return is;
}

static int show_table(lua_State *L)
{
    prelude_push(L, "show_nested");
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    lua_newtable(L);
    lua_call(L, 3, 1);
    return 1;
}

// What is said of the error at index 1, pushed: of error{...} what is in the table.
static void push_message(lua_State *L)
{
    if (lua_istable(L, 1)) {
        lua_pushcfunction(L, show_table);
        lua_pushvalue(L, 1);
        if (lua_pcall(L, 1, 1, 0) == LUA_OK)
            return;
        lua_pop(L, 1);
    }
    luaL_tolstring(L, 1, NULL);
}

// Index 1: the error. Leaves {message, traceback}.
static int on_error(lua_State *L)
{
    struct job *j = limits_of(L)->command;
    bool interrupted =
        j->limits->stop == LIMITS_INTERRUPTED || j->limits->interrupt; // while it waited
    j->kind = interrupted       ? "interrupted"
              : j->limits->stop ? "limit"
              : was_assert(L)   ? "assert"
                                : "lua";
    if (j->limits->stop || interrupted)
        limits_begin(j->limits, 1000000); // the unwinding is done: the report may run code
    note_place(L, j);
    lua_createtable(L, 2, 0);
    push_message(L);
    lua_rawseti(L, -2, 1);
    luaL_traceback(L, L, NULL, 1);
    lua_rawseti(L, -2, 2);
    return 1;
}

static void put_error(struct cbor_out *o, const struct job *j, const char *message, size_t n,
                      const char *traceback)
{
    cbor_map(o, 2);
    cbor_str(o, "ok");
    cbor_bool(o, false);
    cbor_str(o, "error");
    cbor_map(o, 2u + (traceback != NULL) + (j->at ? 2 : 0) + j->incomplete);
    cbor_str(o, "kind");
    cbor_str(o, j->kind);
    cbor_str(o, "message");
    cbor_text(o, message, n);
    if (traceback) {
        cbor_str(o, "traceback");
        cbor_str(o, traceback);
    }
    if (j->at) {
        cbor_str(o, "file");
        cbor_str(o, j->file);
        cbor_str(o, "line");
        cbor_int(o, j->at);
    }
    if (j->incomplete) {
        cbor_str(o, "incomplete");
        cbor_bool(o, true);
    }
}

static int report(lua_State *L)
{
    struct job *j = lua_touserdata(L, 2);
    size_t n;
    if (lua_istable(L, 1)) {
        lua_rawgeti(L, 1, 1);
        lua_rawgeti(L, 1, 2);
        const char *message = lua_tolstring(L, -2, &n);
        put_error(j->out, j, message, n, lua_tostring(L, -1));
    } else {
        const char *message = luaL_tolstring(L, 1, &n);
        put_error(j->out, j, message, n, NULL);
    }
    return 0;
}

// Runs a function under the handler; the error, if any, is encoded from `start` on.
static void protect(struct job *j, lua_CFunction run)
{
    lua_State *L = j->limits->L;
    size_t start = j->out->len;
    lua_settop(L, 0);
    j->limits->command = j;
    lua_pushcfunction(L, on_error);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, j);
    int status = lua_pcall(L, 1, 0, 1);
    if (status == LUA_OK && !cbor_fits(j->out)) {
        j->out->len = start;
        j->kind = "limit";
        j->at = 0;
        const char *text = "the result is too large for one reply; print it, or take a part";
        put_error(j->out, j, text, strlen(text), NULL);
    } else if (status != LUA_OK) {
        j->out->len = start;
        if (status == LUA_ERRMEM)
            j->kind = "limit";
        else if (!j->kind)
            j->kind = "lua";
        limits_begin(j->limits, 1000000);
        lua_pushcfunction(L, report);
        lua_rotate(L, -2, 1);
        lua_pushlightuserdata(L, j);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK || !cbor_fits(j->out)) {
            j->out->len = start;
            j->at = 0;
            put_error(j->out, j, "not enough memory to say what failed", 36, NULL);
        }
    }
    lua_settop(L, 0);
    lua_gc(L, LUA_GCSTEP, 0);
}

// ---- eval

static bool is_incomplete(const char *message)
{
    size_t n = strlen(message), k = strlen("<eof>");
    return n >= k && strcmp(message + n - k, "<eof>") == 0;
}

// The message of the syntax error is on top; it begins "chunk:LINE:".
static int syntax_error(lua_State *L, struct job *j)
{
    const char *message = lua_tostring(L, -1);
    j->kind = "syntax";
    j->incomplete = message && is_incomplete(message);
    const char *name = j->request->chunk;
    strncpy(j->file, *name == '@' || *name == '=' ? name + 1 : name, sizeof j->file - 1);
    for (const char *p = message; p && (p = strchr(p, ':')); p++)
        if (p[1] >= '0' && p[1] <= '9') {
            j->at = (int)strtol(p + 1, NULL, 10);
            break;
        }
    size_t n;
    message = lua_tolstring(L, -1, &n);
    put_error(j->out, j, message, n, NULL);
    return 0;
}

static int load(lua_State *L, const char *s, size_t n, const char *chunk)
{
    return luaL_loadbufferx(L, s, n, chunk, "t");
}

// As an expression first, then as it stands. The error kept is that of the statement, unless it is
// the expression that more lines would complete.
static int compile(lua_State *L, const struct eval_request *r)
{
    if (r->mode == EVAL_TEXT || r->mode == EVAL_JSON) {
        lua_pushliteral(L, "return ");
        lua_pushlstring(L, r->source, r->len);
        lua_concat(L, 2);
        size_t n;
        const char *s = lua_tolstring(L, -1, &n);
        if (load(L, s, n, r->chunk) == LUA_OK) {
            lua_remove(L, -2);
            return LUA_OK;
        }
        lua_remove(L, -2);
        if (is_incomplete(lua_tostring(L, -1))) {
            int status = load(L, r->source, r->len, r->chunk);
            lua_remove(L, status == LUA_OK || is_incomplete(lua_tostring(L, -1)) ? -2 : -1);
            return status;
        }
        lua_pop(L, 1);
    }
    return load(L, r->source, r->len, r->chunk);
}

static int push_args(lua_State *L, struct cbor_in in)
{
    if (!in.p || !value_decode(L, &in) || !lua_istable(L, -1))
        return 0;
    int table = lua_gettop(L), n = (int)lua_rawlen(L, table);
    if (n > 64)
        return luaL_error(L, "more than 64 arguments");
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return n;
}

static void put_results(lua_State *L, struct job *j, int first)
{
    struct cbor_out *o = j->out;
    int n = lua_gettop(L) - first + 1;
    bool json = j->request->mode == EVAL_JSON, text = j->request->mode == EVAL_TEXT && n > 0;
    if (text) { // before the map is begun: show may raise
        prelude_push(L, "show");
        lua_insert(L, first);
        lua_call(L, n, 1);
    }
    cbor_map(o, 1u + json + text + (json && n > 1));
    cbor_str(o, "ok");
    cbor_bool(o, true);
    if (json) {
        cbor_str(o, "value");
        value_encode(L, n ? first : lua_gettop(L) + 1, o);
        if (n > 1) {
            cbor_str(o, "more");
            cbor_array(o, (unsigned)n - 1);
        }
        for (int i = 1; i < n; i++)
            value_encode(L, first + i, o);
    } else if (text) {
        size_t len;
        const char *s = lua_tolstring(L, -1, &len);
        cbor_str(o, "text");
        cbor_text(o, s, len);
    }
}

static void put_check(lua_State *L, struct job *j)
{
    prelude_push(L, "tap_end");
    lua_call(L, 0, 2);
    cbor_map(j->out, 3);
    cbor_str(j->out, "ok");
    cbor_bool(j->out, true);
    cbor_str(j->out, "tests");
    cbor_int(j->out, lua_tointeger(L, -2));
    cbor_str(j->out, "failed");
    cbor_int(j->out, lua_tointeger(L, -1));
}

static void begin_request(lua_State *L)
{
    prelude_push(L, "request_begin");
    lua_call(L, 0, 0);
}

static int run_eval(lua_State *L)
{
    struct job *j = lua_touserdata(L, 1);
    prelude_forget_assert(L);
    begin_request(L);
    if (compile(L, j->request) != LUA_OK)
        return syntax_error(L, j);
    if (j->request->mode == EVAL_SCRIPT || j->request->mode == EVAL_CHECK) {
        prelude_push(L, "script_begin");
        lua_call(L, 0, 0);
    }
    if (j->request->mode == EVAL_CHECK) {
        prelude_push(L, "tap_begin");
        lua_call(L, 0, 0);
    }
    int f = lua_gettop(L);
    lua_call(L, push_args(L, j->request->args), LUA_MULTRET);
    if (j->limits->stop) // what was interrupted may have returned before it could be told
        return luaL_error(L,
                          j->limits->stop == LIMITS_INTERRUPTED ? "interrupted" : "budget spent");
    if (j->request->mode == EVAL_CHECK)
        put_check(L, j);
    else
        put_results(L, j, f);
    return 0;
}

void eval_run(struct lua_limits *l, const struct eval_request *r, struct cbor_out *out)
{
    struct job j = {.limits = l, .request = r, .out = out};
    limits_begin(l, r->budget ? r->budget : l->usual);
    protect(&j, run_eval);
}

// ---- complete, help

static int run_complete(lua_State *L)
{
    struct job *j = lua_touserdata(L, 1);
    prelude_push(L, "complete");
    lua_pushlstring(L, j->line, j->len);
    lua_pushinteger(L, (lua_Integer)j->cursor);
    lua_call(L, 2, 2);
    cbor_map(j->out, 3);
    cbor_str(j->out, "ok");
    cbor_bool(j->out, true);
    cbor_str(j->out, "start");
    cbor_int(j->out, lua_tointeger(L, -2));
    cbor_str(j->out, "words");
    value_encode(L, -1, j->out);
    return 0;
}

void eval_complete(struct lua_limits *l, const char *line, size_t n, uint64_t cursor,
                   struct cbor_out *out)
{
    struct job j = {.limits = l, .out = out, .line = line, .len = n, .cursor = cursor};
    limits_begin(l, 2000000);
    protect(&j, run_complete);
}

static int run_help(lua_State *L)
{
    struct job *j = lua_touserdata(L, 1);
    prelude_push(L, "help");
    lua_pushlstring(L, j->line, j->len);
    lua_call(L, 1, 1);
    size_t n;
    const char *text = luaL_tolstring(L, -1, &n);
    cbor_map(j->out, 2);
    cbor_str(j->out, "ok");
    cbor_bool(j->out, true);
    cbor_str(j->out, "text");
    cbor_text(j->out, text, n);
    return 0;
}

void eval_help(struct lua_limits *l, const char *text, size_t n, struct cbor_out *out)
{
    struct job j = {.limits = l, .out = out, .line = text, .len = n};
    limits_begin(l, 2000000);
    protect(&j, run_help);
}

// ---- between requests

static int run_events(lua_State *L)
{
    void (*run)(lua_State *) = (void (*)(lua_State *))lua_touserdata(L, 1);
    lua_settop(L, 0);
    begin_request(L);
    run(L);
    return 0;
}

static int print_error(lua_State *L)
{
    size_t n;
    lua_pushliteral(L, "\nin a probe: ");
    push_message(L);
    lua_pushliteral(L, "\n");
    lua_concat(L, 3);
    const char *text = lua_tolstring(L, -1, &n);
    prelude_write(L, text, n);
    return 0;
}

void eval_events(struct lua_limits *l, void (*run)(lua_State *L))
{
    lua_State *L = l->L;
    limits_begin(l, 10000000);
    lua_settop(L, 0);
    lua_pushcfunction(L, run_events);
    lua_pushlightuserdata(L, (void *)run);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        limits_begin(l, 1000000);
        lua_pushcfunction(L, print_error);
        lua_rotate(L, -2, 1);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK)
            lua_settop(L, 0);
    }
    lua_settop(L, 0);
}
