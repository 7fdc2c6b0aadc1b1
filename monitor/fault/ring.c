// SPDX-License-Identifier: MIT
// broken-ring: a virtqueue of no device with a chain for each mistake that a ring can have, for k.lint and vq:ring() to find.
// It is made when it is first wanted, and stays, empty, when the fault ends.
#include "dev/virtio/queue.h"

#include "fault/fault.h"

#include <string.h>

enum { SIZE = 32, CHAINS = 8, DESCS = 3, BEYOND = 300 };

static struct virtqueue queue;
static struct virtq_desc desc[SIZE];
static struct virtq_slot slot[SIZE];
static struct virtq_token token[CHAINS]; // nobody ever gives them back
static uint16_t avail[3 + SIZE];
static uint32_t used[2 + 2 * SIZE];
static bool made;

static void make(void)
{
    virtqueue_init(&queue, "planted.0", SIZE, desc, (void *)avail, (void *)used, slot);
    virtqueue_publish(&queue);
    made = true;
}

// Chain n has the descriptors 3 n to 3 n + 2; 24 to 31 are free.
static void spoil(void)
{
    desc[5].flags |= VIRTQ_DESC_NEXT; // a loop
    desc[5].next = 3;
    desc[7].next = BEYOND;
    desc[9].flags = 0; // too short
    desc[13].len = 0;
    desc[17].flags = 0; // read after write
    desc[20].flags |= VIRTQ_DESC_INDIRECT;
    desc[22].next = 1;  // another chain's
    desc[29].next = 28; // a loop of the free list
    queue.avail->ring[2] = BEYOND;
    queue.avail->idx++;
    queue.used->ring[0].id = BEYOND + 1;
    queue.used->ring[1].id = 24; // a free one
    queue.used->idx = 2;
}

static long ring_begin(const struct fault_options *o)
{
    struct virtq_segment seg[DESCS] = {
        {0x80000000, 16, false}, {0x80001000, 4096, true}, {0x80002000, 1, true}};
    (void)o;
    if (!made)
        make();
    for (int i = 0; i < CHAINS; i++)
        virtqueue_add(&queue, seg, DESCS, &token[i], 0);
    spin_lock(&queue.lock);
    spoil();
    spin_unlock(&queue.lock);
    return 0;
}

// As it was made.
static void ring_end(void)
{
    spin_lock(&queue.lock);
    memset(slot, 0, sizeof slot);
    memset(avail, 0, sizeof avail);
    memset(used, 0, sizeof used);
    for (uint16_t i = 0; i < SIZE; i++)
        desc[i] = (struct virtq_desc){.next = (uint16_t)(i + 1)};
    queue.free_count = SIZE;
    queue.free_head = queue.avail_idx = queue.adds = 0;
    spin_unlock(&queue.lock);
}
FAULT(broken_ring, "broken-ring", "a virtqueue of no device, planted.0, with broken chains",
      MODE_RW, 0, NULL, ring_begin, ring_end, NULL);
