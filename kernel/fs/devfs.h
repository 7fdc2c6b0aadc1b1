// SPDX-License-Identifier: MIT
// Block devices as files: their numbers, and /dev.
#pragma once

#include <stdint.h>

struct block_device;
struct super;
struct vnode;

enum { BLOCK_MAJOR = 254, BLOCK_MINORS = 16 }; // as Linux's virtio-blk: 16 minors per disk

// The device of a number; NULL: none.
struct block_device *devfs_block_device(uint64_t rdev);
// The hidden file system that a disk as a file lies in.
struct super *devfs_disk_files(const struct block_device *bdev);
