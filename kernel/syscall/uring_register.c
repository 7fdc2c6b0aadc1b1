// SPDX-License-Identifier: MIT
// io_uring_register: what a ring keeps for its operations, and what it can do.
#include "fs/anon.h"
#include "fs/eventfd.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "syscall/uring_op.h"
#include "task/thread.h"

enum { FILES_MAX = 4096, BUFFERS_MAX = 1024, EACH_MAX = 1 << 30 };

// ---- files

// A ring may not keep rings: they would keep each other.
static long file_for_ring(int32_t fd, struct file **out)
{
    *out = NULL;
    if (fd == -1)
        return 0; // a place for later
    struct file *file = fd_get(thread_current()->files, fd);
    if (file && (file->ops == &uring_file_ops || file->flags & O_PATH)) {
        file_put(file);
        file = NULL;
    }
    *out = file;
    return file ? 0 : -EBADF;
}

static void put_files(struct file **files, uint32_t n)
{
    for (uint32_t i = 0; files && i < n; i++)
        if (files[i])
            file_put(files[i]);
    kfree(files);
}

// Takes over *files unless some are registered.
static long give_files(struct uring *u, struct file ***files, uint32_t n)
{
    spin_lock(&u->lock);
    bool busy = u->files;
    if (!busy) {
        u->files = *files;
        u->nfiles = n;
        *files = NULL;
    }
    spin_unlock(&u->lock);
    return busy ? -EBUSY : 0;
}

static long drop_files(struct uring *u)
{
    spin_lock(&u->lock);
    struct file **files = u->files;
    uint32_t n = u->nfiles;
    u->files = NULL;
    u->nfiles = 0;
    spin_unlock(&u->lock);
    put_files(files, n);
    return files ? 0 : -ENXIO;
}

