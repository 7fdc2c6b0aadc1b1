// SPDX-License-Identifier: MIT
// Block requests from task to device and back, with the real virtio-blk driver and rings, against
// a simulated disk that reads descriptors from memory and answers in any order, late, or wrongly.
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c
// sources: kernel/dev/block.c kernel/dev/virtio/blk.c kernel/dev/virtio/queue.c
// flags: -DDEBUG -DASYNC_CHECKED
#include "dev/block.h"

#include "async/executor.h"
#include "async/wait_async.h"
#include "dev/virtio/virtio.h"
#include "host.h"
#include "lib/local.h"
#include "page/frame.h"
#include "page/heap.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { SECTORS = 4096, FRAMES = 512, RING = 32 };

// ---- frames

struct page *frame_pages;
pa_t frame_base, frame_end, frame_zero;
static unsigned frames_out;

static void frames_make(void)
{
    frame_base = (pa_t)aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
    frame_end = frame_base + FRAMES * PAGE_SIZE;
    frame_pages = calloc(FRAMES, sizeof(*frame_pages));
}

pa_t frame_alloc(unsigned flags)
{
    (void)flags;
    for (unsigned i = 0; i < FRAMES; i++)
        if (frame_pages[i].refs == 0) {
            frame_pages[i].refs = 1;
            frames_out++;
            return page_pa(&frame_pages[i]);
        }
    return 0;
}

void frame_free(pa_t pa)
{
    assert_int_equal(page_of(pa)->refs, 0);
    memset(pa_to_kva(pa), 0xdd, PAGE_SIZE);
    frames_out--;
}

// ---- the simulated disk: transport below, device behind the rings

#define F_SEG_MAX (1ull << 2)
#define F_RO      (1ull << 5)
#define F_FLUSH   (1ull << 9)

static uint8_t disk[SECTORS * SECTOR_SIZE];
static uint32_t seg_max = 8;
static uint16_t seen, taken[RING];
static unsigned ntaken, flushes;
static uint64_t bad_sector = UINT64_MAX;

static struct device dt_device = {.name = "simulated"};
static struct virtio_device vdev = {.dev = &dt_device};

static void answer_at_once(struct virtqueue *q);

int virtio_negotiate(struct virtio_device *v, uint64_t wanted)
{
    v->features = v->offered & wanted;
    return 0;
}

int virtio_queue_setup(struct virtio_device *v, unsigned index, uint16_t size, const char *name)
{
    struct virtqueue *vq = kzalloc(sizeof(*vq));
    assert_true(size >= RING);
    virtqueue_init(vq, name, RING, kzalloc(RING * sizeof(struct virtq_desc)),
                   kzalloc(virtq_avail_bytes(RING)), kzalloc(virtq_used_bytes(RING)),
                   kzalloc(RING * sizeof(struct virtq_slot)));
    vq->notify = answer_at_once;
    v->queue[index] = vq;
    return 0;
}

void virtio_ready(struct virtio_device *v)
{
    (void)v;
}

uint64_t virtio_config64(struct virtio_device *v, unsigned offset)
{
    (void)v;
    assert_int_equal(offset, 0);
    return SECTORS;
}

uint32_t virtio_config32(struct virtio_device *v, unsigned offset)
{
    (void)v;
    assert_int_equal(offset, 12);
    return seg_max;
}

static struct virtqueue *vq(void)
{
    return vdev.queue[0];
}

static void disk_take(void)
{
    while (seen != vq()->avail->idx) {
        assert_true(ntaken < RING);
        taken[ntaken++] = vq()->avail->ring[seen++ % RING];
    }
}

static uint8_t transfer(uint32_t type, uint64_t sector, struct virtq_desc *d)
{
    uint8_t *p = pa_to_kva(d->addr);
    if (type == 8) {
        assert_int_equal(d->len, 20);
        memcpy(p, "serial of 20 letters", 20);
        return 0;
    }
    if (sector <= bad_sector && bad_sector < sector + d->len / SECTOR_SIZE)
        return 1;
    assert_true(sector * SECTOR_SIZE + d->len <= sizeof(disk));
    if (type == 0)
        memcpy(p, disk + sector * SECTOR_SIZE, d->len);
    else
        memcpy(disk + sector * SECTOR_SIZE, p, d->len);
    return 0;
}

