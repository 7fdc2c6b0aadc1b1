// SPDX-License-Identifier: MIT
// Virtio devices over MMIO (virtio 1.2, sections 3.1 and 4.2), modern interface only.
#pragma once

#include "dev/driver.h"
#include "dev/virtio/queue.h"

#include <stdbool.h>
#include <stdint.h>

enum { VIRTIO_NET = 1, VIRTIO_BLK = 2, VIRTIO_RNG = 4 }; // section 5

#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

struct virtio_device;

// A driver for one device type; probe runs in state DRIVER, features read, not yet negotiated.
struct virtio_driver {
    const char *name;
    uint64_t type;
    int (*probe)(struct virtio_device *vdev);
};
SET_DECLARE(virtio_drivers, struct virtio_driver);

#define VIRTIO_DRIVER(id, type, probe)                                                             \
    SET_ITEM(virtio_drivers, struct virtio_driver, virtio_##id) = {#id, type, probe}

enum { VIRTIO_QUEUES = 4 };

struct virtio_device {
    struct device *dev;
    volatile uint8_t *regs;
    uint32_t type;
    uint64_t offered, features; // feature bits of the device; of both
    const struct virtio_driver *driver;
    struct virtqueue *queue[VIRTIO_QUEUES];
    // Optional: configuration changed. Interrupt side.
    void (*config_changed)(struct virtio_device *vdev);
    void *priv;
};

// Accepts wanted bits the device offers, and VERSION_1, which it must. -ENODEV when it refuses.
int virtio_negotiate(struct virtio_device *vdev, uint64_t wanted);
// Allocates queue `index` of at most `size` entries, names it "NAME.INDEX" and publishes it.
// -ENOENT no such queue, -ENOMEM.
int virtio_queue_setup(struct virtio_device *vdev, unsigned index, uint16_t size, const char *name);
// DRIVER_OK: the device may work from here on.
void virtio_ready(struct virtio_device *vdev);

// The status register (2.1), which can be read at any time.
uint32_t virtio_status(const struct virtio_device *vdev);

// Device configuration space, little-endian; 64-bit reads are repeated until stable (4.2.2.2).
uint8_t virtio_config8(struct virtio_device *vdev, unsigned offset);
uint32_t virtio_config32(struct virtio_device *vdev, unsigned offset);
uint64_t virtio_config64(struct virtio_device *vdev, unsigned offset);
