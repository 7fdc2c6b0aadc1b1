// SPDX-License-Identifier: MIT
// The monitor's end of the wire, for the session: whole messages in, messages and text out.
//
// The link stands between the UART and the tty (dev/uart.h) and speaks monitor/wire. Only one
// task, the session's, calls link_recv and link_send.
#pragma once

#include "async/async.h"
#include "wire/frame.h"
#include "wire/rpc.h"

// Waits for a message of wire/rpc.h. Its length, at most RPC_MESSAGE; *data stays valid until the
// next link_recv, so the source of a running script must be copied. -ECONNRESET: another host
// said HELLO, or RESET came, or the host is gone; the session forgets half-done work and calls
// again. It is told once per such change. `ms` 0 waits for ever, else -ETIMEDOUT after it.
ASYNC_DECL(link_recv, const uint8_t **data; uint32_t ms;);

// Sends one message on WIRE_RPC or text on WIRE_REPL; waits while the queue is full. Text is not
// kept together: frames carry it as it comes. 0, or -ENOTCONN when no host listens.
ASYNC_DECL(link_send, enum wire_channel chan; const void *data; size_t len;);

// An event for WIRE_EVENTS; len <= WIRE_PAYLOAD. Never waits; dropped and counted when it must be.
// Any context that may take a spinlock.
void link_event(const void *cbor, size_t len);

bool link_connected(void);

// Set by INT and RESET in the RX interrupt: one relaxed load, for the count hook.
bool link_interrupted(void);
void link_interrupt_clear(void);

// The info map of wire/rpc.h that WELCOME carries; copied. Call before INIT_LATE ends.
void link_set_info(const void *cbor, size_t len);
