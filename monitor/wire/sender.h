// SPDX-License-Identifier: MIT
// The host's sending end: go-back-N with one window, and the room the kernel has for messages.
//
// Terminal bytes and messages wait in two rings; a frame gets its sequence number when it enters
// the window, so a message that waits for room never holds up a key. Everything in the window is
// sent again after a timeout, or at once when an ACK reports a gap.
#pragma once

#include "wire/frame.h"
#include "wire/ring.h"

// WIRE_RESEND_MS: without an ACK that says something new; doubled each time, WIRE_BACKOFF times at most.
// A busy machine may take its bytes much more slowly than they are sent: what is repeated too early
// stands in the way of what it repeats.
enum { WIRE_WINDOW = 16, WIRE_RESEND_MS = 1000, WIRE_BACKOFF = 3 };

struct wire_sender {
    struct wire_ring tty, messages;
    uint8_t base;          // oldest sequence number not acknowledged
    unsigned filled, sent; // of the window: frames in it, frames sent
    bool advanced;         // something was acknowledged since the last tick
    unsigned backoff;      // how often the resend time is doubled
    bool going_back;       // a gap was reported and the window is being sent again
    uint32_t room;         // from the last ACK
    uint64_t sent_ms;      // when the oldest one was sent last
    uint64_t resent;       // frames sent more than once
    struct {
        uint8_t tag; // channel, 0x80: last of a message
        uint8_t len;
        uint8_t payload[WIRE_PAYLOAD];
    } window[WIRE_WINDOW]; // by sequence number modulo its size
};

void wire_sender_init(struct wire_sender *s, struct wire_ring tty, struct wire_ring messages);
// Another connection: everything is forgotten, numbers start at 0, no room until an ACK.
void wire_sender_reset(struct wire_sender *s);
// A part of at most WIRE_PAYLOAD bytes. False: no space, come back after the next ACK.
bool wire_sender_put(struct wire_sender *s, enum wire_channel chan, bool last, const void *data,
                     size_t n);
// The next frame to put on the line now (WIRE_FRAME bytes at dst); 0: none.
size_t wire_sender_pull(struct wire_sender *s, uint8_t *dst, uint64_t now_ms);
void wire_sender_ack(struct wire_sender *s, const struct wire_ack *ack);
// When to call wire_sender_tick; UINT64_MAX: nothing is unacknowledged.
uint64_t wire_sender_deadline(const struct wire_sender *s);
void wire_sender_tick(struct wire_sender *s, uint64_t now_ms);
bool wire_sender_idle(const struct wire_sender *s);
