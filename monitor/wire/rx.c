// SPDX-License-Identifier: MIT
// PLAIN and MUX on the kernel's side; see the header.
#include "wire/rx.h"

#include <string.h>

void wire_rx_init(struct wire_rx *rx, const struct wire_sink *sink, void *ctx)
{
    *rx = (struct wire_rx){.sink = sink, .ctx = ctx};
}

static void send_ack(struct wire_rx *rx, bool gap)
{
    size_t room = rx->sink->room(rx->ctx);
    struct wire_ack ack = {rx->expect, gap, room > 0xffff ? 0xffff : (uint16_t)room};

    rx->sink->ack(rx->ctx, &ack);
}

static void take_hello(struct wire_rx *rx, const struct wire_hello *hello)
{
    bool fresh = !rx->mux || memcmp(hello->nonce, rx->hello.nonce, WIRE_NONCE) != 0;

    if (fresh)
        rx->expect = 0;
    rx->hello = *hello;
    rx->mux = true;
    rx->silent_s = 0;
    rx->sink->hello(rx->ctx, hello, fresh);
    send_ack(rx, false);
}

static void leave_mux(struct wire_rx *rx)
{
    rx->mux = false;
    rx->skipping = false;
    rx->held = 0;
    rx->sink->plain(rx->ctx);
}

// ---- PLAIN

static void release(struct wire_rx *rx)
{
    uint32_t n = rx->held;

    rx->held = 0;
    if (n)
        rx->sink->tty(rx->ctx, rx->buf, n);
}

// Could byte stand at this place of a HELLO? Place 0 is the delimiter in front.
static bool hello_fits(uint32_t place, uint8_t byte)
{
    static const uint8_t fixed[] = {
        0, WIRE_HELLO_STUFFED, WIRE_HELLO_HEAD, WIRE_HELLO_SEQ, 'H', 'E', 'L', 'L', 'O'};

    if (place < sizeof fixed)
        return byte == fixed[place];
    if (place == WIRE_HELLO_STUFFED + 1)
        return byte == 0;
    if (place < sizeof fixed + WIRE_HELLO_PAYLOAD - 5)
        return byte & 0x80;
    return byte != 0; // the CRC
}

static void plain_byte(struct wire_rx *rx, uint8_t byte)
{
    struct wire_frame frame;
    struct wire_hello hello;
    uint8_t copy[WIRE_HELLO_STUFFED];

    if (!hello_fits(rx->held, byte)) {
        release(rx);
        // A zero may be the delimiter of the HELLO after this one that was none.
        if (byte != 0) {
            rx->sink->tty(rx->ctx, &byte, 1);
            return;
        }
    }
    rx->buf[rx->held++] = byte;
    if (rx->held < WIRE_HELLO_STUFFED + 2)
        return;
    memcpy(copy, rx->buf + 1, sizeof copy);
    if (wire_frame_decode(&frame, copy, sizeof copy) && wire_hello_decode(&hello, &frame)) {
        rx->held = 0;
        take_hello(rx, &hello);
        return;
    }
    rx->held--;
    release(rx);
    rx->buf[rx->held++] = byte;
}

// ---- MUX

static void take_control(struct wire_rx *rx, const struct wire_frame *frame)
{
    struct wire_hello hello;

    if (wire_hello_decode(&hello, frame)) {
        take_hello(rx, &hello);
        return;
    }
    switch (frame->len ? frame->payload[0] : 0) {
    case WIRE_BYE:
        leave_mux(rx);
        break;
    case WIRE_INT:
        rx->sink->interrupt(rx->ctx, frame->len > 1 ? frame->payload[1] : 0);
        break;
    case WIRE_RESET:
        rx->sink->reset(rx->ctx);
        send_ack(rx, false);
        break;
    case WIRE_WANT:
        if (frame->len == 2 && rx->sink->want)
            rx->sink->want(rx->ctx, frame->payload[1]);
        break;
    default:
        rx->bad_frames++;
    }
}

static void take_sequenced(struct wire_rx *rx, const struct wire_frame *frame)
{
    uint8_t behind = (uint8_t)(rx->expect - frame->seq);
    bool taken = false;

    if (behind == 0) {
        taken = true;
        if (frame->chan == WIRE_TTY)
            rx->sink->tty(rx->ctx, frame->payload, frame->len);
        else if (wire_which(frame->chan) == WIRE_RPC)
            taken = rx->sink->message(rx->ctx, frame->chan, frame->type == WIRE_LAST,
                                      frame->payload, frame->len);
        if (taken)
            rx->expect++;
    }
    // 1 to 127 behind is a repetition of what was taken; anything else means something is missing.
    send_ack(rx, !taken && (behind == 0 || behind >= 128));
}

static void take_frame(struct wire_rx *rx)
{
    struct wire_frame frame;

    if (!wire_frame_decode(&frame, rx->buf, rx->held)) {
        rx->bad_frames++;
        send_ack(rx, true);
        return;
    }
    rx->frames++;
    rx->heard_ms = rx->now_ms;
    rx->silent_s = 0;
    if (frame.type == WIRE_NOW && frame.chan == WIRE_CONTROL)
        take_control(rx, &frame);
    else if (frame.type == WIRE_DATA || frame.type == WIRE_LAST)
        take_sequenced(rx, &frame);
    else
        rx->bad_frames++;
}

static void mux_byte(struct wire_rx *rx, uint8_t byte)
{
    if (byte != 0) {
        if (rx->held < WIRE_STUFFED)
            rx->buf[rx->held++] = byte;
        else
            rx->skipping = true;
        return;
    }
    if (rx->skipping) {
        rx->bad_frames++;
        send_ack(rx, true);
    } else if (rx->held) {
        take_frame(rx);
    }
    rx->skipping = false;
    rx->held = 0;
}

void wire_rx_byte(struct wire_rx *rx, uint8_t byte, uint64_t now_ms)
{
    rx->now_ms = now_ms;
    if (rx->mux) {
        mux_byte(rx, byte);
        return;
    }
    rx->heard_ms = now_ms;
    plain_byte(rx, byte);
}

uint64_t wire_rx_deadline(const struct wire_rx *rx)
{
    if (!rx->mux && rx->held)
        return rx->heard_ms + (rx->held > 1 ? WIRE_HOLD_HELLO_MS : WIRE_HOLD_MS);
    if (!rx->mux)
        return UINT64_MAX;
    return rx->hello.keepalive ? rx->heard_ms + 1000 : UINT64_MAX;
}

void wire_rx_tick(struct wire_rx *rx, uint64_t now_ms)
{
    if (now_ms < wire_rx_deadline(rx))
        return;
    if (!rx->mux) {
        release(rx);
        return;
    }
    rx->heard_ms = now_ms;
    if (++rx->silent_s >= rx->hello.keepalive)
        leave_mux(rx);
}
