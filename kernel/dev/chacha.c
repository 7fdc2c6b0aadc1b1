// SPDX-License-Identifier: MIT
// The ChaCha20 block function, straight from RFC 8439, section 2.3.
#include "dev/chacha.h"

#include <string.h>

enum { DOUBLE_ROUNDS = 10 };

static uint32_t rotl(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static uint32_t load_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store_le32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b;
    *d = rotl(*d ^ *a, 16);
    *c += *d;
    *b = rotl(*b ^ *c, 12);
    *a += *b;
    *d = rotl(*d ^ *a, 8);
    *c += *d;
    *b = rotl(*b ^ *c, 7);
}

void chacha20_block(const uint8_t key[CHACHA_KEY], uint32_t counter,
                    const uint8_t nonce[CHACHA_NONCE], uint8_t out[CHACHA_BLOCK])
{
    uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}; // "expand 32-byte k"
    uint32_t s[16];

    for (unsigned i = 0; i < 8; i++)
        in[4 + i] = load_le32(key + 4 * i);
    in[12] = counter;
    for (unsigned i = 0; i < 3; i++)
        in[13 + i] = load_le32(nonce + 4 * i);
    memcpy(s, in, sizeof(s));
    for (unsigned r = 0; r < DOUBLE_ROUNDS; r++) {
        for (unsigned i = 0; i < 4; i++)
            quarter_round(&s[i], &s[4 + i], &s[8 + i], &s[12 + i]);
        for (unsigned i = 0; i < 4; i++)
            quarter_round(&s[i], &s[4 + (i + 1) % 4], &s[8 + (i + 2) % 4], &s[12 + (i + 3) % 4]);
    }
    for (unsigned i = 0; i < 16; i++)
        store_le32(out + 4 * i, s[i] + in[i]);
}
