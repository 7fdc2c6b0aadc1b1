// SPDX-License-Identifier: MIT
// Block devices and the request that owns everything a transfer needs.
//
// A request owns its segments (each holds a reference on the frame it lies in), and the driver's
// header and status words lie inside it. The submitter and the device hold a reference each:
// completion runs on the device's side (`complete`, then waiters are woken), and a waiter that is
// cancelled drops its reference, no more. Several requests may be in flight.
//
//     req = block_request_new(bdev, BLOCK_READ, sector);
//     block_request_add(req, pa, 4096);
//     AWAIT(f->r, block_rw, bdev, req);       // 0 or negative errno
//     block_request_put(req);
#pragma once

#include "arch/types.h"
#include "async/async.h"
#include "async/wait.h"
#include "lib/list.h"

#include <stdbool.h>
#include <stdint.h>

enum { SECTOR_SIZE = 512, BLOCK_SEGMENTS = 32, BLOCK_DRIVER_BYTES = 96 };

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_OPS };

struct block_request;

struct block_device_ops {
    // Takes over one reference and calls block_complete() later, exactly once. Never fails, never
    // blocks: what the device has no room for waits in the driver.
    void (*submit)(struct block_request *req);
};

// Registered at boot, lives for ever. Counters: totals since boot, 512-byte sectors.
struct block_device {
    struct list link;  // in `block_devices`
    const char *name;  // "vda"
    uint64_t capacity; // sectors
    bool read_only;
    uint32_t max_segments; // per request, 1 .. BLOCK_SEGMENTS
    char serial[21];       // "" when the device has none
    const struct block_device_ops *ops;
    void *priv;
    uint64_t requests[BLOCK_OPS], sectors[BLOCK_OPS], errors;
    uint32_t reading_ahead; // tasks that do (mem/readahead.c); atomic
};

struct block_segment {
    pa_t pa;
    uint32_t bytes; // a multiple of SECTOR_SIZE, inside one frame
};

struct block_request {
    uint32_t refs;
    uint32_t done; // 1 once result is valid
    enum block_op op;
    int result; // 0 or negative errno
    struct block_device *bdev;
    uint64_t sector;
    uint32_t segment_count;
    uint32_t bytes;
    // Optional: interrupt side, no lock held, must not block. Runs before the waiters wake.
    void (*complete)(struct block_request *req);
    void *arg;
    struct event event; // signalled when done
    struct list link;   // the driver's queue of requests that wait for room
    struct block_segment segment[BLOCK_SEGMENTS];
    _Alignas(16) uint8_t driver[BLOCK_DRIVER_BYTES]; // header, status and bookkeeping
};

extern struct list block_devices;

void block_register(struct block_device *bdev);
struct block_device *block_find(const char *name); // NULL: no such device

// One reference for the caller; NULL when memory is short.
struct block_request *block_request_new(struct block_device *bdev, enum block_op op,
                                        uint64_t sector);
// Takes a reference on pa's frame. -EINVAL: not whole sectors, crosses a frame, or more than
// bdev->max_segments.
int block_request_add(struct block_request *req, pa_t pa, uint32_t bytes);
void block_request_get(struct block_request *req);
void block_request_put(struct block_request *req);

// Hands the request to the device. 0, or -EROFS, -EIO (beyond the end), -EINVAL; on an error
// `complete` is not called. The caller keeps its own reference.
int block_submit(struct block_request *req);

// Waits until a submitted request is done: its result. Uninterruptible; a cancel unwinds it, and
// the request goes on without the waiter.
ASYNC_DECL(block_wait, struct block_request *req;);
// Submits and waits.
ASYNC_DECL(block_rw, struct block_device *bdev; struct block_request *req;);
// One transfer of whole sectors through a frame of its own, for boot sectors and the like:
// kernel memory `buf` of `bytes` <= PAGE_SIZE.
ASYNC_DECL(block_read_small, struct block_device *bdev; uint64_t sector; void *buf;
           uint32_t bytes;);
ASYNC_DECL(block_flush, struct block_device *bdev;);

// The driver's end: stores the result, calls `complete`, wakes waiters, drops the device's
// reference. No lock held.
void block_complete(struct block_request *req, int result);
