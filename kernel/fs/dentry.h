// SPDX-License-Identifier: MIT
// Inside of the name cache, shared by dentry.c, walk.c, names.c and mount.c only.
#pragma once

#include "fs/path.h"

#include <string.h>

extern struct dentry **dentry_table;
extern uint32_t dentry_mask;

// The hash of a name is computed byte by byte while a component is scanned.
#define NAME_HASH_STEP(h, c) ((h)*31 + (uint8_t)(c))
static inline uint32_t name_hash(const char *name, size_t len)
{
    uint32_t h = 0;
    for (size_t i = 0; i < len; i++)
        h = NAME_HASH_STEP(h, name[i]);
    return h;
}

static inline struct dentry **dentry_bucket(const struct dentry *parent, uint32_t hash)
{
    uint32_t h = hash + (uint32_t)((uint64_t)parent >> 5);
    return &dentry_table[(h ^ h >> 12) & dentry_mask];
}

// dentry_lock held. Not referenced.
static inline struct dentry *dentry_find_locked(const struct dentry *parent, const char *name,
                                                size_t len, uint32_t hash)
{
    struct dentry *d = *dentry_bucket(parent, hash);
    for (; d; d = d->hash_next)
        if (d->hash == hash && d->parent == parent && d->len == len &&
            memcmp(d->name, name, len) == 0)
            return d;
    return NULL;
}

// Unhashed, one reference, vnode NULL; takes a reference on parent (NULL: a root). NULL: no memory.
struct dentry *dentry_new(struct dentry *parent, const char *name, size_t len, uint32_t hash,
                          struct super *super);
struct dentry *dentry_new_root(struct vnode *v, struct super *super);
// Puts d into the cache, or drops it and returns the one that is there already. Referenced.
struct dentry *dentry_insert(struct dentry *d);
// v's reference is taken over.
void dentry_set_vnode(struct dentry *d, struct vnode *v);
// The name was removed: the dentry becomes a negative one, or leaves the cache.
void dentry_removed(struct dentry *d);
// d now has target's parent and name; target's name is gone.
void dentry_moved(struct dentry *d, struct dentry *target);
void dentry_exchanged(struct dentry *a, struct dentry *b);
bool dentry_is_ancestor(const struct dentry *of, const struct dentry *a); // or the same
bool dentry_forget_super(struct super *super); // drops unused ones; false: none was left
uint32_t dentry_count(void);
// Some path of a vnode that may be gone already (compared only). NULL: no cached name.
char *dentry_path_of_vnode(const void *v, char *buf, size_t size);

// The name in directory `dir`, whose vnode.lock the caller holds: from the cache or the file
// system. *out is referenced; its vnode is NULL when the name is absent. 0, -ENOENT (the directory
// was removed), -ENOMEM, or the file system's error.
ASYNC_DECL(dentry_lookup, struct dentry *dir; const char *name; size_t len; uint32_t hash;
           struct dentry **out;);

// names.c: makes a file of the prepared name; op->d gets its vnode.
struct name_op;
ASYNC_DECL(name_create, struct fs_context *fs; struct name_op *op; uint32_t mode; uint64_t rdev;);
// perm.c: a new file is the caller's; a setgid directory hands its group down.
void vnode_own_by_caller(struct vnode *v, const struct vnode *dir);

// mount.c
// What is mounted at `point` of parent, or NULL. Within an epoch section, or under dentry_lock, which
// keeps it attached.
struct mount *mount_on(const struct mount *parent, const struct dentry *point);
struct mount *mount_of_super(const struct super *super); // referenced; NULL: none
int mount_root(struct super *super);
const struct filesystem *filesystem_find(const char *name);
extern struct path root_path;    // of the whole tree; never changes after boot
extern struct mutex super_mutex; // held by who goes through all supers, and by unmount
