// SPDX-License-Identifier: MIT
// Faults on purpose: a mistake of the machine or of the kernel, made to happen by a seed, for lessons and for tests.
//
// A fault is off, or in force once. Switching it on is a change like any other (session/journal.h), and undoing it heals
// what it has broken as far as that can be healed: who lost a wake is woken, what was held back is handed on. Off it costs
// what its place in the kernel does: a load and a branch.
#pragma once

#include "lib/set.h"
#include "session/journal.h"

#include <stdbool.h>
#include <stdint.h>

// What k.fault.inject was told; what was left out is 0.
struct fault_options {
    uint64_t seed;
    uint64_t every; // it happens one time in that many, on the average; 0: the fault's own default
    uint64_t ms;
    uint64_t task;  // id
    uint64_t queue; // id of a VirtQueue, plus 1
};

struct fault {
    const char *name, *doc;
    uint64_t mode;    // the least enum monitor_mode that allows it
    uint64_t options; // that it knows: enum fault_option
    // Neither changes anything nor fails later: 0, or a negative errno with a reason in why. May fill in defaults.
    long (*validate)(struct fault_options *o, char *why, size_t n);
    long (*begin)(const struct fault_options *o); // 0 or a negative errno; then nothing has changed
    void (*end)(void);
    uint64_t (*hits)(void); // how often it has happened since it was last switched on
};
enum fault_option { FAULT_EVERY = 1, FAULT_MS = 2, FAULT_TASK = 4, FAULT_QUEUE = 8 };
SET_DECLARE(faults, struct fault);
#define FAULT(id, ...) SET_ITEM(faults, struct fault, fault_##id) = {__VA_ARGS__}

// Dice: the n-th throw of a seed is always the same, whoever throws it. Any context.
struct fault_dice {
    uint64_t seed, every;
    uint64_t thrown, hits; // atomic
};
void fault_dice_init(struct fault_dice *d, uint64_t seed, uint64_t every);
bool fault_dice_hit(struct fault_dice *d);
