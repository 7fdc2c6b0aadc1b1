// SPDX-License-Identifier: MIT
// Static trace points: a load and a branch when off.
//
//     TRACE_POINT(fault_page, "fault.page", "va", "access", "pid");
//     ...
//     TRACE(fault_page, va, access, pid);
//
// A handler gets the point and its arguments. It runs where the point is, possibly under
// spinlocks: it must not block, allocate or log. The kernel knows nothing of who listens.
#pragma once

#include "arch/types.h"
#include "lib/set.h"

#include <stdint.h>

enum { TRACE_ARGS = 4 };
struct trace_point;
typedef void trace_handler(const struct trace_point *tp, const uint64_t args[TRACE_ARGS]);

struct trace_state {
    trace_handler *handler; // NULL: off. Changed with a plain store; callers load it once
    uint64_t hits;          // counted while on
};

struct trace_point {
    const char *name;
    const char *arg[TRACE_ARGS];
    struct trace_state *state;
    uint64_t pausable; // see TRACE_HOLDS
};
SET_DECLARE(trace_points, struct trace_point);

#define TRACE_DECLARE(id)                                                                          \
    extern struct trace_state trace_state_##id;                                                    \
    extern const struct trace_point *const trace_ptr_##id

// Defines the point; once, in the .c file that owns it.
#define TRACE_POINT(id, name, ...)          TRACE_POINT_(id, name, 0, __VA_ARGS__)
#define TRACE_POINT_PAUSABLE(id, name, ...) TRACE_POINT_(id, name, 1, __VA_ARGS__)
#define TRACE_POINT_(id, name, pausable, ...)                                                      \
    struct trace_state trace_state_##id;                                                           \
    SET_ITEM(trace_points, struct trace_point,                                                     \
             trace_##id) = {name, {__VA_ARGS__}, &trace_state_##id, pausable};                     \
    const struct trace_point *const trace_ptr_##id = &trace_##id

#define TRACE(id, ...)                                                                             \
    do {                                                                                           \
        trace_handler *h_ = *(trace_handler *volatile *)&trace_state_##id.handler;                 \
        if (unlikely(h_ != 0))                                                                     \
            h_(trace_ptr_##id, (const uint64_t[TRACE_ARGS]){__VA_ARGS__});                         \
    } while (0)

// Somebody listens: for a path that has a slow form for that.
#define TRACE_ON(id) unlikely(*(trace_handler *volatile *)&trace_state_##id.handler != 0)

// At a pausable point, which lies before the first lock of its path: true when a handler listens
// and `held` (that the running task was asked to park) holds after it ran. Then go back to where
// that takes effect; the task comes here again when it is released.
#define TRACE_HOLDS(id, held, ...)                                                                 \
    ({                                                                                             \
        TRACE(id, __VA_ARGS__);                                                                    \
        TRACE_ON(id) && (held);                                                                    \
    })
