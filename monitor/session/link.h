// SPDX-License-Identifier: MIT
// The monitor's end of the wire, for the session: whole messages in, messages and text out.
//
// The link stands between the UART and the tty (dev/uart.h) and speaks monitor/wire. Only one
// task, the session's, calls link_recv and link_send.
//
// Locks: link rx, then what the tty and signals take; uart, then link tx, then the tty's. Nothing
// under link tx logs.
#pragma once

#include "async/async.h"
#include "wire/frame.h"
#include "wire/rpc.h"

// Waits for a message of wire/rpc.h. Its length, at most RPC_MESSAGE; *data stays valid until the
// next link_recv, so the source of a running script must be copied. Or
//     -ECONNRESET  another host said HELLO, RESET came, or the host is gone: half-done work is to be
//                  forgotten. Told once per change.
//     -EINTR       link_interrupted() is true; again at each call until link_interrupt_clear().
//     -ETIMEDOUT   after `ms` (0: never).
ASYNC_DECL(link_recv, const uint8_t **data; uint32_t ms;);

// Sends one message on WIRE_RPC, or text on WIRE_REPL, which arrives in pieces; waits while the
// queue is full. 0, or -ENOTCONN when no host listens or another one came meanwhile.
ASYNC_DECL(link_send, enum wire_channel chan; const void *data; size_t len;);

// An event for WIRE_EVENTS; len <= WIRE_PAYLOAD. Never waits. False: there is no room now; without a
// host it is dropped. No spinlock held.
bool link_event(const void *cbor, size_t len);
bool link_events_waiting(void); // some have not gone out yet

bool link_connected(void);

// Set by INT and RESET in the RX interrupt, and when the host is gone: one relaxed load, for the
// count hook. Clear it when a request begins and when it was acted upon.
bool link_interrupted(void);
void link_interrupt_clear(void);

// Hash of the class tables, for the WELCOME (wire/rpc.h).
void link_set_schema(uint64_t hash);

struct link_stats {
    bool mux;
    uint64_t frames, bad_frames, dropped_events, overlong;
};
void link_get_stats(struct link_stats *out);
