// SPDX-License-Identifier: MIT
// virtio-rng (virtio 1.2, section 5.4): one buffer at a time, asked for at start and whenever the
// pool has handed out much.
#include "arch/atomic.h"
#include "arch/cpu.h"
#include "dev/random.h"
#include "dev/virtio/virtio.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "page/heap.h"

#include <string.h>

enum { BUFFER = 64, QUEUE_SIZE = 8, FIRST_WAIT_DIVISOR = 20 }; // 1/20 s

struct rng {
    struct virtio_device *vdev;
    struct virtq_token token;
    uint32_t asked; // the device has the buffer
    uint8_t buffer[BUFFER];
};
static struct rng *rng; // the first one serves the pool

static void complete(struct virtq_token *token, int error, uint32_t written)
{
    struct rng *r = container_of(token, struct rng, token);
    if (error == 0) {
        uint32_t n = written < BUFFER ? written : BUFFER;
        random_mix(r->buffer, n, 8 * n);
    }
    memset(r->buffer, 0, BUFFER);
    store_release(&r->asked, 0);
}

static void request(void)
{
    if (atomic_swap32(&rng->asked, 1))
        return;
    struct virtq_segment seg = {kva_to_pa(rng->buffer), BUFFER, true};
    if (virtqueue_add(rng->vdev->queue[0], &seg, 1, &rng->token, 0) < 0)
        store_release(&rng->asked, 0);
    else
        virtqueue_kick(rng->vdev->queue[0]);
}

// The first user programs are to be placed with good numbers; a slow device is not waited for long.
static void wait_first(struct virtqueue *vq)
{
    uint64_t until = time_ticks() + timebase_hz / FIRST_WAIT_DIVISOR;
    while (load_acquire(&rng->asked) && time_ticks() < until)
        virtqueue_drain(vq);
}

static int probe(struct virtio_device *vdev)
{
    if (rng)
        return -EBUSY;
    struct rng *r = kzalloc(sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->vdev = vdev;
    r->token.complete = complete;
    vdev->priv = r;
    int e = virtio_negotiate(vdev, VIRTIO_F_EVENT_IDX);
    if (e == 0)
        e = virtio_queue_setup(vdev, 0, QUEUE_SIZE, "rng");
    if (e < 0)
        return e;
    virtio_ready(vdev);
    rng = r;
    request();
    wait_first(vdev->queue[0]);
    random_set_source(request);
    return 0;
}
VIRTIO_DRIVER(rng, VIRTIO_RNG, probe);
