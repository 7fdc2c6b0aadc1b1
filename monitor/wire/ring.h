// SPDX-License-Identifier: MIT
// A ring of records (tag, length, bytes) in memory its owner supplies. No locks: the owner's.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_RECORD_HEAD = 3 };

struct wire_ring {
    uint8_t *buf;
    uint32_t size;       // a power of two
    uint32_t head, tail; // free running; tail is the oldest
};

static inline void wire_ring_init(struct wire_ring *r, void *buf, uint32_t size)
{
    *r = (struct wire_ring){buf, size, 0, 0};
}
static inline bool wire_ring_empty(const struct wire_ring *r)
{
    return r->head == r->tail;
}
// Payload bytes that n-byte records can still bring: what is free, less a head for each.
uint32_t wire_ring_room(const struct wire_ring *r, uint32_t n);

// False when it does not fit; len <= 65535.
bool wire_ring_put(struct wire_ring *r, uint8_t tag, const void *data, size_t len);
// The oldest record's tag and length; false when empty.
bool wire_ring_peek(const struct wire_ring *r, uint8_t *tag, size_t *len);
// Copies the oldest record out (dst has room for its length; NULL: dropped) and removes it.
void wire_ring_take(struct wire_ring *r, void *dst);
void wire_ring_retag(struct wire_ring *r, uint8_t from, uint8_t to); // all records with that tag
