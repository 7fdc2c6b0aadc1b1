// SPDX-License-Identifier: MIT
// The virtio-mmio transport (virtio 1.2, section 4.2): finding devices, negotiating, queues.
//
// An interrupt is acknowledged before the queues are drained: what the device adds meanwhile
// raises it again.
#include "dev/virtio/virtio.h"

#include "arch/mmio.h"
#include "dev/irq.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "page/heap.h"

#include <stdio.h>

enum {
    MAGIC = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC = 0x080,
    QUEUE_DRIVER = 0x090,
    QUEUE_DEVICE = 0x0a0,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
};
enum { MAGIC_VALUE = 0x74726976, VERSION_MODERN = 2, VERSION_LEGACY = 1 };
enum { INTERRUPT_USED = 1, INTERRUPT_CONFIG = 2 };
enum {
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
    STATUS_NEEDS_RESET = 64,
    STATUS_FAILED = 128,
};
enum { RESET_SPINS = 1000000 };

static uint32_t reg_read(const struct virtio_device *vdev, uint32_t reg)
{
    return mmio_read32(vdev->regs + reg);
}

static void reg_write(const struct virtio_device *vdev, uint32_t reg, uint32_t v)
{
    mmio_write32(vdev->regs + reg, v);
}

static void add_status(const struct virtio_device *vdev, uint32_t bits)
{
    reg_write(vdev, STATUS, reg_read(vdev, STATUS) | bits);
}

// ---- features

static uint64_t read_features(const struct virtio_device *vdev)
{
    reg_write(vdev, DEVICE_FEATURES_SEL, 1);
    uint64_t high = reg_read(vdev, DEVICE_FEATURES);
    reg_write(vdev, DEVICE_FEATURES_SEL, 0);
    return high << 32 | reg_read(vdev, DEVICE_FEATURES);
}

int virtio_negotiate(struct virtio_device *vdev, uint64_t wanted)
{
    vdev->features = vdev->offered & (wanted | VIRTIO_F_VERSION_1);
    if (!(vdev->features & VIRTIO_F_VERSION_1))
        return -ENODEV;
    reg_write(vdev, DRIVER_FEATURES_SEL, 0);
    reg_write(vdev, DRIVER_FEATURES, (uint32_t)vdev->features);
    reg_write(vdev, DRIVER_FEATURES_SEL, 1);
    reg_write(vdev, DRIVER_FEATURES, (uint32_t)(vdev->features >> 32));
    add_status(vdev, STATUS_FEATURES_OK);
    return reg_read(vdev, STATUS) & STATUS_FEATURES_OK ? 0 : -ENODEV;
}

void virtio_ready(struct virtio_device *vdev)
{
    add_status(vdev, STATUS_DRIVER_OK);
}

uint32_t virtio_status(const struct virtio_device *vdev)
{
    return reg_read(vdev, STATUS);
}

// ---- queues

static void notify(struct virtqueue *vq)
{
    struct virtio_device *vdev = vq->owner;
    for (uint32_t i = 0; i < VIRTIO_QUEUES; i++)
        if (vdev->queue[i] == vq)
            reg_write(vdev, QUEUE_NOTIFY, i);
}

static void write_address(const struct virtio_device *vdev, uint32_t reg, const void *kva)
{
    pa_t pa = kva_to_pa(kva);
    reg_write(vdev, reg, (uint32_t)pa);
    reg_write(vdev, reg + 4, (uint32_t)(pa >> 32));
}

static size_t align_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

// Rings in one block: descriptors at 16, available ring behind them, used ring at 4 (2.7).
static struct virtqueue *make_queue(uint16_t size, const char *name)
{
    size_t avail = sizeof(struct virtq_desc) * size;
    size_t used = align_up(avail + virtq_avail_bytes(size), 4);
    char *rings = kzalloc(used + virtq_used_bytes(size));
    struct virtqueue *vq = kzalloc(sizeof(*vq));
    struct virtq_slot *slot = kzalloc(sizeof(*slot) * size);
    if (!rings || !vq || !slot) {
        kfree(rings);
        kfree(vq);
        kfree(slot);
        return NULL;
    }
    virtqueue_init(vq, name, size, (void *)rings, (void *)(rings + avail), (void *)(rings + used),
                   slot);
    return vq;
}

static uint16_t power_of_two_below(uint32_t n)
{
    uint16_t p = 1;
    while (p < VIRTQ_SIZE_MAX && p * 2u <= n)
        p = (uint16_t)(p * 2);
    return p;
}

