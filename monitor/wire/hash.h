// SPDX-License-Identifier: MIT
// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): by it both sides name a text that one of them has.
//
// It tells texts apart that differ by chance, not such as were made to have the same.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define WIRE_HASH 0xcbf29ce484222325 // of nothing

// Of what has the hash h with the bytes behind it.
uint64_t wire_hash(uint64_t h, const void *data, size_t n);
