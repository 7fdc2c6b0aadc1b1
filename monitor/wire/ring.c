// SPDX-License-Identifier: MIT
// Ring of records: free-running indices, so that full and empty differ without a spare byte.
#include "wire/ring.h"

uint32_t wire_ring_room(const struct wire_ring *r, uint32_t n)
{
    uint32_t left = r->size - (r->head - r->tail);

    return left / (n + WIRE_RECORD_HEAD) * n;
}

static void put_byte(struct wire_ring *r, uint8_t b)
{
    r->buf[r->head++ & (r->size - 1)] = b;
}

bool wire_ring_put(struct wire_ring *r, uint8_t tag, const void *data, size_t len)
{
    const uint8_t *p = data;

    if (len > 0xffff || len + WIRE_RECORD_HEAD > r->size - (r->head - r->tail))
        return false;
    put_byte(r, tag);
    put_byte(r, (uint8_t)len);
    put_byte(r, (uint8_t)(len >> 8));
    while (len--)
        put_byte(r, *p++);
    return true;
}

bool wire_ring_peek(const struct wire_ring *r, uint8_t *tag, size_t *len)
{
    uint32_t mask = r->size - 1;

    if (wire_ring_empty(r))
        return false;
    *tag = r->buf[r->tail & mask];
    *len = r->buf[(r->tail + 1) & mask] | (size_t)r->buf[(r->tail + 2) & mask] << 8;
    return true;
}

void wire_ring_take(struct wire_ring *r, void *dst)
{
    uint8_t *p = dst, tag;
    size_t len;

    if (!wire_ring_peek(r, &tag, &len))
        return;
    r->tail += WIRE_RECORD_HEAD;
    for (size_t i = 0; p && i < len; i++)
        p[i] = r->buf[(r->tail + i) & (r->size - 1)];
    r->tail += (uint32_t)len;
}

void wire_ring_retag(struct wire_ring *r, uint8_t from, uint8_t to)
{
    struct wire_ring at = *r; // the records are the same, only its tail moves
    uint8_t tag;
    size_t len;

    for (; wire_ring_peek(&at, &tag, &len); at.tail += WIRE_RECORD_HEAD + (uint32_t)len)
        if (tag == from)
            r->buf[at.tail & (r->size - 1)] = to;
}
