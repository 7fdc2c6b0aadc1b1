// SPDX-License-Identifier: MIT
// Frame codec: head, CRC and stuffing, and the frames whose payload is not just passed on.
#include "wire/frame.h"

#include "wire/cobs.h"
#include "wire/crc32.h"

#include <string.h>

_Static_assert(COBS_MAX(WIRE_RAW) == WIRE_STUFFED, "a frame is one COBS block");

size_t wire_frame_encode(uint8_t *dst, const struct wire_frame *frame)
{
    uint8_t raw[WIRE_RAW];
    uint32_t crc;
    size_t n = 2;

    raw[0] = (uint8_t)(WIRE_VERSION << 6 | frame->type << 4 | frame->chan);
    raw[1] = frame->seq;
    if (frame->len)
        memcpy(raw + 2, frame->payload, frame->len);
    n += frame->len;
    crc = crc32_of(raw, n);
    for (unsigned i = 0; i < 4; i++)
        raw[n++] = (uint8_t)(crc >> (8 * i));
    dst[0] = 0;
    n = cobs_encode(dst + 1, raw, n);
    dst[1 + n] = 0;
    return n + 2;
}

bool wire_frame_decode(struct wire_frame *frame, uint8_t *raw, size_t n)
{
    uint32_t crc = 0;
    long len;

    if (n < 3 || n > WIRE_STUFFED || !wire_frame_begins(raw[0], raw[1]))
        return false;
    len = cobs_decode(raw, raw, n);
    if (len < 6 || len > WIRE_RAW)
        return false;
    len -= 4;
    for (unsigned i = 0; i < 4; i++)
        crc |= (uint32_t)raw[len + i] << (8 * i);
    if (crc32_of(raw, (size_t)len) != crc)
        return false;
    frame->type = raw[0] >> 4 & 3;
    frame->chan = raw[0] & 15;
    frame->seq = raw[1];
    frame->payload = raw + 2;
    frame->len = (size_t)len - 2;
    return true;
}

static size_t hello_payload(uint8_t *p, const struct wire_hello *hello, uint8_t salt)
{
    size_t n = 5;

    memcpy(p, WIRE_HELLO_MAGIC, 5);
    for (unsigned i = 0; i < WIRE_NONCE; i++)
        p[n++] = hello->nonce[i] | 0x80;
    p[n++] = hello->keepalive | 0x80;
    p[n++] = (uint8_t)(hello->rows >> 7 | 0x80);
    p[n++] = (uint8_t)(hello->rows | 0x80);
    p[n++] = (uint8_t)(hello->cols >> 7 | 0x80);
    p[n++] = (uint8_t)(hello->cols | 0x80);
    p[n++] = salt;
    return n;
}

static bool hello_crc_is_above(const uint8_t *dst, uint8_t least)
{
    bool above = dst[1] == WIRE_HELLO_STUFFED; // otherwise a zero is among them

    for (unsigned i = WIRE_HELLO_STUFFED - 3; i <= WIRE_HELLO_STUFFED; i++)
        above &= dst[i] >= least;
    return above;
}

size_t wire_hello_encode(uint8_t *dst, const struct wire_hello *hello)
{
    static const uint8_t leasts[] = {0x80, ' '};
    uint8_t payload[WIRE_HELLO_PAYLOAD];
    struct wire_frame frame = {WIRE_NOW, WIRE_CONTROL, WIRE_HELLO_SEQ, 0, payload};
    size_t n = 0;

    // One salt in 16 gives a CRC of the first kind: of 4,000 HELLOs one needs the second.
    for (unsigned i = 0; i < sizeof leasts; i++)
        for (unsigned salt = 0x80; salt < 0x100; salt++) {
            frame.len = hello_payload(payload, hello, (uint8_t)salt);
            n = wire_frame_encode(dst, &frame);
            if (hello_crc_is_above(dst, leasts[i]))
                return n;
        }
    return n;
}

bool wire_hello_decode(struct wire_hello *hello, const struct wire_frame *frame)
{
    const uint8_t *p = frame->payload + 5;

    if (frame->type != WIRE_NOW || frame->chan != WIRE_CONTROL ||
        frame->len != WIRE_HELLO_PAYLOAD || memcmp(frame->payload, WIRE_HELLO_MAGIC, 5) != 0)
        return false;
    for (unsigned i = 0; i < WIRE_NONCE; i++)
        hello->nonce[i] = *p++ & 0x7f;
    hello->keepalive = *p++ & 0x7f;
    hello->rows = (uint16_t)((p[0] & 0x7f) << 7 | (p[1] & 0x7f));
    hello->cols = (uint16_t)((p[2] & 0x7f) << 7 | (p[3] & 0x7f));
    return true;
}

size_t wire_ack_encode(uint8_t *dst, const struct wire_ack *ack)
{
    uint8_t payload[3] = {ack->gap, (uint8_t)ack->room, (uint8_t)(ack->room >> 8)};
    struct wire_frame frame = {WIRE_ACK, WIRE_CONTROL, ack->next, sizeof payload, payload};

    return wire_frame_encode(dst, &frame);
}

bool wire_ack_decode(struct wire_ack *ack, const struct wire_frame *frame)
{
    if (frame->type != WIRE_ACK || frame->chan != WIRE_CONTROL || frame->len != 3)
        return false;
    ack->next = frame->seq;
    ack->gap = frame->payload[0];
    ack->room = (uint16_t)(frame->payload[1] | frame->payload[2] << 8);
    return true;
}
