// SPDX-License-Identifier: MIT
// sources: kernel/dev/virtio/queue.c kernel/lib/spinlock.c tests/unit/host.c
// Virtqueue ring logic against a simulated device that works through the rings only: it sees what
// a device sees, and answers in any order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/queue.h"
#include "lib/errno.h"

enum { SIZE = 16 };

// ---- the simulated device

struct device {
    struct virtqueue vq;
    struct virtq_desc desc[SIZE];
    struct virtq_slot slot[SIZE];
    _Alignas(4) uint8_t avail[64];
    _Alignas(4) uint8_t used[256];
    uint16_t seen;        // of the available ring
    uint16_t taken[SIZE]; // heads the device works on
    unsigned ntaken;
    unsigned notified;
};

static void notified(struct virtqueue *vq)
{
    ((struct device *)vq->owner)->notified++;
}

static struct device *device_new(bool event_idx)
{
    struct device *d = calloc(1, sizeof(*d));
    virtqueue_init(&d->vq, "test", SIZE, d->desc, (void *)d->avail, (void *)d->used, d->slot);
    d->vq.notify = notified;
    d->vq.owner = d;
    d->vq.event_idx = event_idx;
    return d;
}

// Takes everything offered; each chain must be well formed and share no descriptor with another.
static void device_look(struct device *d)
{
    uint16_t idx = d->vq.avail->idx;
    while (d->seen != idx) {
        uint16_t head = d->vq.avail->ring[d->seen++ % SIZE];
        assert_true(head < SIZE);
        assert_true(d->ntaken < SIZE);
        d->taken[d->ntaken++] = head;
    }
    bool busy[SIZE] = {0};
    for (unsigned k = 0; k < d->ntaken; k++)
        for (uint16_t i = d->taken[k];; i = d->desc[i].next) {
            assert_true(i < SIZE);
            assert_false(busy[i]);
            busy[i] = true;
            if (!(d->desc[i].flags & VIRTQ_DESC_NEXT))
                break;
        }
    if (d->vq.event_idx)
        *(uint16_t *)&d->vq.used->ring[SIZE] = d->seen;
}

static void device_push_used(struct device *d, uint32_t id, uint32_t len)
{
    d->vq.used->ring[d->vq.used->idx % SIZE] = (struct virtq_used_elem){id, len};
    d->vq.used->idx++;
}

// Answers the k-th chain it holds; writes `len` as the count.
static void device_answer(struct device *d, unsigned k, uint32_t len)
{
    uint16_t head = d->taken[k];
    d->taken[k] = d->taken[--d->ntaken];
    device_push_used(d, head, len);
}

// ---- requests

struct request {
    struct virtq_token token;
    uint32_t number;
    unsigned completed;
    int error;
    uint32_t written;
};

static unsigned order[4096], norder;

static void done(struct virtq_token *token, int error, uint32_t written)
{
    struct request *r = container_of(token, struct request, token);
    r->completed++;
    r->error = error;
    r->written = written;
    order[norder++ % 4096] = r->number;
}

static int add(struct device *d, struct request *r, unsigned reads, unsigned writes)
{
    struct virtq_segment seg[SIZE + 2];
    unsigned n = 0;
    for (unsigned i = 0; i < reads; i++)
        seg[n++] = (struct virtq_segment){0x1000 + 16 * r->number, 16, false};
    for (unsigned i = 0; i < writes; i++)
        seg[n++] = (struct virtq_segment){0x2000 + 16 * r->number, 32, true};
    r->token.complete = done;
    return virtqueue_add(&d->vq, seg, n, &r->token, r->number);
}

// ---- tests

