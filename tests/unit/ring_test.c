// SPDX-License-Identifier: MIT
// sources: monitor/class/ring_check.c kernel/dev/virtio/queue.c kernel/lib/spinlock.c tests/unit/host.c
// What is said of a virtqueue: nothing while it works, and never more than its copy holds, whatever stands in it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "class/ring_check.h"

enum { SIZE = 16 };

static struct virtqueue vq;
static struct virtq_desc desc[SIZE];
static struct virtq_slot slot[SIZE];
static uint16_t avail[3 + SIZE];
static uint32_t used[2 + 2 * SIZE];
static struct virtq_token token[SIZE];
static struct ring_copy copy;
static bool done;

static void given_back(struct virtq_token *t, int error, uint32_t written)
{
    (void)error;
    (void)written;
    t->complete = NULL;
}

static int empty(void **state)
{
    (void)state;
    memset(token, 0, sizeof token);
    memset(desc, 0, sizeof desc);
    memset(avail, 0, sizeof avail);
    memset(used, 0, sizeof used);
    virtqueue_init(&vq, "test", SIZE, desc, (void *)avail, (void *)used, slot);
    return 0;
}

// Head of a new chain of n, or what refuses it.
static int add(unsigned n)
{
    struct virtq_segment seg[SIZE];
    struct virtq_token *t = token;
    while (t->complete)
        t++;
    for (unsigned i = 0; i < n; i++)
        seg[i] = (struct virtq_segment){0x1000 * i, 512, i > 0};
    int head = virtqueue_add(&vq, seg, n, t, 7);
    if (head >= 0)
        t->complete = given_back;
    return head;
}

static void give_back(unsigned id)
{
    vq.used->ring[vq.used->idx % SIZE] = (struct virtq_used_elem){id, 5};
    store_release(&vq.used->idx, (uint16_t)(vq.used->idx + 1));
}

static unsigned check(void)
{
    ring_copy(&vq, &copy);
    return ring_check(&copy);
}

// Chains come and go in any order, over several turns of the 16-bit indices; answers lie in the ring for a while.
static void work(void)
{
    if (rand() % 2)
        add(1 + (unsigned)rand() % 4);
    unsigned head = (unsigned)rand() % SIZE;
    bool answered = false;
    for (uint16_t i = vq.last_used; i != vq.used->idx; i++)
        answered |= vq.used->ring[i % SIZE].id == head;
    if (vq.slot[head].state == VIRTQ_IN_FLIGHT && !answered)
        give_back(head);
    if (rand() % 4 == 0)
        virtqueue_drain(&vq);
}

static void a_queue_at_work(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 200000; round++) {
        work();
        assert_int_equal(check(), 0);
    }
    assert_int_equal(copy.avail_written, SIZE);
}

static void *work_on(void *unused)
{
    for (int round = 0; round < 1000000; round++)
        work();
    store_release(&done, true);
    return unused;
}

// Who looks and who works are two.
static void a_queue_at_work_elsewhere(void **state)
{
    (void)state;
    pthread_t worker;
    unsigned looks = 0;
    done = false;
    assert_int_equal(pthread_create(&worker, NULL, work_on, NULL), 0);
    while (!load_acquire(&done) || looks < 100) {
        assert_int_equal(check(), 0);
        looks++;
    }
    pthread_join(worker, NULL);
}

static void expect(const char *said, const char *why)
{
    assert_true(check() > 0);
    assert_string_equal(said, why);
}

// What k.fault's broken-ring does not plant (tests/boot/ring.lua).
static void rare_mistakes(void **state)
{
    (void)state;
    assert_int_equal(add(3), 0);
    desc[1].flags |= 0x40;
    expect(copy.desc_why[1], "flags 0x40 are none that there are");
    desc[1].flags &= (uint16_t)~0x40;
    desc[1].len = desc[2].len = UINT32_MAX;
    expect(copy.desc_why[0], "a chain of 8589935102 bytes: more than 32 bits");
    desc[1].len = desc[2].len = 1;
    vq.used->idx = 100;
    expect(copy.entry_why[0], "the used ring's idx is 100, 100 ahead of the driver's");
    vq.used->idx = 0;
    vq.free_head = 1;
    expect(copy.desc_why[1], "free_head 1 is on the free list and in the chain of 0");
    vq.free_head = 300;
    expect(copy.desc_why[300 % SIZE],
           "free_head 300 is out of range: 0 of 13 descriptors are on the free list");
    vq.free_head = 3;
    desc[4].next = 99;
    expect(copy.desc_why[4], "next 99 is out of range: 2 of 13 descriptors are on the free list");
    desc[4].next = 5;
    assert_int_equal(check(), 0);
}

// The sanitizers watch.
static void anything(void **state)
{
    (void)state;
    srand(2);
    for (int round = 0; round < 100000; round++) {
        uint16_t order[VIRTQ_SIZE_MAX];
        if (round % 16 == 0) {
            empty(NULL);
            add(4);
            add(3);
        }
        switch (rand() % 4) {
        case 0:
            desc[rand() % SIZE].next = (uint16_t)(rand() % (2 * SIZE));
            break;
        case 1:
            ((uint8_t *)desc)[(size_t)rand() % sizeof desc] = (uint8_t)rand();
            break;
        case 2:
            ((uint8_t *)avail)[(size_t)rand() % sizeof avail] = (uint8_t)rand();
            break;
        case 3:
            ((uint8_t *)used)[(size_t)rand() % sizeof used] = (uint8_t)rand();
        }
        check();
        for (uint16_t head = 0; head < SIZE; head++)
            assert_in_range(ring_walk(&copy, head, order), 1, SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_queue_at_work, empty),
        cmocka_unit_test_setup(a_queue_at_work_elsewhere, empty),
        cmocka_unit_test_setup(rare_mistakes, empty),
        cmocka_unit_test(anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
