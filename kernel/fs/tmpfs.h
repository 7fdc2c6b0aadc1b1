// SPDX-License-Identifier: MIT
// tmpfs for those who build trees in memory themselves: the root at boot, /dev.
#pragma once

#include "fs/vnode.h"

// A new, empty tree. NULL: no memory. Plain.
struct super *tmpfs_super(const struct filesystem *type, const char *source, uint32_t mode,
                          uint32_t mount_flags);
// A node that no directory has, referenced; it goes with its last file. NULL: no memory.
// name: for who looks at it, copied.
struct vnode *tmpfs_add_unnamed(struct super *super, uint32_t mode, const char *name);
const char *tmpfs_unnamed(const struct vnode *v); // that name
// Adds a node (target: of a symbolic link, else NULL). The caller excludes others, as at mount.
// Returns it unreferenced; NULL: no memory.
struct vnode *tmpfs_add(struct vnode *dir, const char *name, uint32_t mode, uint64_t rdev,
                        const char *target);
