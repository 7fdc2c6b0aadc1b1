// SPDX-License-Identifier: MIT
// mount, umount2, sync and its relatives.
#include "mem/phys.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/fs_path.h"
#include "syscall/fs_rw.h"
#include "syscall/syscall.h"
#include "task/caps.h"

// An optional text argument: "" when the pointer is NULL.
ASYNC_DECL(text_arg, va_t va; char **out;);
ASYNC(text_arg, long r;)
{
    ASYNC_BEGIN(text_arg);
    *f->out = kzalloc(PATH_MAX);
    if (!*f->out)
        ASYNC_RETURN(-ENOMEM);
    f->r = 0;
    if (f->va)
        AWAIT(f->r, user_read_string, t->thread->space, *f->out, f->va, PATH_MAX);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

#define MS_MGC_MASK 0xffff0000u
#define MS_MGC_VAL  0xc0ed0000u

ASYNC_SYSCALL(sys_mount, char *text[4]; uint32_t flags; long r;)
{
    ASYNC_BEGIN(sys_mount);
    memset(f->text, 0, sizeof f->text);
    if (!fs_can(CAP_SYS_ADMIN))
        ASYNC_RETURN(-EPERM);
    f->flags = (uint32_t)f->a[3];
    if ((f->flags & MS_MGC_MASK) == MS_MGC_VAL)
        f->flags &= ~MS_MGC_MASK;
    AWAIT(f->r, text_arg, f->a[0], &f->text[0]);
    if (f->r >= 0)
        AWAIT(f->r, text_arg, f->a[1], &f->text[1]);
    if (f->r >= 0)
        AWAIT(f->r, text_arg, f->a[2], &f->text[2]);
    if (f->r >= 0)
        AWAIT(f->r, text_arg, f->a[4], &f->text[3]);
    if (f->r >= 0)
        AWAIT(f->r, vfs_mount, t->thread->fs, f->text[0], f->text[1], f->text[2], f->flags,
              f->text[3]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    for (int i = 0; i < 4; i++)
        kfree(f->text[i]);
    ASYNC_END;
}
SYSCALL_ASYNC(40, mount, 5);

ASYNC_SYSCALL(sys_umount2, char *text; long r;)
{
    ASYNC_BEGIN(sys_umount2);
    f->text = NULL;
    if (!fs_can(CAP_SYS_ADMIN))
        ASYNC_RETURN(-EPERM);
    AWAIT(f->r, text_arg, f->a[0], &f->text);
    if (f->r >= 0)
        AWAIT(f->r, vfs_umount, t->thread->fs, f->text, (uint32_t)f->a[1]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    kfree(f->text);
    ASYNC_END;
}
SYSCALL_ASYNC(39, umount2, 2);

ASYNC_SYSCALL(sys_sync, long r;)
{
    ASYNC_BEGIN(sys_sync);
    AWAIT(f->r, phys_sync_all, 0);
    AWAIT(f->r, vfs_sync, false);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(81, sync, 0);

ASYNC(file_sync, struct vnode *v; long r;)
{
    ASYNC_BEGIN(file_sync);
    if (f->file->flags & O_PATH)
        ASYNC_RETURN(-EBADF);
    f->v = f->file->data;
    if (!f->v->pages && !S_ISDIR(f->v->mode))
        ASYNC_RETURN(-EINVAL);
    f->r = 0;
    if (f->v->ops->fsync)
        AWAIT_VIA(f->r, vnode_fsync, f->v->ops->fsync, f->v, f->data_only);
    else if (f->v->pages)
        AWAIT(f->r, vnode_write_back, f->v);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(fd_sync, int32_t fd; bool data_only;);
ASYNC(fd_sync, struct file *file; long r;)
{
    ASYNC_BEGIN(fd_sync);
    f->file = fd_get(t->thread->files, f->fd);
    if (!f->file)
        ASYNC_RETURN(-EBADF);
    AWAIT(f->r, file_sync, f->file, f->data_only);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_fsync, long r;)
{
    ASYNC_BEGIN(sys_fsync);
    AWAIT(f->r, fd_sync, (int32_t)f->a[0], false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(82, fsync, 1);

ASYNC_SYSCALL(sys_fdatasync, long r;)
{
    ASYNC_BEGIN(sys_fdatasync);
    AWAIT(f->r, fd_sync, (int32_t)f->a[0], true);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(83, fdatasync, 1);

ASYNC_SYSCALL(sys_syncfs, struct file *file; struct super * super; long r;)
{
    ASYNC_BEGIN(sys_syncfs);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file)
        ASYNC_RETURN(-EBADF);
    f->super = f->file->vnode->super;
    f->r = 0;
    if (f->super->ops && f->super->ops->sync)
        AWAIT_VIA(f->r, super_sync, f->super->ops->sync, f->super);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(267, syncfs, 1);
