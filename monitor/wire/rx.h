// SPDX-License-Identifier: MIT
// The kernel's receiving end: bytes of the UART in, calls to a sink out.
//
// In PLAIN the bytes are the tty's. Only a complete, correct HELLO leads to MUX: until then it is
// held, at most 25 bytes, and at the first byte that cannot belong to it all goes to the tty in
// order. In MUX everything is a frame; BYE, or silence for the time HELLO named, leads back.
//
// Go-back-N: a sequenced frame is taken only when it is the next one, and answered by an ACK in
// any case. No allocation, no lock, no kernel header: the caller serialises (one RX interrupt),
// and the unit tests run it on the host.
#pragma once

#include "wire/frame.h"

// Called from within wire_rx_byte and wire_rx_tick; must not call back.
struct wire_sink {
    void (*tty)(void *ctx, const uint8_t *data, size_t n);
    // Part of a message for rpc of some session; false: no room, the host shall send it again.
    bool (*message)(void *ctx, enum wire_channel chan, bool last, const uint8_t *data, size_t n);
    // For the ACK: payload bytes `message` would take. When it grew, the next HELLO's ACK says so.
    size_t (*room)(void *ctx);
    void (*ack)(void *ctx, const struct wire_ack *ack); // to be sent soon; a later one replaces it
    // A HELLO: answer with WELCOME. fresh: another connection than before; what was half received
    // and what waits to be sent is void.
    void (*hello)(void *ctx, const struct wire_hello *hello, bool fresh);
    void (*plain)(void *ctx); // MUX ended
    void (*interrupt)(void *ctx, unsigned session);
    void (*reset)(void *ctx);
    void (*want)(void *ctx, uint8_t sessions); // NULL: there is one only
};

struct wire_rx {
    const struct wire_sink *sink;
    void *ctx;
    bool mux;
    bool skipping;  // MUX: too long for a frame, until the next delimiter
    uint8_t expect; // MUX: next sequence number
    uint32_t held;  // bytes in buf
    uint8_t buf[WIRE_FRAME];
    struct wire_hello hello; // of this connection
    uint64_t now_ms;         // of the last byte
    // When a byte came last; in MUX, a frame (who types there is no host) or a tick.
    uint64_t heard_ms;
    uint32_t silent_s; // MUX: seconds without a frame
    uint64_t frames, bad_frames;
};

void wire_rx_init(struct wire_rx *rx, const struct wire_sink *sink, void *ctx);
// now_ms: any clock that does not go back.
void wire_rx_byte(struct wire_rx *rx, uint8_t byte, uint64_t now_ms);

// Time passed: releases what PLAIN holds, a zero that a person may have typed after WIRE_HOLD_MS, what began like a
// HELLO after WIRE_HOLD_HELLO_MS (a busy host may stop a machine in the middle of one); ends MUX after the keep-alive. Of that
// a call counts one second, however much time passed: what came while a machine stood still has not been read yet.
enum { WIRE_HOLD_MS = 200, WIRE_HOLD_HELLO_MS = 3000 };
void wire_rx_tick(struct wire_rx *rx, uint64_t now_ms);
// When wire_rx_tick is to be called next, UINT64_MAX: not before another byte came.
uint64_t wire_rx_deadline(const struct wire_rx *rx);
