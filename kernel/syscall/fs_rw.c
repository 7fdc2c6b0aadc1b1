// SPDX-License-Identifier: MIT
// read, write and their relatives.
//
// read and write try the file's plain operation first, from the trap path; only what must wait, or
// has no plain operation, comes to the async handlers. A file with a position that is shared
// (dup, fork, threads) has its position lock held across the transfer.
#include "syscall/fs_rw.h"

#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/thread.h"

// ---- plain tries

typedef long try_op(struct file *file, va_t va, size_t len, uint64_t pos);

// Position moves by what was transferred. An unshared file needs no lock: its only user is here.
static long try_with_position(struct file *file, try_op *op, va_t va, size_t len)
{
    bool shared = load_relaxed(&file->refs) > 1;
    if (shared && !mutex_trylock(&file->pos_lock, current_task()))
        return syscall_go_async();
    long r = op(file, va, len, file->pos);
    if (r > 0 && !(current_task()->local & LOCAL_ASYNC))
        file->pos += (uint64_t)r;
    if (shared)
        mutex_unlock(&file->pos_lock, current_task());
    return r;
}

static inline long try_transfer(struct file *file, try_op *op, va_t va, size_t len)
{
    if (unlikely(!op || len > RW_MAX))
        return syscall_go_async();
    if (file->ops->flags & FILE_OPS_STREAM)
        return op(file, va, len, 0);
    return try_with_position(file, op, va, len);
}

static cold long try_any(struct fd_table *table, uint64_t fd, va_t va, size_t len, bool write)
{
    bool referenced;
    struct file *file = fd_borrow(table, fd, &referenced);
    if (unlikely(!file))
        return -EBADF;
    bool allowed = write ? file->writable : file->readable;
    try_op *op = write ? file->ops->try_write : file->ops->try_read;
    long r = allowed ? try_transfer(file, op, va, len) : -EBADF;
    fd_unborrow(file, referenced);
    return r;
}

// A stream of a table nobody shares: it cannot be closed meanwhile and has no position, so its
// operation can be the last thing that is called.
static inline struct file *fd_borrow_stream(struct fd_table *table, uint64_t fd)
{
    if (!fd_table_private(table) || (uint32_t)fd >= table->capacity)
        return NULL;
    struct file *file = table->file[(uint32_t)fd];
    return file && (file->ops->flags & FILE_OPS_STREAM) ? file : NULL;
}

static long try_read(uint64_t fd, va_t va, size_t len)
{
    struct fd_table *table = thread_current()->files;
    struct file *file = fd_borrow_stream(table, fd);
    if (likely(file && file->readable && file->ops->try_read))
        return file->ops->try_read(file, va, len < RW_MAX ? len : RW_MAX, 0);
    return try_any(table, fd, va, len, false);
}

static long try_write(uint64_t fd, va_t va, size_t len)
{
    struct fd_table *table = thread_current()->files;
    struct file *file = fd_borrow_stream(table, fd);
    if (likely(file && file->writable && file->ops->try_write))
        return file->ops->try_write(file, va, len < RW_MAX ? len : RW_MAX, 0);
    return try_any(table, fd, va, len, true);
}

static long try_pread(uint64_t fd, va_t va, size_t len, int64_t pos, bool write)
{
    struct fd_table *table = thread_current()->files;
    bool referenced;
    struct file *file = fd_borrow(table, fd, &referenced);
    long r = -EBADF;
    if (unlikely(!file))
        return r;
    try_op *op = write ? file->ops->try_write : file->ops->try_read;
    if (pos < 0)
        r = -EINVAL;
    else if (file->ops->flags & FILE_OPS_STREAM)
        r = -ESPIPE;
    else if (write ? file->writable : file->readable)
        r = op && len <= RW_MAX ? op(file, va, len, (uint64_t)pos) : syscall_go_async();
    fd_unborrow(file, referenced);
    return r;
}

static long try_pread64(uint64_t fd, va_t va, size_t len, int64_t pos)
{
    return try_pread(fd, va, len, pos, false);
}

static long try_pwrite64(uint64_t fd, va_t va, size_t len, int64_t pos)
{
    return try_pread(fd, va, len, pos, true);
}