ASYNC_DECL(register_files, struct uring *u; va_t fds; uint32_t n;);
ASYNC(register_files, struct file **files; uint32_t i; int32_t fd; long r;)
{
    ASYNC_BEGIN(register_files);
    f->files = NULL;
    f->i = 0;
    if (f->u->files)
        ASYNC_RETURN(-EBUSY);
    if (!f->n)
        ASYNC_RETURN(-EINVAL);
    if (f->n > FILES_MAX || f->n > t->thread->process->rlimit[RLIMIT_NOFILE].cur)
        ASYNC_RETURN(-EMFILE);
    if (!(f->files = kzalloc(f->n * sizeof *f->files)))
        ASYNC_RETURN(-ENOMEM);
    for (; f->i < f->n; f->i++) {
        AWAIT(f->r, user_read, t->thread->space, &f->fd, f->fds + 4ul * f->i, sizeof f->fd);
        if (f->r == 0)
            f->r = file_for_ring(f->fd, &f->files[f->i]);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_RETURN(give_files(f->u, &f->files, f->n));
    ASYNC_FINALLY;
    put_files(f->files, f->i);
    ASYNC_END;
}

enum { SKIP_FILE = -2 };

static long replace_file(struct uring *u, uint32_t at, int32_t fd)
{
    struct file *new, *old = NULL;
    if (fd == SKIP_FILE)
        return 0;
    long r = file_for_ring(fd, &new);
    if (r)
        return r;
    spin_lock(&u->lock);
    if (at < u->nfiles) {
        old = u->files[at];
        u->files[at] = new;
    } else {
        old = new;
    }
    spin_unlock(&u->lock);
    if (old)
        file_put(old);
    return 0;
}

// How many were replaced, before an error.
ASYNC_DECL(update_files, struct uring *u; va_t arg; uint32_t n;);
ASYNC(update_files, struct uring_files_update up; uint32_t i; int32_t fd; long r;)
{
    ASYNC_BEGIN(update_files);
    AWAIT(f->r, user_read, t->thread->space, &f->up, f->arg, sizeof f->up);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!f->n || f->up.resv)
        ASYNC_RETURN(-EINVAL);
    if (!f->u->files)
        ASYNC_RETURN(-ENXIO);
    if ((uint64_t)f->up.offset + f->n > f->u->nfiles)
        ASYNC_RETURN(-EINVAL);
    for (f->i = 0; f->i < f->n; f->i++) {
        AWAIT(f->r, user_read, t->thread->space, &f->fd, f->up.fds + 4ul * f->i, sizeof f->fd);
        if (f->r == 0)
            f->r = replace_file(f->u, f->up.offset + f->i, f->fd);
        if (f->r < 0)
            break;
    }
    ASYNC_RETURN(f->i ? f->i : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- buffers

static long check_buffer(const struct iovec_k *iov)
{
    if (!iov->base)
        return iov->len ? -EFAULT : 0;
    if (!iov->len || iov->len > EACH_MAX || !user_range_ok(iov->base, iov->len))
        return -EFAULT;
    return 0;
}

ASYNC_DECL(register_buffers, struct uring *u; va_t vec; uint32_t n;);
ASYNC(register_buffers, struct uring_buffer *buffers; uint32_t i; struct iovec_k iov; long r;)
{
    ASYNC_BEGIN(register_buffers);
    f->buffers = NULL;
    if (f->u->buffers)
        ASYNC_RETURN(-EBUSY);
    if (!f->n || f->n > BUFFERS_MAX)
        ASYNC_RETURN(-EINVAL);
    if (!(f->buffers = kzalloc(f->n * sizeof *f->buffers)))
        ASYNC_RETURN(-ENOMEM);
    for (f->i = 0; f->i < f->n; f->i++) {
        AWAIT(f->r, user_read, t->thread->space, &f->iov, f->vec + f->i * sizeof f->iov,
              sizeof f->iov);
        if (f->r == 0)
            f->r = check_buffer(&f->iov);
        if (f->r == 0 && f->iov.len)
            AWAIT(f->r, space_commit, t->thread->space, f->iov.base, f->iov.len, ACCESS_READ);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->buffers[f->i] = (struct uring_buffer){f->iov.base, f->iov.len};
    }
    spin_lock(&f->u->lock);
    f->r = f->u->buffers ? -EBUSY : 0;
    if (!f->r) {
        f->u->buffers = f->buffers;
        f->u->nbuffers = f->n;
        f->buffers = NULL;
    }
    spin_unlock(&f->u->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    kfree(f->buffers);
    ASYNC_END;
}

static long drop_buffers(struct uring *u)
{
    spin_lock(&u->lock);
    struct uring_buffer *buffers = u->buffers;
    u->buffers = NULL;
    u->nbuffers = 0;
    spin_unlock(&u->lock);
    kfree(buffers);
    return buffers ? 0 : -ENXIO;
}

// ---- eventfd

static long swap_eventfd(struct uring *u, struct file *file, bool async)
{
    spin_lock(&u->lock);
    struct file *old = u->eventfd;
    bool refused = file && old;
    if (!refused) {
        u->eventfd = file;
        u->eventfd_async = async;
    }
    spin_unlock(&u->lock);
    if (refused)
        return -EBUSY;
    if (old)
        file_put(old);
    return file || old ? 0 : -ENXIO;
}

ASYNC_DECL(register_eventfd, struct uring *u; va_t arg; bool async;);
ASYNC(register_eventfd, int32_t fd; long r;)
{
    ASYNC_BEGIN(register_eventfd);
    if (f->u->eventfd)
        ASYNC_RETURN(-EBUSY);
    AWAIT(f->r, user_read, t->thread->space, &f->fd, f->arg, sizeof f->fd);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    struct file *file = fd_get(t->thread->files, f->fd);
    if (!file)
        ASYNC_RETURN(-EBADF);
    f->r = file_is_eventfd(file) ? swap_eventfd(f->u, file, f->async) : -EINVAL;
    if (f->r < 0)
        file_put(file);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- what it can do

static bool is_zero(const void *p, size_t n)
{
    const char *c = p;
    while (n && !*c)
        c++, n--;
    return !n;
}

ASYNC_DECL(register_probe, va_t arg; uint32_t n;);
ASYNC(register_probe, struct uring_probe *p; size_t size; long r;)
{
    ASYNC_BEGIN(register_probe);
    f->p = NULL;
    if (!f->arg || f->n > PROBE_MAX)
        ASYNC_RETURN(-EINVAL);
    f->size = sizeof *f->p + f->n * sizeof f->p->ops[0];
    if (!(f->p = kmalloc(f->size)))
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, user_read, t->thread->space, f->p, f->arg, f->size);
    if (f->r == 0 && !is_zero(f->p, f->size))
        f->r = -EINVAL;
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->p->last_op = OP_LAST - 1;
    f->p->ops_len = (uint8_t)(f->n < OP_LAST ? f->n : OP_LAST);
    for (uint32_t i = 0; i < f->p->ops_len; i++) {
        f->p->ops[i].op = (uint8_t)i;
        f->p->ops[i].flags = uring_def(i) ? PROBE_SUPPORTED : 0;
    }
    AWAIT(f->r, user_write, t->thread->space, f->arg, f->p, f->size);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    kfree(f->p);
    ASYNC_END;
}

static long enable_rings(struct uring *u)
{
    spin_lock(&u->lock);
    bool was = u->flags & SETUP_R_DISABLED;
    u->flags &= ~(uint32_t)SETUP_R_DISABLED;
    spin_unlock(&u->lock);
    return was ? 0 : -EBADFD;
}

// What waits for nothing.
static long register_now(struct uring *u, uint32_t what, va_t arg, uint32_t n)
{
    if (arg || n)
        return -EINVAL;
    switch (what) {
    case UNREGISTER_BUFFERS:
        return drop_buffers(u);
    case UNREGISTER_FILES:
        return drop_files(u);
    case UNREGISTER_EVENTFD:
        return swap_eventfd(u, NULL, false);
    case REGISTER_ENABLE_RINGS:
        return enable_rings(u);
    default:
        return -EINVAL;
    }
}

// fd, what, arg, n
ASYNC_SYSCALL(sys_io_uring_register, struct file *file; struct uring * u; uint32_t what; uint32_t n;
              long r;)
{
    ASYNC_BEGIN(sys_io_uring_register);
    f->what = (uint32_t)f->a[1];
    f->file = NULL;
    if (f->what > REGISTER_ENABLE_RINGS)
        ASYNC_RETURN(-EINVAL);
    if (!(f->file = fd_get(t->thread->files, (int32_t)f->a[0])))
        ASYNC_RETURN(-EBADF);
    if (f->file->ops != &uring_file_ops)
        ASYNC_RETURN(-EOPNOTSUPP);
    f->u = uring_of(f->file);
    f->n = (uint32_t)f->a[3];
    if (f->what == REGISTER_BUFFERS)
        AWAIT(f->r, register_buffers, f->u, f->a[2], f->n);
    else if (f->what == REGISTER_FILES)
        AWAIT(f->r, register_files, f->u, f->a[2], f->n);
    else if (f->what == REGISTER_FILES_UPDATE)
        AWAIT(f->r, update_files, f->u, f->a[2], f->n);
    else if (f->what == REGISTER_PROBE)
        AWAIT(f->r, register_probe, f->a[2], f->n);
    else if (f->what != REGISTER_EVENTFD && f->what != REGISTER_EVENTFD_ASYNC)
        f->r = register_now(f->u, f->what, f->a[2], f->n);
    else if (f->n != 1)
        f->r = -EINVAL;
    else
        AWAIT(f->r, register_eventfd, f->u, f->a[2], f->what == REGISTER_EVENTFD_ASYNC);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(427, io_uring_register, 4);