int virtio_queue_setup(struct virtio_device *vdev, unsigned index, uint16_t size, const char *name)
{
    char full[16];
    if (index >= VIRTIO_QUEUES)
        return -ENOENT;
    reg_write(vdev, QUEUE_SEL, index);
    uint32_t max = reg_read(vdev, QUEUE_NUM_MAX);
    if (max == 0 || reg_read(vdev, QUEUE_READY))
        return -ENOENT;
    snprintf(full, sizeof(full), "%s.%u", name, index);
    struct virtqueue *vq = make_queue(power_of_two_below(size < max ? size : max), full);
    if (!vq)
        return -ENOMEM;
    vq->event_idx = vdev->features & VIRTIO_F_EVENT_IDX;
    vq->notify = notify;
    vq->owner = vdev;
    reg_write(vdev, QUEUE_NUM, vq->size);
    write_address(vdev, QUEUE_DESC, vq->desc);
    write_address(vdev, QUEUE_DRIVER, vq->avail);
    write_address(vdev, QUEUE_DEVICE, vq->used);
    store_release(&vdev->queue[index], vq);
    reg_write(vdev, QUEUE_READY, 1);
    virtqueue_publish(vq);
    return 0;
}

// ---- configuration space

uint8_t virtio_config8(struct virtio_device *vdev, unsigned offset)
{
    return mmio_read8(vdev->regs + CONFIG + offset);
}

uint32_t virtio_config32(struct virtio_device *vdev, unsigned offset)
{
    return mmio_read32(vdev->regs + CONFIG + offset);
}

uint64_t virtio_config64(struct virtio_device *vdev, unsigned offset)
{
    uint32_t before, after;
    uint64_t v;
    do {
        before = reg_read(vdev, CONFIG_GENERATION);
        v = virtio_config32(vdev, offset);
        v |= (uint64_t)virtio_config32(vdev, offset + 4) << 32;
        after = reg_read(vdev, CONFIG_GENERATION);
    } while (before != after);
    return v;
}

// ---- interrupts and probe

static void device_failed(struct virtio_device *vdev)
{
    log_error("%s: the device asks for a reset; its requests fail from here on", vdev->dev->name);
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
        if (vdev->queue[i])
            virtqueue_break(vdev->queue[i]);
}

static void handle_irq(uint32_t source, void *arg)
{
    struct virtio_device *vdev = arg;
    uint32_t status = reg_read(vdev, INTERRUPT_STATUS);
    (void)source;
    reg_write(vdev, INTERRUPT_ACK, status);
    if ((status & INTERRUPT_CONFIG) && (reg_read(vdev, STATUS) & STATUS_NEEDS_RESET)) {
        device_failed(vdev);
        return;
    }
    if ((status & INTERRUPT_CONFIG) && vdev->config_changed)
        vdev->config_changed(vdev);
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
        struct virtqueue *vq = load_acquire(&vdev->queue[i]);
        if (vq)
            virtqueue_drain(vq);
    }
}

static const struct virtio_driver *driver_for(uint32_t type)
{
    SET_FOREACH(virtio_drivers, struct virtio_driver, drv)
        if (drv->type == type)
            return drv;
    return NULL;
}

static bool reset(const struct virtio_device *vdev)
{
    reg_write(vdev, STATUS, 0);
    for (unsigned i = 0; i < RESET_SPINS; i++)
        if (reg_read(vdev, STATUS) == 0)
            return true;
    return false;
}

// 0: a modern device with a driver. Slots without a device are quiet.
static int identify(struct virtio_device *vdev)
{
    if (reg_read(vdev, MAGIC) != MAGIC_VALUE)
        return -EINVAL;
    vdev->type = reg_read(vdev, DEVICE_ID);
    if (vdev->type == 0)
        return -ENODEV;
    uint32_t version = reg_read(vdev, VERSION);
    if (version != VERSION_MODERN) {
        log_error("%s: virtio device %u has interface version %u, only 2 is supported%s",
                  vdev->dev->name, vdev->type, version,
                  version == VERSION_LEGACY
                      ? ": start QEMU with -global virtio-mmio.force-legacy=false"
                      : "");
        return -ENODEV;
    }
    vdev->driver = driver_for(vdev->type);
    if (!vdev->driver) {
        log_info("%s: no driver for virtio device type %u", vdev->dev->name, vdev->type);
        return -ENODEV;
    }
    return 0;
}

static int start(struct virtio_device *vdev)
{
    if (!reset(vdev))
        return -EIO;
    add_status(vdev, STATUS_ACKNOWLEDGE);
    add_status(vdev, STATUS_DRIVER);
    vdev->offered = read_features(vdev);
    int r = vdev->driver->probe(vdev);
    if (r < 0)
        add_status(vdev, STATUS_FAILED);
    return r;
}

static int probe(struct device *dev)
{
    if (!device_map(dev, 0) || !dev->irq)
        return -EINVAL;
    struct virtio_device *vdev = kzalloc(sizeof(*vdev));
    if (!vdev)
        return -ENOMEM;
    vdev->dev = dev;
    vdev->regs = device_map(dev, 0);
    int r = identify(vdev);
    if (r == 0)
        r = irq_register(dev->irq, handle_irq, vdev, vdev->driver->name);
    if (r < 0) {
        kfree(vdev);
        return r;
    }
    dev->priv = vdev;
    return start(vdev); // on an error vdev stays: the interrupt handler knows it
}
DRIVER(virtio_mmio, "virtio,mmio", probe);
