// SPDX-License-Identifier: MIT
// Waiting for one of several files: what a file's poll operation and the waiter share.
//
// A poll operation returns its present mask of POLL* bits. When `pl` is not NULL it first registers
// with poll_add, under the lock that guards its wait queue, so no change is missed. Pollers have a
// wait queue of their own, woken with poll_wake, beside the queues of blocked readers and writers,
// which are woken one at a time.
#pragma once

#include "async/wait.h"
#include "fs/abi.h"

#include <stdint.h>

struct file;

enum {
    POLL_ANY = -1,            // poll_add: whatever happens; poll_wake: it may be anything
    POLL_EXCLUSIVE = 1 << 28, // among the events of an entry: one such is enough to be told
};

struct poll_entry {
    struct waiter w;       // key: the POLL* bits that it wants to hear of
    struct spinlock *lock; // guards q
    struct waitq *q;
    uint32_t told; // the task has been woken for it, perhaps before it slept
    // NULL: the task is woken, once. Else called for each wake, with *lock held: true if it woke somebody.
    bool (*notify)(struct poll_entry *e, uint32_t events);
    void (*drop)(struct poll_entry *e); // once removed: gives back what kept q; NULL: nothing did
};

struct poll_list {
    struct task *task;                                     // either this
    bool (*notify)(struct poll_entry *e, uint32_t events); // or that
    uint32_t used, max;
    struct poll_entry *entry;
    uint32_t events;   // that the present file is polled for
    uint32_t overflow; // an operation asked for more entries than there are
};

// lock is held by the caller and guards q. can: the events that this file can have, of all that q tells.
// The entry, or NULL: there was none left.
struct poll_entry *poll_add(struct poll_list *pl, struct spinlock *lock, struct waitq *q,
                            uint32_t can);
// Tells those in q who want one of the events. The lock that guards q is held.
void poll_wake_slow(struct waitq *q, uint32_t events);
static inline void poll_wake(struct waitq *q, uint32_t events)
{
    if (unlikely(!waitq_empty(q)))
        poll_wake_slow(q, events);
}
void poll_remove(struct poll_entry *e); // no lock held
// Has the task been woken for one of them? A wake between registering and sleeping may be spent on another step of the task.
static inline bool poll_told(const struct poll_list *pl)
{
    for (uint32_t i = 0; i < pl->used; i++)
        if (load_relaxed(&pl->entry[i].told))
            return true;
    return false;
}
