// SPDX-License-Identifier: MIT
// Byte stuffing. One pass, no tables: packets are short and both ends are CPUs.
#include "wire/cobs.h"

size_t cobs_encode(uint8_t *dst, const uint8_t *src, size_t n)
{
    size_t code_at = 0, out = 1;
    uint8_t code = 1; // distance from code_at to the next zero

    for (size_t i = 0; i < n; i++) {
        if (src[i] != 0) {
            dst[out++] = src[i];
            code++;
        }
        // A full block ends without a zero; at the very end of the packet none follows it.
        if (src[i] == 0 || (code == 0xff && i + 1 < n)) {
            dst[code_at] = code;
            code_at = out++;
            code = 1;
        }
    }
    dst[code_at] = code;
    return out;
}

long cobs_decode(uint8_t *dst, const uint8_t *src, size_t n)
{
    size_t in = 0, out = 0;

    while (in < n) {
        uint8_t code = src[in++];
        if (code == 0 || (size_t)(code - 1) > n - in)
            return -1;
        for (unsigned k = 1; k < code; k++) {
            if (src[in] == 0)
                return -1;
            dst[out++] = src[in++];
        }
        if (code != 0xff && in < n)
            dst[out++] = 0;
    }
    return n == 0 ? -1 : (long)out;
}
