// SPDX-License-Identifier: MIT
// A Lua state that cannot hurt its host: bounded memory, instructions, C stack, and time per poll.
//
// Lua code consumes ticks (about one VM instruction each; loops inside the C libraries are patched
// to consume them too, see luaport.h). Each slice of SLICE ticks `yield` is called, on the stack of
// the fiber. When a command is interrupted or has spent its budget, an error is raised at every
// following instruction, in new coroutines too, until limits_begin(): pcall cannot swallow it.
// Scripts have no files, no native modules, no binary chunks, no finalizers, and of `debug` only
// traceback.
//
// One state runs at a time (the patched sources look at one set of globals): limits_enter() chooses; who
// switches away from its stack says limits_leave() before and limits_return() after.
#pragma once

#include "lua/arena.h"

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

enum { LIMITS_SLICE = 1000 };
#define LIMITS_BUDGET 100000000ul

// LIMITS_THAWED: k.freeze is over; it catches the error and goes on (session/freeze.h).
enum limits_stop { LIMITS_RUN, LIMITS_INTERRUPTED, LIMITS_BUDGET_SPENT, LIMITS_THAWED };

struct lua_limits {
    struct lua_arena arena;
    lua_State *L;
    uint64_t budget, spent; // ticks
    uint64_t ran;           // ticks, of all commands
    uint64_t
        usual;   // ticks of a command that does not say otherwise: LIMITS_BUDGET in a fresh state
    size_t heap; // bytes that may be in use, of the arena; all of it in a fresh state
    uint64_t yielded;   // `spent` at the last yield
    uint32_t interrupt; // set by limits_interrupt, from any context
    uint32_t stop;      // enum limits_stop: why the command is being unwound
    int slice;          // ticks the present slice began with
    int left;           // of it, when the stack was left
    uintptr_t stack_lo; // lowest byte of the C stack that the state may use
    bool stack_reported;
    void (*yield)(void *arg); // gives the hart back, returns when it is this state's turn
    void *arg;
    void *command;              // session/eval.c: what is carried out
    const uint32_t *lock_depth; // must be 0 whenever Lua allocates; NULL: not checked
};

// A fresh state with its libraries in mem (kept by the caller for the state's life). yield, arg and
// lock_depth are the caller's to set before, and are kept. 0 or -ENOMEM.
int limits_open(struct lua_limits *l, void *mem, size_t size);

// Before the state runs on a stack: [lo, here). At least 64 KiB of it.
void limits_enter(struct lua_limits *l, void *stack_lo);

// NULL: none runs here.
struct lua_limits *limits_leave(void);
void limits_return(struct lua_limits *l);
// Of the state that L belongs to.
struct lua_limits *limits_of(lua_State *L);

// A new command: clears interrupt and stop. budget in ticks.
void limits_begin(struct lua_limits *l, uint64_t budget);

// Any context, another hart's too: the running command is unwound.
static inline void limits_interrupt(struct lua_limits *l)
{
    __atomic_store_n(&l->interrupt, 1, __ATOMIC_RELAXED);
}
