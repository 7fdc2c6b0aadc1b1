// SPDX-License-Identifier: MIT
// Disks as files: /dev/vda read and written as bytes, straight from and to the device.
//
// There is no cache in between: a read gets up to RUN pages in one request, a write goes through
// page by page, reading first what it covers only in part. vnode.lock, which the VFS holds around
// a write, keeps two such writes apart. A mounted file system has its own cache and does not see
// what is written here.
#include "dev/block.h"
#include "fs/devfs.h"
#include "fs/file.h"
#include "mem/user.h"
#include "page/frame.h"
#include "task/thread.h"

enum { RUN = 16, PAGE_SECTORS = PAGE_SIZE / SECTOR_SIZE };
enum {
    BLKROGET = 0x125e,
    BLKGETSIZE = 0x1260,
    BLKFLSBUF = 0x1261,
    BLKSSZGET = 0x1268,
    BLKPBSZGET = 0x127b,
};
#define BLKBSZGET    0x80081270u
#define BLKGETSIZE64 0x80081272u

static struct block_device *device_of(const struct file *file)
{
    return devfs_block_device(file->vnode->rdev);
}

static uint64_t size_of(const struct block_device *bdev)
{
    return load_relaxed(&bdev->capacity) * SECTOR_SIZE;
}

ASYNC_IMPL(blockdev_open, file_open, )
{
    ASYNC_BEGIN(blockdev_open);
    ASYNC_RETURN(device_of(f->file) ? 0 : -ENXIO);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- pages: a request for n of them, whose frames live as long as the request

struct run {
    struct block_request *req;
    uint32_t pages;
};

static void run_end(struct run *run)
{
    if (run->req)
        block_request_put(run->req);
    run->req = NULL;
}

// n pages from `page` on, cut at the end of the disk. 0, -ENOMEM.
static long run_begin(struct run *run, struct block_device *bdev, enum block_op op, uint64_t page,
                      uint32_t n)
{
    uint64_t sector = page * PAGE_SECTORS;
    run->pages = 0;
    run->req = block_request_new(bdev, op, sector);
    if (!run->req)
        return -ENOMEM;
    for (; run->pages < n && sector < bdev->capacity; run->pages++, sector += PAGE_SECTORS) {
        uint64_t left = bdev->capacity - sector;
        uint32_t sectors = left < PAGE_SECTORS ? (uint32_t)left : PAGE_SECTORS;
        pa_t pa = frame_alloc(FRAME_ZERO);
        int r = pa ? block_request_add(run->req, pa, sectors * SECTOR_SIZE) : -ENOMEM;
        if (pa)
            frame_unref(pa); // the request has its own reference
        if (r < 0)
            break;
    }
    return run->pages > 0 ? 0 : -ENOMEM;
}

static void *run_page(const struct run *run, uint32_t i)
{
    return pa_to_kva(run->req->segment[i].pa);
}

// ---- reading and writing

static uint32_t pages_for(uint64_t pos, size_t bytes, const struct block_device *bdev)
{
    uint64_t n = ((pos & PAGE_MASK) + bytes + PAGE_MASK) >> PAGE_SHIFT;
    uint32_t max = bdev->max_segments < RUN ? bdev->max_segments : RUN;
    return n < max ? (uint32_t)n : max;
}

ASYNC_IMPL(blockdev_read, file_read, struct run run; struct block_device *bdev; size_t moved;
           uint64_t at; size_t n; uint32_t i; long r;)
{
    ASYNC_BEGIN(blockdev_read);
    f->run.req = NULL;
    f->moved = 0;
    f->r = 0;
    f->bdev = device_of(f->file);
    while (f->buf->left > 0 && f->pos + f->moved < size_of(f->bdev)) {
        f->at = f->pos + f->moved;
        f->r = run_begin(&f->run, f->bdev, BLOCK_READ, f->at >> PAGE_SHIFT,
                         pages_for(f->at, f->buf->left, f->bdev));
        if (f->r == 0)
            AWAIT(f->r, block_rw, f->bdev, f->run.req);
        for (f->i = 0; f->r >= 0 && f->i < f->run.pages && f->buf->left > 0; f->i++) {
            f->at = f->pos + f->moved;
            f->n = f->run.req->segment[f->i].bytes - (f->at & PAGE_MASK);
            f->n = f->n < f->buf->left ? f->n : f->buf->left;
            AWAIT(f->r, iobuf_out_all, f->buf,
                  (char *)run_page(&f->run, f->i) + (f->at & PAGE_MASK), f->n);
            if (f->r > 0)
                f->moved += (size_t)f->r;
            if (f->r >= 0 && (size_t)f->r < f->n)
                f->r = -EFAULT;
        }
        run_end(&f->run);
        if (f->r < 0 || task_killed(t))
            break;
    }
    ASYNC_RETURN(f->moved > 0 || f->r >= 0 ? (long)f->moved : f->r);
    ASYNC_FINALLY;
    run_end(&f->run);
    ASYNC_END;
}

// One page of the disk to or from the frame pa.
ASYNC_DECL(move_page, struct block_device *bdev; enum block_op op; uint64_t page; pa_t pa;
           uint32_t bytes;);
ASYNC(move_page, struct block_request *req; long r;)
{
    ASYNC_BEGIN(move_page);
    f->req = block_request_new(f->bdev, f->op, f->page * PAGE_SECTORS);
    f->r = f->req ? block_request_add(f->req, f->pa, f->bytes) : -ENOMEM;
    if (f->r == 0)
        AWAIT(f->r, block_rw, f->bdev, f->req);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->req)
        block_request_put(f->req);
    ASYNC_END;
}

