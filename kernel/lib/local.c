// SPDX-License-Identifier: MIT
// Runs the constructor and destructor lists of hart- and task-local storage.
//
// The lists are short; order is a number in each item's state, so that the monitor can change it
// with one store. A walk picks the next higher order each time: quadratic in a handful.
#include "lib/local.h"

#include "lib/errno.h"
#include "lib/log.h"

#include <string.h>

static size_t task_block;

static const struct local_ctor *list_bounds(bool of_tasks, size_t *n)
{
    *n = of_tasks ? SET_COUNT(task_locals) : SET_COUNT(hart_locals);
    return of_tasks ? SET_BEGIN(task_locals) : SET_BEGIN(hart_locals);
}

void locals_init(void)
{
    for (int kind = 0; kind < 2; kind++) {
        size_t n;
        const struct local_ctor *c = list_bounds(kind, &n);
        for (size_t i = 0; i < n; i++)
            c[i].state->order = (uint16_t)(i + 1);
    }
    size_t at = 0;
    SET_FOREACH(task_locals, struct local_ctor, c) {
        c->state->offset = (uint32_t)at;
        at = (at + c->size + 15) & ~15ul;
    }
    task_block = at;
}

size_t task_local_size(void)
{
    return task_block;
}

// The item with the least order above `after` (or the greatest below, backwards); NULL at the end.
static const struct local_ctor *next_item(bool of_tasks, uint32_t after, bool backwards)
{
    size_t n;
    const struct local_ctor *c = list_bounds(of_tasks, &n), *best = NULL;
    for (size_t i = 0; i < n; i++) {
        uint16_t o = c[i].state->order;
        if (backwards ? o < after && (!best || o > best->state->order)
                      : o > after && (!best || o < best->state->order))
            best = &c[i];
    }
    return best;
}

void locals_walk(bool of_tasks, bool (*fn)(const struct local_ctor *, void *), void *arg)
{
    const struct local_ctor *c = NULL;
    while ((c = next_item(of_tasks, c ? c->state->order : 0, false)))
        if (!fn(c, arg))
            return;
}

int hart_locals_construct(void)
{
    for (const struct local_ctor *c = NULL;
         (c = next_item(false, c ? c->state->order : 0, false));) {
        c->state->skipped_last = c->state->disabled;
        if (c->state->disabled || !c->ctor)
            continue;
        int e = c->ctor(c->hart_object(), NULL);
        if (e) {
            c->state->failed++;
            return e;
        }
        c->state->constructed++;
    }
    return 0;
}

// An instance whose constructor was disabled is all zero, and destructors must cope with that.
static void destroy_below(struct task *t, void *block, uint32_t order)
{
    for (const struct local_ctor *c; (c = next_item(true, order, true)); order = c->state->order) {
        if (c->dtor) {
            c->dtor((char *)block + c->state->offset, t);
            c->state->destroyed++;
        }
    }
}

int task_locals_construct(struct task *t, void *block)
{
    memset(block, 0, task_block);
    for (const struct local_ctor *c = NULL;
         (c = next_item(true, c ? c->state->order : 0, false));) {
        c->state->skipped_last = c->state->disabled;
        if (c->state->disabled || !c->ctor)
            continue;
        int e = c->ctor((char *)block + c->state->offset, t);
        if (e) {
            c->state->failed++;
            destroy_below(t, block, c->state->order);
            return e;
        }
        c->state->constructed++;
    }
    return 0;
}

void task_locals_destroy(struct task *t, void *block)
{
    destroy_below(t, block, UINT16_MAX + 1u);
}
