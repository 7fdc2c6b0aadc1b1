// SPDX-License-Identifier: MIT
// CRC-32 as in Ethernet and zlib (reflected 0x04c11db7; "123456789" gives cbf43926).
//
// Detects every error burst of up to 32 bits, so every single bit flip, in a frame.
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_of(const void *data, size_t n);
// Continues a sum: crc32_more(crc32_of(a, n), b, m) is the sum of a and b behind each other.
uint32_t crc32_more(uint32_t crc, const void *data, size_t n);
