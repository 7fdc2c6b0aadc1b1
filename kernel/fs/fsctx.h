// SPDX-License-Identifier: MIT
// What a process knows of the tree: its root, its working directory, its umask. Refcounted; shared
// by CLONE_FS, copied by fork.
#pragma once

#include "fs/path.h"
#include "lib/spinlock.h"

struct fs_context {
    uint32_t refs;              // threads; atomic
    uint32_t umask;
    struct spinlock lock;       // guards root and cwd against other threads that share this
    struct path root, cwd;      // referenced
};

struct fs_context *fs_context_new(void);                        // at the root of the tree; NULL: ENOMEM
struct fs_context *fs_context_copy(struct fs_context *from);    // NULL: ENOMEM
void fs_context_get(struct fs_context *fs);
void fs_context_put(struct fs_context *fs);
// The kernel's own, at the root: for boot and kernel tasks. Valid after INIT_FS.
extern struct fs_context *fs_kernel;
