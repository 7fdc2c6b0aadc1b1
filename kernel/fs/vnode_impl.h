// SPDX-License-Identifier: MIT
// Inside of vnodes: who they are (vnode.c) and how they are let go of (reaper.c).
#pragma once

#include "fs/vnode.h"

extern struct spinlock vnode_lock; // guards the table of numbers, and all reapers

// Lets go of the vnodes of one super, or of all that lie in memory only.
struct reaper {
    struct list queue;    // of vnode.reap
    struct waitq waiters; // its task, and who waits for it
    uint32_t pending;     // vnodes queued, or being let go of
    bool over;            // its super is gone
};

// For a super with this device (NULL: none). NULL: no memory. It has a task.
struct reaper *reaper_for(const struct block_device *bdev);
// Nothing is queued any more, and nobody waits.
void reaper_end(struct reaper *r);

// vnode_lock held.
void vnode_unhash_locked(struct vnode *v);
