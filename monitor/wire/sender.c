// SPDX-License-Identifier: MIT
// Go-back-N, the sending half.
//
// Invariant: sent <= filled <= WIRE_WINDOW; the window holds base .. base + filled - 1, and the
// first `sent` of them are on the line. Eight-bit numbers: the window is far below 128.
#include "wire/sender.h"

#include <string.h>

_Static_assert(256 % WIRE_WINDOW == 0, "slots are found by sequence number");

void wire_sender_init(struct wire_sender *s, struct wire_ring tty, struct wire_ring messages)
{
    memset(s, 0, sizeof *s);
    s->tty = tty;
    s->messages = messages;
}

void wire_sender_reset(struct wire_sender *s)
{
    s->tty.tail = s->tty.head;
    s->messages.tail = s->messages.head;
    s->base = 0;
    s->filled = s->sent = 0;
    s->going_back = false;
    s->room = 0;
    s->backoff = 0;
    s->advanced = false;
}

bool wire_sender_put(struct wire_sender *s, enum wire_channel chan, bool last, const void *data,
                     size_t n)
{
    struct wire_ring *ring = chan == WIRE_TTY ? &s->tty : &s->messages;

    return n <= WIRE_PAYLOAD && wire_ring_put(ring, (uint8_t)(chan | (last ? 0x80 : 0)), data, n);
}

static uint32_t message_bytes(const struct wire_sender *s)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < s->filled; i++) {
        unsigned slot = (uint8_t)(s->base + i) % WIRE_WINDOW;
        if ((s->window[slot].tag & 15) != WIRE_TTY)
            sum += s->window[slot].len;
    }
    return sum;
}

static bool fill(struct wire_sender *s, struct wire_ring *ring)
{
    unsigned slot = (uint8_t)(s->base + s->filled) % WIRE_WINDOW;
    uint8_t tag;
    size_t len;

    if (s->filled == WIRE_WINDOW || !wire_ring_peek(ring, &tag, &len))
        return false;
    if ((tag & 15) != WIRE_TTY && message_bytes(s) + len > s->room)
        return false;
    s->window[slot].tag = tag;
    s->window[slot].len = (uint8_t)len;
    wire_ring_take(ring, s->window[slot].payload);
    s->filled++;
    return true;
}

size_t wire_sender_pull(struct wire_sender *s, uint8_t *dst, uint64_t now_ms)
{
    struct wire_frame frame;
    uint8_t seq;

    if (s->sent == s->filled && !fill(s, &s->tty) && !fill(s, &s->messages))
        return 0;
    if (s->sent == 0)
        s->sent_ms = now_ms;
    seq = (uint8_t)(s->base + s->sent++);
    frame.type = s->window[seq % WIRE_WINDOW].tag & 0x80 ? WIRE_LAST : WIRE_DATA;
    frame.chan = s->window[seq % WIRE_WINDOW].tag & 15;
    frame.seq = seq;
    frame.len = s->window[seq % WIRE_WINDOW].len;
    frame.payload = s->window[seq % WIRE_WINDOW].payload;
    return wire_frame_encode(dst, &frame);
}

static void send_again(struct wire_sender *s)
{
    s->resent += s->sent;
    s->sent = 0;
}

void wire_sender_ack(struct wire_sender *s, const struct wire_ack *ack)
{
    unsigned done = (uint8_t)(ack->next - s->base);

    // An ACK for what was never sent is from another connection or damaged beyond the CRC.
    if (done > s->filled)
        return;
    s->base = ack->next;
    s->filled -= done;
    s->sent = s->sent > done ? s->sent - done : 0;
    s->room = ack->room;
    // A gap is reported once per frame behind it: only the first report moves us back.
    if (done) {
        s->going_back = false;
        s->advanced = true;
    }
    if (ack->gap && s->sent && !s->going_back) {
        send_again(s);
        s->going_back = true;
    }
}

uint64_t wire_sender_deadline(const struct wire_sender *s)
{
    return s->sent ? s->sent_ms + ((uint64_t)WIRE_RESEND_MS << s->backoff) : UINT64_MAX;
}

void wire_sender_tick(struct wire_sender *s, uint64_t now_ms)
{
    if (s->advanced) {
        s->advanced = false;
        s->backoff = 0;
        s->sent_ms = now_ms;
    } else if (now_ms >= wire_sender_deadline(s)) {
        send_again(s);
        s->backoff += s->backoff < WIRE_BACKOFF;
    }
}

bool wire_sender_idle(const struct wire_sender *s)
{
    return s->filled == 0 && wire_ring_empty(&s->tty) && wire_ring_empty(&s->messages);
}
