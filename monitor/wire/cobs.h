// SPDX-License-Identifier: MIT
// Consistent Overhead Byte Stuffing: a packet without a zero byte in it, so that zero can delimit.
//
// Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM ToN 7(2), 1999.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Longest result of encoding n bytes.
#define COBS_MAX(n) ((n) + (n) / 254 + 1)

// dst has room for COBS_MAX(n) and does not overlap src. Returns the length, never 0.
size_t cobs_encode(uint8_t *dst, const uint8_t *src, size_t n);

// dst has room for n bytes; dst == src is allowed. -1 when src is no COBS packet.
long cobs_decode(uint8_t *dst, const uint8_t *src, size_t n);
