// SPDX-License-Identifier: MIT
// Names: the dentry cache, mounts, and the walk from a path to a vnode.
//
// A dentry is one name in one directory, or the fact that a name is absent (vnode NULL). All of
// them are in one hash by (parent, name) under dentry_lock; a walk over cached names takes that
// lock once, touches no reference count on the way and never waits. The cache itself holds one
// reference on each hashed dentry, a child holds one on its parent, so a dentry with refs 1 and no
// user can be dropped by the shrinker, and a put that finds 0 frees an unhashed one.
//
// A dentry's parent and name change only under dentry_lock (rename), its vnode only there and with
// the directory's vnode.lock held.
#pragma once

#include "async/async.h"
#include "async/epoch.h"
#include "fs/abi.h"
#include "fs/path_ref.h"
#include "fs/vnode.h"
#include "lib/list.h"
#include "lib/spinlock.h"

struct fs_context;

enum { DENTRY_INLINE = 32 };

struct dentry {
    struct dentry *hash_next;
    uint32_t refs; // atomic; from 0 never back
    uint32_t hash;
    struct dentry *parent; // referenced; itself for a root
    struct vnode *vnode;   // referenced; NULL: the name is absent
    uint16_t len;
    uint8_t hashed, mounted; // mounted: some mount has it as its mount point
    uint8_t gone, recent;    // gone: its name was removed; recent: looked up since the last sweep
    struct list children, sibling;
    struct list all; // every cached one, for the shrinker
    struct super *super;
    char *name; // inline_name or the heap
    char inline_name[DENTRY_INLINE];
};

struct mount {
    uint32_t refs; // atomic: paths; plus 1 while attached
    uint32_t id;
    uint32_t flags; // MS_RDONLY, MS_NOEXEC ...
    struct super *super;
    struct dentry *root;  // referenced
    struct mount *parent; // NULL: root of the tree
    struct dentry *point; // in the parent; referenced
    struct list all;      // mount table, under dentry_lock
    struct mount *next;   // the same for readers without the lock, in no order
    bool attached;
    struct epoch_item epoch;
};

extern struct spinlock dentry_lock;

static inline struct dentry *dentry_get(struct dentry *d)
{
    atomic_add32(&d->refs, 1);
    return d;
}
void dentry_free(struct dentry *d); // the slow end of dentry_put
static inline void dentry_put(struct dentry *d)
{
    if (atomic_add32(&d->refs, -1u) == 1)
        dentry_free(d);
}
void mount_free(struct mount *m);
static inline void path_get(const struct path *p)
{
    atomic_add32(&p->mount->refs, 1);
    atomic_add32(&p->dentry->refs, 1);
}
static inline void path_put(const struct path *p)
{
    dentry_put(p->dentry);
    if (atomic_add32(&p->mount->refs, -1u) == 1)
        mount_free(p->mount);
}

// ---- walking

enum walk_flag {
    WALK_FOLLOW = 1,    // follow a symbolic link in last place
    WALK_PARENT = 2,    // stop before the last component: walk.last names it
    WALK_DIRECTORY = 4, // the result must be a directory
    WALK_EMPTY = 8,     // AT_EMPTY_PATH: "" is the start itself
    WALK_NO_MOUNT = 16, // do not step onto a mount at the last component (umount2)
};

struct walk {
    struct path at;   // result, referenced (only when the call returned 0)
    const char *last; // WALK_PARENT: last component, inside the text walked
    uint32_t last_len;
    bool last_slash;   // it was followed by a slash
    bool last_special; // it is "." or "..", or the path is all slashes
    char *buffer;      // owns link text that `last` may point into; see walk_finish
};
void walk_finish(struct walk *w); // frees buffer; the path stays the caller's

// Walks text (kernel memory, NUL terminated, < PATH_MAX) from `start`, NULL: the context's cwd; an
// absolute text starts at the context's root. Plain: only what is cached; -EAGAIN when it would
// have to wait (then nothing is referenced), else 0 or the final errno.
int path_walk_fast(struct fs_context *fs, const struct path *start, const char *text,
                   uint32_t flags, struct walk *out);
