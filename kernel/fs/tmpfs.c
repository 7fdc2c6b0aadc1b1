// SPDX-License-Identifier: MIT
// tmpfs: files that live in memory, with directories, links, devices and FIFOs. The root of the tree.
//
// Regular files have a memory object without a store: pages appear zeroed and are never written
// anywhere. Directories: tmpfs_dir.c.
#include "fs/tmpfs_impl.h"
#include "page/frame.h"
#include "page/heap.h"

#include <stdlib.h>
#include <string.h>

enum { TMPFS_MAGIC = 0x01021994 };

static const struct vnode_ops tmpfs_ops;
static const struct file_ops tmpfs_dir_file_ops = {.seek = tmpfs_dir_seek};

static const struct phys_ops tmpfs_phys_ops = {
    .get = vnode_phys_get, .put = vnode_phys_put, .stored = vnode_phys_stored};

static char *strdup_kernel(const char *text)
{
    char *copy = kmalloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

struct tmpfs_node *tmpfs_node_new(struct super *super, uint32_t mode)
{
    struct tmpfs *fs = super->priv;
    struct tmpfs_node *node = kzalloc(sizeof *node);
    if (!node)
        return NULL;
    vnode_init(&node->v, super, &tmpfs_ops, atomic_add64(&fs->next_ino, 1) + 1, mode);
    if (S_ISDIR(mode))
        node->v.file_ops = &tmpfs_dir_file_ops;
    atomic_add64(&fs->nodes, 1);
    if (S_ISREG(mode)) {
        phys_init(&node->pages, PHYS_FILE, &tmpfs_phys_ops, &node->v, 0);
        node->v.pages = &node->pages;
        node->v.seals = F_SEAL_SEAL;
    } else if (S_ISDIR(mode)) {
        list_init(&node->entries);
        node->next_cookie = TMPFS_FIRST_COOKIE;
    }
    return node;
}

static void tmpfs_free_vnode(struct vnode *v)
{
    struct tmpfs_node *node = tmpfs_node_of(v);
    struct tmpfs *fs = v->super->priv;
    if (S_ISDIR(v->mode))
        kfree(node->bucket);
    else if (S_ISLNK(v->mode))
        kfree(node->target);
    kfree(v->priv);
    if (fs)
        atomic_add64(&fs->nodes, -1ull);
    kfree(node);
}

static void tmpfs_getattr(struct vnode *v, struct stat_k *st)
{
    vnode_getattr_default(v, st);
    if (v->pages)
        st->blocks = (int64_t)(load_relaxed(&v->pages->pages) * (PAGE_SIZE / 512));
    else
        st->blocks = 0;
}

static const struct vnode_ops tmpfs_ops = {
    .lookup = &tmpfs_lookup_fn,
    .create = &tmpfs_create_fn,
    .mkdir = &tmpfs_mkdir_fn,
    .symlink = &tmpfs_symlink_fn,
    .link = &tmpfs_link_fn,
    .unlink = &tmpfs_unlink_fn,
    .rmdir = &tmpfs_rmdir_fn,
    .rename = &tmpfs_rename_fn,
    .readlink = &tmpfs_readlink_fn,
    .readdir = &tmpfs_readdir_fn,
    .getattr = tmpfs_getattr,
    .free_vnode = tmpfs_free_vnode,
};

// ---- the file system

static void tmpfs_statfs(struct super *super, struct statfs_k *st)
{
    (void)super;
    st->bsize = st->frsize = PAGE_SIZE;
    st->blocks = (int64_t)frame_total();
    st->bfree = st->bavail = (int64_t)frame_free_count();
    st->namelen = NAME_MAX;
}

// One step of emptying a tree without recursion: removes a leaf, or goes down or up. The directory
// to go on with; NULL: the root is empty.
static struct tmpfs_node *empty_step(struct tmpfs_node *dir, const struct tmpfs_node *root)
{
    struct tmpfs_node *parent = dir->parent;
    struct tmpfs_node *from = dir->count ? dir : parent;
    if (dir->count == 0 && dir == root)
        return NULL;
    struct tmpfs_entry *e = list_entry(from->entries.next, struct tmpfs_entry, by_cookie);
    if (dir->count && S_ISDIR(e->node->v.mode) && e->node->count)
        return e->node;
    tmpfs_remove_name(&from->v, e->name, e->len); // from parent: `dir`, which is its first entry
    return from;
}

// Nobody uses the names any more.
ASYNC_IMPL(tmpfs_empty, super_sync, struct tmpfs_node *dir; uint32_t steps;)
{
    ASYNC_BEGIN(tmpfs_empty);
    f->dir = tmpfs_node_of(f->super->root);
    f->steps = 0;
    while ((f->dir = empty_step(f->dir, tmpfs_node_of(f->super->root))) != NULL)
        if (++f->steps % 64 == 0)
            YIELD();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_unmount, super_unmount, )
{
    ASYNC_BEGIN(tmpfs_unmount);
    kfree(f->super->priv);
    f->super->priv = NULL;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct super_ops tmpfs_super_ops = {
    .statfs = tmpfs_statfs,
    .empty = &tmpfs_empty_fn,
    .unmount = &tmpfs_unmount_fn,
};

struct super *tmpfs_super(const struct filesystem *type, const char *source, uint32_t mode,
                          uint32_t mount_flags)
{
    struct super *super = super_new(type, &tmpfs_super_ops, NULL, source);
    struct tmpfs *fs = kzalloc(sizeof *fs);
    struct tmpfs_node *root = NULL;
    if (super && fs) {
        super->priv = fs;
        super->magic = TMPFS_MAGIC;
        super->flags = SUPER_NEGATIVE | (mount_flags & MS_RDONLY ? SUPER_RDONLY : 0);
        root = tmpfs_node_new(super, S_IFDIR | mode);
    }
    if (!root) {
        kfree(fs);
        if (super)
            super_free(super);
        return NULL;
    }
    super->root = &root->v;
    return super;
}

struct vnode *tmpfs_add_unnamed(struct super *super, uint32_t mode, const char *name)
{
    struct tmpfs_node *node = tmpfs_node_new(super, mode);
    if (!node)
        return NULL;
    node->v.nlink = 0;
    if (!(node->v.priv = strdup_kernel(name))) {
        vnode_put(&node->v);
        return NULL;
    }
    return &node->v;
}

const char *tmpfs_unnamed(const struct vnode *v)
{
    return v->priv;
}

struct vnode *tmpfs_add(struct vnode *dir, const char *name, uint32_t mode, uint64_t rdev,
                        const char *target)
{
    struct tmpfs_node *node = tmpfs_node_new(dir->super, mode);
    struct vnode *v = NULL;
    if (node && target && !(node->target = strdup_kernel(target))) {
        vnode_put(&node->v);
        return NULL;
    }
    if (node) {
        node->v.rdev = rdev;
        node->v.size = target ? strlen(target) : 0;
    }
    if (tmpfs_add_entry(dir, name, strlen(name), node, &v) < 0)
        return NULL;
    vnode_put(v); // the directory's reference keeps it
    return v;
}

// Options: mode=OCTAL; size= and nr_inodes= are accepted by Linux and would not be kept here.
static int parse_options(const char *options, uint32_t *mode)
{
    if (strncmp(options, "mode=", 5) == 0) {
        char *end;
        *mode = (uint32_t)strtoul(options + 5, &end, 8) & S_IALLUGO;
        options = end;
    }
    return *options ? -EINVAL : 0;
}

ASYNC_IMPL(tmpfs_mount, fs_mount, )
{
    ASYNC_BEGIN(tmpfs_mount);
    uint32_t mode = S_ISVTX | 0777;
    if (parse_options(f->options, &mode) < 0)
        ASYNC_RETURN(-EINVAL);
    *f->out = tmpfs_super(f->fs, f->source, mode, f->flags);
    ASYNC_RETURN(*f->out ? 0 : -ENOMEM);
    ASYNC_FINALLY;
    ASYNC_END;
}

FILESYSTEM(tmpfs, tmpfs_mount, 0);
