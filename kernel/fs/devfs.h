// SPDX-License-Identifier: MIT
// Block devices as files: their numbers, and /dev.
#pragma once

#include <stdint.h>

struct block_device;
struct vnode;

enum { BLOCK_MAJOR = 254, BLOCK_MINORS = 16 }; // as Linux's virtio-blk: 16 minors per disk

// The device of a number; NULL: none.
struct block_device *devfs_block_device(uint64_t rdev);