// The same with waiting. text must stay valid while out->last is used. Call walk_finish after a 0.
ASYNC_DECL(path_walk, struct fs_context *fs; const struct path *start; const char *text;
           uint32_t flags; struct walk *out;);

// Steps a referenced path onto what is mounted there.
void path_onto_mounts(struct path *at);

// The path's text from the context's root, NUL terminated, built from the end of buf. Returns a
// pointer into buf, or NULL when it does not fit. " (deleted)" is appended to unlinked ones.
char *path_text(const struct path *path, struct fs_context *fs, char *buf, size_t size,
                bool *unreachable);

// May the calling task do this (R_OK | W_OK | X_OK) to v? 0, -EACCES; -EROFS for W_OK on a file,
// directory or link of a read-only mount is the caller's check (path_writable).
int vnode_permission(const struct vnode *v, uint32_t want);
// The same by the fsuid, fsgid and groups of cred, which must not change meanwhile. NULL: the kernel's.
struct credentials;
int vnode_permission_of(const struct vnode *v, uint32_t want, const struct credentials *cred);
bool fs_has_group(uint32_t gid); // it is the calling task's, or one of its supplementary ones
bool fs_can(int cap);            // the calling task has the capability (a kernel task: always)
bool vnode_owner(const struct vnode *v); // it owns v, or has CAP_FOWNER
// May it remove or rename v, a name in dir? -EACCES, -EPERM (sticky directory).
int vnode_may_remove(const struct vnode *dir, const struct vnode *v);
static inline int path_writable(const struct path *p)
{
    return (p->mount->flags & MS_RDONLY) || (p->mount->super->flags & SUPER_RDONLY) ? -EROFS : 0;
}

// ---- changing names, for file-system calls and the wrappers below

// A directory locked for a change of one name in it. Zero it first; name_finish in FINALLY.
struct name_op {
    struct walk walk; // at: the directory; last: the name
    struct dentry *d; // the name, referenced; vnode NULL when absent
    bool walked;
};
// Walks to the parent, locks it, checks that it may be changed, looks the last name up. Special
// names ("/", "..") are `special_error`. 0 or negative errno.
ASYNC_DECL(name_prepare, struct fs_context *fs; const struct path *start; const char *text;
           int special_error; struct name_op *op;);
void name_finish(struct name_op *op, struct task *t);

// ---- names (all async, by path from `start`); used by system calls and by the boot's unpacking.
ASYNC_DECL(vfs_open, struct fs_context *fs; const struct path *start; const char *text;
           uint32_t flags; uint32_t mode; struct file **out;);
// Plain: -EAGAIN when it would have to wait. Otherwise as vfs_open without O_CREAT.
long vfs_open_fast(struct fs_context *fs, const struct path *start, const char *text,
                   uint32_t flags, struct file **out);
ASYNC_DECL(vfs_mknod, struct fs_context *fs; const struct path *start; const char *text;
           uint32_t mode; uint64_t rdev;);
ASYNC_DECL(vfs_mkdir, struct fs_context *fs; const struct path *start; const char *text;
           uint32_t mode;);
ASYNC_DECL(vfs_symlink, struct fs_context *fs; const struct path *start; const char *text;
           const char *target;);
ASYNC_DECL(vfs_link, struct fs_context *fs; const struct path *old_start; const char *old_text;
           const struct path *start; const char *text; uint32_t flags;);
ASYNC_DECL(vfs_unlink, struct fs_context *fs; const struct path *start; const char *text;
           bool directory;);
ASYNC_DECL(vfs_rename, struct fs_context *fs; const struct path *start; const char *text;
           const struct path *new_start; const char *new_text; uint32_t flags;);
ASYNC_DECL(vfs_mount, struct fs_context *fs; const char *source; const char *target;
           const char *fstype; uint32_t flags; const char *options;);
ASYNC_DECL(vfs_umount, struct fs_context *fs; const char *target; uint32_t flags;);
ASYNC_DECL(vfs_sync, bool dummy;); // every super

// Mounts in order, for /proc/mounts and the monitor: called under dentry_lock until false.
void mount_foreach(bool (*fn)(const struct mount *m, void *arg), void *arg);
