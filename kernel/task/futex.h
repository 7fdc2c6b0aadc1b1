// SPDX-License-Identifier: MIT
// Futexes: sleeping on a word of user memory.
#pragma once

#include "arch/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct space;

// Wakes up to n waiters of the word whose bit set meets `bits`. Plain. Number woken, or -EFAULT,
// -EINVAL. is_private: the key is (space, va).
long futex_wake(struct space *s, va_t va, uint32_t n, uint32_t bits, bool is_private);

// Who waits: up to max of the tasks with id >= from, in the order of their ids. Takes each bucket's lock in turn.
struct futex_info {
    uint32_t task, bits;
    const void
        *object; // struct space *: a private word; struct phys *: a shared one. For comparing only
    uint64_t offset; // address, or place in the object
};
size_t futex_waiters(uint32_t from, struct futex_info *out, size_t max);