// Does the k-th of what it took.
static void disk_do(unsigned k)
{
    uint16_t head = taken[k];
    taken[k] = taken[--ntaken];
    struct virtq_desc *d = &vq()->desc[head];
    const struct {
        uint32_t type, reserved;
        uint64_t sector;
    } *h = pa_to_kva(d->addr);
    uint64_t sector = h->sector;
    uint8_t status = 0;
    assert_int_equal(d->len, 16);
    flushes += h->type == 4;
    for (d = &vq()->desc[d->next]; d->flags & VIRTQ_DESC_NEXT; d = &vq()->desc[d->next]) {
        assert_int_equal(!!(d->flags & VIRTQ_DESC_WRITE), h->type != 1);
        status |= transfer(h->type, sector, d);
        sector += d->len / SECTOR_SIZE;
    }
    assert_int_equal(d->flags, VIRTQ_DESC_WRITE);
    assert_int_equal(d->len, 1);
    *(uint8_t *)pa_to_kva(d->addr) = status;
    vq()->used->ring[vq()->used->idx % RING] = (struct virtq_used_elem){head, 1};
    vq()->used->idx++;
}

static void run_tasks(void)
{
    while (executor_step()) {
    }
}

// Until nobody has anything to do, answers in random order.
static void run_all(void)
{
    run_tasks();
    for (disk_take(); ntaken; disk_take()) {
        disk_do((unsigned)rand() % ntaken);
        virtqueue_drain(vq());
        run_tasks();
    }
}

// The driver asks for the serial number while it is probed, by polling: the notification answers.
static void answer_at_once(struct virtqueue *q)
{
    (void)q;
    disk_take();
    while (ntaken)
        disk_do(0);
}

// ---- tasks

static struct block_device *vda;
static long results[128];
static unsigned finished;

ASYNC_DECL(mover, unsigned slot; enum block_op op; uint64_t sector; unsigned pages;
           uint8_t pattern;);
ASYNC(mover, struct block_request *req; pa_t pa[4]; unsigned i; long r;)
{
    ASYNC_BEGIN(mover);
    memset(f->pa, 0, sizeof(f->pa));
    f->req = block_request_new(vda, f->op, f->sector);
    for (f->i = 0; f->i < f->pages; f->i++) {
        f->pa[f->i] = frame_alloc(0);
        memset(pa_to_kva(f->pa[f->i]), f->pattern, PAGE_SIZE);
        assert_int_equal(block_request_add(f->req, f->pa[f->i], PAGE_SIZE), 0);
    }
    AWAIT(f->r, block_rw, vda, f->req);
    for (f->i = 0; f->r == 0 && f->op == BLOCK_READ && f->i < f->pages; f->i++)
        if (memcmp(pa_to_kva(f->pa[f->i]), disk + f->sector * SECTOR_SIZE + f->i * PAGE_SIZE,
                   PAGE_SIZE))
            f->r = 1;
    results[f->slot] = f->r;
    finished++;
    ASYNC_FINALLY;
    for (unsigned i = 0; i < 4; i++)
        if (f->pa[i])
            frame_unref(f->pa[i]);
    block_request_put(f->req);
    ASYNC_END;
}

static struct task *start(unsigned slot, enum block_op op, uint64_t sector, unsigned pages)
{
    struct task *t = SPAWN("mover", mover, slot, op, sector, pages, (uint8_t)(slot + 1));
    assert_non_null(t);
    results[slot] = 12345;
    return t;
}

static const struct virtio_driver *blk_driver(void)
{
    SET_FOREACH(virtio_drivers, struct virtio_driver, drv)
        if (drv->type == VIRTIO_BLK)
            return drv;
    return NULL;
}

static int group_setup(void **state)
{
    (void)state;
    executor_init();
    locals_init();
    frames_make();
    for (size_t i = 0; i < sizeof(disk); i++)
        disk[i] = (uint8_t)(i * 7 + i / 512);
    vdev.offered = F_SEG_MAX | F_FLUSH;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    finished = flushes = 0;
    bad_sector = UINT64_MAX;
    return 0;
}

