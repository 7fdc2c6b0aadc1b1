// SPDX-License-Identifier: MIT
// virtio-blk (virtio 1.2, section 5.2): block requests as descriptor chains.
//
// Header, status byte and token lie in the request itself, which the device's reference keeps
// alive. Requests that find the queue full wait here in order and are added by completions.
#include "dev/block.h"
#include "dev/virtio/virtio.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "page/heap.h"

#include <string.h>

#define VIRTIO_BLK_F_SEG_MAX (1ull << 2)
#define VIRTIO_BLK_F_RO      (1ull << 5)
#define VIRTIO_BLK_F_FLUSH   (1ull << 9)

enum { CONFIG_CAPACITY = 0, CONFIG_SEG_MAX = 12 };
enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8 };
enum { STATUS_OK = 0, STATUS_PENDING = 0xff, ID_BYTES = 20 };
enum { QUEUE_SIZE = 128, NAMES = 26, ID_SECONDS = 5 };

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};
_Static_assert(sizeof(struct blk_header) == 16, "virtio 5.2.6");

// In block_request.driver.
struct blk_part {
    struct blk_header header;
    struct virtq_token token;
    uint8_t status;
};
_Static_assert(sizeof(struct blk_part) <= BLOCK_DRIVER_BYTES, "fits the request");

struct blk {
    struct block_device bdev;
    struct virtio_device *vdev;
    struct spinlock lock; // guards waiting
    struct list waiting;  // block_request.link, in order
    char name[4];
};

static struct blk_part *part_of(struct block_request *req)
{
    return (struct blk_part *)req->driver;
}

static struct block_request *request_of(struct virtq_token *token)
{
    struct blk_part *part = container_of(token, struct blk_part, token);
    return (struct block_request *)((char *)part - offsetof(struct block_request, driver));
}

static bool add_waiting(struct blk *blk);

static void complete(struct virtq_token *token, int error, uint32_t written)
{
    struct block_request *req = request_of(token);
    struct blk *blk = req->bdev->priv;
    (void)written;
    if (error == 0 && part_of(req)->status != STATUS_OK)
        error = -EIO;
    block_complete(req, error);
    if (add_waiting(blk))
        virtqueue_kick(blk->vdev->queue[0]);
}

static unsigned make_segments(struct block_request *req, struct virtq_segment *seg)
{
    struct blk_part *part = part_of(req);
    unsigned n = 0;
    seg[n++] = (struct virtq_segment){kva_to_pa(&part->header), sizeof(part->header), false};
    for (uint32_t i = 0; i < req->segment_count; i++)
        seg[n++] = (struct virtq_segment){req->segment[i].pa, req->segment[i].bytes,
                                          req->op == BLOCK_READ};
    seg[n++] = (struct virtq_segment){kva_to_pa(&part->status), 1, true};
    return n;
}

static int add(struct blk *blk, struct block_request *req)
{
    struct virtq_segment seg[BLOCK_SEGMENTS + 2];
    struct task *t = current_task();
    return virtqueue_add(blk->vdev->queue[0], seg, make_segments(req, seg), &part_of(req)->token,
                         t ? t->id : 0);
}

// Adds what waits while there is room. True: something was added.
static bool add_waiting(struct blk *blk)
{
    struct list failed = LIST_INIT(failed);
    bool added = false;
    spin_lock(&blk->lock);
    while (!list_empty(&blk->waiting)) {
        // Taken out first: once added it may complete, and be freed, at any time.
        struct list *it = list_pop_front(&blk->waiting);
        int r = add(blk, list_entry(it, struct block_request, link));
        if (r == -ENOSPC) {
            list_push_front(&blk->waiting, it);
            break;
        }
        if (r < 0)
            list_push_back(&failed, it);
        added |= r >= 0;
    }
    spin_unlock(&blk->lock);
    for (struct list *it; (it = list_pop_front(&failed));)
        block_complete(list_entry(it, struct block_request, link), -EIO);
    return added;
}

static void submit(struct block_request *req)
{
    static const uint32_t types[BLOCK_OPS] = {TYPE_IN, TYPE_OUT, TYPE_FLUSH};
    struct blk *blk = req->bdev->priv;
    struct blk_part *part = part_of(req);
    if (req->op == BLOCK_FLUSH && !(blk->vdev->features & VIRTIO_BLK_F_FLUSH)) {
        block_complete(req, 0); // no cache that could be lost
        return;
    }
    *part = (struct blk_part){
        .header = {.type = types[req->op], .sector = req->sector},
        .token = {.complete = complete},
        .status = STATUS_PENDING,
    };
    spin_lock(&blk->lock);
    list_push_back(&blk->waiting, &req->link);
    spin_unlock(&blk->lock);
    if (add_waiting(blk))
        virtqueue_kick(blk->vdev->queue[0]);
}

