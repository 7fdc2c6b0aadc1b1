// SPDX-License-Identifier: MIT
// rename: two directories locked at once, without deadlock and without loops in the tree.
//
// One rename at a time per file system (super.rename_lock) keeps the shape of the tree still while
// ancestry is decided. Then: of two directories the ancestor is locked first, unrelated ones by
// address; a directory that is replaced is locked last, like rmdir does.
#include "fs/dentry.h"
#include "fs/fsctx.h"

struct rename_op {
    struct walk from, to;
    bool from_walked, to_walked, super_locked, target_locked;
    struct dentry *d, *target;  // referenced
    struct vnode *v, *target_v; // of the two; referenced
};

static struct vnode *dir_of(const struct walk *w)
{
    return w->at.dentry->vnode;
}

static void unlock_if_held(struct mutex *m, struct task *t)
{
    if (mutex_held(m, t))
        mutex_unlock(m, t);
}

static void rename_finish(struct rename_op *op, struct task *t)
{
    if (op->target_v) {
        if (op->target_locked)
            unlock_if_held(&op->target_v->lock, t);
        vnode_put(op->target_v);
    }
    if (op->v)
        vnode_put(op->v);
    if (op->d)
        dentry_put(op->d);
    if (op->target)
        dentry_put(op->target);
    if (op->from_walked && op->to_walked) {
        unlock_if_held(&dir_of(&op->from)->lock, t);
        unlock_if_held(&dir_of(&op->to)->lock, t);
        if (op->super_locked)
            unlock_if_held(&dir_of(&op->from)->super->rename_lock, t);
    }
    if (op->from_walked) {
        path_put(&op->from.at);
        walk_finish(&op->from);
    }
    if (op->to_walked) {
        path_put(&op->to.at);
        walk_finish(&op->to);
    }
}

// Is the first directory to be locked the one renamed from?
static bool from_first(const struct rename_op *op)
{
    const struct dentry *a = op->from.at.dentry, *b = op->to.at.dentry;
    if (dentry_is_ancestor(b, a))
        return true;
    return dentry_is_ancestor(a, b) ? false : a->vnode < b->vnode;
}

static int may_move(const struct rename_op *op)
{
    int r = vnode_permission(dir_of(&op->from), W_OK | X_OK);
    if (r == 0)
        r = vnode_permission(dir_of(&op->to), W_OK | X_OK);
    if (r == 0)
        r = vnode_may_remove(dir_of(&op->from), op->d->vnode);
    if (r == 0 && op->target->vnode)
        r = vnode_may_remove(dir_of(&op->to), op->target->vnode);
    return r;
}

// Both directories are locked, both names looked up. What is asked first is what Linux asks first.
static int rename_check(const struct rename_op *op, uint32_t flags)
{
    const struct vnode *v = op->d->vnode, *target = op->target->vnode;
    bool exchange = flags & RENAME_EXCHANGE;
    if (!v || (exchange && !target))
        return -ENOENT;
    if (target && (flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (exchange && !S_ISDIR(target->mode) && op->to.last_slash)
        return -ENOTDIR;
    if (!S_ISDIR(v->mode) && (op->from.last_slash || (!exchange && op->to.last_slash)))
        return -ENOTDIR;
    if (S_ISDIR(v->mode) && dentry_is_ancestor(op->to.at.dentry, op->d))
        return -EINVAL;
    if (target && S_ISDIR(target->mode) && dentry_is_ancestor(op->from.at.dentry, op->target))
        return exchange ? -EINVAL : -ENOTEMPTY;
    if (v == target)
        return 0;
    int r = may_move(op);
    if (r < 0)
        return r;
    if (target && !exchange && S_ISDIR(v->mode) != S_ISDIR(target->mode))
        return S_ISDIR(v->mode) ? -ENOTDIR : -EISDIR;
    if (op->d->mounted || op->target->mounted)
        return -EBUSY;
    return dir_of(&op->from)->ops->rename ? 0 : -EPERM;
}

ASYNC_DECL(rename_prepare, struct fs_context *fs; const struct path *start; const char *text;
           const struct path *new_start; const char *new_text; uint32_t flags;
           struct rename_op *op;);
ASYNC(rename_prepare, struct mutex *first; struct mutex *second; long r;)
{
    ASYNC_BEGIN(rename_prepare);
    AWAIT(f->r, path_walk, f->fs, f->start, f->text, WALK_PARENT | WALK_FOLLOW, &f->op->from);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->op->from_walked = true;
    AWAIT(f->r, path_walk, f->fs, f->new_start, f->new_text, WALK_PARENT | WALK_FOLLOW, &f->op->to);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->op->to_walked = true;
    if (f->op->from.at.mount != f->op->to.at.mount)
        ASYNC_RETURN(-EXDEV);
    if (f->op->from.last_special || f->op->to.last_special)
        ASYNC_RETURN(f->flags & RENAME_NOREPLACE && f->op->to.last_special ? -EEXIST : -EBUSY);
    f->r = path_writable(&f->op->from.at);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mutex_lock, &dir_of(&f->op->from)->super->rename_lock, false);
    f->op->super_locked = true;
    f->first = &dir_of(&f->op->from)->lock;
    f->second = &dir_of(&f->op->to)->lock;
    if (!from_first(f->op)) {
        f->first = &dir_of(&f->op->to)->lock;
        f->second = &dir_of(&f->op->from)->lock;
    }
    AWAIT(f->r, mutex_lock, f->first, false);
    if (f->second != f->first)
        AWAIT(f->r, mutex_lock, f->second, false);
    AWAIT(f->r, dentry_lookup, f->op->from.at.dentry, f->op->from.last, f->op->from.last_len,
          name_hash(f->op->from.last, f->op->from.last_len), &f->op->d);
    if (f->r >= 0)
        AWAIT(f->r, dentry_lookup, f->op->to.at.dentry, f->op->to.last, f->op->to.last_len,
              name_hash(f->op->to.last, f->op->to.last_len), &f->op->target);
    ASYNC_RETURN(f->r < 0 ? f->r : rename_check(f->op, f->flags));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(vfs_rename, struct rename_op op; long r;)
{
    ASYNC_BEGIN(vfs_rename);
    f->op = (struct rename_op){.d = NULL};
    if ((f->flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) ||
        (f->flags & RENAME_EXCHANGE && f->flags != RENAME_EXCHANGE))
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, rename_prepare, f->fs, f->start, f->text, f->new_start, f->new_text, f->flags,
          &f->op);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->op.v = vnode_get(f->op.d->vnode);
    f->op.target_v = f->op.target->vnode ? vnode_get(f->op.target->vnode) : NULL;
    if (f->op.v == f->op.target_v)
        ASYNC_RETURN(0); // two names of one file: POSIX wants nothing done
    if (f->op.target_v && S_ISDIR(f->op.target_v->mode) && !(f->flags & RENAME_EXCHANGE)) {
        AWAIT(f->r, mutex_lock, &f->op.target_v->lock, false);
        f->op.target_locked = true;
    }
    SHIELD_BEGIN();
    AWAIT_VIA(f->r, vnode_rename, dir_of(&f->op.from)->ops->rename, dir_of(&f->op.from),
              f->op.from.last, f->op.from.last_len, f->op.v, dir_of(&f->op.to), f->op.to.last,
              f->op.to.last_len, f->op.target_v, f->flags);
    if (f->r >= 0) {
        if (f->flags & RENAME_EXCHANGE)
            dentry_exchanged(f->op.d, f->op.target);
        else
            dentry_moved(f->op.d, f->op.target);
    }
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    rename_finish(&f->op, t);
    ASYNC_END;
}