// ---- async

ASYNC(file_transfer, bool own; const struct async_fn *op; long r;)
{
    ASYNC_BEGIN(file_transfer);
    f->own = f->pos < 0 && !(f->file->ops->flags & FILE_OPS_STREAM);
    if (!(f->write ? f->file->writable : f->file->readable))
        ASYNC_RETURN(-EBADF);
    f->op = f->write ? f->file->ops->write : f->file->ops->read;
    if (!f->op)
        ASYNC_RETURN(S_ISDIR(f->file->vnode->mode) ? -EISDIR : -EINVAL);
    if (!f->buf->left && f->buf->next) // a vector of nothing asks no file
        ASYNC_RETURN(0);
    if (f->own) {
        AWAIT(f->r, mutex_lock, &f->file->pos_lock, true);
        if (f->r < 0)
            ASYNC_RETURN(-ERESTARTSYS);
        f->pos = (int64_t)f->file->pos;
    }
    if (f->write)
        AWAIT_VIA(f->r, file_write, f->op, f->file, f->buf, (uint64_t)f->pos);
    else
        AWAIT_VIA(f->r, file_read, f->op, f->file, f->buf, (uint64_t)f->pos);
    if (f->own && f->r > 0) {
        f->file->pos = (uint64_t)f->pos + (uint64_t)f->r;
        if (f->write && (f->file->flags & O_APPEND))
            f->file->pos = f->file->data->size;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->file->pos_lock, t))
        mutex_unlock(&f->file->pos_lock, t);
    ASYNC_END;
}

