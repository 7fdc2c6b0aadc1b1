// SPDX-License-Identifier: MIT
// Descriptors: openat, close, dup, fcntl, close_range, flock.
#include "fs/lock.h"
#include "fs/memfd.h"
#include "fs/pipe.h"
#include "mem/user.h"
#include "syscall/fs_path.h"
#include "syscall/syscall.h"

static uint64_t fd_limit(void)
{
    return process_current()->rlimit[RLIMIT_NOFILE].cur;
}

// Installs a new file and consumes the reference in any case.
static int install(struct file *file, uint32_t from, bool cloexec)
{
    int fd = fd_install(thread_current()->files, file, from, fd_limit(), cloexec);
    if (fd < 0)
        file_put(file);
    return fd;
}

// ---- openat

enum {
    OPEN_KNOWN = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK |
                 O_SYNC | O_ASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME |
                 O_CLOEXEC | O_PATH | O_TMPFILE_BIT
};

static long try_openat(int32_t dirfd, va_t path, uint32_t flags, uint32_t mode)
{
    (void)mode; // what it would make is made by the other half
    struct short_path p;
    struct file *file = NULL;
    long r = short_path_get(&p, dirfd, path);
    if (r == 0)
        r = vfs_open_fast(thread_current()->fs, p.start, p.text, flags & OPEN_KNOWN, &file);
    short_path_put(&p);
    if (r == -EAGAIN)
        return syscall_go_async();
    return r < 0 ? r : install(file, 0, flags & O_CLOEXEC);
}

ASYNC_SYSCALL(sys_openat, struct path_arg arg; struct file * file; long r;)
{
    ASYNC_BEGIN(sys_openat);
    f->arg = (struct path_arg){.dir = NULL};
    AWAIT(f->r, path_arg_get, (int32_t)f->a[0], f->a[1], false, &f->arg);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, vfs_open, t->thread->fs, f->arg.start, f->arg.text, (uint32_t)f->a[2] & OPEN_KNOWN,
          (uint32_t)f->a[3], &f->file);
    ASYNC_RETURN(f->r < 0 ? f->r : install(f->file, 0, f->a[2] & O_CLOEXEC));
    ASYNC_FINALLY;
    path_arg_put(&f->arg);
    ASYNC_END;
}
SYSCALL_TRY(56, openat, 4);

static long sys_close(int32_t fd)
{
    struct file *file = fd_remove(thread_current()->files, fd);
    if (!file)
        return -EBADF;
    locks_release(file, thread_current()->files);
    file_put(file);
    return 0;
}
SYSCALL(57, close, 1);

enum { CLOSE_RANGE_UNSHARE = 2, CLOSE_RANGE_CLOEXEC = 4 };

static long sys_close_range(uint32_t first, uint32_t last, uint32_t flags)
{
    struct fd_table *table = thread_current()->files;
    if (first > last || (flags & ~CLOSE_RANGE_CLOEXEC))
        return -EINVAL; // CLOSE_RANGE_UNSHARE is not supported
    for (int fd = fd_next_open(table, first); fd >= 0 && (uint32_t)fd <= last;
         fd = fd_next_open(table, (uint32_t)fd + 1)) {
        if (flags & CLOSE_RANGE_CLOEXEC)
            fd_set_cloexec(table, fd, true);
        else
            sys_close(fd);
    }
    return 0;
}
SYSCALL(436, close_range, 3);

// ---- dup

static long sys_dup(int32_t fd)
{
    struct file *file = fd_get(thread_current()->files, fd);
    return file ? install(file, 0, false) : -EBADF;
}
SYSCALL(23, dup, 1);

static long sys_dup3(int32_t fd, uint32_t to, uint32_t flags)
{
    struct fd_table *table = thread_current()->files;
    struct file *old = NULL;
    if ((flags & ~O_CLOEXEC) || (uint32_t)fd == to)
        return -EINVAL;
    if (to >= fd_limit())
        return -EBADF;
    struct file *file = fd_get(table, fd);
    if (!file)
        return -EBADF;
    int r = fd_replace(table, file, to, fd_limit(), flags & O_CLOEXEC, &old);
    if (r < 0) {
        file_put(file);
        return r == -ENOMEM ? -ENOMEM : -EBADF;
    }
    if (old) {
        locks_release(old, table);
        file_put(old);
    }
    return r;
}
SYSCALL(24, dup3, 3);

// ---- fcntl

