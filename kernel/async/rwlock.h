// SPDX-License-Identifier: MIT
// An async rwlock: one writer or many readers, held across awaits.
//
// Fair, in order of arrival: a reader that comes behind a waiting writer waits behind it, so that
// neither writers nor readers are starved; readers that arrived together are let in together.
// Hence no task may read-lock twice: a writer that comes in between would wait for it, and it for
// the writer. It is a semaphore of which a reader takes one unit and a writer all.
#pragma once

#include "async/semaphore.h"

enum rwlock_how { RWLOCK_READ = 1, RWLOCK_WRITE = 1 << 30 }; // units

struct rwlock {
    struct semaphore units;
    struct task *writer; // who holds it for writing
};

void rwlock_init(struct rwlock *l, const char *name);
// 0; -EINTR if interruptible and interrupted. Cancelled or timed out: it is not held.
ASYNC_DECL(rwlock_lock, struct rwlock *l; enum rwlock_how how; bool interruptible;);
bool rwlock_trylock(struct rwlock *l, enum rwlock_how how, struct task *t);
// The id of the task that has it for writing, or 0; the lock of its units is held.
uint32_t rwlock_writer(const struct rwlock *l);
void rwlock_unlock(struct rwlock *l, enum rwlock_how how, struct task *t);
