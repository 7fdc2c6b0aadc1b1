// SPDX-License-Identifier: MIT
// Calls that make, remove and rename names.
#include "page/heap.h"
#include "syscall/fs_path.h"
#include "syscall/syscall.h"
#include "task/caps.h"

ASYNC_SYSCALL(sys_mknodat, struct path_arg arg; uint32_t type; long r;)
{
    ASYNC_BEGIN(sys_mknodat);
    f->arg = (struct path_arg){.dir = NULL};
    f->type = (uint32_t)f->a[2] & S_IFMT;
    if (f->type == 0)
        f->type = S_IFREG;
    if (f->type == S_IFDIR)
        ASYNC_RETURN(-EPERM);
    if (f->type != S_IFREG && f->type != S_IFIFO && f->type != S_IFCHR && f->type != S_IFBLK &&
        f->type != S_IFSOCK)
        ASYNC_RETURN(-EINVAL);
    if ((f->type == S_IFCHR || f->type == S_IFBLK) && !fs_can(CAP_MKNOD))
        ASYNC_RETURN(-EPERM);
    AWAIT(f->r, path_arg_get, (int32_t)f->a[0], f->a[1], false, &f->arg);
    if (f->r >= 0)
        AWAIT(f->r, vfs_mknod, t->thread->fs, f->arg.start, f->arg.text,
              f->type | ((uint32_t)f->a[2] & S_IALLUGO), f->a[3]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    path_arg_put(&f->arg);
    ASYNC_END;
}
SYSCALL_ASYNC(33, mknodat, 4);

ASYNC_SYSCALL(sys_mkdirat, struct path_arg arg; long r;)
{
    ASYNC_BEGIN(sys_mkdirat);
    f->arg = (struct path_arg){.dir = NULL};
    AWAIT(f->r, path_arg_get, (int32_t)f->a[0], f->a[1], false, &f->arg);
    if (f->r >= 0)
        AWAIT(f->r, vfs_mkdir, t->thread->fs, f->arg.start, f->arg.text,
              (uint32_t)f->a[2] & (0777 | S_ISVTX));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    path_arg_put(&f->arg);
    ASYNC_END;
}
SYSCALL_ASYNC(34, mkdirat, 3);

ASYNC_SYSCALL(sys_unlinkat, struct path_arg arg; long r;)
{
    ASYNC_BEGIN(sys_unlinkat);
    f->arg = (struct path_arg){.dir = NULL};
    if ((uint32_t)f->a[2] & ~(uint32_t)AT_REMOVEDIR)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, path_arg_get, (int32_t)f->a[0], f->a[1], false, &f->arg);
    if (f->r >= 0)
        AWAIT(f->r, vfs_unlink, t->thread->fs, f->arg.start, f->arg.text,
              (f->a[2] & AT_REMOVEDIR) != 0);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    path_arg_put(&f->arg);
    ASYNC_END;
}
SYSCALL_ASYNC(35, unlinkat, 3);

ASYNC_SYSCALL(sys_symlinkat, struct path_arg target; struct path_arg arg; long r;)
{
    ASYNC_BEGIN(sys_symlinkat);
    f->arg = f->target = (struct path_arg){.dir = NULL};
    AWAIT(f->r, path_arg_get, AT_FDCWD, f->a[0], true, &f->target);
    if (f->r >= 0)
        AWAIT(f->r, path_arg_get, (int32_t)f->a[1], f->a[2], false, &f->arg);
    if (f->r >= 0)
        AWAIT(f->r, vfs_symlink, t->thread->fs, f->arg.start, f->arg.text, f->target.text);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    path_arg_put(&f->target);
    path_arg_put(&f->arg);
    ASYNC_END;
}
SYSCALL_ASYNC(36, symlinkat, 3);

ASYNC_SYSCALL(sys_linkat, struct path_arg old; struct path_arg arg; uint32_t flags; long r;)
{
    ASYNC_BEGIN(sys_linkat);
    f->arg = f->old = (struct path_arg){.dir = NULL};
    if ((uint32_t)f->a[4] & ~(uint32_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        ASYNC_RETURN(-EINVAL);
    f->flags = (f->a[4] & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) |
               (f->a[4] & AT_EMPTY_PATH ? WALK_EMPTY : 0);
    AWAIT(f->r, path_arg_get, (int32_t)f->a[0], f->a[1], f->flags & WALK_EMPTY, &f->old);
    if (f->r >= 0)
        AWAIT(f->r, path_arg_get, (int32_t)f->a[2], f->a[3], false, &f->arg);
    if (f->r >= 0)
        AWAIT(f->r, vfs_link, t->thread->fs, f->old.start, f->old.text, f->arg.start, f->arg.text,
              f->flags);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    path_arg_put(&f->old);
    path_arg_put(&f->arg);
    ASYNC_END;
}
SYSCALL_ASYNC(37, linkat, 5);

ASYNC_DECL(rename_between, int32_t old_dir; va_t old; int32_t new_dir; va_t new; uint32_t flags;);
ASYNC(rename_between, struct path_arg from; struct path_arg to; long r;)
{
    ASYNC_BEGIN(rename_between);
    f->from = f->to = (struct path_arg){.dir = NULL};
    AWAIT(f->r, path_arg_get, f->old_dir, f->old, false, &f->from);
    if (f->r >= 0)
        AWAIT(f->r, path_arg_get, f->new_dir, f->new, false, &f->to);
    if (f->r >= 0)
        AWAIT(f->r, vfs_rename, t->thread->fs, f->from.start, f->from.text, f->to.start, f->to.text,
              f->flags);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    path_arg_put(&f->from);
    path_arg_put(&f->to);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_renameat2, long r;)
{
    ASYNC_BEGIN(sys_renameat2);
    AWAIT(f->r, rename_between, (int32_t)f->a[0], f->a[1], (int32_t)f->a[2], f->a[3],
          (uint32_t)f->a[4]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(276, renameat2, 5);

ASYNC_SYSCALL(sys_renameat, long r;)
{
    ASYNC_BEGIN(sys_renameat);
    AWAIT(f->r, rename_between, (int32_t)f->a[0], f->a[1], (int32_t)f->a[2], f->a[3], 0);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(38, renameat, 4);
