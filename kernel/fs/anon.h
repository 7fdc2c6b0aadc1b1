// SPDX-License-Identifier: MIT
// Files without a place: eventfds, epolls, timers and the like. All share one vnode, as in Linux; what
// tells them apart is file_ops, whose name is what /proc/PID/fd shows.
#pragma once

#include "fs/file.h"

// Opens one of that kind, readable and writable, in the calling thread's table. flags: O_NONBLOCK and
// O_CLOEXEC; priv is handed over, and given back by ops->release (which gets NULL if this fails: then
// priv is still the caller's). The descriptor; -EMFILE, -ENFILE, -ENOMEM.
long anon_open(const struct file_ops *ops, void *priv, uint32_t flags);
// The same without a descriptor: who has more to do that may fail calls fd_install last. NULL: no memory, priv is the caller's.
struct file *anon_new(const struct file_ops *ops, void *priv, uint32_t flags);

// The file of that kind behind fd, as by fd_borrow: *error is -EBADF, or `other` if it is of another kind.
static inline struct file *anon_borrow(struct fd_table *table, uint64_t fd,
                                       const struct file_ops *ops, long other, long *error,
                                       bool *referenced)
{
    struct file *file = fd_borrow(table, fd, referenced);
    *error = file ? other : -EBADF;
    if (likely(file && file->ops == ops))
        return file;
    if (file)
        fd_unborrow(file, *referenced);
    return NULL;
}
