// SPDX-License-Identifier: MIT
// A session, and which there are. For monitor/session only.
#pragma once

#include "async/task.h"
#include "lua/limits.h"
#include "session/fiber.h"
#include "session/link.h"

enum {
    SESSION_HEAP = 1 << 20,
    SESSION_ARENA = 16 * 1024, // frames of the deepest call a binding may wait for
};

// Of a session that is open, beside its heap.
struct session_memory {
    char arena[SESSION_ARENA] __attribute__((aligned(16)));
    uint8_t request[RPC_MESSAGE], reply[RPC_MESSAGE], outgoing[RPC_MESSAGE];
    uint8_t box[LINK_BOX];
};

// CLOSED -> OPEN -> ENDS -> GONE -> CLOSED. OPEN: by the link's clock, which has its memory and starts its
// task. ENDS: by that clock; the session interrupts itself, forgets all it has, and its task ends: GONE, by
// whoever runs that last. Then the clock gives the memory back. The first session has no end: it goes from
// ENDS to CLOSED by itself, and is there all the same for a host that has just said HELLO.
enum session_state { SESSION_CLOSED, SESSION_OPEN, SESSION_ENDS, SESSION_GONE };

struct session {
    struct fiber fiber; // first
    unsigned number;
    uint32_t state; // enum session_state
    struct task task;
    struct lua_limits limits;
    struct link_box box;
    struct session_memory *memory;
    void *heap;
    size_t reply_len, outgoing_len;
    size_t kept_len; // 0, or of the request that waits for a callback to end, in memory->request
    struct rpc_once once;
    bool calling;     // a script waits for the host's answer
    bool lost;        // the host went away or asked for a reset while a script ran
    bool ready;       // there is a Lua state
    bool preparing;   // a fresh state runs the prelude: nothing to interrupt yet
    uint64_t told_at; // limits.ran when the script was last seen unhindered
};

struct session *session_self(void); // that runs

// Makes it so that the sessions with a bit in `wanted` are open and no others, as far as that can be now.
// Which are; which are not for want of memory. True: that has changed. By the link's clock only.
bool sessions_tend(uint8_t wanted, uint8_t *open, uint8_t *refused);

// session.c: the root of a session's task; the hooks of its Lua state.
ASYNC_DECL(session_main, struct session *session;);
void session_on_yield(void *session);
extern const struct eval_host session_host;
