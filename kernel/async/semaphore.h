// SPDX-License-Identifier: MIT
// A counting semaphore: units are taken and given, each taker waits for as many as it wants.
//
// Strictly first come, first served: units are handed to the first waiter as soon as there are
// enough for it, and nobody overtakes it, not even one that wants fewer. So a waiter for many units
// is not starved by those for one (the writer of a rwlock is such a waiter).
// Invariant, whenever the lock is free: the first waiter wants more than there are.
// A waiter that is cancelled or timed out after units were handed to it gives them back.
#pragma once

#include "async/async.h"
#include "async/wait.h"

struct semaphore {
    struct spinlock lock;
    struct waitq waiters; // waiter.key: units wanted
    uint64_t units;       // free ones
    const char *name;
    uint64_t contended;
};

void semaphore_init(struct semaphore *s, const char *name, uint64_t units);
// 0 with n units taken; -EINTR when interruptible and a signal came before they were handed over.
// Cancelled or timed out: nothing is taken.
ASYNC_DECL(semaphore_take, struct semaphore *s; uint64_t n; bool interruptible;);
// False when it would have to wait. Any context.
bool semaphore_try_take(struct semaphore *s, uint64_t n);
// Any context.
void semaphore_give(struct semaphore *s, uint64_t n);
