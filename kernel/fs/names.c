// SPDX-License-Identifier: MIT
// Making, removing and renaming names.
//
// Each change follows one shape: walk to the directory, lock it, look the name up, check all that
// can be checked, then call the file system inside a shield (a cancelled task finishes its change)
// and tell the dentry cache what became true.
#include "fs/dentry.h"
#include "fs/fsctx.h"

static uint32_t masked(const struct fs_context *fs, uint32_t mode)
{
    return (mode & S_IFMT) | (mode & S_IALLUGO & ~(fs ? fs->umask : 0));
}

ASYNC(name_prepare, long r;)
{
    ASYNC_BEGIN(name_prepare);
    AWAIT(f->r, path_walk, f->fs, f->start, f->text, WALK_PARENT | WALK_FOLLOW, &f->op->walk);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->op->walked = true;
    if (f->op->walk.last_special)
        ASYNC_RETURN(f->special_error);
    AWAIT(f->r, mutex_lock, &f->op->walk.at.dentry->vnode->lock, false);
    AWAIT(f->r, dentry_lookup, f->op->walk.at.dentry, f->op->walk.last, f->op->walk.last_len,
          name_hash(f->op->walk.last, f->op->walk.last_len), &f->op->d);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

void name_finish(struct name_op *op, struct task *t)
{
    if (!op->walked)
        return;
    if (op->d)
        dentry_put(op->d);
    if (mutex_held(&op->walk.at.dentry->vnode->lock, t))
        mutex_unlock(&op->walk.at.dentry->vnode->lock, t);
    path_put(&op->walk.at);
    walk_finish(&op->walk);
    op->walked = false;
}

// What every change of a directory needs.
static int may_change(const struct name_op *op)
{
    int r = path_writable(&op->walk.at);
    if (r == 0)
        r = vnode_permission(op->walk.at.dentry->vnode, W_OK | X_OK);
    return r;
}

static int is_free(const struct name_op *op, bool directory)
{
    if (op->d->vnode)
        return -EEXIST;
    return op->walk.last_slash && !directory ? -ENOENT : 0;
}

static int may_create(const struct name_op *op, bool directory)
{
    int r = is_free(op, directory);
    return r < 0 ? r : may_change(op);
}

static int may_remove(const struct name_op *op)
{
    if (!op->d->vnode)
        return -ENOENT;
    int r = may_change(op);
    if (r == 0)
        r = vnode_may_remove(op->walk.at.dentry->vnode, op->d->vnode);
    return r;
}

// A name that came to be: the file system's vnode (its reference taken over) belongs to it.
static void named(struct name_op *op, struct vnode *v)
{
    struct super *super = op->d->super;
    dentry_set_vnode(op->d, v);
    if (!op->d->hashed && !op->d->gone && !(super->flags & SUPER_NO_CACHE)) {
        struct dentry *d = dentry_insert(op->d);
        op->d = d;
    }
}

ASYNC(name_create, struct vnode *dir; struct vnode *v; long r;)
{
    ASYNC_BEGIN(name_create);
    f->dir = f->op->walk.at.dentry->vnode;
    f->v = NULL;
    f->r = may_create(f->op, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!f->dir->ops->create)
        ASYNC_RETURN(-EPERM);
    SHIELD_BEGIN();
    AWAIT_VIA(f->r, vnode_create, f->dir->ops->create, f->dir, f->op->walk.last,
              f->op->walk.last_len, masked(f->fs, f->mode), f->rdev, &f->v);
    if (f->r >= 0) {
        vnode_own_by_caller(f->v, f->dir);
        named(f->op, f->v);
    }
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(vfs_mknod, struct name_op op; long r;)
{
    ASYNC_BEGIN(vfs_mknod);
    f->op = (struct name_op){.d = NULL};
    AWAIT(f->r, name_prepare, f->fs, f->start, f->text, -EEXIST, &f->op);
    if (f->r >= 0)
        AWAIT(f->r, name_create, f->fs, &f->op, f->mode, f->rdev);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    name_finish(&f->op, t);
    ASYNC_END;
}

ASYNC(vfs_mkdir, struct name_op op; struct vnode *dir; struct vnode *v; long r;)
{
    ASYNC_BEGIN(vfs_mkdir);
    f->op = (struct name_op){.d = NULL};
    f->v = NULL;
    AWAIT(f->r, name_prepare, f->fs, f->start, f->text, -EEXIST, &f->op);
    if (f->r >= 0)
        f->r = may_create(&f->op, true);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->dir = f->op.walk.at.dentry->vnode;
    if (!f->dir->ops->mkdir)
        ASYNC_RETURN(-EPERM);
    SHIELD_BEGIN();
    AWAIT_VIA(f->r, vnode_mkdir, f->dir->ops->mkdir, f->dir, f->op.walk.last, f->op.walk.last_len,
              masked(f->fs, S_IFDIR | (f->mode & S_IALLUGO)), &f->v);
    if (f->r >= 0) {
        vnode_own_by_caller(f->v, f->dir);
        named(&f->op, f->v);
    }
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    name_finish(&f->op, t);
    ASYNC_END;
}

ASYNC(vfs_symlink, struct name_op op; struct vnode *dir; struct vnode *v; long r;)
{
    ASYNC_BEGIN(vfs_symlink);
    f->op = (struct name_op){.d = NULL};
    f->v = NULL;
    if (!*f->target)
        ASYNC_RETURN(-ENOENT);
    AWAIT(f->r, name_prepare, f->fs, f->start, f->text, -EEXIST, &f->op);
    if (f->r >= 0)
        f->r = may_create(&f->op, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->dir = f->op.walk.at.dentry->vnode;
    if (!f->dir->ops->symlink)
        ASYNC_RETURN(-EPERM);
    SHIELD_BEGIN();
    AWAIT_VIA(f->r, vnode_symlink, f->dir->ops->symlink, f->dir, f->op.walk.last,
              f->op.walk.last_len, f->target, strlen(f->target), &f->v);
    if (f->r >= 0) {
        vnode_own_by_caller(f->v, f->dir);
        named(&f->op, f->v);
    }
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    name_finish(&f->op, t);
    ASYNC_END;
}

ASYNC(vfs_link, struct name_op op; struct walk old; bool walked; struct vnode *dir; struct vnode *v; long r;)
{
    ASYNC_BEGIN(vfs_link);
    f->op = (struct name_op){.d = NULL};
    f->walked = false;
    AWAIT(f->r, path_walk, f->fs, f->old_start, f->old_text, f->flags, &f->old);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->walked = true;
    f->v = f->old.at.dentry->vnode;
    AWAIT(f->r, name_prepare, f->fs, f->start, f->text, -EEXIST, &f->op);
    if (f->r >= 0)
        f->r = is_free(&f->op, false);
    if (f->r == 0)
        f->r = path_writable(&f->op.walk.at);
    if (f->r == 0 && f->op.walk.at.mount != f->old.at.mount)
        f->r = -EXDEV;
    if (f->r == 0)
        f->r = may_change(&f->op);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->dir = f->op.walk.at.dentry->vnode;
    if (S_ISDIR(f->v->mode) || !f->dir->ops->link)
        ASYNC_RETURN(-EPERM);
    if (f->v->nlink == 0)
        ASYNC_RETURN(-ENOENT);
    SHIELD_BEGIN();
    AWAIT_VIA(f->r, vnode_link, f->dir->ops->link, f->dir, f->op.walk.last, f->op.walk.last_len,
              f->v);
    if (f->r >= 0)
        named(&f->op, vnode_get(f->v));
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    name_finish(&f->op, t);
    if (f->walked) {
        path_put(&f->old.at);
        walk_finish(&f->old);
    }
    ASYNC_END;
}

static int unlink_check(const struct name_op *op, bool directory)
{
    int r = may_remove(op);
    if (r < 0)
        return r;
    bool is_dir = S_ISDIR(op->d->vnode->mode);
    if (directory && !is_dir)
        return -ENOTDIR;
    if (!directory && is_dir)
        return -EISDIR;
    if (!directory && op->walk.last_slash)
        return -ENOTDIR;
    return op->d->mounted ? -EBUSY : 0;
}

static int special_removal(const char *text, bool directory)
{
    size_t n = strlen(text);
    while (n && text[n - 1] == '/')
        n--;
    if (!directory)
        return -EISDIR;
    if (n >= 2 && text[n - 1] == '.' && text[n - 2] == '.')
        return -ENOTEMPTY;
    return n && text[n - 1] == '.' ? -EINVAL : -EBUSY;
}

ASYNC(vfs_unlink, struct name_op op; struct vnode *dir; struct vnode *v; long r;)
{
    ASYNC_BEGIN(vfs_unlink);
    f->op = (struct name_op){.d = NULL};
    f->v = NULL;
    AWAIT(f->r, name_prepare, f->fs, f->start, f->text, special_removal(f->text, f->directory),
          &f->op);
    if (f->r >= 0)
        f->r = unlink_check(&f->op, f->directory);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->dir = f->op.walk.at.dentry->vnode;
    f->v = vnode_get(f->op.d->vnode);
    if (f->directory)
        AWAIT(f->r, mutex_lock, &f->v->lock, false); // nobody creates in it meanwhile
    SHIELD_BEGIN();
    f->r = -EPERM;
    if (f->directory && f->dir->ops->rmdir)
        AWAIT_VIA(f->r, vnode_rmdir, f->dir->ops->rmdir, f->dir, f->op.walk.last,
                  f->op.walk.last_len, f->v);
    else if (!f->directory && f->dir->ops->unlink)
        AWAIT_VIA(f->r, vnode_unlink, f->dir->ops->unlink, f->dir, f->op.walk.last,
                  f->op.walk.last_len, f->v);
    if (f->r >= 0)
        dentry_removed(f->op.d);
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->v) {
        if (mutex_held(&f->v->lock, t))
            mutex_unlock(&f->v->lock, t);
        vnode_put(f->v);
    }
    name_finish(&f->op, t);
    ASYNC_END;
}