// ---- tests

static void probe_reads_the_device(void **state)
{
    (void)state;
    assert_non_null(blk_driver());
    assert_int_equal(blk_driver()->probe(&vdev), 0);
    vda = block_find("vda");
    assert_non_null(vda);
    assert_int_equal(vda->capacity, SECTORS);
    assert_false(vda->read_only);
    assert_int_equal(vda->max_segments, 8);
    assert_string_equal(vda->serial, "serial of 20 letters");
    assert_null(block_find("vdb"));
    vq()->notify = NULL;
}

static void checks(void **state)
{
    (void)state;
    pa_t pa = frame_alloc(0);
    struct block_request *req = block_request_new(vda, BLOCK_READ, SECTORS - 1);
    assert_int_equal(block_request_add(req, pa + 512, PAGE_SIZE), -EINVAL); // two frames
    assert_int_equal(block_request_add(req, pa, 100), -EINVAL);
    assert_int_equal(block_request_add(req, 0x1000, 512), -EINVAL); // no RAM
    assert_int_equal(block_submit(req), -EINVAL);                   // no data
    assert_int_equal(block_request_add(req, pa, 512), 0);
    assert_int_equal(block_request_add(req, pa + 512, 512), 0);
    assert_int_equal(block_submit(req), -EIO); // one too far
    for (unsigned i = 2; i < vda->max_segments; i++)
        assert_int_equal(block_request_add(req, pa, 512), 0);
    assert_int_equal(block_request_add(req, pa, 512), -EINVAL);
    assert_int_equal(page_of(pa)->refs, 1 + vda->max_segments);
    block_request_put(req);
    assert_int_equal(page_of(pa)->refs, 1);

    vda->read_only = true;
    req = block_request_new(vda, BLOCK_WRITE, 0);
    block_request_add(req, pa, 512);
    assert_int_equal(block_submit(req), -EROFS);
    vda->read_only = false;
    block_request_put(req);
    frame_unref(pa);
    assert_int_equal(frames_out, 0);
}

static void write_then_read(void **state)
{
    (void)state;
    start(0, BLOCK_WRITE, 80, 2);
    run_all();
    assert_int_equal(results[0], 0);
    for (unsigned i = 0; i < 2 * PAGE_SIZE; i++)
        assert_int_equal(disk[80 * SECTOR_SIZE + i], 1);
    start(1, BLOCK_READ, 80, 2);
    run_all();
    assert_int_equal(results[1], 0);
    assert_int_equal(frames_out, 0);
}

// A hundred at once on a ring for eight: what finds no room waits in the driver, all get done.
static void more_than_fit(void **state)
{
    (void)state;
    long before = host_live_blocks();
    for (unsigned i = 0; i < 100; i++)
        start(i, BLOCK_READ, i * 32, 1 + i % 3);
    run_all();
    assert_int_equal(finished, 100);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(results[i], 0);
    assert_int_equal(frames_out, 0);
    assert_int_equal(vq()->free_count, RING);
    assert_int_equal(host_live_blocks(), before);
}

static void errors_are_told(void **state)
{
    (void)state;
    uint64_t errors = vda->errors;
    bad_sector = 64;
    start(0, BLOCK_READ, 56, 1);
    start(1, BLOCK_READ, 64, 1);
    start(2, BLOCK_WRITE, 48, 4);
    run_all();
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], -EIO);
    assert_int_equal(results[2], -EIO);
    assert_int_equal(vda->errors, errors + 2);
}

