// SPDX-License-Identifier: MIT
// Futexes: sleeping on a word of user memory.
#pragma once

#include "arch/types.h"

#include <stdbool.h>
#include <stdint.h>

struct space;

// Wakes up to n waiters of the word whose bit set meets `bits`. Plain. Number woken, or -EFAULT,
// -EINVAL. is_private: the key is (space, va).
long futex_wake(struct space *s, va_t va, uint32_t n, uint32_t bits, bool is_private);
