// SPDX-License-Identifier: MIT
// Path arguments: copied in once, resolved against a directory descriptor.
#include "syscall/fs_path.h"

#include "mem/user.h"
#include "page/heap.h"

static int check_dir(const struct file *dir, bool any)
{
    if (!dir)
        return -EBADF;
    if (!dir->path.dentry)
        return any ? 0 : -ENOTDIR;
    return any || S_ISDIR(dir->vnode->mode) ? 0 : -ENOTDIR;
}

ASYNC(path_arg_get, long r;)
{
    ASYNC_BEGIN(path_arg_get);
    f->out->text = kmalloc(PATH_MAX);
    if (!f->out->text)
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, user_read_string, t->thread->space, f->out->text, f->text, PATH_MAX);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->out->text[0] == '/' || f->dirfd == AT_FDCWD)
        ASYNC_RETURN(0);
    if (f->out->text[0] == '\0' && !f->empty_ok)
        ASYNC_RETURN(-ENOENT);
    f->out->dir = fd_get(t->thread->files, f->dirfd);
    f->r = check_dir(f->out->dir, f->empty_ok && f->out->text[0] == '\0');
    if (f->r == 0 && f->out->dir->path.dentry)
        f->out->start = &f->out->dir->path;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

void path_arg_put(struct path_arg *arg)
{
    kfree(arg->text);
    if (arg->dir)
        file_put(arg->dir);
}

ASYNC(target_find, struct walk w; long r;)
{
    ASYNC_BEGIN(target_find);
    AWAIT(f->r, path_arg_get, f->dirfd, f->text, f->flags & WALK_EMPTY, &f->out->arg);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, path_walk, t->thread->fs, f->out->arg.start, f->out->arg.text, f->flags, &f->w);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    walk_finish(&f->w);
    f->out->at = f->w.at;
    f->out->found = true;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

void target_put(struct target *target)
{
    if (target->found)
        path_put(&target->at);
    path_arg_put(&target->arg);
}

long short_path_get(struct short_path *p, int32_t dirfd, va_t text)
{
    p->dir = NULL;
    p->start = NULL;
    long n = user_string_in(thread_current()->space, p->text, text, SHORT_PATH);
    if (n < 0)
        return n == -ENAMETOOLONG ? -EAGAIN : n;
    if (p->text[0] == '/' || dirfd == AT_FDCWD)
        return 0;
    p->dir = fd_borrow(thread_current()->files, (uint32_t)dirfd, &p->referenced);
    int r = p->text[0] ? check_dir(p->dir, false) : -EAGAIN;
    if (r == 0)
        p->start = &p->dir->path;
    return r;
}
