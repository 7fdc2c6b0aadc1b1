// SPDX-License-Identifier: MIT
// Disks as files: /dev/vda and device nodes of its number anywhere.
//
// Whatever node is opened, a disk has one page cache while somebody has it open: a vnode of a
// hidden file system, found by the device's number. When the last opener closes, it is written
// back and let go, so that a file system mounted afterwards sees what was written. Each disk has a hidden
// file system of its own, made at the first open and kept: one that does not answer is nothing to the others.
#include "dev/block.h"
#include "fs/devfs.h"
#include "fs/file.h"
#include "fs/proc.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys.h"
#include "mem/user.h"
#include "page/heap.h"
#include "task/thread.h"

enum { SECTORS_PER_PAGE = PAGE_SIZE / SECTOR_SIZE };
enum {
    BLKROGET = 0x125e,
    BLKGETSIZE = 0x1260,
    BLKFLSBUF = 0x1261,
    BLKSSZGET = 0x1268,
    BLKPBSZGET = 0x127b
};
#define BLKBSZGET    0x80081270u
#define BLKGETSIZE64 0x80081272u

struct disk {
    struct vnode v; // first
    struct phys pages;
    struct block_device *bdev;
};

static struct mutex bdev_mutex; // one at a time makes a hidden file system

static uint64_t disk_bytes(const struct block_device *bdev)
{
    return bdev->capacity * SECTOR_SIZE;
}

static struct disk *disk_of_pages(struct phys *ph)
{
    return container_of(ph, struct disk, pages);
}

// ---- pages from and to the disk

// A request for the first of these pages, as many as the disk has and takes at once. *n: how many;
// NULL: no memory, or *n is 0.
static struct block_request *request_for(struct block_device *bdev, enum block_op op,
                                         uint64_t index, struct page **pages, uint32_t count,
                                         uint32_t *n)
{
    uint64_t size = disk_bytes(bdev), at = index * PAGE_SIZE;
    struct block_request *req = block_request_new(bdev, op, index * SECTORS_PER_PAGE);
    for (*n = 0; req && *n < count && *n < bdev->max_segments && at < size; ++*n) {
        uint64_t left = size - at;
        uint32_t bytes = left < PAGE_SIZE ? (uint32_t)left : (uint32_t)PAGE_SIZE;
        if (op == BLOCK_READ && bytes < PAGE_SIZE)
            memset((char *)page_kva(pages[*n]) + bytes, 0, PAGE_SIZE - bytes);
        if (block_request_add(req, page_pa(pages[*n]), bytes) < 0)
            break;
        at += bytes;
    }
    if (req && *n == 0) {
        block_request_put(req);
        return NULL;
    }
    return req;
}

ASYNC_DECL(disk_transfer, struct block_device *bdev; enum block_op op; uint64_t index;
           struct page **pages; uint32_t count;);
ASYNC(disk_transfer, struct block_request *req; uint32_t done; uint32_t n; long r;)
{
    ASYNC_BEGIN(disk_transfer);
    f->req = NULL;
    for (f->done = 0; f->done < f->count; f->done += f->n) {
        f->req = request_for(f->bdev, f->op, f->index + f->done, f->pages + f->done,
                             f->count - f->done, &f->n);
        if (!f->req)
            ASYNC_RETURN(-ENOMEM);
        AWAIT(f->r, block_rw, f->bdev, f->req);
        block_request_put(f->req);
        f->req = NULL;
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->req)
        block_request_put(f->req);
    ASYNC_END;
}

