// SPDX-License-Identifier: MIT
// A C stack inside one async task: ordinary C code (Lua) that can wait without blocking its hart.
//
// The task awaits fiber_run(); that switches to the fiber's stack. The fiber switches back to let
// others run (fiber_yield), or with an async call that the task then makes for it (fiber_await).
// Code between two switches is one poll. The task must be pinned: compiled code keeps addresses of
// hart-local variables in registers across a call that switches.
//
// A fiber holds no spinlock when it switches away (asserted), and nothing that only its own stack
// can give back while it may be abandoned: fiber_abandon() forgets the stack where it stands.
#pragma once

#include "arch/cpu.h"
#include "async/async.h"

enum { FIBER_STACK = 128 * 1024, FIBER_ARGS = 128 };

struct fiber {
    struct cpu_context self, poll; // where it goes on; the poll that it left
    char *stack;                   // lowest byte, FIBER_STACK of them, a guard page below
    void (*entry)(struct fiber *);
    enum { FIBER_READY, FIBER_YIELDED, FIBER_AWAITS, FIBER_DONE, FIBER_ABANDONED } state;
    struct task *task;         // while it runs
    const struct async_fn *fn; // the call it waits for
    uint64_t args[FIBER_ARGS / 8];
    size_t args_size;
    long result;
};

// Reserves the stack. Panics without memory: boot only.
void fiber_init(struct fiber *f);

// Runs entry(f) on the stack, from its beginning, until it returns (0) or is abandoned (-ECANCELED).
ASYNC_DECL(fiber_run, struct fiber *fiber; void (*entry)(struct fiber *););

// On the fiber.
void fiber_yield(struct fiber *f);
_Noreturn void fiber_abandon(struct fiber *f);
// -ENOMEM when the task's arena has no room for the worst case of fn.
long fiber_call(struct fiber *f, const struct async_fn *fn, const void *args, size_t n);
#define fiber_await(fiber, callee, ...)                                                            \
    fiber_call(fiber, &callee##_fn, &(struct callee##_args){__VA_ARGS__},                          \
               sizeof(struct callee##_args))

// On whose stack this code runs; NULL: on none. Only the hart they are pinned to may ask.
struct fiber *fiber_running(void);
