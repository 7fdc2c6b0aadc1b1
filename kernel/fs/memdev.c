// SPDX-License-Identifier: MIT
// null, zero, full, random, urandom: devices that are only code. All answers are plain.
#include "dev/random.h"
#include "fs/file.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/thread.h"

enum { ZERO_MAX = 64 * 1024, RANDOM_CHUNK = 256 }; // per plain call: longer ones come back for more

// ---- reading nothing, writing into nothing

static long null_try_read(struct file *file, va_t va, size_t len, uint64_t pos)
{
    (void)file, (void)va, (void)len, (void)pos;
    return 0;
}

static long null_try_write(struct file *file, va_t va, size_t len, uint64_t pos)
{
    (void)file, (void)pos;
    return user_range_ok(va, len) ? (long)len : -EFAULT;
}

ASYNC_IMPL(null_read, file_read, )
{
    ASYNC_BEGIN(null_read);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(null_write, file_write, size_t n;)
{
    ASYNC_BEGIN(null_write);
    f->n = f->buf->left;
    iobuf_skip(f->buf, f->n);
    ASYNC_RETURN((long)f->n);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long memdev_seek(struct file *file, int64_t offset, int whence)
{
    (void)offset;
    return whence < SEEK_SET || whence > SEEK_END ? -EINVAL : (long)(file->pos = 0);
}

// ---- zeroes

static long zero_try_read(struct file *file, va_t va, size_t len, uint64_t pos)
{
    (void)file, (void)pos;
    if (len > ZERO_MAX)
        return syscall_go_async();
    long r = user_zero_out(thread_current()->space, va, len);
    return likely(r == 0) ? (long)len : syscall_cut_short(r);
}

ASYNC_IMPL(zero_read, file_read, size_t moved; long r;)
{
    ASYNC_BEGIN(zero_read);
    f->moved = 0;
    f->r = 0;
    while (f->buf->left) {
        f->r = iobuf_zero(f->buf, ZERO_MAX);
        if (f->r > 0)
            f->moved += (size_t)f->r;
        if (f->r == -ECOMMIT)
            AWAIT(f->r, iobuf_commit, f->buf, true);
        if (f->r < 0)
            break;
        if (task_killed(t))
            break;
        YIELD();
    }
    ASYNC_RETURN(f->moved || f->r >= 0 ? (long)f->moved : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static int zero_mmap(struct file *file, uint32_t prot, uint32_t flags, struct phys **out)
{
    (void)file, (void)prot, (void)flags;
    *out = NULL; // anonymous
    return 0;
}

ASYNC_IMPL(full_write, file_write, )
{
    ASYNC_BEGIN(full_write);
    ASYNC_RETURN(f->buf->left ? -ENOSPC : 0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- random bytes

ASYNC_IMPL(random_read, file_read, size_t moved; size_t n; long r; uint8_t chunk[RANDOM_CHUNK];)
{
    ASYNC_BEGIN(random_read);
    f->moved = 0;
    f->r = 0;
    while (f->buf->left) {
        f->n = f->buf->left < RANDOM_CHUNK ? f->buf->left : RANDOM_CHUNK;
        random_bytes(f->chunk, f->n);
        AWAIT(f->r, iobuf_out_all, f->buf, f->chunk, f->n);
        if (f->r < 0)
            break;
        f->moved += (size_t)f->r;
        if ((size_t)f->r < f->n || task_interrupted(t))
            break;
        if (f->moved % (16 * RANDOM_CHUNK) == 0)
            YIELD();
    }
    ASYNC_RETURN(f->moved || f->r >= 0 ? (long)f->moved : f->r);
    ASYNC_FINALLY;
    memset(f->chunk, 0, sizeof f->chunk);
    ASYNC_END;
}

// What is written is mixed in, and counts for nothing.
ASYNC_IMPL(random_write, file_write, size_t moved; size_t n; long r; uint8_t chunk[RANDOM_CHUNK];)
{
    ASYNC_BEGIN(random_write);
    f->moved = 0;
    f->r = 0;
    while (f->buf->left) {
        f->n = f->buf->left < RANDOM_CHUNK ? f->buf->left : RANDOM_CHUNK;
        AWAIT(f->r, iobuf_in_all, f->buf, f->chunk, f->n);
        if (f->r < 0)
            break;
        random_mix(f->chunk, (size_t)f->r, 0);
        f->moved += (size_t)f->r;
        if ((size_t)f->r < f->n || task_interrupted(t))
            break;
    }
    ASYNC_RETURN(f->moved || f->r >= 0 ? (long)f->moved : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct file_ops null_ops = {
    .read = &null_read_fn,
    .write = &null_write_fn,
    .try_read = null_try_read,
    .try_write = null_try_write,
    .seek = memdev_seek,
};
static const struct file_ops zero_ops = {
    .read = &zero_read_fn,
    .write = &null_write_fn,
    .try_read = zero_try_read,
    .try_write = null_try_write,
    .seek = memdev_seek,
    .mmap = zero_mmap,
};
static const struct file_ops full_ops = {
    .read = &zero_read_fn,
    .write = &full_write_fn,
    .try_read = zero_try_read,
    .seek = memdev_seek,
};
static const struct file_ops random_ops = {
    .read = &random_read_fn,
    .write = &random_write_fn,
    .seek = memdev_seek,
};

CHARDEV(null, 1, 3, 0666, &null_ops);
CHARDEV(zero, 1, 5, 0666, &zero_ops);
CHARDEV(full, 1, 7, 0666, &full_ops);
CHARDEV(random, 1, 8, 0666, &random_ops);
CHARDEV(urandom, 1, 9, 0666, &random_ops);
