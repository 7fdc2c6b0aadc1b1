// SPDX-License-Identifier: MIT
// The monitor's end of the wire, for its sessions: whole messages in, messages and text out.
//
// The link stands between the UART and the tty (dev/uart.h) and speaks monitor/wire. Each session has a
// box for what comes for it; only its task calls link_recv and link_send with it. All these tasks are
// pinned to one hart.
//
// Locks: link rx, then a box's, or what the tty and signals take; uart, then link tx, then the tty's. Nothing
// under link tx logs.
#pragma once

#include "async/async.h"
#include "async/wait.h"
#include "wire/frame.h"
#include "wire/ring.h"
#include "wire/rpc.h"

// The inbox holds any one message, so that the line never waits for a session that does not look: what
// a second one has no room for is dropped, and counted.
enum { LINK_INBOX = 2 * RPC_MESSAGE, LINK_BOX = LINK_INBOX + RPC_MESSAGE };

struct link_box {
    struct spinlock lock; // guards the inbox, begun to torn
    unsigned session;
    struct wire_ring inbox; // parts of messages, tag: 0x80 last
    uint32_t begun;         // where in it the newest one does
    bool dropping, torn; // the newest one has no room; what was taken out is of one that had none
    uint32_t changes, changes_told;
    uint32_t interrupted;
    struct event readable;
    uint8_t *message; // only link_recv touches these
    size_t message_len;
};

// memory: LINK_BOX bytes, as long as it is used.
void link_box_init(struct link_box *b, unsigned session, void *memory);
void link_box_put(struct link_box *b, bool last, const void *data, size_t n);
// As if another host had come, for this session only; `interrupt`: the old one's script.
void link_box_forget(struct link_box *b, bool interrupt);
void link_box_interrupt(struct link_box *b);
uint64_t link_overlong(void); // messages dropped

// What comes for its session goes there from now on; NULL: nowhere.
void link_connect(unsigned session, struct link_box *b);
void link_wake_senders(void); // one was forgotten

// Waits for a message of wire/rpc.h. Its length, at most RPC_MESSAGE; *data stays valid until the
// next link_recv, so the source of a running script must be copied. Or
//     -ECONNRESET  another host said HELLO, RESET came, the host is gone, or the box was forgotten:
//                  half-done work is to be forgotten. Told once per change.
//     -EINTR       link_interrupted() is true; again at each call until link_interrupt_clear().
//     -ETIMEDOUT   after `ms` (0: never).
ASYNC_DECL(link_recv, struct link_box *box; const uint8_t **data; uint32_t ms;);

// Sends one message on the session's WIRE_RPC, or text on its WIRE_REPL, which arrives in pieces; waits
// while the queue is full. 0, or -ENOTCONN when no host listens or link_recv has to tell that another one came.
ASYNC_DECL(link_send, struct link_box *box; enum wire_channel chan; const void *data; size_t len;);

// An event for the session's WIRE_EVENTS; len <= WIRE_PAYLOAD. Never waits. False: there is no room now;
// when link_send would be refused it is dropped. By the session's task, no spinlock held.
bool link_event(const struct link_box *box, const void *cbor, size_t len);
bool link_events_waiting(unsigned session); // some of it have not gone out yet
void link_forget_events(unsigned session);  // that wait: they are the old client's

bool link_connected(void);

// Set by INT and RESET in the RX interrupt, and when the host is gone: one relaxed load, for the
// count hook. Clear it when a request begins and when it was acted upon.
static inline bool link_interrupted(const struct link_box *b)
{
    return load_relaxed(&b->interrupted);
}
static inline void link_interrupt_clear(struct link_box *b)
{
    store_relaxed(&b->interrupted, 0);
}

// The link's clock calls sessions_tend() (session/sessions.h) soon. Any context.
void link_tend(void);

// Hash of the class tables, for the WELCOME (wire/rpc.h).
void link_set_schema(uint64_t hash);

struct link_stats {
    bool mux;
    uint64_t frames, bad_frames, dropped_events, overlong;
};
void link_get_stats(struct link_stats *out);
