-- SPDX-License-Identifier: MIT
-- Virtio devices as objects: what QEMU was told to build (a disk, a source of entropy), and what virtio 1.2 says of one that works.
local TYPES = {vda = 2, rng = 4} -- section 5
local EVENT_IDX, VERSION_1 = 1 << 29, 1 << 32

local n, queues = 0, 0
for d in k.virtio_devices() do
    n = n + 1
    is(d.type, TYPES[d.name], d.name .. ": its type")
    is(d.status, "acknowledge driver driver_ok features_ok", "its status register has what a driver sets (3.1.1), and no failure")
    is(d.features & ~d.offered, 0, "the driver took nothing that was not offered")
    is(d.features & VERSION_1, VERSION_1, "but the modern interface")
    for i, q in pairs(d.q) do
        queues = queues + 1
        is(q.name, d.name .. "." .. i, "a queue of its")
        is(q.event_idx, d.features & EVENT_IDX ~= 0, "which works as was agreed")
    end
    is(k.virtio[d.name], d, "it is found by name")
    is(d.device.driver, "virtio_mmio", "its node has the transport's driver")
end
ok(n >= 2, "the disk and the source of entropy at least")
is(queues, #k.queues(), "each queue is of one device")
is(k.virtio.vda.kind .. k.virtio.vda.type, "block2", "the disk")
is(k.virtio_devices():where{kind = "entropy"}:first().type, 4, "the source of entropy")
is(k.virtio.vda.q[0], k.queue("vda.0"), "a queue by its device is the one by its name")
local bound = k.devices():where{driver = "virtio_mmio", state = "bound"}
is(n, bound:count(), "all that are bound, and no empty slot")
fails(function() return k.virtio.nothing end, "k.virtio has no ", "there is no other")
fails(function() k.virtio.vda.status = 1 end, "VirtioDevice.status is read-only", "they are looked at only")
done()
