// SPDX-License-Identifier: MIT
// open: from a path and flags to an open file, making the file where O_CREAT asks for it.
//
// What needs no waiting (every component cached, nothing created or truncated, no open operation)
// is done by vfs_open_fast from the trap path; the checks are shared.
#include "fs/dentry.h"
#include "fs/file.h"
#include "fs/fsctx.h"
#include "page/heap.h"

enum { PATH_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static uint32_t walk_flags(uint32_t flags)
{
    return (flags & O_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & O_DIRECTORY ? WALK_DIRECTORY : 0);
}

static uint32_t wanted_access(uint32_t flags)
{
    static const uint8_t want[4] = {R_OK, W_OK, R_OK | W_OK, R_OK | W_OK};
    return want[flags & O_ACCMODE] | (flags & O_TRUNC ? W_OK : 0);
}

static bool opens_for_writing(uint32_t flags)
{
    return !(flags & O_PATH) && (wanted_access(flags) & W_OK);
}

// May `flags` open what is at `at`? created: by this very call, so its mode does not matter.
static int may_open(const struct path *at, uint32_t flags, bool created)
{
    const struct vnode *v = at->dentry->vnode;
    uint32_t want = wanted_access(flags);
    if (flags & O_PATH)
        return 0;
    if (S_ISLNK(v->mode))
        return -ELOOP;
    if (S_ISDIR(v->mode) && ((want & W_OK) || (flags & O_CREAT)))
        return -EISDIR;
    if (S_ISSOCK(v->mode))
        return -ENXIO;
    if ((want & W_OK) && (S_ISREG(v->mode) || S_ISDIR(v->mode)) && path_writable(at) < 0)
        return -EROFS;
    if ((S_ISCHR(v->mode) || S_ISBLK(v->mode)) && (at->mount->flags & MS_NODEV))
        return -EACCES;
    if (!created && vnode_permission(v, want) < 0)
        return -EACCES;
    if ((flags & O_NOATIME) && !vnode_owner(v))
        return -EPERM;
    return 0;
}

long vfs_open_fast(struct fs_context *fs, const struct path *start, const char *text,
                   uint32_t flags, struct file **out)
{
    struct walk w;
    if (flags & (O_CREAT | O_TRUNC | O_PATH | O_TMPFILE_BIT | O_DIRECT))
        return -EAGAIN;
    int r = path_walk_fast(fs, start, text, walk_flags(flags), &w);
    if (r < 0)
        return r;
    r = may_open(&w.at, flags, false);
    const struct file_ops *ops = vnode_file_ops(w.at.dentry->vnode);
    if (r == 0 && ops->open)
        r = -EAGAIN;
    bool writes = opens_for_writing(flags);
    if (r == 0 && writes)
        r = vnode_write_begin(w.at.dentry->vnode);
    if (r == 0) {
        *out = file_new(w.at.dentry->vnode, &w.at, flags);
        if (*out)
            return 0;
        r = -ENOMEM;
        if (writes)
            vnode_write_end(w.at.dentry->vnode);
    }
    path_put(&w.at);
    return r;
}

// at's references are taken over in any case.
ASYNC_DECL(open_at, struct path at; uint32_t flags; bool created; struct file **out;);
ASYNC(open_at, struct file *file; struct vnode *v; struct vattr attr; bool owned; bool writes; long r;)
{
    ASYNC_BEGIN(open_at);
    f->file = NULL;
    f->owned = true;
    f->writes = false;
    f->v = f->at.dentry->vnode;
    f->r = may_open(&f->at, f->flags, f->created);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (opens_for_writing(f->flags) && (f->r = vnode_write_begin(f->v)) < 0)
        ASYNC_RETURN(f->r);
    f->writes = opens_for_writing(f->flags);
    if ((f->flags & O_TRUNC) && S_ISREG(f->v->mode) && !f->created && f->v->size) {
        AWAIT(f->r, vnode_truncate, f->v, 0);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    f->file = file_new(f->v, &f->at, f->flags);
    if (!f->file)
        ASYNC_RETURN(-ENOMEM);
    f->owned = false;
    if (f->file->writable)
        f->writes = false;
    if (f->file->ops->open) {
        f->file->flags |= f->flags & O_NOCTTY; // a terminal asks
        AWAIT_VIA(f->r, file_open, f->file->ops->open, f->file);
        f->file->flags &= ~(uint32_t)O_NOCTTY;
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    *f->out = f->file;
    f->file = NULL;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->writes)
        vnode_write_end(f->v);
    if (f->file)
        file_put(f->file);
    else if (f->owned)
        path_put(&f->at);
    ASYNC_END;
}

// One round of O_CREAT: 1 and the link's text in `link` when the name is a symbolic link to follow.
ASYNC_DECL(open_create, struct fs_context *fs; const struct path *start; const char *text;
           uint32_t flags; uint32_t mode; struct file **out; struct path *dir; char *link;);
ASYNC(open_create, struct name_op op; struct path at; bool created; long r;)
{
    ASYNC_BEGIN(open_create);
    f->op = (struct name_op){.d = NULL};
    f->created = false;
    AWAIT(f->r, name_prepare, f->fs, f->start, f->text, -EISDIR, &f->op);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->op.walk.last_slash)
        ASYNC_RETURN(-EISDIR);
    if (f->op.d->vnode && (f->flags & O_EXCL))
        ASYNC_RETURN(-EEXIST);
    if (!f->op.d->vnode) {
        if (!f->op.walk.at.dentry->vnode->ops->create)
            ASYNC_RETURN(-EACCES);
        AWAIT(f->r, name_create, f->fs, &f->op, S_IFREG | (f->mode & S_IALLUGO), 0);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->created = true;
    } else if (S_ISLNK(f->op.d->vnode->mode) && !(f->flags & O_NOFOLLOW)) {
        AWAIT_VIA(f->r, vnode_readlink, f->op.d->vnode->ops->readlink, f->op.d->vnode, f->link,
                  PATH_MAX - 1);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->link[f->r] = '\0';
        *f->dir = f->op.walk.at;
        path_get(f->dir);
        ASYNC_RETURN(1);
    }
    f->at = f->op.walk.at;
    f->at.dentry = f->op.d;
    path_get(&f->at);
    path_onto_mounts(&f->at);
    name_finish(&f->op, t);
    AWAIT(f->r, open_at, f->at, f->flags, f->created, f->out);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    name_finish(&f->op, t);
    ASYNC_END;
}

// A link in last place is followed here, so that a dangling one can be created through.
ASYNC_DECL(open_creating, struct fs_context *fs; const struct path *start; const char *text;
           uint32_t flags; uint32_t mode; struct file **out;);
ASYNC(open_creating, char *link; char *next; struct path dir; struct path next_dir; int links;
      long r;)
{
    ASYNC_BEGIN(open_creating);
    f->link = f->next = NULL;
    f->dir.dentry = NULL;
    for (f->links = 0; f->links <= SYMLINKS_MAX; f->links++) {
        f->next = kmalloc(PATH_MAX);
        if (!f->next)
            ASYNC_RETURN(-ENOMEM);
        AWAIT(f->r, open_create, f->fs, f->dir.dentry ? &f->dir : f->start,
              f->link ? f->link : f->text, f->flags, f->mode, f->out, &f->next_dir, f->next);
        if (f->r != 1)
            ASYNC_RETURN(f->r);
        kfree(f->link);
        f->link = f->next;
        f->next = NULL;
        if (f->dir.dentry)
            path_put(&f->dir);
        f->dir = f->next_dir;
    }
    ASYNC_RETURN(-ELOOP);
    ASYNC_FINALLY;
    kfree(f->link);
    kfree(f->next);
    if (f->dir.dentry)
        path_put(&f->dir);
    ASYNC_END;
}

static int check_flags(uint32_t *flags)
{
    if (*flags & O_PATH)
        *flags &= PATH_FLAGS;
    if (*flags & O_TMPFILE_BIT)
        return -EOPNOTSUPP;
    if ((*flags & O_CREAT) && (*flags & O_DIRECTORY))
        return -EINVAL;
    if (*flags & O_DIRECT)
        return -EINVAL; // no transfer here goes past the page cache
    return 0;
}

ASYNC(vfs_open, struct walk w; long r;)
{
    ASYNC_BEGIN(vfs_open);
    f->r = check_flags(&f->flags);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->flags & O_CREAT) {
        AWAIT(f->r, open_creating, f->fs, f->start, f->text, f->flags, f->mode, f->out);
        ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, path_walk, f->fs, f->start, f->text, walk_flags(f->flags), &f->w);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    walk_finish(&f->w);
    AWAIT(f->r, open_at, f->w.at, f->flags, false, f->out);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(file_open_kernel, long r;)
{
    ASYNC_BEGIN(file_open_kernel);
    AWAIT(f->r, vfs_open, fs_of_task(t), NULL, f->path, f->flags, f->mode, f->out);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- changing attributes

ASYNC(vnode_change, long r;)
{
    ASYNC_BEGIN(vnode_change);
    AWAIT(f->r, mutex_lock, &f->v->lock, false);
    f->r = 0;
    SHIELD_BEGIN();
    if ((f->attr->mask & ATTR_SIZE) && f->attr->size > f->v->size && f->v->ops->reserve)
        AWAIT_VIA(f->r, vnode_reserve, f->v->ops->reserve, f->v, f->attr->size);
    if (f->r >= 0)
        AWAIT_VIA(f->r, vnode_setattr,
                  f->v->ops->setattr ? f->v->ops->setattr : &vnode_setattr_memory_fn, f->v,
                  f->attr);
    SHIELD_END();
    mutex_unlock(&f->v->lock, t);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->v->lock, t))
        mutex_unlock(&f->v->lock, t);
    ASYNC_END;
}

ASYNC(vnode_truncate, struct vattr attr; long r;)
{
    ASYNC_BEGIN(vnode_truncate);
    if (S_ISDIR(f->v->mode))
        ASYNC_RETURN(-EISDIR);
    if (!S_ISREG(f->v->mode))
        ASYNC_RETURN(-EINVAL);
    f->r = f->size > f->v->size ? vnode_size_allowed(f->v, f->size) : 0;
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->attr = (struct vattr){.mask = ATTR_SIZE, .size = f->size};
    AWAIT(f->r, vnode_change, f->v, &f->attr);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
