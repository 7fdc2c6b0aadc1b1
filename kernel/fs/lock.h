// SPDX-License-Identifier: MIT
// Advisory locks on files: flock(2), whole files by open file description; fcntl(2), byte ranges by
// descriptor table (which is what makes a process one owner, as on Linux).
//
// Deadlocks between waiters are not detected: F_SETLKW waits until it is interrupted.
#pragma once

#include "async/async.h"
#include "fs/file.h"

// F_GETLK, F_SETLK, F_SETLKW with a user `struct flock`. -EBADF: fd is not the file's any more. flock(2).
ASYNC_DECL(lock_fcntl, struct file *file; int32_t fd; uint32_t cmd; va_t arg;);
ASYNC_DECL(lock_flock, struct file *file; uint32_t operation;);

// Drops what `owner` (a descriptor table, or the open file itself for flock) holds on v. Of a table: after the descriptor
// has gone from it, so that who sets a lock just then sees that, or its lock is seen here.
void locks_release_slow(struct vnode *v, const void *owner);
static inline void locks_release(const struct file *file, const void *owner)
{
    fence_full(); // with the one in lock_set
    if (unlikely(load_relaxed(&file->vnode->locks) != NULL))
        locks_release_slow(file->vnode, owner);
}
