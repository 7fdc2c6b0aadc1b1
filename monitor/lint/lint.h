// SPDX-License-Identifier: MIT
// k.lint: mistakes that show in a running system, each with its evidence.
//
// A linter that cries wolf is switched off, so nothing is said on one look. A check notes what may be wrong (`notice`),
// time passes, and it looks again (`judge`): only what has not moved at all is a finding. What it noticed it keeps in
// `size` bytes of memory of that k.lint, zero at first: in another session another one may run.
#pragma once

#include "lib/set.h"
#include "lint/look.h"

#include <lua.h>

struct lint_limits {
    uint64_t io_ms, poll_ms; // how old a request, how long a poll may be
};

struct lint_check {
    const char *name; // "lost wake"
    size_t size;
    uint64_t (*notice)(void *noticed, const struct lint_limits *); // how many suspicions
    // What must have happened before it can judge has; NULL: nothing must.
    bool (*settled)(const void *noticed);
    void (*judge)(lua_State *L, const void *noticed); // calls lint_found for each
};
SET_DECLARE(lint_checks, struct lint_check);
#define LINT_CHECK(id, ...)                                                                        \
    SET_ITEM(lint_checks, struct lint_check, lint_check_##id) = {__VA_ARGS__}

// From judge: text is one line of evidence; task 0: no task in particular.
void lint_found(lua_State *L, const char *kind, uint32_t task, uint64_t ms, const char *text);

// "waits for mutex x", "runs"
void lint_wait_text(char *buf, size_t n, const struct task_look *l);
// The task that must act before this wait ends, 0: unknown.
uint32_t lint_holder(const struct wait_view *v);
