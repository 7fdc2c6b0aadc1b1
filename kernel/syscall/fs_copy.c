// SPDX-License-Identifier: MIT
// sendfile and copy_file_range: from one open file to another, through one kernel page.
#include "fs/file.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/thread.h"

enum { COPY_MAX = 0x7ffff000, COPY_CHUNK = PAGE_SIZE };

// Moves up to n bytes from in (at *in_pos) to out (at *out_pos, NULL: at its own position, whose
// lock the caller does not hold). Both positions advance by what was written.
ASYNC_DECL(copy_between, struct file *in; uint64_t *in_pos; struct file *out; uint64_t *out_pos;
           size_t n;);
ASYNC(copy_between, char *page; struct iobuf buf; size_t done; size_t chunk; uint64_t at; long got;
      long r;)
{
    ASYNC_BEGIN(copy_between);
    f->done = 0;
    f->page = kmalloc(COPY_CHUNK);
    if (!f->page)
        ASYNC_RETURN(-ENOMEM);
    while (f->done < f->n) {
        f->chunk = f->n - f->done < COPY_CHUNK ? f->n - f->done : COPY_CHUNK;
        iobuf_kernel(&f->buf, f->page, f->chunk);
        AWAIT_VIA(f->got, file_read, f->in->ops->read, f->in, &f->buf, *f->in_pos);
        f->r = f->got;
        if (f->got <= 0)
            break;
        iobuf_kernel(&f->buf, f->page, (size_t)f->got);
        if (f->out_pos) {
            AWAIT_VIA(f->r, file_write, f->out->ops->write, f->out, &f->buf, *f->out_pos);
        } else {
            AWAIT(f->r, mutex_lock, &f->out->pos_lock, true);
            if (f->r < 0)
                break;
            f->at = f->out->pos;
            AWAIT_VIA(f->r, file_write, f->out->ops->write, f->out, &f->buf, f->at);
            if (f->r > 0)
                f->out->pos = f->at + (uint64_t)f->r;
            mutex_unlock(&f->out->pos_lock, t);
        }
        if (f->r <= 0)
            break;
        f->done += (size_t)f->r;
        *f->in_pos += (uint64_t)f->r;
        if (f->out_pos)
            *f->out_pos += (uint64_t)f->r;
        if (f->r < f->got)
            break;
        YIELD();
    }
    ASYNC_RETURN(f->done ? (long)f->done : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->out->pos_lock, t))
        mutex_unlock(&f->out->pos_lock, t);
    kfree(f->page);
    ASYNC_END;
}

static int check_pair(const struct file *in, const struct file *out)
{
    if (!in || !out || !in->readable || !out->writable)
        return -EBADF;
    if (!in->ops->read || !out->ops->write)
        return -EINVAL;
    return 0;
}

ASYNC_SYSCALL(sys_sendfile, struct file *in; struct file * out; uint64_t pos; size_t n; long r;
              long w;)
{
    ASYNC_BEGIN(sys_sendfile);
    f->out = fd_get(t->thread->files, (int32_t)f->a[0]);
    f->in = fd_get(t->thread->files, (int32_t)f->a[1]);
    f->r = check_pair(f->in, f->out);
    if (f->r == 0 && (f->in->ops->flags & FILE_OPS_STREAM))
        f->r = -EINVAL; // as Linux: the source has pages or at least a position
    if (f->r == 0 && (f->out->flags & O_APPEND))
        f->r = -EINVAL;
    if (f->r == 0 && (int64_t)f->a[3] < 0)
        f->r = -EINVAL;
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->n = f->a[3] < COPY_MAX ? f->a[3] : COPY_MAX;
    if (f->a[2]) {
        AWAIT(f->r, user_read, t->thread->space, &f->pos, f->a[2], sizeof f->pos);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        if ((int64_t)f->pos < 0)
            ASYNC_RETURN(-EINVAL);
        AWAIT(f->r, copy_between, f->in, &f->pos, f->out, NULL, f->n);
        AWAIT(f->w, user_write, t->thread->space, f->a[2], &f->pos, sizeof f->pos);
        ASYNC_RETURN(f->w < 0 ? f->w : f->r);
    }
    f->pos = f->in->pos;
    AWAIT(f->r, copy_between, f->in, &f->pos, f->out, NULL, f->n);
    f->in->pos = f->pos;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->in)
        file_put(f->in);
    if (f->out)
        file_put(f->out);
    ASYNC_END;
}
SYSCALL_ASYNC(71, sendfile, 4);

static int check_range_copy(const struct file *in, const struct file *out, uint64_t flags)
{
    int r = check_pair(in, out);
    if (r < 0)
        return r;
    if (flags || (out->flags & O_APPEND))
        return flags ? -EINVAL : -EBADF;
    if (S_ISDIR(in->vnode->mode) || S_ISDIR(out->vnode->mode))
        return -EISDIR;
    return S_ISREG(in->vnode->mode) && S_ISREG(out->vnode->mode) ? 0 : -EINVAL;
}

ASYNC_SYSCALL(sys_copy_file_range, struct file *in; struct file * out; uint64_t in_pos;
              uint64_t out_pos; size_t n; long r; long w;)
{
    ASYNC_BEGIN(sys_copy_file_range);
    f->in = fd_get(t->thread->files, (int32_t)f->a[0]);
    f->out = fd_get(t->thread->files, (int32_t)f->a[2]);
    f->r = check_range_copy(f->in, f->out, f->a[5]);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->in_pos = f->in->pos;
    f->out_pos = f->out->pos;
    f->n = f->a[4] < COPY_MAX ? f->a[4] : COPY_MAX;
    if (f->a[1]) {
        AWAIT(f->r, user_read, t->thread->space, &f->in_pos, f->a[1], sizeof f->in_pos);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->a[3]) {
        AWAIT(f->r, user_read, t->thread->space, &f->out_pos, f->a[3], sizeof f->out_pos);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if ((int64_t)f->in_pos < 0 || (int64_t)f->out_pos < 0)
        ASYNC_RETURN(-EINVAL);
    if (f->in->vnode == f->out->vnode && f->in_pos < f->out_pos + f->n &&
        f->out_pos < f->in_pos + f->n)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, copy_between, f->in, &f->in_pos, f->out, &f->out_pos, f->n);
    f->w = 0;
    if (f->a[1])
        AWAIT(f->w, user_write, t->thread->space, f->a[1], &f->in_pos, sizeof f->in_pos);
    else
        f->in->pos = f->in_pos;
    if (f->w >= 0 && f->a[3])
        AWAIT(f->w, user_write, t->thread->space, f->a[3], &f->out_pos, sizeof f->out_pos);
    else if (!f->a[3])
        f->out->pos = f->out_pos;
    ASYNC_RETURN(f->w < 0 ? f->w : f->r);
    ASYNC_FINALLY;
    if (f->in)
        file_put(f->in);
    if (f->out)
        file_put(f->out);
    ASYNC_END;
}
SYSCALL_ASYNC(285, copy_file_range, 6);
