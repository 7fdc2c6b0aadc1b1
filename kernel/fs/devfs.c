// SPDX-License-Identifier: MIT
// /dev: a tree in memory, filled from the linker set of character devices and the list of disks.
//
// A disk read or written through its node has one page cache, whatever the node: a vnode of the
// hidden file system "bdev", made at open and let go (written back) after the last close.
#include "fs/devfs.h"

#include "dev/block.h"
#include "fs/file.h"
#include "fs/tmpfs.h"
#include "lib/log.h"
#include "mem/phys.h"
#include "page/heap.h"

#include <stdio.h>

static struct block_device *nth_block_device(uint32_t n)
{
    LIST_FOREACH(it, &block_devices)
        if (n-- == 0)
            return list_entry(it, struct block_device, link);
    return NULL;
}

struct block_device *devfs_block_device(uint64_t rdev)
{
    uint32_t minor = DEV_MINOR(rdev);
    if (DEV_MAJOR(rdev) != BLOCK_MAJOR || minor % BLOCK_MINORS)
        return NULL;
    return nth_block_device(minor / BLOCK_MINORS);
}

static bool fill(struct vnode *root)
{
    bool ok = true;
    uint32_t minor = 0;
    SET_FOREACH(chardevs, struct chardev, c)
        ok &= tmpfs_add(root, c->name, S_IFCHR | (uint32_t)c->mode, c->dev, NULL) != NULL;
    LIST_FOREACH(it, &block_devices) {
        struct block_device *bdev = list_entry(it, struct block_device, link);
        ok &=
            tmpfs_add(root, bdev->name, S_IFBLK | 0660, MAKEDEV(BLOCK_MAJOR, minor), NULL) != NULL;
        minor += BLOCK_MINORS;
    }
    ok &= tmpfs_add(root, "fd", S_IFLNK | 0777, 0, "/proc/self/fd") != NULL;
    ok &= tmpfs_add(root, "stdin", S_IFLNK | 0777, 0, "/proc/self/fd/0") != NULL;
    ok &= tmpfs_add(root, "stdout", S_IFLNK | 0777, 0, "/proc/self/fd/1") != NULL;
    ok &= tmpfs_add(root, "stderr", S_IFLNK | 0777, 0, "/proc/self/fd/2") != NULL;
    ok &= tmpfs_add(root, "pts", S_IFDIR | 0755, 0, NULL) != NULL;
    ok &= tmpfs_add(root, "shm", S_IFDIR | S_ISVTX | 0777, 0, NULL) != NULL;
    return ok;
}

ASYNC_IMPL(devfs_mount, fs_mount, )
{
    ASYNC_BEGIN(devfs_mount);
    *f->out = tmpfs_super(f->fs, f->source, 0755, f->flags);
    if (*f->out && !fill((*f->out)->root))
        log_warn("/dev is incomplete: out of memory");
    ASYNC_RETURN(*f->out ? 0 : -ENOMEM);
    ASYNC_FINALLY;
    ASYNC_END;
}

FILESYSTEM(devtmpfs, devfs_mount, 0);
