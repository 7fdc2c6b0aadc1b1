// SPDX-License-Identifier: MIT
// DEBUG builds: what is freed is filled with poison, kept back for a while, and found out if it
// changes (FREED_CHECKED).
//
// A hart keeps the last FREED_HELD frames, and as many heap objects, that it was given back, in the
// order of their coming; only then they can be allocated again. All this time, and on in the
// allocator until the next allocation, they must hold poison: a write after free panics when they leave
// the queue (naming who freed them) or at the allocation. Poison is no address and no small number, so a
// pointer read after free faults at its first use. New heap objects hold another pattern: poison in
// what is freed says that it is freed twice.
#pragma once

#include "arch/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Sizes are multiples of 8 and addresses aligned to it. pc: who frees.
#ifdef FREED_CHECKED
enum { FREED_KEPT = true, FREED_HELD = 256 };

struct freed_queue {
    uint32_t count, next; // next: where the newest goes
    struct {
        void *p;
        const void *pc;
        size_t size;
    } at[FREED_HELD];
};

// Fills p with poison and queues it. Returns what may be used again now, or NULL.
void *freed_hold(struct freed_queue *q, void *p, size_t size, const void *pc);
// Takes the oldest out, to be used again. NULL: the queue is empty.
void *freed_release(struct freed_queue *q);
void freed_check(const void *p, size_t size);      // panics unless it is all poison
void freed_check_zero(const void *p, size_t size); // or all zero
void freed_fill(void *p, size_t size);
void freed_fill_new(void *p, size_t size); // of an object that is handed out
bool freed_is_poison(const void *p, size_t size);
static inline uint32_t freed_held(const struct freed_queue *q)
{
    return *(const volatile uint32_t *)&q->count;
}
#else
enum { FREED_KEPT = false };

struct freed_queue {
};

static inline void *freed_hold(struct freed_queue *q, void *p, size_t size, const void *pc)
{
    (void)q, (void)size, (void)pc;
    return p;
}
static inline void *freed_release(struct freed_queue *q)
{
    (void)q;
    return NULL;
}
#define freed_check(p, size)      ((void)(size))
#define freed_check_zero(p, size) ((void)(size))
#define freed_fill(p, size)       ((void)(size))
#define freed_fill_new(p, size)   ((void)(size))
#define freed_is_poison(p, size)  false
#define freed_held(q)             0
#endif