static const struct block_device_ops blk_ops = {.submit = submit};

// ---- probe

struct id_request {
    struct blk_header header;
    struct virtq_token token;
    char id[ID_BYTES];
    uint8_t status;
    uint32_t done;
};

static void id_complete(struct virtq_token *token, int error, uint32_t written)
{
    (void)error;
    (void)written;
    store_release(&container_of(token, struct id_request, token)->done, 1);
}

// By polling, since nothing else runs yet. A device that does not answer keeps the request.
static int read_id(struct blk *blk)
{
    struct id_request *q = kzalloc(sizeof(*q));
    if (!q)
        return -ENOMEM;
    q->header.type = TYPE_GET_ID;
    q->token.complete = id_complete;
    struct virtq_segment seg[] = {
        {kva_to_pa(&q->header), sizeof(q->header), false},
        {kva_to_pa(q->id), ID_BYTES, true},
        {kva_to_pa(&q->status), 1, true},
    };
    struct virtqueue *vq = blk->vdev->queue[0];
    virtqueue_add(vq, seg, 3, &q->token, 0);
    virtqueue_kick(vq);
    for (uint64_t until = time_ticks() + ID_SECONDS * timebase_hz; time_ticks() < until;) {
        virtqueue_drain(vq);
        if (load_acquire(&q->done)) {
            if (q->status == STATUS_OK)
                memcpy(blk->bdev.serial, q->id, ID_BYTES);
            kfree(q);
            return 0;
        }
    }
    log_error("%s: the device does not answer", blk->name);
    return -EIO;
}

static void config_changed(struct virtio_device *vdev)
{
    struct blk *blk = vdev->priv;
    store_relaxed(&blk->bdev.capacity, virtio_config64(vdev, CONFIG_CAPACITY));
    log_info("%s: now %lu sectors", blk->name, (unsigned long)blk->bdev.capacity);
}

static void fill_device(struct blk *blk)
{
    struct virtio_device *vdev = blk->vdev;
    struct block_device *bdev = &blk->bdev;
    bdev->name = blk->name;
    bdev->capacity = virtio_config64(vdev, CONFIG_CAPACITY);
    bdev->read_only = vdev->features & VIRTIO_BLK_F_RO;
    bdev->ops = &blk_ops;
    bdev->priv = blk;
    bdev->max_segments = BLOCK_SEGMENTS;
    if (vdev->features & VIRTIO_BLK_F_SEG_MAX) {
        uint32_t max = virtio_config32(vdev, CONFIG_SEG_MAX);
        bdev->max_segments = max == 0 ? 1 : max < BLOCK_SEGMENTS ? max : BLOCK_SEGMENTS;
    }
}

static int probe(struct virtio_device *vdev)
{
    static unsigned count;
    struct blk *blk = count < NAMES ? kzalloc(sizeof(*blk)) : NULL;
    if (!blk)
        return -ENOMEM;
    int r = virtio_negotiate(vdev, VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_RO | VIRTIO_BLK_F_FLUSH |
                                       VIRTIO_F_EVENT_IDX);
    if (r < 0)
        return r;
    blk->vdev = vdev;
    vdev->priv = blk;
    memcpy(blk->name, (char[4]){'v', 'd', (char)('a' + count)}, sizeof(blk->name));
    spin_init(&blk->lock, "virtio-blk");
    list_init(&blk->waiting);
    if ((r = virtio_queue_setup(vdev, 0, QUEUE_SIZE, blk->name)) < 0)
        return r;
    if (vdev->queue[0]->size < 3)
        return -EINVAL;
    fill_device(blk);
    if (blk->bdev.max_segments > vdev->queue[0]->size - 2u)
        blk->bdev.max_segments = vdev->queue[0]->size - 2u;
    virtio_ready(vdev);
    if ((r = read_id(blk)) < 0)
        return r;
    vdev->config_changed = config_changed;
    count++;
    block_register(&blk->bdev);
    return 0;
}
VIRTIO_DRIVER(blk, VIRTIO_BLK, probe);
