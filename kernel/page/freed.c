// SPDX-License-Identifier: MIT
// Poison, and the queues of what was freed: see freed.h. A queue is its hart's own, so no lock.
#ifdef FREED_CHECKED
#include "page/freed.h"

#include "lib/log.h"

static const uint64_t poison = 0xdead4eeddead4eed, fresh = 0xbadc0ffebadc0ffe;

static void fill(void *p, size_t size, uint64_t word)
{
    uint64_t *w = p, *end = w + size / 8;
    while (w < end)
        *w++ = word;
}

static void check(const void *p, size_t size, uint64_t word, const void *pc)
{
    const uint64_t *w = p;
    for (size_t i = 0; i < size / 8; i++)
        if (unlikely(w[i] != word))
            panic(
                "freed memory at %p, %lu bytes, was changed at offset %lu: 0x%lx, not 0x%lx; freed at %p",
                p, (unsigned long)size, (unsigned long)(8 * i), (unsigned long)w[i],
                (unsigned long)word, pc);
}

void freed_fill(void *p, size_t size)
{
    fill(p, size, poison);
}

void freed_fill_new(void *p, size_t size)
{
    fill(p, size, fresh);
}

void freed_check(const void *p, size_t size)
{
    check(p, size, poison, NULL);
}

void freed_check_zero(const void *p, size_t size)
{
    check(p, size, 0, NULL);
}

bool freed_is_poison(const void *p, size_t size)
{
    const uint64_t *w = p;
    for (size_t i = 0; i < size / 8; i++)
        if (w[i] != poison)
            return false;
    return true;
}

void *freed_release(struct freed_queue *q)
{
    if (!q->count)
        return NULL;
    uint32_t oldest = (q->next + FREED_HELD - q->count) % FREED_HELD;
    q->count--;
    check(q->at[oldest].p, q->at[oldest].size, poison, q->at[oldest].pc);
    return q->at[oldest].p;
}

void *freed_hold(struct freed_queue *q, void *p, size_t size, const void *pc)
{
    void *out = q->count == FREED_HELD ? freed_release(q) : NULL;
    fill(p, size, poison);
    q->at[q->next].p = p;
    q->at[q->next].pc = pc;
    q->at[q->next].size = size;
    q->next = (q->next + 1) % FREED_HELD;
    q->count++;
    return out;
}
#endif
