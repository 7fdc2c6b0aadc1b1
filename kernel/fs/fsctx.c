// SPDX-License-Identifier: MIT
// Contexts of the tree: root, working directory and umask, shared or copied by clone.
#include "fs/fsctx.h"

#include "fs/dentry.h"
#include "page/heap.h"

struct fs_context *fs_kernel;

static struct fs_context *make(const struct path *root, const struct path *cwd, uint32_t umask)
{
    struct fs_context *fs = kzalloc(sizeof *fs);
    if (!fs)
        return NULL;
    fs->refs = 1;
    fs->umask = umask;
    spin_init(&fs->lock, "fs context");
    fs->root = *root;
    fs->cwd = *cwd;
    path_get(root);
    path_get(cwd);
    return fs;
}

struct fs_context *fs_context_new(void)
{
    return make(&root_path, &root_path, 022);
}

struct fs_context *fs_context_copy(struct fs_context *from)
{
    spin_lock(&from->lock);
    struct fs_context *fs = make(&from->root, &from->cwd, from->umask);
    spin_unlock(&from->lock);
    return fs;
}

void fs_context_get(struct fs_context *fs)
{
    atomic_add32(&fs->refs, 1);
}

void fs_context_put(struct fs_context *fs)
{
    if (atomic_add32(&fs->refs, -1u) != 1)
        return;
    path_put(&fs->root);
    path_put(&fs->cwd);
    kfree(fs);
}

void fs_context_set(struct fs_context *fs, struct path *which, const struct path *to)
{
    spin_lock(&fs->lock);
    struct path old = *which;
    *which = *to;
    spin_unlock(&fs->lock);
    path_put(&old);
}

struct path fs_context_path(struct fs_context *fs, const struct path *which)
{
    spin_lock(&fs->lock);
    struct path p = *which;
    path_get(&p);
    spin_unlock(&fs->lock);
    return p;
}
