// SPDX-License-Identifier: MIT
// Virtqueues: their counts and indices. What is in the rings: virtqueue_ring.c.
#include "dev/virtio/queue.h"

#include "async/timer.h"
#include "class/classes.h"
#include "lib/errno.h"
#include "session/later.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

// The id is the place in the list.
struct queue_view {
    char name[16];
    uint64_t adds, completions, kicks, bogus, delay_ms;
    uint16_t size, free, in_flight, avail_idx, used_idx, last_used, kicked_idx, held_count;
    bool held, broken, event_idx;
};

static long queue_copy(const struct class_key *key, void *out)
{
    struct virtqueue *q = virtqueue_at(key->id);
    struct queue_view *v = out;
    if (!q)
        return -ENOENT;
    spin_lock(&q->lock);
    *v = (struct queue_view){
        .adds = q->adds,
        .completions = q->completions,
        .kicks = q->kicks,
        .bogus = q->bogus,
        .size = q->size,
        .free = q->free_count,
        .avail_idx = q->avail_idx,
        .used_idx = load_relaxed(&q->used->idx),
        .last_used = q->last_used,
        .kicked_idx = q->kicked_idx,
        .held_count = q->held_count,
        .held = q->held,
        .broken = q->broken,
        .event_idx = q->event_idx,
    };
    memcpy(v->name, q->name, sizeof v->name);
    for (unsigned i = 0; i < q->size; i++)
        v->in_flight += q->slot[i].state == VIRTQ_IN_FLIGHT;
    spin_unlock(&q->lock);
    v->delay_ms = later_age(key->id) / 1000000;
    return 0;
}

static size_t queue_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t i = from; n < max && virtqueue_at(i); i++)
        out[n++] = (struct class_key){i, owner};
    return n;
}

static void queue_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct queue_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s: %u of %u descriptors free, %u in flight, %u held%s", v->name, v->free,
             v->size, v->in_flight, v->held_count, v->broken ? ", broken" : "");
}

static const struct class_field fields[] = {
    FIELD(struct queue_view, name, "device and number"),
    FIELD(struct queue_view, size, "descriptors"),
    FIELD(struct queue_view, free, "descriptors that are free"),
    FIELD(struct queue_view, in_flight, "requests the device has"),
    FIELD(struct queue_view, held, "completions are held back", .set = class_queue_set_held),
    FIELD(struct queue_view, held_count, "requests the device gave back, held here"),
    FIELD(struct queue_view, delay_ms, "completions are handed on when requests are that old",
          .set = class_queue_set_delay),
    FIELD(struct queue_view, avail_idx, "next entry of the available ring"),
    FIELD(struct queue_view, used_idx, "where the device is in the used ring"),
    FIELD(struct queue_view, last_used, "where the driver is in the used ring"),
    FIELD(struct queue_view, kicked_idx, "avail_idx at the last kick"),
    FIELD(struct queue_view, event_idx, "the device tells when it wants to hear"),
    FIELD(struct queue_view, broken, "the device failed"),
    FIELD(struct queue_view, adds, "requests so far"),
    FIELD(struct queue_view, completions, "of them handed on"),
    FIELD(struct queue_view, kicks, "times the device was told"),
    FIELD(struct queue_view, bogus, "used elements that named no request"),
    {0},
};

static const struct class_method methods[] = {
    {"ring",
     "vq:ring() -> list of {index, at, state, head, addr, len, flags, next, avail, used, written, task, broken}",
     "its three arrays side by side: a descriptor and, of the same index, what the available and the used ring say; "
     "at: which indices of driver and device are here; broken: what is wrong, in words",
     "k.queue(\"vda.0\"):ring()", class_queue_ring},
    {"chains", "vq:chains() -> list of {head, state, descs, us, task, broken}",
     "the requests in it, who waits for each, and for how long", "k.queue(\"vda.0\"):chains()",
     class_queue_chains},
    {"chain", "vq:chain(head) -> list of {index, addr, len, flags, next, broken}",
     "the descriptors of a request, as the device follows them", "k.queue(\"vda.0\"):chain(0)",
     class_queue_chain},
    {"release", "vq:release(head)", "completes one held request, in any order",
     "k.queue(\"vda.0\"):release(0)", class_queue_release},
    {"fail", "vq:fail(head)", "completes one held request with an I/O error (unsafe)",
     "k.queue(\"vda.0\"):fail(0)", class_queue_fail},
    {"reorder", "vq:reorder(a, b)", "two held requests change places in the order of completion",
     "k.queue(\"vda.0\"):reorder(0, 3)", class_queue_reorder},
    {"kick", "vq:kick()", "tells the device that there may be requests",
     "k.queue(\"vda.0\"):kick()", class_queue_kick},
    {0},
};

CLASS(virtqueue, .name = "VirtQueue", .doc = "a split virtqueue of a device",
      .place = "struct virtqueue, kernel/dev/virtio/queue.h", .example = "k.queues():first()",
      .display = "ring size free", .size = sizeof(struct queue_view), .copy = queue_copy,
      .keys = queue_keys, .line = queue_line, .fields = fields, .methods = methods,
      .changing = "release fail reorder kick");

static int k_queues(lua_State *L)
{
    class_push_list(L, class_virtqueue, 0);
    return 1;
}
MONITOR_API(queues, "queues", "k.queues() -> list of VirtQueue", "the virtqueues of all devices",
            "k.queues()", k_queues, NULL);

static int k_queue(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct virtqueue *q;
    for (uint64_t i = 0; (q = virtqueue_at(i)); i++)
        if (strcmp(q->name, name) == 0) {
            class_push(L, class_virtqueue, (struct class_key){i, 0});
            return 1;
        }
    return luaL_error(L, "there is no queue '%s'; k.queues() lists them", name);
}
MONITOR_API(queue, "queue", "k.queue(name) -> VirtQueue", "one queue by its name",
            "k.queue(\"vda.0\"):ring()", k_queue, NULL);
