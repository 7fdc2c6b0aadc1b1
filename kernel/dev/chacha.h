// SPDX-License-Identifier: MIT
// The ChaCha20 block function (RFC 8439, section 2.3).
#pragma once

#include <stdint.h>

enum { CHACHA_KEY = 32, CHACHA_NONCE = 12, CHACHA_BLOCK = 64 };

void chacha20_block(const uint8_t key[CHACHA_KEY], uint32_t counter,
                    const uint8_t nonce[CHACHA_NONCE], uint8_t out[CHACHA_BLOCK]);
