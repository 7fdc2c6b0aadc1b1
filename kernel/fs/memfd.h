// SPDX-License-Identifier: MIT
// Files in memory without a name, and their seals: memfd_create(2), F_ADD_SEALS of fcntl(2).
#pragma once

#include "fs/file.h"

enum {
    MFD_CLOEXEC = 1,
    MFD_ALLOW_SEALING = 2,
    MFD_NOEXEC_SEAL = 8,
    MFD_EXEC = 16,
    MFD_KNOWN = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC, // no huge pages
};

// An open file of no bytes, referenced. NULL: no memory.
struct file *memfd_new(const char *name, uint32_t flags);
// The place that /proc shows of it, "/memfd:NAME (deleted)", into buf; NULL: it is none, or it does not fit.
char *memfd_place(const struct vnode *v, char *buf, size_t size);
// F_SEAL_* of the file; -EINVAL: it cannot have any.
long memfd_seals(const struct file *file);
// Adds seals. 0, -EINVAL, -EPERM (sealed against that, or not open for writing), -EBUSY (somebody
// has it mapped writable and shared).
ASYNC_DECL(memfd_seal, struct file *file; uint32_t seals;);
