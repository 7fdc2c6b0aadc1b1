// SPDX-License-Identifier: MIT
// Directories: where one is, and what is in them.
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/fs_path.h"
#include "syscall/syscall.h"
#include "task/caps.h"

// ---- getdents64

enum { DENTS_CHUNK = 2048 }; // kernel buffer: at least one entry of the longest name fits

struct dents {
    struct dir_sink sink;
    size_t used, room; // room: what is left of the user's buffer, at most DENTS_CHUNK
    bool full;         // an entry did not fit
    char *buf;
};

static bool dents_emit(struct dir_sink *sink, const char *name, size_t len, uint64_t ino,
                       uint32_t dtype, int64_t next_pos)
{
    struct dents *d = container_of(sink, struct dents, sink);
    size_t size = (offsetof(struct dirent64_k, name) + len + 1 + 7) & ~7ul;
    struct dirent64_k *e = (struct dirent64_k *)(d->buf + d->used);
    if (d->used + size > d->room) {
        d->full = true;
        return false;
    }
    memset((char *)e + size - 8, 0, 8);
    e->ino = ino;
    e->off = next_pos;
    e->reclen = (uint16_t)size;
    e->type = (uint8_t)dtype;
    memcpy(e->name, name, len);
    e->name[len] = '\0';
    d->used += size;
    return true;
}

// One kernel buffer of entries from file->pos on, copied to `to`. Bytes; 0: the end.
ASYNC_DECL(dents_chunk, struct file *file; struct dents *d; va_t to;);
ASYNC(dents_chunk, struct vnode *dir; long r;)
{
    ASYNC_BEGIN(dents_chunk);
    f->dir = f->file->vnode;
    f->d->used = 0;
    f->d->sink.pos = (int64_t)f->file->pos;
    AWAIT(f->r, mutex_lock, &f->dir->lock, false);
    f->r = -ENOENT;
    if (!f->file->path.dentry->gone)
        AWAIT_VIA(f->r, vnode_readdir, f->dir->ops->readdir, f->dir, &f->d->sink);
    mutex_unlock(&f->dir->lock, t);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->d->used)
        AWAIT(f->r, user_write, t->thread->space, f->to, f->d->buf, f->d->used);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->file->pos = (uint64_t)f->d->sink.pos;
    ASYNC_RETURN((long)f->d->used);
    ASYNC_FINALLY;
    if (mutex_held(&f->dir->lock, t))
        mutex_unlock(&f->dir->lock, t);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_getdents64, struct file *file; struct dents d; size_t done; size_t size; long r;)
{
    ASYNC_BEGIN(sys_getdents64);
    f->d = (struct dents){.sink.emit = dents_emit};
    f->done = 0;
    f->size = (uint32_t)f->a[2];
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file || (f->file->flags & O_PATH))
        ASYNC_RETURN(-EBADF);
    if (!S_ISDIR(f->file->vnode->mode) || !f->file->vnode->ops->readdir)
        ASYNC_RETURN(-ENOTDIR);
    f->d.buf = kmalloc(DENTS_CHUNK);
    if (!f->d.buf)
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, mutex_lock, &f->file->pos_lock, true);
    if (f->r < 0)
        ASYNC_RETURN(-ERESTARTSYS);
    while (f->done < f->size) {
        f->d.room = f->size - f->done < DENTS_CHUNK ? f->size - f->done : DENTS_CHUNK;
        f->d.full = false;
        AWAIT(f->r, dents_chunk, f->file, &f->d, f->a[1] + f->done);
        if (f->r <= 0)
            break;
        f->done += (size_t)f->r;
        YIELD();
    }
    if (f->done)
        ASYNC_RETURN((long)f->done);
    if (f->r == 0 && f->d.full)
        f->r = -EINVAL; // not even one entry fits
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    kfree(f->d.buf);
    if (f->file) {
        if (mutex_held(&f->file->pos_lock, t))
            mutex_unlock(&f->file->pos_lock, t);
        file_put(f->file);
    }
    ASYNC_END;
}
SYSCALL_ASYNC(61, getdents64, 3);

// ---- the working directory and the root

ASYNC_SYSCALL(sys_getcwd, struct path cwd; char *buf; char *text; bool lost; long r; size_t n;)
{
    ASYNC_BEGIN(sys_getcwd);
    f->cwd = fs_context_path(t->thread->fs, &t->thread->fs->cwd);
    f->buf = kmalloc(PATH_MAX);
    if (!f->buf)
        ASYNC_RETURN(-ENOMEM);
    if (f->cwd.dentry->gone)
        ASYNC_RETURN(-ENOENT);
    f->text = path_text(&f->cwd, t->thread->fs, f->buf, PATH_MAX, &f->lost);
    if (!f->text)
        ASYNC_RETURN(-ENAMETOOLONG);
    f->n = strlen(f->text) + 1;
    if (f->n > f->a[1])
        ASYNC_RETURN(-ERANGE);
    AWAIT(f->r, user_write, t->thread->space, f->a[0], f->text, f->n);
    ASYNC_RETURN(f->r < 0 ? f->r : (long)f->n);
    ASYNC_FINALLY;
    kfree(f->buf);
    path_put(&f->cwd);
    ASYNC_END;
}
SYSCALL_ASYNC(17, getcwd, 2);

ASYNC_SYSCALL(sys_chdir, struct target target; long r;)
{
    ASYNC_BEGIN(sys_chdir);
    f->target = (struct target){.found = false};
    AWAIT(f->r, target_find, AT_FDCWD, f->a[0], WALK_FOLLOW | WALK_DIRECTORY, &f->target);
    if (f->r == 0)
        f->r = vnode_permission(f->target.at.dentry->vnode, X_OK);
    if (f->r == 0) {
        fs_context_set(t->thread->fs, &t->thread->fs->cwd, &f->target.at);
        f->target.found = false;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    target_put(&f->target);
    ASYNC_END;
}
SYSCALL_ASYNC(49, chdir, 1);

static long sys_fchdir(int32_t fd)
{
    struct fs_context *fs = thread_current()->fs;
    struct file *file = fd_get(thread_current()->files, fd);
    if (!file)
        return -EBADF;
    long r = file->path.dentry && S_ISDIR(file->vnode->mode) ? 0 : -ENOTDIR;
    if (r == 0)
        r = vnode_permission(file->vnode, X_OK);
    if (r == 0) {
        path_get(&file->path);
        fs_context_set(fs, &fs->cwd, &file->path);
    }
    file_put(file);
    return r;
}
SYSCALL(50, fchdir, 1);

ASYNC_SYSCALL(sys_chroot, struct target target; long r;)
{
    ASYNC_BEGIN(sys_chroot);
    f->target = (struct target){.found = false};
    AWAIT(f->r, target_find, AT_FDCWD, f->a[0], WALK_FOLLOW | WALK_DIRECTORY, &f->target);
    if (f->r == 0)
        f->r = vnode_permission(f->target.at.dentry->vnode, X_OK);
    if (f->r == 0 && !fs_can(CAP_SYS_CHROOT))
        f->r = -EPERM;
    if (f->r == 0) {
        fs_context_set(t->thread->fs, &t->thread->fs->root, &f->target.at);
        f->target.found = false;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    target_put(&f->target);
    ASYNC_END;
}
SYSCALL_ASYNC(51, chroot, 1);
