// SPDX-License-Identifier: MIT
// The info map of WELCOME (wire/rpc.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

void welcome_init(void);
// Writes the map, at most cap = RPC_WELCOME bytes; its length. Any context.
size_t welcome_info(uint8_t *buf, size_t cap);