// The riddle of the predecessor: the waiter is cancelled, the device answers afterwards. Header,
// status, pages are the request's; ASan and the frame poison would see a write behind its end.
static void cancelled_then_answered(void **state)
{
    (void)state;
    long before = host_live_blocks();
    struct task *t[6];
    for (unsigned i = 0; i < 6; i++) {
        t[i] = start(i, BLOCK_READ, i * 8, 1);
        task_get(t[i]);
    }
    run_tasks();
    disk_take();
    assert_int_equal(ntaken, 6);
    for (unsigned i = 0; i < 6; i++)
        task_cancel(t[i]);
    run_tasks();
    for (unsigned i = 0; i < 6; i++)
        task_put(t[i]);
    assert_int_equal(finished, 0);
    assert_int_equal(frames_out, 6); // the device's
    while (ntaken) {
        unsigned k = (unsigned)rand() % ntaken;
        uint64_t at = vq()->desc[vq()->desc[taken[k]].next].addr;
        assert_int_equal(page_of(at)->refs, 1);
        disk_do(k);
        virtqueue_drain(vq());
    }
    assert_int_equal(frames_out, 0);
    assert_int_equal(host_live_blocks(), before);
}

static unsigned called;
static void on_complete(struct block_request *req)
{
    assert_int_equal(req->result, 0);
    assert_int_equal(req->done, 1);
    called++;
}

// Read-ahead: nobody waits; the callback runs on the device's side.
static void callback_without_waiter(void **state)
{
    (void)state;
    pa_t pa = frame_alloc(0);
    struct block_request *req = block_request_new(vda, BLOCK_READ, 8);
    req->complete = on_complete;
    block_request_add(req, pa, PAGE_SIZE);
    assert_int_equal(block_submit(req), 0);
    block_request_put(req);
    frame_unref(pa);
    assert_int_equal(frames_out, 1);
    run_all();
    assert_int_equal(called, 1);
    assert_int_equal(frames_out, 0);
}

ASYNC_DECL(small, uint64_t sector; uint8_t *buf; uint32_t bytes; long *out;);
ASYNC(small, long r;)
{
    ASYNC_BEGIN(small);
    AWAIT(f->r, block_read_small, vda, f->sector, f->buf, f->bytes);
    *f->out = f->r;
    AWAIT(f->r, block_flush, vda);
    if (f->r)
        *f->out = f->r;
    ASYNC_FINALLY;
    ASYNC_END;
}

static void small_reads_and_flush(void **state)
{
    (void)state;
    uint8_t buf[1024];
    long r = 1;
    SPAWN("small", small, 12, buf, sizeof(buf), &r);
    run_all();
    assert_int_equal(r, 0);
    assert_memory_equal(buf, disk + 12 * SECTOR_SIZE, sizeof(buf));
    assert_int_equal(flushes, 1);
    SPAWN("small", small, SECTORS, buf, 512, &r);
    run_all();
    assert_int_equal(r, -EIO);
    vdev.features &= ~F_FLUSH;
    flushes = 0;
    SPAWN("small", small, 0, buf, 512, &r);
    run_all();
    assert_int_equal(r, 0);
    assert_int_equal(flushes, 0);
    assert_int_equal(frames_out, 0);
}

static void no_memory(void **state)
{
    (void)state;
    uint8_t buf[512];
    long r = 1;
    SPAWN("small", small, 0, buf, 512, &r);
    host_fail_after = 0;
    run_all();
    host_fail_after = -1;
    assert_int_equal(r, -ENOMEM);
    assert_int_equal(frames_out, 0);
}

// Last, for the device stays broken.
static void device_breaks(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 40; i++)
        start(i, BLOCK_READ, i, 1);
    run_tasks();
    virtqueue_break(vq());
    run_tasks();
    assert_int_equal(finished, 40);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(results[i], -EIO);
    start(0, BLOCK_READ, 0, 1);
    run_tasks();
    assert_int_equal(results[0], -EIO);
    assert_int_equal(frames_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(probe_reads_the_device, setup),
        cmocka_unit_test_setup(checks, setup),
        cmocka_unit_test_setup(write_then_read, setup),
        cmocka_unit_test_setup(more_than_fit, setup),
        cmocka_unit_test_setup(errors_are_told, setup),
        cmocka_unit_test_setup(cancelled_then_answered, setup),
        cmocka_unit_test_setup(callback_without_waiter, setup),
        cmocka_unit_test_setup(small_reads_and_flush, setup),
        cmocka_unit_test_setup(no_memory, setup),
        cmocka_unit_test_setup(device_breaks, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