ASYNC_IMPL(disk_fill, phys_fill, long r;)
{
    ASYNC_BEGIN(disk_fill);
    AWAIT(f->r, disk_transfer, disk_of_pages(f->ph)->bdev, BLOCK_READ, f->index, f->pages,
          f->count);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(disk_write, phys_write, long r;)
{
    ASYNC_BEGIN(disk_write);
    AWAIT(f->r, disk_transfer, disk_of_pages(f->ph)->bdev, BLOCK_WRITE, f->index, f->pages,
          f->count);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct phys_ops disk_phys_ops = {
    .fill = &disk_fill_fn,
    .write = &disk_write_fn,
    .get = vnode_phys_get,
    .put = vnode_phys_put,
    .try_get = vnode_phys_try_get,
};

// ---- the vnode

ASYNC_IMPL(disk_fsync, vnode_fsync, long r;)
{
    ASYNC_BEGIN(disk_fsync);
    AWAIT(f->r, vnode_write_back, f->v);
    if (f->r >= 0)
        AWAIT(f->r, block_flush, ((struct disk *)f->v)->bdev);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(disk_evict, vnode_evict, long r;)
{
    ASYNC_BEGIN(disk_evict);
    AWAIT(f->r, vnode_write_back, f->v);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct vnode_ops disk_vnode_ops = {.fsync = &disk_fsync_fn, .evict = &disk_evict_fn};

static struct vnode *disk_vnode(struct super *super, uint64_t rdev)
{
    struct disk *d = kzalloc(sizeof *d);
    if (!d)
        return NULL;
    vnode_init(&d->v, super, &disk_vnode_ops, rdev, S_IFBLK | 0600);
    d->bdev = super->bdev;
    d->v.rdev = rdev;
    d->v.size = disk_bytes(super->bdev);
    phys_init(&d->pages, PHYS_FILE, &disk_phys_ops, &d->v, d->v.size);
    d->pages.reading_ahead = &d->bdev->reading_ahead;
    d->v.pages = &d->pages;
    vnode_hash_insert(&d->v);
    return &d->v;
}

// ---- open files

static struct disk *disk_of(const struct file *file)
{
    return file->priv;
}

static const struct filesystem bdev_fs = {.name = "bdev"};
static const struct super_ops bdev_super_ops = {.statfs = NULL};

struct super *devfs_disk_files(const struct block_device *bdev)
{
    struct super *found = NULL;
    spin_lock(&super_lock);
    LIST_FOREACH(it, &super_list) {
        struct super *super = list_entry(it, struct super, all);
        if (super->fs == &bdev_fs && super->bdev == bdev)
            found = super;
    }
    spin_unlock(&super_lock);
    return found;
}

ASYNC_DECL(bdev_super, struct block_device *bdev; struct super **out;);
ASYNC(bdev_super, long r;)
{
    ASYNC_BEGIN(bdev_super);
    AWAIT(f->r, mutex_lock, &bdev_mutex, false);
    *f->out = devfs_disk_files(f->bdev);
    if (!*f->out)
        *f->out = super_new(&bdev_fs, &bdev_super_ops, f->bdev, f->bdev->name);
    ASYNC_RETURN(*f->out ? 0 : -ENOMEM);
    ASYNC_FINALLY;
    if (mutex_held(&bdev_mutex, t))
        mutex_unlock(&bdev_mutex, t);
    ASYNC_END;
}

ASYNC_IMPL(bdev_open, file_open, struct super *super; struct vnode *v; struct block_device *bdev;
           long r;)
{
    ASYNC_BEGIN(bdev_open);
    f->super = NULL;
    f->bdev = devfs_block_device(f->file->vnode->rdev);
    if (!f->bdev)
        ASYNC_RETURN(-ENXIO);
    if (f->file->writable && f->bdev->read_only)
        ASYNC_RETURN(-EROFS);
    AWAIT(f->r, bdev_super, f->bdev, &f->super);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mutex_lock, &f->super->rename_lock, false); // one open at a time makes the vnode
    AWAIT(f->r, vnode_find, f->super, f->file->vnode->rdev, &f->v);
    if (!f->v)
        f->v = disk_vnode(f->super, f->file->vnode->rdev);
    f->file->priv = f->v;
    if (!f->v)
        ASYNC_RETURN(-ENOMEM);
    f->file->data = f->v;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->super && mutex_held(&f->super->rename_lock, t))
        mutex_unlock(&f->super->rename_lock, t);
    ASYNC_END;
}

static void bdev_release(struct file *file)
{
    if (disk_of(file))
        vnode_put(&disk_of(file)->v);
}

static long bdev_seek(struct file *file, int64_t offset, int whence)
{
    int64_t size = (int64_t)file->data->size;
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)file->pos : size;
    if (whence < SEEK_SET || whence > SEEK_END || offset < -from || offset > size - from)
        return -EINVAL;
    return (long)(file->pos = (uint64_t)(from + offset));
}

// Bytes of the answer; 0: no such question.
static uint32_t answer(const struct block_device *bdev, uint32_t cmd, uint64_t *out)
{
    switch (cmd) {
    case BLKGETSIZE64:
        *out = disk_bytes(bdev);
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

ASYNC_IMPL(bdev_ioctl, file_ioctl, uint64_t value; uint32_t bytes; long r;)
{
    ASYNC_BEGIN(bdev_ioctl);
    f->bytes = answer(disk_of(f->file)->bdev, f->cmd, &f->value);
    f->r = -ENOTTY;
    if (f->cmd == BLKFLSBUF)
        AWAIT(f->r, vnode_write_back, f->file->data);
    else if (f->bytes)
        AWAIT(f->r, user_write, t->thread->space, f->arg, &f->value, f->bytes);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

const struct file_ops file_ops_block = {
    .open = &bdev_open_fn,
    .read = &pagecache_read_fn,
    .write = &pagecache_write_fn,
    .ioctl = &bdev_ioctl_fn,
    .release = bdev_release,
    .seek = bdev_seek,
};

static void proc_partitions(struct text *out)
{
    unsigned minor = 0;
    text_printf(out, "major minor  #blocks  name\n\n");
    LIST_FOREACH(it, &block_devices) {
        const struct block_device *bdev = list_entry(it, struct block_device, link);
        text_printf(out, "%4u %7u %10lu %s\n", BLOCK_MAJOR, minor,
                    (unsigned long)(disk_bytes(bdev) / 1024), bdev->name);
        minor += BLOCK_MINORS;
    }
}
PROC(partitions, proc_partitions);

static void bdev_init(void)
{
    mutex_init(&bdev_mutex, "disks");
}
INIT(INIT_CORE, bdev_init);
