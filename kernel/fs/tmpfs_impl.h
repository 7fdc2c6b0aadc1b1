// SPDX-License-Identifier: MIT
// Inside of tmpfs: nodes (tmpfs.c) and directories (tmpfs_dir.c).
#pragma once

#include "fs/file.h"
#include "fs/tmpfs.h"
#include "mem/phys.h"

enum { TMPFS_FIRST_COOKIE = 2 }; // after "." and ".."

struct tmpfs_entry {
    struct tmpfs_entry *hash_next;
    struct list by_cookie;
    int64_t cookie;
    struct tmpfs_node *node; // holds one reference on its vnode
    uint32_t hash;
    uint16_t len;
    char name[];
};

struct tmpfs_node {
    struct vnode v; // first
    union {
        struct phys pages; // regular file
        struct {           // directory
            struct tmpfs_entry **bucket;
            uint32_t buckets, count;
            struct list entries;
            int64_t next_cookie;
            struct tmpfs_entry *hint;  // where the last readdir stopped
            struct tmpfs_node *parent; // not referenced: alive while it has this entry
        };
        char *target; // symbolic link
    };
};

struct tmpfs {
    uint64_t next_ino;
    uint64_t nodes;
};

static inline struct tmpfs_node *tmpfs_node_of(struct vnode *v)
{
    return (struct tmpfs_node *)v;
}

// A node with one reference, not yet named. NULL: no memory.
struct tmpfs_node *tmpfs_node_new(struct super *super, uint32_t mode);
// Names node (its reference is taken over, also on failure; NULL gives -ENOMEM); *out referenced.
long tmpfs_add_entry(struct vnode *dir, const char *name, size_t len, struct tmpfs_node *node,
                     struct vnode **out);
// -ENOENT, -ENOTEMPTY.
long tmpfs_remove_name(struct vnode *dir, const char *name, size_t len);

long tmpfs_dir_seek(struct file *file, int64_t offset, int whence);
ASYNC_IMPL_DECL(tmpfs_lookup);
ASYNC_IMPL_DECL(tmpfs_create);
ASYNC_IMPL_DECL(tmpfs_mkdir);
ASYNC_IMPL_DECL(tmpfs_symlink);
ASYNC_IMPL_DECL(tmpfs_link);
ASYNC_IMPL_DECL(tmpfs_unlink);
ASYNC_IMPL_DECL(tmpfs_rmdir);
ASYNC_IMPL_DECL(tmpfs_rename);
ASYNC_IMPL_DECL(tmpfs_readlink);
ASYNC_IMPL_DECL(tmpfs_readdir);
