// SPDX-License-Identifier: MIT
// Virtio devices: what each is, what it and its driver agreed upon, its status and queues. A slot of the bus without a device is
// none. They live for ever; the id is that of the Device.
#include "dev/virtio/virtio.h"

#include "class/classes.h"
#include "lib/errno.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

struct virtio_view {
    char name[16], status[64];
    const char *kind, *driver;
    uint64_t offered, features;
    uint32_t type;
    uint64_t queue[VIRTIO_QUEUES]; // ids and 1, 0: it has none there
};

static const char *const kinds[] = {
    [VIRTIO_NET] = "network", [VIRTIO_BLK] = "block", [VIRTIO_RNG] = "entropy"};

// False: there is no such device at all.
static bool find(uint64_t id, struct virtio_device **out)
{
    const struct device *d = class_device_at(id);
    bool is = d && d->driver && strcmp(d->driver->name, "virtio_mmio") == 0;
    *out = is ? d->priv : NULL;
    return d;
}

static void status_text(char *buf, size_t n, uint32_t status)
{
    static const char *const bits[] = {"acknowledge", "driver", "driver_ok",   "features_ok",
                                       NULL,          NULL,     "needs_reset", "failed"};
    size_t at = 0;
    buf[0] = 0;
    for (unsigned i = 0; i < sizeof bits / sizeof *bits; i++)
        if (status >> i & 1 && bits[i] && at < n)
            at += (size_t)snprintf(buf + at, n - at, "%s%s", at ? " " : "", bits[i]);
}

static void copy_queues(struct virtio_view *v, const struct virtio_device *vdev)
{
    struct virtqueue *q;
    for (uint64_t i = 0; (q = virtqueue_at(i)); i++)
        for (unsigned at = 0; at < VIRTIO_QUEUES; at++)
            if (q == load_acquire(&vdev->queue[at]))
                v->queue[at] = i + 1;
}

static long virtio_copy(const struct class_key *key, void *out)
{
    struct virtio_device *vdev;
    struct virtio_view *v = out;
    if (!find(key->id, &vdev) || !vdev)
        return -ENOENT;
    *v = (struct virtio_view){
        .kind = vdev->type < sizeof kinds / sizeof *kinds ? kinds[vdev->type] : NULL,
        .driver = vdev->driver->name,
        .offered = vdev->offered,
        .features = vdev->features,
        .type = vdev->type,
    };
    status_text(v->status, sizeof v->status, virtio_status(vdev));
    copy_queues(v, vdev);
    const char *name = v->queue[0] ? virtqueue_at(v->queue[0] - 1)->name : v->driver;
    snprintf(v->name, sizeof v->name, "%.*s", (int)strcspn(name, "."), name);
    return 0;
}

static size_t virtio_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct virtio_device *vdev;
    size_t n = 0;
    for (uint64_t i = from; n < max && find(i, &vdev); i++)
        if (vdev)
            out[n++] = (struct class_key){i, owner};
    return n;
}

static void virtio_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct virtio_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s: type %u (%s), %s", v->name, v->type, v->kind ? v->kind : "?", v->status);
}

static void push_device(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push(L, class_device, (struct class_key){key->id, 0});
}

static void push_queues(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct virtio_view *v = copy;
    (void)key;
    lua_newtable(L);
    for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
        if (!v->queue[i])
            continue;
        class_push(L, class_virtqueue, (struct class_key){v->queue[i] - 1, 0});
        lua_rawseti(L, -2, i);
    }
}

static const struct class_field fields[] = {
    FIELD(struct virtio_view, name, "what its queues are named after"),
    FIELD(struct virtio_view, type, "the device's number of what it is (virtio 1.2, section 5)"),
    FIELD(struct virtio_view, kind, "the same as a word"),
    FIELD(struct virtio_view, driver, "who drives it"),
    FIELD(struct virtio_view, status, "the bits of its status register, now"),
    FIELD_ADDRESS(struct virtio_view, offered, "feature bits of the device"),
    FIELD_ADDRESS(struct virtio_view, features, "those of them that the driver took"),
    FIELD_OTHER("q", "table of VirtQueue", "its queues by number: q[0], q[1], ...", push_queues),
    FIELD_OTHER("device", "Device", "its node in the device tree", push_device),
    {0},
};

CLASS(virtio, .name = "VirtioDevice", .doc = "a virtio device",
      .place = "struct virtio_device, kernel/dev/virtio/virtio.h", .example = "k.virtio.vda",
      .size = sizeof(struct virtio_view), .copy = virtio_copy, .keys = virtio_keys,
      .line = virtio_line, .fields = fields);
CLASS_DECLARE(virtio);

// k.virtio.vda: by name. One whose probe failed may have none of its own, and then the first is shown.
static int k_virtio(lua_State *L)
{
    struct virtio_view v;
    struct virtio_device *vdev;
    lua_newtable(L);
    for (uint64_t i = 0; find(i, &vdev); i++) {
        struct class_key key = {i, 0};
        if (!vdev || virtio_copy(&key, &v))
            continue;
        if (lua_getfield(L, -1, v.name) == LUA_TNIL) {
            class_push(L, class_virtio, key);
            lua_setfield(L, -3, v.name);
        }
        lua_pop(L, 1);
    }
    class_set_names(L, "k.virtio", "");
    return 1;
}
MONITOR_API(virtio, "virtio", NULL, "VirtioDevices by name, each with its queues q[0], q[1], ...",
            "k.virtio.vda.q[0]:ring()", k_virtio, NULL);

static int k_virtio_devices(lua_State *L)
{
    class_push_list(L, class_virtio, 0);
    return 1;
}
MONITOR_API(virtio_devices, "virtio_devices", "k.virtio_devices() -> list of VirtioDevice",
            "the virtio devices", "k.virtio_devices():where{kind = \"block\"}", k_virtio_devices,
            NULL);