// read, write, pread64, pwrite64: one range.
ASYNC_DECL(transfer_range, uint64_t fd; va_t va; size_t len; int64_t pos; bool write;);
ASYNC(transfer_range, struct file *file; struct iobuf buf; long r;)
{
    ASYNC_BEGIN(transfer_range);
    f->file = fd_get(t->thread->files, (int32_t)f->fd);
    if (!f->file)
        ASYNC_RETURN(-EBADF);
    if (!user_range_ok(f->va, f->len)) // before the cut, as Linux looks at it
        ASYNC_RETURN(-EFAULT);
    if (f->len > RW_MAX)
        f->len = RW_MAX;
    iobuf_user(&f->buf, t->thread->space, f->va, f->len);
    AWAIT(f->r, file_transfer, f->file, &f->buf, f->pos, f->write);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_read, long r;)
{
    ASYNC_BEGIN(sys_read);
    AWAIT(f->r, transfer_range, f->a[0], f->a[1], f->a[2], -1, false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(63, read, 3);

ASYNC_SYSCALL(sys_write, long r;)
{
    ASYNC_BEGIN(sys_write);
    AWAIT(f->r, transfer_range, f->a[0], f->a[1], f->a[2], -1, true);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(64, write, 3);

ASYNC_SYSCALL(sys_pread64, long r;)
{
    ASYNC_BEGIN(sys_pread64);
    AWAIT(f->r, transfer_range, f->a[0], f->a[1], f->a[2], (int64_t)f->a[3], false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(67, pread64, 4);

ASYNC_SYSCALL(sys_pwrite64, long r;)
{
    ASYNC_BEGIN(sys_pwrite64);
    AWAIT(f->r, transfer_range, f->a[0], f->a[1], f->a[2], (int64_t)f->a[3], true);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(68, pwrite64, 4);

// ---- vectors

// Lengths that do not fit a ssize_t are -EINVAL; a total above RW_MAX is cut.
static long check_iovec(struct iovec_k *iov, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        if ((int64_t)iov[i].len < 0)
            return -EINVAL;
        if (!user_range_ok(iov[i].base, iov[i].len))
            return -EFAULT;
        if (iov[i].len > RW_MAX - total)
            iov[i].len = RW_MAX - total;
        total += iov[i].len;
    }
    return 0;
}

ASYNC(file_transfer_vector, struct iovec_k *vec; struct iobuf buf; long r;)
{
    ASYNC_BEGIN(file_transfer_vector);
    f->vec = NULL;
    if (f->count > IOV_MAX)
        ASYNC_RETURN(-EINVAL);
    if (f->pos != -1 && (f->file->ops->flags & FILE_OPS_STREAM))
        ASYNC_RETURN(-ESPIPE);
    f->vec = kmalloc((f->count + 1) * sizeof *f->vec);
    if (!f->vec)
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, user_read, t->thread->space, f->vec, f->iov, f->count * sizeof *f->vec);
    if (f->r >= 0)
        f->r = check_iovec(f->vec, (uint32_t)f->count);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    iobuf_iovec(&f->buf, t->thread->space, f->vec, (uint32_t)f->count);
    if (f->total)
        *f->total = f->buf.left;
    AWAIT(f->r, file_transfer, f->file, &f->buf, f->pos, f->write);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    kfree(f->vec);
    ASYNC_END;
}

// pos: -1 own position, else as given (already checked).
ASYNC_DECL(transfer_vector, uint64_t fd; va_t iov; uint64_t count; int64_t pos; bool write;);
ASYNC(transfer_vector, struct file *file; long r;)
{
    ASYNC_BEGIN(transfer_vector);
    f->file = fd_get(t->thread->files, (int32_t)f->fd);
    if (!f->file)
        ASYNC_RETURN(-EBADF);
    AWAIT(f->r, file_transfer_vector, f->file, f->iov, f->count, f->pos, f->write, NULL);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_readv, long r;)
{
    ASYNC_BEGIN(sys_readv);
    AWAIT(f->r, transfer_vector, f->a[0], f->a[1], f->a[2], -1, false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(65, readv, 3);

ASYNC_SYSCALL(sys_writev, long r;)
{
    ASYNC_BEGIN(sys_writev);
    AWAIT(f->r, transfer_vector, f->a[0], f->a[1], f->a[2], -1, true);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(66, writev, 3);

ASYNC_SYSCALL(sys_preadv, long r;)
{
    ASYNC_BEGIN(sys_preadv);
    if ((int64_t)f->a[3] < 0)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, transfer_vector, f->a[0], f->a[1], f->a[2], (int64_t)f->a[3], false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(69, preadv, 5);

ASYNC_SYSCALL(sys_pwritev, long r;)
{
    ASYNC_BEGIN(sys_pwritev);
    if ((int64_t)f->a[3] < 0)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, transfer_vector, f->a[0], f->a[1], f->a[2], (int64_t)f->a[3], true);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(70, pwritev, 5);

// ---- position

static long try_lseek(uint64_t fd, int64_t offset, uint32_t whence)
{
    struct fd_table *table = thread_current()->files;
    bool referenced;
    struct file *file = fd_borrow(table, fd, &referenced);
    long r;
    if (!file)
        return -EBADF;
    if ((file->flags & O_PATH))
        r = -EBADF;
    else if (whence > SEEK_HOLE)
        r = -EINVAL;
    else if (file->ops->flags & FILE_OPS_STREAM)
        r = file->ops->seek ? file->ops->seek(file, offset, (int)whence) : -ESPIPE;
    else if (!mutex_trylock(&file->pos_lock, current_task()))
        r = syscall_go_async();
    else {
        r = file->ops->seek ? file->ops->seek(file, offset, (int)whence)
                            : file_seek_default(file, offset, (int)whence);
        mutex_unlock(&file->pos_lock, current_task());
    }
    fd_unborrow(file, referenced);
    return r;
}

ASYNC_SYSCALL(sys_lseek, struct file *file; long r;)
{
    ASYNC_BEGIN(sys_lseek);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file)
        ASYNC_RETURN(-EBADF);
    AWAIT(f->r, mutex_lock, &f->file->pos_lock, true);
    if (f->r < 0)
        ASYNC_RETURN(-ERESTARTSYS);
    f->r = f->file->ops->seek ? f->file->ops->seek(f->file, (int64_t)f->a[1], (int)f->a[2])
                              : file_seek_default(f->file, (int64_t)f->a[1], (int)f->a[2]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file) {
        if (mutex_held(&f->file->pos_lock, t))
            mutex_unlock(&f->file->pos_lock, t);
        file_put(f->file);
    }
    ASYNC_END;
}
SYSCALL_TRY(62, lseek, 3);