static void one_chain(void **state)
{
    (void)state;
    struct device *d = device_new(false);
    struct request r = {.number = 7};
    int head = add(d, &r, 2, 1);
    assert_true(head >= 0);
    assert_int_equal(d->vq.slot[head].waiter, 7);
    assert_int_equal(d->vq.free_count, SIZE - 3);
    virtqueue_kick(&d->vq);
    assert_int_equal(d->notified, 1);
    virtqueue_kick(&d->vq);
    assert_int_equal(d->notified, 1); // nothing new

    device_look(d);
    assert_int_equal(d->ntaken, 1);
    const struct virtq_desc *a = &d->desc[head], *b = &d->desc[a->next], *c = &d->desc[b->next];
    assert_int_equal(a->flags, VIRTQ_DESC_NEXT);
    assert_int_equal(b->flags, VIRTQ_DESC_NEXT);
    assert_int_equal(c->flags, VIRTQ_DESC_WRITE);
    assert_int_equal(a->addr, 0x1070);
    assert_int_equal(c->len, 32);

    assert_int_equal(virtqueue_drain(&d->vq), 0);
    device_answer(d, 0, 21);
    assert_int_equal(virtqueue_drain(&d->vq), 1);
    assert_int_equal(r.completed, 1);
    assert_int_equal(r.error, 0);
    assert_int_equal(r.written, 21);
    assert_int_equal(d->vq.free_count, SIZE);
    free(d);
}

static void refusals(void **state)
{
    (void)state;
    struct device *d = device_new(false);
    struct request r = {0};
    struct virtq_segment wrong[2] = {{0x1000, 8, true}, {0x2000, 8, false}};
    assert_int_equal(add(d, &r, 0, 0), -EINVAL);
    assert_int_equal(add(d, &r, SIZE, 1), -EINVAL);
    assert_int_equal(virtqueue_add(&d->vq, wrong, 2, &r.token, 0), -EINVAL);
    assert_int_equal(d->vq.free_count, SIZE);
    assert_int_equal(d->vq.avail->idx, 0);
    free(d);
}

static void exhaustion(void **state)
{
    (void)state;
    struct device *d = device_new(false);
    struct request r[6] = {0};
    for (unsigned i = 0; i < 5; i++)
        assert_true(add(d, &r[i], 1, 2) >= 0);
    assert_int_equal(add(d, &r[5], 1, 1), -ENOSPC);
    assert_int_equal(d->vq.free_count, 1);
    assert_true(add(d, &r[5], 1, 0) >= 0); // the last descriptor is usable
    assert_int_equal(d->vq.free_count, 0);
    device_look(d);
    assert_int_equal(d->ntaken, 6);
    device_answer(d, 3, 0);
    assert_int_equal(virtqueue_drain(&d->vq), 1);
    assert_int_equal(d->vq.free_count, 3);
    struct request again = {.number = 99};
    assert_true(add(d, &again, 1, 2) >= 0);
    device_look(d);
    free(d);
}

// Long: indices wrap; every token comes back exactly once, whatever the order.
static void random_order(bool event_idx)
{
    struct device *d = device_new(event_idx);
    enum { N = 200000 };
    struct request *r = calloc(N, sizeof(*r));
    unsigned added = 0, answered = 0;
    srand(42);
    while (answered < N) {
        unsigned burst = (unsigned)rand() % 6;
        while (burst-- > 0 && added < N) {
            r[added].number = added;
            if (add(d, &r[added], 1 + (unsigned)rand() % 2, (unsigned)rand() % 3) < 0)
                break;
            added++;
        }
        virtqueue_kick(&d->vq);
        device_look(d);
        unsigned answers = d->ntaken ? (unsigned)rand() % (d->ntaken + 1) : 0;
        for (unsigned i = 0; i < answers; i++)
            device_answer(d, (unsigned)rand() % d->ntaken, i);
        answered += virtqueue_drain(&d->vq);
    }
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(r[i].completed, 1);
    assert_int_equal(d->vq.free_count, SIZE);
    assert_int_equal(d->vq.adds, N);
    assert_int_equal(d->vq.completions, N);
    assert_int_equal(d->vq.bogus, 0);
    free(r);
    free(d);
}

static void random_order_flags(void **state)
{
    (void)state;
    random_order(false);
}

static void random_order_events(void **state)
{
    (void)state;
    random_order(true);
}

