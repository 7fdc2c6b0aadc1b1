// SPDX-License-Identifier: MIT
// System calls: one line each, beside the handler, in a linker set.
//
// Plain handler: called straight from the trap path with the six argument registers; short, never
// waits, does all its user copying before its first mutation, because after -ECOMMIT it is run
// again. Arguments it does not need are left out of its prototype.
//     SYSCALL(172, getpid, 0)            long sys_getpid(void)
// Async handler: awaited by the user loop; arguments are in f->a[0..5].
//     SYSCALL_ASYNC(57, close, 1)        ASYNC_SYSCALL(sys_close, locals)
// Try first: a plain part run from the trap path; when it would have to wait it returns
// syscall_go_async() and the async handler runs from the start.
//     SYSCALL_TRY(63, read, 3)           long try_read(...); ASYNC_SYSCALL(sys_read, ...)
#pragma once

#include "async/async.h"

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

#define SYSCALL(nr, name, nargs)                                                                   \
    SET_ITEM(syscalls, struct syscall_entry,                                                       \
             syscall_##name) = {nr, #name, (syscall_plain *)sys_##name, NULL, nargs}
#define SYSCALL_ASYNC(nr, name, nargs)                                                             \
    SET_ITEM(syscalls, struct syscall_entry, syscall_##name) = {nr, #name, NULL, &sys_##name##_fn, \
                                                                nargs}
#define SYSCALL_TRY(nr, name, nargs)                                                               \
    SET_ITEM(syscalls, struct syscall_entry,                                                       \
             syscall_##name) = {nr, #name, (syscall_plain *)try_##name, &sys_##name##_fn, nargs}

#define ASYNC_SYSCALL(fn, locals) ASYNC_IMPL(fn, syscall, locals)

// In a plain or try_ handler.
static inline long syscall_go_async(void)
{
    current_task()->local |= LOCAL_ASYNC;
    return 0;
}

// The same, but `fn` (an ASYNC_SYSCALL) is awaited instead of the call's own handler: a small one
// that knows what the wait is for, whose frames fit the thread without a segment of their own. Its
// result is the call's, or -ERETRY: what was waited for has come, run the first try again.
static inline long syscall_go_to(const struct async_fn *fn)
{
    current_task()->detour = fn;
    return syscall_go_async();
}

// Per number: calls, and calls of numbers nobody registered. Counted on the slow path and by
// tracing only for plain calls; unknown numbers always.
extern uint64_t syscall_unknown[SYSCALL_MAX];
const struct syscall_entry *syscall_lookup(uint64_t nr);
