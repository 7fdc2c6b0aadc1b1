// SPDX-License-Identifier: MIT
// Waiting for one of several files: what a file's poll operation and the waiter share.
//
// A poll operation returns its present mask of POLL* bits. When `pl` is not NULL it first registers
// with poll_add, under the lock that guards its wait queue, so no change is missed. Pollers should
// have a wait queue of their own, woken with waitq_wake_all, beside the queues of blocked readers
// and writers, which are woken one at a time.
#pragma once

#include "async/wait.h"

#include <stdint.h>

struct file;

struct poll_entry {
    struct waiter w;
    struct spinlock *lock; // guards q
    struct waitq *q;
    struct file *file; // referenced while registered
};

struct poll_list {
    struct task *task;
    uint32_t used, max;
    struct poll_entry *entry;
    uint32_t overflow; // an operation asked for more entries than there are
};

// lock is held by the caller and guards q.
void poll_add(struct poll_list *pl, struct spinlock *lock, struct waitq *q);