// What the caller gives of one page: read unless all of it is replaced, change, write.
ASYNC_DECL(write_page, struct block_device *bdev; struct iobuf *buf; uint64_t at;);
ASYNC(write_page, pa_t pa; uint64_t left; uint32_t bytes; size_t n; long moved; long r;)
{
    ASYNC_BEGIN(write_page);
    f->r = -ENOMEM;
    f->pa = frame_alloc(0);
    if (!f->pa)
        ASYNC_RETURN(f->r);
    f->left = size_of(f->bdev) - page_round_down(f->at);
    f->bytes = f->left < PAGE_SIZE ? (uint32_t)f->left : PAGE_SIZE;
    f->n = f->bytes - (f->at & PAGE_MASK);
    f->n = f->n < f->buf->left ? f->n : f->buf->left;
    if (f->n < f->bytes) {
        AWAIT(f->r, move_page, f->bdev, BLOCK_READ, f->at >> PAGE_SHIFT, f->pa, f->bytes);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    AWAIT(f->moved, iobuf_in_all, f->buf, (char *)pa_to_kva(f->pa) + (f->at & PAGE_MASK), f->n);
    if (f->moved <= 0)
        ASYNC_RETURN(f->moved);
    if ((size_t)f->moved < f->n && f->n == f->bytes)
        ASYNC_RETURN(-EFAULT); // the rest of the page is not known
    AWAIT(f->r, move_page, f->bdev, BLOCK_WRITE, f->at >> PAGE_SHIFT, f->pa, f->bytes);
    ASYNC_RETURN(f->r < 0 ? f->r : f->moved);
    ASYNC_FINALLY;
    if (f->pa)
        frame_unref(f->pa);
    ASYNC_END;
}

ASYNC_IMPL(blockdev_write, file_write, struct block_device *bdev; size_t moved; long r;)
{
    ASYNC_BEGIN(blockdev_write);
    f->moved = 0;
    f->bdev = device_of(f->file);
    f->r = f->bdev->read_only ? -EPERM : f->pos >= size_of(f->bdev) ? -ENOSPC : 0;
    while (f->r >= 0 && f->buf->left > 0 && f->pos + f->moved < size_of(f->bdev)) {
        AWAIT(f->r, write_page, f->bdev, f->buf, f->pos + f->moved);
        if (f->r > 0)
            f->moved += (size_t)f->r;
        if (f->r == 0 || task_killed(t))
            break;
    }
    ASYNC_RETURN(f->moved > 0 ? (long)f->moved : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- the rest

static long blockdev_seek(struct file *file, int64_t offset, int whence)
{
    int64_t size = (int64_t)size_of(device_of(file));
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)file->pos : size;
    if (whence < SEEK_SET || whence > SEEK_END || offset < -from || offset > size - from)
        return -EINVAL;
    file->pos = (uint64_t)(from + offset);
    return from + offset;
}

// Bytes of the answer; 0: no such command.
static uint32_t answer(const struct block_device *bdev, uint32_t cmd, uint64_t *out)
{
    switch (cmd) {
    case BLKGETSIZE64:
        *out = size_of(bdev);
        return 8;
    case BLKGETSIZE:
        *out = bdev->capacity;
        return 8;
    case BLKSSZGET:
    case BLKPBSZGET:
        *out = SECTOR_SIZE;
        return 4;
    case BLKBSZGET:
        *out = PAGE_SIZE;
        return 4;
    case BLKROGET:
        *out = bdev->read_only;
        return 4;
    }
    return 0;
}

ASYNC_IMPL(blockdev_ioctl, file_ioctl, uint64_t value; uint32_t bytes; long r;)
{
    ASYNC_BEGIN(blockdev_ioctl);
    if (f->cmd == BLKFLSBUF) {
        AWAIT(f->r, block_flush, device_of(f->file));
        ASYNC_RETURN(f->r);
    }
    f->bytes = answer(device_of(f->file), f->cmd, &f->value);
    f->r = -ENOTTY;
    if (f->bytes > 0)
        AWAIT(f->r, user_write, t->thread->space, f->arg, &f->value, f->bytes);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

const struct file_ops file_ops_block = {
    .open = &blockdev_open_fn,
    .read = &blockdev_read_fn,
    .write = &blockdev_write_fn,
    .ioctl = &blockdev_ioctl_fn,
    .seek = blockdev_seek,
};
