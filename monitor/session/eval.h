// SPDX-License-Identifier: MIT
// Running what the host sends in a Lua state: expressions, scripts, checks, completion, help.
//
// Independent of how messages travel, so that it runs on the build machine too: printing and calls
// to the host go through struct eval_host. Each function writes the result map of wire/rpc.h,
// without the head, into `out`; what does not fit there is refused as kind "limit".
#pragma once

#include "lua/limits.h"
#include "wire/cbor.h"

struct eval_host {
    // A script prints. May wait (fiber) and may raise.
    void (*write)(lua_State *L, const char *text, size_t n);
    // A script calls the host: args stand at index 2 as a table. Pushes the result, or raises.
    int (*call)(lua_State *L, const char *op);
};

// Prepares a fresh state: classes, `k`, the prelude. 0, or -ENOMEM with the reason on the stack.
int eval_open(struct lua_limits *l, const struct eval_host *host);

enum eval_mode { EVAL_TEXT, EVAL_JSON, EVAL_SCRIPT, EVAL_CHECK };

struct eval_request {
    const char *source;
    size_t len;
    const char *chunk; // "=k" or "@lua-scripts/ps.lua"
    enum eval_mode mode;
    struct cbor_in args; // before an array of text; p NULL: none
    uint64_t budget;     // ticks; 0: the usual
};
void eval_run(struct lua_limits *l, const struct eval_request *r, struct cbor_out *out);
void eval_complete(struct lua_limits *l, const char *line, size_t n, uint64_t cursor,
                   struct cbor_out *out);
void eval_help(struct lua_limits *l, const char *text, size_t n, struct cbor_out *out);

// Callbacks between two requests; their errors are printed.
void eval_events(struct lua_limits *l, void (*run)(lua_State *L));

// A sequence at idx as a plain list, pushed; false (nothing pushed) when it is none.
bool eval_push_list(lua_State *L, int idx);
