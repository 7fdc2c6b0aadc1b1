// SPDX-License-Identifier: MIT
#include "wire/hash.h"

uint64_t wire_hash(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;
    while (n--)
        h = (h ^ *p++) * 0x100000001b3;
    return h;
}
