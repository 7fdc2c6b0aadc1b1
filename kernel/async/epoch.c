// SPDX-License-Identifier: MIT
// Epoch reclamation: the queue of what was retired, and who frees it.
#include "async/epoch.h"

#include "async/wait_async.h"
#include "lib/init.h"
#include "lib/log.h"

struct epoch_slot epoch_slots[MAX_HARTS];
uint64_t epoch_now = 1; // grows under queue.lock

static struct {
    struct spinlock lock;
    struct epoch_item *first, **end; // in the order of retirement
    uint64_t retired, deferred;
} queue = {.lock = SPINLOCK_INIT("epochs"), .end = &queue.first};
static uint64_t freed; // atomic
static struct event late = {.lock = SPINLOCK_INIT("late epochs"),
                            .waiters = {LIST_INIT(late.waiters.head)}};

// queue.lock held. Begins an epoch and takes out what was retired before the oldest section began.
// What was retired until now is known to no section of the new epoch: it sees what the lock orders
// before the step. A section whose slot we do not see yet sees, by its fence and ours, the same.
static struct epoch_item *take_ripe_locked(void)
{
    struct epoch_item *ripe = queue.first, **end = &ripe;
    uint64_t oldest = epoch_now + 1;
    store_release(&epoch_now, oldest);
    fence_full();
    for (uint32_t i = 0; i < hart_count; i++) {
        uint64_t inside = load_acquire(&epoch_slots[i].inside);
        if (inside && inside < oldest)
            oldest = inside;
    }
    while (*end && (*end)->retired_in < oldest)
        end = &(*end)->next;
    queue.first = *end;
    if (!queue.first)
        queue.end = &queue.first;
    *end = NULL;
    return ripe;
}

static void free_all(struct epoch_item *item)
{
    uint64_t n = 0;
    for (struct epoch_item *next; item; item = next, n++) {
        next = item->next;
        item->free(item);
    }
    if (n)
        atomic_add64(&freed, n);
}

void epoch_retire(struct epoch_item *item, void (*free_item)(struct epoch_item *item))
{
    item->next = NULL;
    item->free = free_item;
    spin_lock(&queue.lock);
    item->retired_in = epoch_now;
    *queue.end = item;
    queue.end = &item->next;
    queue.retired++;
    struct epoch_item *ripe = take_ripe_locked();
    bool some_left = queue.first != NULL;
    queue.deferred += some_left;
    spin_unlock(&queue.lock);
    free_all(ripe);
    if (unlikely(some_left))
        event_set(&late);
}

void epoch_stats_get(struct epoch_stats *out)
{
    spin_lock(&queue.lock);
    *out = (struct epoch_stats){epoch_now, queue.retired, load_relaxed(&freed), queue.deferred};
    spin_unlock(&queue.lock);
}

// Frees what had to wait: a section lasts no longer than a poll, so a turn or two later.
ASYNC_DECL(epoch_keeper, int unused;);
ASYNC(epoch_keeper, struct epoch_item *ripe; bool more; long r;)
{
    ASYNC_BEGIN(epoch_keeper);
    for (;;) {
        AWAIT(f->r, event_wait, &late, false);
        event_clear(&late);
        do {
            spin_lock(&queue.lock);
            f->ripe = take_ripe_locked();
            f->more = queue.first != NULL;
            spin_unlock(&queue.lock);
            free_all(f->ripe);
            YIELD();
        } while (f->more);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void epoch_start(void)
{
    if (!SPAWN("epoch keeper", epoch_keeper, 0))
        panic("no memory for the epoch keeper");
}
INIT(INIT_CORE, epoch_start);
