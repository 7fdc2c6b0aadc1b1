// SPDX-License-Identifier: MIT
// The slow ways of the ring: overflow, the inbox, other tasks than the ring's, theft.
#include "async/runqueue_ring.h"

struct injector ring_injector = {.lock = SPINLOCK_INIT("injector")};

static void inject(struct task *t)
{
    spin_lock(&ring_injector.lock);
    fifo_push(&ring_injector.tasks, t);
    spin_unlock(&ring_injector.lock);
}

static struct task *take_injected(void)
{
    if (!load_relaxed(&ring_injector.tasks.count))
        return NULL;
    spin_lock(&ring_injector.lock);
    struct task *t = fifo_pop(&ring_injector.tasks);
    spin_unlock(&ring_injector.lock);
    return t;
}

cold void ring_push_slow(struct ring_queue *q, struct task *t)
{
    if (t->affinity != AFFINITY_ANY)
        fifo_push(&q->bound, t);
    else
        inject(t);
}

cold struct task *ring_pop_by_turns(struct ring_queue *q)
{
    enum { RING, BOUND, INJECTED, SOURCES };
    struct task *t = NULL;
    for (int i = 0; i < SOURCES && !t; i++) {
        q->turn = (q->turn + 1) % SOURCES;
        t = q->turn == RING    ? ring_take(q)
            : q->turn == BOUND ? fifo_pop(&q->bound)
                               : take_injected();
    }
    return t;
}

static struct task *take_urgent_bound(struct ring_queue *q, bool (*is_urgent)(const struct task *))
{
    struct task *found = NULL;
    for (uint32_t n = q->bound.count; n; n--) {
        struct task *t = fifo_pop(&q->bound);
        if (!found && is_urgent(t))
            found = t;
        else
            fifo_push(&q->bound, t);
    }
    return found;
}

static struct task *take_urgent(struct ring_queue *q, bool (*is_urgent)(const struct task *))
{
    struct task *t;
    for (uint32_t n = ring_stealable(q); n && (t = ring_take(q)); n--) {
        if (is_urgent(t))
            return t;
        ring_put(q, t); // what it leaves is room
    }
    return NULL;
}

bool ring_hurry(struct ring_queue *q, bool (*is_urgent)(const struct task *))
{
    if (q->next && is_urgent(q->next)) {
        ring_set_first(q, q->next);
        return true;
    }
    if (load_relaxed(&q->inbox))
        ring_open_inbox(q);
    struct task *t = take_urgent_bound(q, is_urgent);
    if (!t && !(t = take_urgent(q, is_urgent)))
        return false;
    ring_expose(q);
    ring_set_first(q, t);
    return true;
}

void ring_send(struct ring_queue *q, struct task *t)
{
    uint64_t old = (uint64_t)load_relaxed(&q->inbox), was;
    for (;; old = was) {
        t->queue_next = (struct task *)old;
        was = atomic_cas64((uint64_t *)&q->inbox, old, (uint64_t)t);
        if (was == old)
            return;
    }
}

// The newest is on top: turned round first.
cold void ring_open_inbox(struct ring_queue *q)
{
    struct task *t = (struct task *)atomic_swap64((uint64_t *)&q->inbox, 0), *oldest = NULL;
    for (struct task *below; t; t = below) {
        below = t->queue_next;
        t->queue_next = oldest;
        oldest = t;
    }
    for (struct task *after; oldest; oldest = after) {
        after = oldest->queue_next;
        ring_push(q, oldest);
    }
}

struct task *ring_steal(struct ring_queue *own, struct ring_queue *victim, uint32_t max)
{
    uint32_t tail = own->tail, room = RING_SIZE - (tail - load_acquire(&own->head)) + 1;
    uint32_t head = load_acquire(&victim->head), n = load_acquire(&victim->tail) - head;
    if (n == 0 || n > RING_SIZE) // more: head is an old one
        return NULL;
    n -= n / 2;
    n = n > max ? max : n;
    n = n > room ? room : n;
    struct task *first = load_relaxed(&victim->slot[head % RING_SIZE]);
    for (uint32_t i = 1; i < n; i++)
        store_relaxed(&own->slot[(tail + i - 1) % RING_SIZE],
                      load_relaxed(&victim->slot[(head + i) % RING_SIZE]));
    if (atomic_cas32(&victim->head, head, head + n) != head)
        return NULL;
    store_release(&own->tail, tail + n - 1);
    return first;
}

void task_ids_add(struct task_ids *ids, const struct task *t)
{
    for (unsigned i = 0; i < ids->n; i++)
        if (ids->id[i] == t->id)
            return;
    if (ids->n < ids->max)
        ids->id[ids->n++] = t->id;
}

// As many steps as there is room: the list may lead round in a circle for a moment.
void task_ids_add_list(struct task_ids *ids, struct task *const *head)
{
    const struct task *t = load_relaxed(head);
    for (unsigned steps = 0; t && steps < ids->max; steps++, t = load_relaxed(&t->queue_next))
        task_ids_add(ids, t);
}

// The newest is on top.
static void add_inbox(struct task_ids *ids, const struct ring_queue *q)
{
    unsigned from = ids->n;
    task_ids_add_list(ids, &q->inbox);
    for (unsigned to = ids->n; from + 1 < to; from++) {
        uint32_t id = ids->id[--to];
        ids->id[to] = ids->id[from];
        ids->id[from] = id;
    }
}

void ring_list(const struct ring_queue *q, struct task_ids *ids)
{
    const struct task *next = load_relaxed(&q->next);
    uint32_t head = load_acquire(&q->head), tail = load_acquire(&q->tail);
    if (next)
        task_ids_add(ids, next);
    if (tail - head > RING_SIZE) // head is an old one
        head = tail - RING_SIZE;
    for (; head != tail; head++)
        task_ids_add(ids, load_relaxed(&q->slot[head % RING_SIZE]));
    task_ids_add_list(ids, &q->bound.head);
    add_inbox(ids, q);
}
