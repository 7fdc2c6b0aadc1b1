// SPDX-License-Identifier: MIT
// When a task was born, and who made it (birth.c).
#pragma once

#include <stdint.h>

struct task;
struct birth {
    uint64_t ns; // since boot
};
struct creator {
    uint32_t id; // of the task that made it, 0: boot
};
// Of a task that has locals. All zero: its constructor was disabled.
struct birth *birth_of(struct task *t);
struct creator *creator_of(struct task *t);
