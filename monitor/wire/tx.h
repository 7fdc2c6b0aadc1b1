// SPDX-License-Identifier: MIT
// The kernel's sending end: the UART's interrupt pulls bytes, this decides whose they are.
//
// Order: control, then messages (rpc, repl) and the tty by turns, then the log, then events; but one frame
// of eight is the log's, one the events', should they have any. Tty
// and log have queues of their own and are asked when it is their turn; messages and events wait
// here. Messages are never dropped: wire_tx_put says no and its caller waits. A quarter of their ring is
// kept for those on rpc, which so do not wait behind who prints for ever. Events are dropped
// when their ring is full, and counted. In PLAIN tty and log go out as they are.
//
// No lock and no kernel header: the owner holds one lock around every call.
#pragma once

#include "wire/frame.h"
#include "wire/ring.h"

struct wire_tx_sources {
    size_t (*tty)(void *ctx, uint8_t *buf, size_t max);
    size_t (*log)(void *ctx, uint8_t *buf, size_t max);
};

struct wire_tx {
    const struct wire_tx_sources *from;
    void *ctx;
    bool mux;
    uint8_t connections; // how often MUX was entered
    uint8_t seq;         // of the next sequenced frame
    uint8_t turn;        // whose it is to be asked first
    bool log_open;       // PLAIN: the last byte of the log did not end a line
    bool ack_due, welcome_due;
    struct wire_ack ack;
    uint8_t welcome[WIRE_PAYLOAD];
    uint8_t welcome_len;
    struct wire_ring messages, events;
    uint32_t last_event[WIRE_SESSIONS]; // where in its ring the newest of each session ends
    uint64_t dropped_events, dropped_told;
    uint16_t out_at, out_len; // frame on its way
    uint8_t out[WIRE_FRAME];
};

void wire_tx_init(struct wire_tx *tx, const struct wire_tx_sources *from, void *ctx,
                  struct wire_ring messages, struct wire_ring events);

// Enters MUX: what waited for another host is dropped, `seq` starts at 0.
void wire_tx_begin(struct wire_tx *tx);
// Back to PLAIN: the frame on its way is finished, what waits is dropped.
void wire_tx_end(struct wire_tx *tx);

// WELCOME: nonce and the info map of rpc.h (n <= RPC_WELCOME).
void wire_tx_welcome(struct wire_tx *tx, const uint8_t nonce[WIRE_NONCE], const void *info,
                     size_t n);
void wire_tx_ack(struct wire_tx *tx, const struct wire_ack *ack);

// Part of a message, or text on repl: at most WIRE_PAYLOAD bytes. False: no room now.
bool wire_tx_put(struct wire_tx *tx, enum wire_channel chan, bool last, const void *data, size_t n);
// chan: of some session's events. False: dropped, and counted.
bool wire_tx_event(struct wire_tx *tx, enum wire_channel chan, const void *data, size_t n);
// Has not all gone out that was put there?
bool wire_tx_event_waits(const struct wire_tx *tx, enum wire_channel chan);
// The client they are for has gone: the next one of this channel is not sent what still waits there.
void wire_tx_forget_events(struct wire_tx *tx, enum wire_channel chan);

// Up to max bytes for the line; 0: nothing to send.
size_t wire_tx_pull(struct wire_tx *tx, uint8_t *buf, size_t max);
