// SPDX-License-Identifier: MIT
// Block requests: their life, their checks, waiting for them: see block.h.
#include "dev/block.h"

#include "arch/cpu.h"
#include "async/wait_async.h"
#include "async/wait_look.h"
#include "lib/log.h"
#include "page/frame.h"
#include "page/heap.h"

#include <string.h>

enum { ERRORS_TOLD = 8 };

struct list block_devices = LIST_INIT(block_devices);

void block_register(struct block_device *bdev)
{
    ASSERT(bdev->max_segments >= 1 && bdev->max_segments <= BLOCK_SEGMENTS);
    list_push_back(&block_devices, &bdev->link);
    log_info("%s: %lu MiB%s%s%s", bdev->name, (unsigned long)(bdev->capacity * SECTOR_SIZE >> 20),
             bdev->read_only ? ", read-only" : "", bdev->serial[0] ? ", serial " : "",
             bdev->serial);
}

struct block_device *block_find(const char *name)
{
    LIST_FOREACH(it, &block_devices) {
        struct block_device *bdev = list_entry(it, struct block_device, link);
        if (strcmp(bdev->name, name) == 0)
            return bdev;
    }
    return NULL;
}

// ---- requests

struct block_request *block_request_new(struct block_device *bdev, enum block_op op,
                                        uint64_t sector)
{
    struct block_request *req = kzalloc(sizeof(*req));
    if (!req)
        return NULL;
    req->refs = 1;
    req->op = op;
    req->bdev = bdev;
    req->sector = sector;
    event_init(&req->event);
    list_init(&req->link);
    return req;
}

int block_request_add(struct block_request *req, pa_t pa, uint32_t bytes)
{
    if (bytes == 0 || bytes % SECTOR_SIZE || (pa & PAGE_MASK) + bytes > PAGE_SIZE ||
        req->segment_count >= req->bdev->max_segments || !frame_is_ram(pa))
        return -EINVAL;
    frame_ref(page_round_down(pa));
    req->segment[req->segment_count++] = (struct block_segment){.pa = pa, .bytes = bytes};
    req->bytes += bytes;
    return 0;
}

void block_request_get(struct block_request *req)
{
    atomic_add32(&req->refs, 1);
}

void block_request_put(struct block_request *req)
{
    if (atomic_add32(&req->refs, -1u) != 1)
        return;
    for (uint32_t i = 0; i < req->segment_count; i++)
        frame_unref(page_round_down(req->segment[i].pa));
    kfree(req);
}

static int check(const struct block_request *req)
{
    const struct block_device *bdev = req->bdev;
    uint64_t sectors = req->bytes / SECTOR_SIZE;
    if (req->op >= BLOCK_OPS || (req->op == BLOCK_FLUSH) != (sectors == 0))
        return -EINVAL;
    if (req->op == BLOCK_WRITE && bdev->read_only)
        return -EROFS;
    if (req->sector > bdev->capacity || sectors > bdev->capacity - req->sector)
        return -EIO;
    return 0;
}

int block_submit(struct block_request *req)
{
    int r = check(req);
    if (r < 0)
        return r;
    atomic_add64(&req->bdev->requests[req->op], 1);
    atomic_add64(&req->bdev->sectors[req->op], req->bytes / SECTOR_SIZE);
    block_request_get(req);
    req->bdev->ops->submit(req);
    return 0;
}

// A disk that has died would fill the log: the first errors, then each that doubles the count.
static void report_error(const struct block_request *req, int result)
{
    static const char *const names[BLOCK_OPS] = {"read", "write", "flush"};
    uint64_t n = atomic_add64(&req->bdev->errors, 1) + 1;
    if (n <= ERRORS_TOLD || (n & (n - 1)) == 0)
        log_error("%s: %s of %u bytes at sector %lu failed with %d (error no. %lu)",
                  req->bdev->name, names[req->op], req->bytes, (unsigned long)req->sector, result,
                  (unsigned long)n);
}

void block_complete(struct block_request *req, int result)
{
    if (result < 0)
        report_error(req, result);
    req->result = result;
    store_release(&req->done, 1);
    if (req->complete)
        req->complete(req);
    event_set(&req->event);
    block_request_put(req);
}

// ---- waiting

ASYNC(block_wait, long r;)
{
    ASYNC_BEGIN(block_wait);
    AWAIT(f->r, event_wait, &f->req->event, false);
    ASYNC_RETURN(f->req->result);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Of the event below it: whose it is.
WAIT_LOOK(block_wait)
{
    const struct block_wait_frame *f = frame;
    v->kind = "block request";
    v->name = f->req->bdev->name;
    v->object = f->req;
}

ASYNC(block_rw, long r;)
{
    ASYNC_BEGIN(block_rw);
    f->r = f->bdev == f->req->bdev ? block_submit(f->req) : -EINVAL;
    if (f->r == 0)
        AWAIT(f->r, block_wait, f->req);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(block_read_small, struct block_request *req; pa_t frame; long r;)
{
    ASYNC_BEGIN(block_read_small);
    f->req = NULL;
    f->frame = 0;
    f->r = -EINVAL;
    if (f->bytes > PAGE_SIZE)
        ASYNC_RETURN(f->r);
    f->frame = frame_alloc(0);
    f->req = block_request_new(f->bdev, BLOCK_READ, f->sector);
    f->r = -ENOMEM;
    if (!f->frame || !f->req)
        ASYNC_RETURN(f->r);
    f->r = block_request_add(f->req, f->frame, f->bytes);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, block_rw, f->bdev, f->req);
    if (f->r == 0)
        memcpy(f->buf, pa_to_kva(f->frame), f->bytes);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->req)
        block_request_put(f->req);
    if (f->frame)
        frame_unref(f->frame);
    ASYNC_END;
}

ASYNC(block_flush, struct block_request *req; long r;)
{
    ASYNC_BEGIN(block_flush);
    f->req = block_request_new(f->bdev, BLOCK_FLUSH, 0);
    f->r = -ENOMEM;
    if (f->req)
        AWAIT(f->r, block_rw, f->bdev, f->req);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->req)
        block_request_put(f->req);
    ASYNC_END;
}