// With event_idx the device is told only when the entry it named is published.
static void kicks_wanted(void **state)
{
    (void)state;
    struct device *d = device_new(true);
    struct request r[4] = {0};
    uint16_t *event = (uint16_t *)&d->vq.used->ring[SIZE];
    *event = 2; // tell me of the third
    for (unsigned i = 0; i < 2; i++) {
        add(d, &r[i], 1, 0);
        virtqueue_kick(&d->vq);
    }
    assert_int_equal(d->notified, 0);
    add(d, &r[2], 1, 0);
    virtqueue_kick(&d->vq);
    assert_int_equal(d->notified, 1);
    add(d, &r[3], 1, 0);
    virtqueue_kick(&d->vq);
    assert_int_equal(d->notified, 1);
    free(d);

    d = device_new(false);
    d->vq.used->flags = VIRTQ_USED_NO_NOTIFY;
    add(d, &r[0], 1, 0);
    virtqueue_kick(&d->vq);
    assert_int_equal(d->notified, 0);
    free(d);
}

// After a drain the driver asks to hear of the very next entry.
static void interrupts_wanted(void **state)
{
    (void)state;
    struct device *d = device_new(true);
    struct request r[2] = {0};
    add(d, &r[0], 1, 0);
    device_look(d);
    device_answer(d, 0, 0);
    virtqueue_drain(&d->vq);
    assert_int_equal(d->vq.avail->ring[SIZE], 1);
    free(d);
    d = device_new(false);
    add(d, &r[1], 1, 0);
    device_look(d);
    device_answer(d, 0, 0);
    virtqueue_drain(&d->vq);
    assert_int_equal(d->vq.avail->flags, 0);
    free(d);
}

// A device that answers what nobody asked, out of range, or twice.
static void bogus_answers(void **state)
{
    (void)state;
    struct device *d = device_new(false);
    struct request r = {0};
    int head = add(d, &r, 1, 1);
    device_push_used(d, SIZE + 3, 0);
    device_push_used(d, (uint32_t)(head + 1), 0); // in the chain, but not its head
    device_push_used(d, (uint32_t)head, 5);
    device_push_used(d, (uint32_t)head, 6);
    assert_int_equal(virtqueue_drain(&d->vq), 1);
    assert_int_equal(r.completed, 1);
    assert_int_equal(r.written, 5);
    assert_int_equal(d->vq.bogus, 3);
    assert_int_equal(d->vq.free_count, SIZE);
    free(d);
}

static void hold_and_release(void **state)
{
    (void)state;
    struct device *d = device_new(false);
    struct request r[4] = {0};
    int head[4];
    for (unsigned i = 0; i < 4; i++) {
        r[i].number = i;
        head[i] = add(d, &r[i], 1, 1);
    }
    device_look(d);
    virtqueue_hold(&d->vq, true);
    for (unsigned i = 0; i < 3; i++)
        device_push_used(d, (uint32_t)head[2 - i], 10 + i);
    assert_int_equal(virtqueue_drain(&d->vq), 0);
    assert_int_equal(d->vq.held_count, 3);
    assert_int_equal(d->vq.free_count, SIZE - 8); // still the device's

    assert_int_equal(virtqueue_release(&d->vq, (uint16_t)head[3], 0), -ENOENT); // not answered
    assert_int_equal(virtqueue_release(&d->vq, SIZE, 0), -ENOENT);
    assert_int_equal(virtqueue_release(&d->vq, (uint16_t)head[1], -EIO), 0);
    assert_int_equal(r[1].completed, 1);
    assert_int_equal(r[1].error, -EIO);
    assert_int_equal(r[1].written, 0);
    assert_int_equal(virtqueue_release(&d->vq, (uint16_t)head[1], 0), -ENOENT);

    norder = 0;
    virtqueue_hold(&d->vq, false);
    assert_int_equal(norder, 2);
    assert_int_equal(order[0], 2); // the device's order
    assert_int_equal(order[1], 0);
    assert_int_equal(r[2].written, 10);
    device_push_used(d, (uint32_t)head[3], 0);
    assert_int_equal(virtqueue_drain(&d->vq), 1);
    assert_int_equal(d->vq.free_count, SIZE);
    free(d);
}

