// SPDX-License-Identifier: MIT
// System calls: one line each, beside the handler, in a linker set.
//
// Plain handler: called straight from the trap path with the six argument registers; short, never
// waits, does all its user copying before its first mutation, because after -ECOMMIT it is run
// again. Its prototype has as many arguments as the line says.
//     SYSCALL(172, getpid, 0)            long sys_getpid(void)
// Async handler: awaited by the user loop; arguments are in f->a[0..5].
//     SYSCALL_ASYNC(57, close, 1)        ASYNC_SYSCALL(sys_close, locals)
// Try first: a plain part run from the trap path; when it would have to wait it returns
// syscall_go_async() and the async handler runs from the start.
//     SYSCALL_TRY(63, read, 3)           long try_read(...); ASYNC_SYSCALL(sys_read, ...)
#pragma once

#include "async/async.h"
#include "lib/errno.h"

enum { SYSCALL_MAX = 512 };

ASYNC_IFACE(syscall, uint64_t a[6];);

typedef long syscall_plain();

struct syscall_entry {
    uint64_t nr;
    const char *name;
    syscall_plain *plain;         // NULL: async only
    const struct async_fn *async; // NULL: plain only
    uint64_t nargs;
};
SET_DECLARE(syscalls, struct syscall_entry);

// A handler's int is the lower half of a register whose upper half the program chose, while the calling convention promises the
// handler a sign-extended one: the conversion is made here.
#define SYSCALL_ARGS_0
#define SYSCALL_ARGS_1 a0
#define SYSCALL_ARGS_2 a0, a1
#define SYSCALL_ARGS_3 a0, a1, a2
#define SYSCALL_ARGS_4 a0, a1, a2, a3
#define SYSCALL_ARGS_5 a0, a1, a2, a3, a4
#define SYSCALL_ARGS_6 a0, a1, a2, a3, a4, a5
#define SYSCALL_CONVERTED(name, fn, nargs)                                                         \
    static long name##_converted(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,  \
                                 uint64_t a5)                                                      \
    {                                                                                              \
        (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;                                \
        return fn(SYSCALL_ARGS_##nargs);                                                           \
    }

#define SYSCALL(nr, name, nargs)                                                                   \
    SYSCALL_CONVERTED(name, sys_##name, nargs)                                                     \
    SET_ITEM(syscalls, struct syscall_entry,                                                       \
             syscall_##name) = {nr, #name, (syscall_plain *)name##_converted, NULL, nargs}
#define SYSCALL_ASYNC(nr, name, nargs)                                                             \
    SET_ITEM(syscalls, struct syscall_entry, syscall_##name) = {nr, #name, NULL, &sys_##name##_fn, \
                                                                nargs}
#define SYSCALL_TRY(nr, name, nargs)                                                               \
    SYSCALL_CONVERTED(name, try_##name, nargs)                                                     \
    SET_ITEM(syscalls, struct syscall_entry, syscall_##name) = {                                   \
        nr, #name, (syscall_plain *)name##_converted, &sys_##name##_fn, nargs}

#define ASYNC_SYSCALL(fn, locals) ASYNC_IMPL(fn, syscall, locals)

// In a plain or try_ handler.
static inline long syscall_go_async(void)
{
    current_task()->local |= LOCAL_ASYNC;
    return 0;
}

// For a try_ handler whose copy failed with r. What lies before a bad address counts, and the async one counts it: it begins
// anew, with the same bytes.
static inline long syscall_cut_short(long r)
{
    return r == -EFAULT ? syscall_go_async() : r;
}

// The same, but the wait has begun: the caller, whose task t is, has entered a wait queue with a waiter in thread.light, and
// w->woken says what the call returns. A thread that is traced leaves and goes on with the async handler, which shows its frames.
static inline long syscall_wait(struct task *t, const struct light_wait *w)
{
    t->light = w;
    t->local |= LOCAL_WAIT;
    return 0;
}

// Per number: calls, and calls of numbers nobody registered. Counted on the slow path and by
// tracing only for plain calls; unknown numbers always.
extern uint64_t syscall_unknown[SYSCALL_MAX];
const struct syscall_entry *syscall_lookup(uint64_t nr);
