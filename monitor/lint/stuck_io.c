// SPDX-License-Identifier: MIT
// Stuck I/O: a request that a virtqueue has had for longer than the limit, at both looks the same one.
#include "dev/virtio/queue.h"

#include "lint/lint.h"

#include <stdio.h>

enum { SUSPECTS = 32 };

struct suspect {
    struct virtqueue *q; // lives for ever
    uint64_t since;
    uint32_t waiter;
    uint16_t head;
    uint8_t state;
};
struct noticed {
    struct suspect suspect[SUSPECTS];
    unsigned suspects;
};

static void look_at_queue(struct noticed *x, struct virtqueue *q, uint64_t before)
{
    spin_lock(&q->lock);
    for (uint16_t i = 0; i < q->size && x->suspects < SUSPECTS; i++) {
        const struct virtq_slot *s = &q->slot[i];
        if (s->state != VIRTQ_FREE && s->since < before)
            x->suspect[x->suspects++] = (struct suspect){q, s->since, s->waiter, i, s->state};
    }
    spin_unlock(&q->lock);
}

static uint64_t notice(void *noticed, const struct lint_limits *limits)
{
    struct noticed *x = noticed;
    uint64_t now = time_ticks(), age = ns_to_ticks(limits->io_ms * 1000000);
    struct virtqueue *q;
    for (uint64_t i = 0; now > age && (q = virtqueue_at(i)); i++)
        look_at_queue(x, q, now - age);
    return x->suspects;
}

static bool is_there(const struct suspect *s)
{
    spin_lock(&s->q->lock);
    const struct virtq_slot *now = &s->q->slot[s->head];
    bool is = now->state == s->state && now->since == s->since;
    spin_unlock(&s->q->lock);
    return is;
}

static void judge(lua_State *L, const void *noticed)
{
    const struct noticed *x = noticed;
    for (unsigned i = 0; i < x->suspects; i++) {
        const struct suspect *s = &x->suspect[i];
        char text[160], who[24] = "nobody waits";
        if (!is_there(s))
            continue;
        if (s->waiter)
            snprintf(who, sizeof who, "Task#%u waits", s->waiter);
        snprintf(text, sizeof text, "%s: the request at descriptor %u %s; %s", s->q->name, s->head,
                 s->state == VIRTQ_HELD ? "is done, and held back here"
                                        : "has not come back from the device",
                 who);
        lint_found(L, "stuck I/O", s->waiter, ticks_to_ns(time_ticks() - s->since) / 1000000, text);
    }
}
LINT_CHECK(stuck_io, "stuck I/O", sizeof(struct noticed), notice, NULL, judge);
