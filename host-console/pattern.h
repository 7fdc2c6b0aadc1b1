// SPDX-License-Identifier: MIT
// Lua on the host: its patterns for host.expect, and whether a chunk is complete.
#pragma once

#include "wire/cbor.h"

#include <stdbool.h>
#include <stddef.h>

// string.find(text, pattern). 1: found, *end behind the match; the text matched and its captures
// are added to out as pairs `text` and `captures`. 0: not found. -1: no pattern, *why (static).
int pattern_find(const char *text, size_t n, const char *pattern, size_t pattern_n, size_t *end,
                 struct cbor_out *out, const char **why);

enum chunk_state { CHUNK_WHOLE, CHUNK_MORE, CHUNK_WRONG };
// WRONG: the kernel will say what is wrong with it.
enum chunk_state pattern_chunk(const char *source, size_t n);