static long set_flags(struct file *file, uint32_t flags)
{
    if (flags & (O_ASYNC | O_DIRECT) & ~file->flags)
        return -EINVAL; // neither signals on readiness nor uncached transfers exist here
    if ((flags & O_NOATIME) && !vnode_owner(file->vnode))
        return -EPERM;
    file->flags = (file->flags & ~(uint32_t)FILE_APPEND_ETC) | (flags & FILE_APPEND_ETC);
    return 0;
}

static bool path_only_ok(uint32_t cmd)
{
    return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC || cmd == F_GETFD || cmd == F_SETFD ||
           cmd == F_GETFL;
}

static long fcntl_file(struct file *file, uint32_t cmd, uint64_t arg)
{
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if (arg >= fd_limit())
            return -EINVAL;
        return install(file_get(file), (uint32_t)arg, cmd == F_DUPFD_CLOEXEC);
    case F_GETFL:
        return file->flags | O_LARGEFILE;
    case F_SETFL:
        return set_flags(file, (uint32_t)arg);
    case F_GET_SEALS:
        return memfd_seals(file);
    case F_GETPIPE_SZ:
    case F_SETPIPE_SZ:
        return pipe_fcntl(file, cmd, arg);
    default:
        return -EINVAL;
    }
}

static long fcntl_plain(int32_t fd, uint32_t cmd, uint64_t arg)
{
    struct fd_table *table = thread_current()->files;
    if (cmd == F_GETFD)
        return fd_get_cloexec(table, fd);
    if (cmd == F_SETFD)
        return fd_set_cloexec(table, fd, arg & FD_CLOEXEC);
    struct file *file = fd_get(table, fd);
    if (!file)
        return -EBADF;
    long r = -EBADF;
    if (!(file->flags & O_PATH) || path_only_ok(cmd))
        r = fcntl_file(file, cmd, arg);
    file_put(file);
    return r;
}

static long try_fcntl(int32_t fd, uint32_t cmd, uint64_t arg)
{
    if (cmd == F_ADD_SEALS || cmd == F_GETLK || cmd == F_SETLK || cmd == F_SETLKW)
        return syscall_go_async();
    return fcntl_plain(fd, cmd, arg);
}

ASYNC_SYSCALL(sys_fcntl, struct file *file; long r;)
{
    ASYNC_BEGIN(sys_fcntl);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file)
        ASYNC_RETURN(-EBADF);
    if (f->a[1] == F_ADD_SEALS)
        AWAIT(f->r, memfd_seal, f->file, (uint32_t)f->a[2]);
    else
        AWAIT(f->r, lock_fcntl, f->file, (int32_t)f->a[0], (uint32_t)f->a[1], f->a[2]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_TRY(25, fcntl, 3);

ASYNC_SYSCALL(sys_flock, struct file *file; long r;)
{
    ASYNC_BEGIN(sys_flock);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file)
        ASYNC_RETURN(-EBADF);
    AWAIT(f->r, lock_flock, f->file, (uint32_t)f->a[1]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(32, flock, 2);

// ---- pipe2

ASYNC_SYSCALL(sys_pipe2, struct file *end[2]; int32_t fd[2]; long r;)
{
    ASYNC_BEGIN(sys_pipe2);
    f->end[0] = f->end[1] = NULL;
    f->fd[0] = f->fd[1] = -1;
    if ((uint32_t)f->a[1] & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        ASYNC_RETURN(-EINVAL);
    if (f->a[1] & O_DIRECT)
        ASYNC_RETURN(-EINVAL); // no packet mode
    f->r = pipe_new((uint32_t)f->a[1] & O_NONBLOCK, f->end);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    for (int i = 0; i < 2 && f->r >= 0; i++) {
        f->r = fd_install(t->thread->files, f->end[i], 0, fd_limit(), f->a[1] & O_CLOEXEC);
        f->fd[i] = (int32_t)f->r;
        if (f->r >= 0)
            f->end[i] = NULL;
    }
    if (f->r >= 0)
        AWAIT(f->r, user_write, t->thread->space, f->a[0], f->fd, sizeof f->fd);
    if (f->r >= 0)
        f->fd[0] = f->fd[1] = -1; // theirs now
    ASYNC_RETURN(f->r < 0 ? f->r : 0);
    ASYNC_FINALLY;
    for (int i = 0; i < 2; i++) {
        struct file *file = f->fd[i] >= 0 ? fd_remove(t->thread->files, f->fd[i]) : f->end[i];
        if (file)
            file_put(file);
    }
    ASYNC_END;
}
SYSCALL_ASYNC(59, pipe2, 2);
