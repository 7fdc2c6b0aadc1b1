// SPDX-License-Identifier: MIT
// The entropy pool and its generator (ChaCha20 with fast key erasure).
//
// Seeded from /chosen/rng-seed, virtio-rng and the clock; reseeded when a source brings
// more. random_bytes never blocks and never fails: a start without any good source is logged once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void random_bytes(void *buf, size_t n);
uint64_t random_u64(void);

// Mixes input in; `bits` is how much of it an attacker cannot know (0 is fine).
void random_mix(const void *buf, size_t n, uint32_t bits);

// At least 256 bits have come in: what getrandom(2) without GRND_NONBLOCK waits for.
bool random_ready(void);

// A device that can bring more: `request` is called, no lock held, when much has been handed out.
// It must not block; what it brings comes in through random_mix.
void random_set_source(void (*request)(void));
