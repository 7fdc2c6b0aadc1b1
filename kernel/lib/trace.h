// SPDX-License-Identifier: MIT
// Static trace points: a load and a branch when off.
//
//     TRACE_POINT(irq, "irq", "an interrupt was served", TRACE_ARG("source", NUMBER), ...);
//     ...
//     TRACE(irq, source, ...);
//
// A handler gets the point and its arguments. It runs where the point is, possibly under
// spinlocks: it must not block, lock, allocate or log. The kernel knows nothing of who listens.
//
// A point that can hold has a second handler, asked before anything is done: true means that it is
// not to go on now. A task is then parked at the user border (the handler has set ATTN_HOLD) and
// comes to the point again when it is released; anything else goes on by `release`.
#pragma once

#include "arch/types.h"
#include "lib/set.h"

#include <stdbool.h>
#include <stdint.h>

enum { TRACE_ARGS = 5 };

enum trace_type { // what an argument is
    TRACE_NUMBER,
    TRACE_SIGNED,
    TRACE_ADDRESS,
    TRACE_BYTES,
    TRACE_NS,    // a duration
    TRACE_TASK,  // its id; 0: none
    TRACE_CALL,  // number of a system call
    TRACE_CODE,  // address of a function, or in one
    TRACE_ENTRY, // of a page table
    TRACE_NAME,  // const char * to a text that stays where it is for ever; may be NULL
    TRACE_WORD,  // the n-th of `words`
};

struct trace_arg {
    const char *name, *words; // words: "read write", of a TRACE_WORD; "-" is no word
    uint64_t type;            // enum trace_type
};
#define TRACE_ARG(name, type)                                                                      \
    {                                                                                              \
        name, 0, TRACE_##type                                                                      \
    }
#define TRACE_WORDS(name, words)                                                                   \
    {                                                                                              \
        name, words, TRACE_WORD                                                                    \
    }

struct trace_point;
typedef bool trace_handler(const struct trace_point *tp, const uint64_t args[TRACE_ARGS]);

// NULL: off. Changed with plain stores; who comes by loads once.
struct trace_state {
    trace_handler *handler; // its result means nothing
    trace_handler *hold;
};

struct trace_point {
    const char *name, *help;
    struct trace_arg arg[TRACE_ARGS]; // up to one without a name
    struct trace_state *state;
    uint64_t parks; // hold parks the running task; so many arguments are known then
    void (*release)(const uint64_t arg[TRACE_ARGS]); // hold keeps something back, this lets it go
    void (*changed)(void); // called after state has changed, in a task, with no lock held
};
SET_DECLARE(trace_points, struct trace_point);

#define TRACE_DECLARE(id)                                                                          \
    extern struct trace_state trace_state_##id;                                                    \
    extern const struct trace_point *const trace_ptr_##id

// Defines the point; once, in the .c file that owns it. TRACE_POINT_WITH: `options` are further
// members, as in TRACE_OPTIONS(.parks = 1, .changed = fn).
#define TRACE_POINT(id, name, help, ...)                                                           \
    TRACE_POINT_WITH(id, name, help, TRACE_OPTIONS(.parks = 0), __VA_ARGS__)
#define TRACE_OPTIONS(...) __VA_ARGS__
#define TRACE_POINT_WITH(id, name_, help_, options, ...)                                           \
    struct trace_state trace_state_##id;                                                           \
    SET_ITEM(trace_points, struct trace_point, trace_##id) = {                                     \
        .name = name_, .help = help_, .arg = {__VA_ARGS__}, .state = &trace_state_##id, options};  \
    const struct trace_point *const trace_ptr_##id = &trace_##id

#define TRACE_LOAD_(id, which)  (*(trace_handler *volatile *)&trace_state_##id.which)
#define TRACE_CALL_(id, h, ...) ((h)(trace_ptr_##id, (const uint64_t[TRACE_ARGS]){__VA_ARGS__}))

#define TRACE(id, ...)                                                                             \
    do {                                                                                           \
        trace_handler *h_ = TRACE_LOAD_(id, handler);                                              \
        if (unlikely(h_ != 0))                                                                     \
            TRACE_CALL_(id, h_, __VA_ARGS__);                                                      \
    } while (0)

// Somebody listens: for a path that has a slow form for that.
#define TRACE_ON(id) unlikely(TRACE_LOAD_(id, handler) != 0)

// Is this to be held? For a task, before the first lock of its path: then it goes back to where
// its attention word is looked at.
#define TRACE_HOLDS(id, ...)                                                                       \
    ({                                                                                             \
        trace_handler *h_ = TRACE_LOAD_(id, hold);                                                 \
        unlikely(h_ != 0) && TRACE_CALL_(id, h_, __VA_ARGS__);                                     \
    })