// Held ends in the middle, first and last: the list stays whole.
static void release_any_of_held(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 3; first++)
        for (unsigned second = 0; second < 3; second++) {
            if (first == second)
                continue;
            struct device *d = device_new(false);
            struct request r[4] = {0};
            int head[4];
            for (unsigned i = 0; i < 4; i++)
                head[i] = add(d, &r[i], 1, 0);
            virtqueue_hold(&d->vq, true);
            for (unsigned i = 0; i < 3; i++)
                device_push_used(d, (uint32_t)head[i], 0);
            virtqueue_drain(&d->vq);
            virtqueue_release(&d->vq, (uint16_t)head[first], 0);
            virtqueue_release(&d->vq, (uint16_t)head[second], 0);
            device_push_used(d, (uint32_t)head[3], 0);
            virtqueue_drain(&d->vq);
            assert_int_equal(d->vq.held_count, 2);
            virtqueue_hold(&d->vq, false);
            for (unsigned i = 0; i < 4; i++)
                assert_int_equal(r[i].completed, 1);
            assert_int_equal(d->vq.free_count, SIZE);
            free(d);
        }
}

static void broken_device(void **state)
{
    (void)state;
    struct device *d = device_new(false);
    struct request r[3] = {0};
    for (unsigned i = 0; i < 2; i++)
        add(d, &r[i], 1, 1);
    virtqueue_hold(&d->vq, true);
    device_look(d);
    device_answer(d, 0, 4);
    virtqueue_drain(&d->vq);
    virtqueue_break(&d->vq);
    assert_int_equal(r[0].completed, 1);
    assert_int_equal(r[0].error, 0); // had been answered
    assert_int_equal(r[1].completed, 1);
    assert_int_equal(r[1].error, -EIO);
    assert_int_equal(add(d, &r[2], 1, 0), -EIO);
    device_answer(d, 0, 4); // too late
    assert_int_equal(virtqueue_drain(&d->vq), 0);
    assert_int_equal(r[1].completed, 1);
    free(d);
}

// The block driver's pattern: one reference for the waiter, one for the device. A waiter that
// goes away first leaves memory that the device's late completion still writes; ASan watches.
struct owned {
    struct virtq_token token;
    unsigned refs;
    char status;
};
static unsigned freed;

static void owned_put(struct owned *o)
{
    if (--o->refs == 0) {
        free(o);
        freed++;
    }
}

static void owned_done(struct virtq_token *token, int error, uint32_t written)
{
    struct owned *o = container_of(token, struct owned, token);
    (void)error;
    o->status = (char)written;
    owned_put(o);
}

static void cancelled_waiter(void **state)
{
    (void)state;
    struct device *d = device_new(false);
    freed = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct owned *o = calloc(1, sizeof(*o));
        o->refs = 2;
        o->token.complete = owned_done;
        struct virtq_segment seg = {0x1000, 1, true};
        assert_true(virtqueue_add(&d->vq, &seg, 1, &o->token, 1) >= 0);
        owned_put(o); // cancelled while the device works
        assert_int_equal(freed, i);
        device_look(d);
        device_answer(d, 0, 1);
        virtqueue_drain(&d->vq);
        assert_int_equal(freed, i + 1);
    }
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_chain),           cmocka_unit_test(refusals),
        cmocka_unit_test(exhaustion),          cmocka_unit_test(random_order_flags),
        cmocka_unit_test(random_order_events), cmocka_unit_test(kicks_wanted),
        cmocka_unit_test(interrupts_wanted),   cmocka_unit_test(bogus_answers),
        cmocka_unit_test(hold_and_release),    cmocka_unit_test(release_any_of_held),
        cmocka_unit_test(broken_device),       cmocka_unit_test(cancelled_waiter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
