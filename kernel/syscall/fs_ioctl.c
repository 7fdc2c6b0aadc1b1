// SPDX-License-Identifier: MIT
// ioctl: a few requests mean the same for every file; the rest is the driver's. And getrandom.
#include "dev/random.h"
#include "mem/user.h"
#include "syscall/fs_path.h"
#include "syscall/syscall.h"

enum { FIONREAD = 0x541b, FIONBIO = 0x5421, FIONCLEX = 0x5450, FIOCLEX = 0x5451 };

ASYNC_DECL(ioctl_nonblock, struct file *file; va_t arg;);
ASYNC(ioctl_nonblock, int32_t on; long r;)
{
    ASYNC_BEGIN(ioctl_nonblock);
    AWAIT(f->r, user_read, t->thread->space, &f->on, f->arg, sizeof f->on);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->file->flags = f->on ? f->file->flags | O_NONBLOCK : f->file->flags & ~(uint32_t)O_NONBLOCK;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Of a regular file: bytes between the position and the end.
ASYNC_DECL(ioctl_left, struct file *file; va_t arg;);
ASYNC(ioctl_left, int32_t n; long r;)
{
    ASYNC_BEGIN(ioctl_left);
    f->n = (int32_t)(f->file->vnode->size - f->file->pos);
    AWAIT(f->r, user_write, t->thread->space, f->arg, &f->n, sizeof f->n);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_SYSCALL(sys_ioctl, struct file *file; uint32_t cmd; long r;)
{
    ASYNC_BEGIN(sys_ioctl);
    f->cmd = (uint32_t)f->a[1];
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file || (f->file->flags & O_PATH))
        ASYNC_RETURN(-EBADF);
    f->r = -ENOTTY;
    if (f->cmd == FIOCLEX || f->cmd == FIONCLEX)
        f->r = fd_set_cloexec(t->thread->files, (int32_t)f->a[0], f->cmd == FIOCLEX);
    else if (f->cmd == FIONBIO)
        AWAIT(f->r, ioctl_nonblock, f->file, f->a[2]);
    else if (f->cmd == FIONREAD && S_ISREG(f->file->vnode->mode))
        AWAIT(f->r, ioctl_left, f->file, f->a[2]);
    else if (f->file->ops->ioctl)
        AWAIT_VIA(f->r, file_ioctl, f->file->ops->ioctl, f->file, f->cmd, f->a[2]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(29, ioctl, 3);

// ---- getrandom

enum { GRND_NONBLOCK = 1, GRND_RANDOM = 2, GRND_INSECURE = 4, RANDOM_PLAIN = 256 };
enum { READY_POLL_NS = 10000000 };

static bool random_flags_ok(uint32_t flags)
{
    return !(flags & ~(uint32_t)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) &&
           (flags & (GRND_RANDOM | GRND_INSECURE)) != (GRND_RANDOM | GRND_INSECURE);
}

static long try_getrandom(va_t va, size_t len, uint32_t flags)
{
    uint8_t buf[RANDOM_PLAIN];
    if (!random_flags_ok(flags))
        return -EINVAL;
    if (len > RANDOM_PLAIN || (!random_ready() && !(flags & GRND_INSECURE)))
        return syscall_go_async();
    random_bytes(buf, len);
    long r = user_copy_out(thread_current()->space, va, buf, len);
    memset(buf, 0, sizeof buf);
    return likely(r == 0) ? (long)len : syscall_cut_short(r);
}

ASYNC_SYSCALL(sys_getrandom, struct iobuf to; size_t n; long r; uint8_t chunk[RANDOM_PLAIN];)
{
    ASYNC_BEGIN(sys_getrandom);
    if (f->a[1] > INT32_MAX)
        f->a[1] = INT32_MAX;
    if (!user_range_ok(f->a[0], f->a[1]))
        ASYNC_RETURN(-EFAULT);
    iobuf_user(&f->to, t->thread->space, f->a[0], f->a[1]);
    while (!random_ready() && !(f->a[2] & GRND_INSECURE)) {
        if (f->a[2] & GRND_NONBLOCK)
            ASYNC_RETURN(-EAGAIN);
        AWAIT(f->r, sleep_ns, READY_POLL_NS, true);
        if (f->r < 0)
            ASYNC_RETURN(-ERESTARTSYS);
    }
    while (f->to.left) {
        f->n = f->to.left < RANDOM_PLAIN ? f->to.left : RANDOM_PLAIN;
        random_bytes(f->chunk, f->n);
        AWAIT(f->r, iobuf_out_all, &f->to, f->chunk, f->n);
        if (f->r < (long)f->n)
            ASYNC_RETURN(f->to.done ? (long)f->to.done : f->r);
        if (f->to.done % (16 * RANDOM_PLAIN) == 0) {
            if (task_interrupted(t))
                break;
            YIELD();
        }
    }
    ASYNC_RETURN((long)f->to.done);
    ASYNC_FINALLY;
    memset(f->chunk, 0, sizeof f->chunk);
    ASYNC_END;
}
SYSCALL_TRY(278, getrandom, 3);
