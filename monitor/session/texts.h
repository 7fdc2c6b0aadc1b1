// SPDX-License-Identifier: MIT
// Texts that the host has sent once and need not send again: modules of scripts, by the hash of what is in them.
//
// They are of all sessions: who has the same text has the same module. On the sessions' hart; no call waits.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXTS = 32, TEXTS_BYTES = 128 * 1024 };

// Keeps a copy; the oldest make room. What is larger than TEXTS_BYTES is not kept.
void texts_keep(const void *text, size_t n);
// The hashes of all: how many.
size_t texts_hashes(uint64_t out[TEXTS]);
// How long the text is; 0: it is not here.
size_t texts_size(uint64_t hash);
// Copies it; false: it is not here, or not of n bytes.
bool texts_copy(uint64_t hash, void *out, size_t n);
