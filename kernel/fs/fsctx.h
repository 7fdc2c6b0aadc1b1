// SPDX-License-Identifier: MIT
// What a process knows of the tree: its root, its working directory, its umask. Refcounted; shared
// by CLONE_FS, copied by fork.
#pragma once

#include "fs/path.h"
#include "lib/spinlock.h"

struct fs_context {
    uint32_t refs; // threads; atomic
    uint32_t umask;
    struct spinlock lock;  // guards root and cwd against other threads that share this
    struct path root, cwd; // referenced
};

struct fs_context *fs_context_new(void); // at the root of the tree; NULL: ENOMEM
struct fs_context *fs_context_copy(struct fs_context *from); // NULL: ENOMEM
void fs_context_get(struct fs_context *fs);
void fs_context_put(struct fs_context *fs);
// Replaces &fs->root or &fs->cwd; the reference on `to` is taken over.
void fs_context_set(struct fs_context *fs, struct path *which, const struct path *to);
// A referenced copy of &fs->root or &fs->cwd.
struct path fs_context_path(struct fs_context *fs, const struct path *which);
// The kernel's own, at the root: for boot and kernel tasks. Valid after INIT_FS.
extern struct fs_context *fs_kernel;
// The task's own, or fs_kernel.
struct task;
struct fs_context *fs_of_task(struct task *t);
// Set once the root is unpacked and /dev is mounted: what process 1 waits for.
struct event;
extern struct event fs_ready;
