// SPDX-License-Identifier: MIT
// Runs the constructor and destructor lists of hart- and task-local storage.
//
// The lists are short; order is a number in each item's state. A walk first copies out the order of that
// moment: what the monitor changes meanwhile counts for the next owner, and nothing is left out or run twice.
#include "lib/local.h"

#include "arch/atomic.h"
#include "lib/errno.h"
#include "lib/log.h"

#include <string.h>

enum { LOCALS_MAX = 16 };
_Static_assert(LOCALS_MAX <= 32, "a bit for each says whether it is made");
static size_t task_block;
static uint32_t version; // of the orders; odd while two are being exchanged
_Thread_local uint32_t hart_locals_made;

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
        REQUIRE(n <= LOCALS_MAX);
        for (size_t i = 0; i < n; i++)
            c[i].state->order = (uint16_t)(i + 1);
    }
    size_t at = SET_COUNT(task_locals) ? sizeof(uint64_t) : 0; // task_locals_made
    SET_FOREACH(task_locals, struct local_ctor, c) {
        c->state->offset = (uint32_t)at;
        at = (at + c->size + 7) & ~7ul;
    }
    task_block = at;
}

size_t task_local_size(void)
{
    return task_block;
}

struct in_order {
    size_t n;
    const struct local_ctor *item[LOCALS_MAX];
};

static void sort(struct in_order *o, bool of_tasks)
{
    const struct local_ctor *c = list_bounds(of_tasks, &o->n);
    for (size_t i = 0; i < o->n; i++) {
        size_t k = i;
        for (; k > 0 &&
               load_relaxed(&o->item[k - 1]->state->order) > load_relaxed(&c[i].state->order);
             k--)
            o->item[k] = o->item[k - 1];
        o->item[k] = &c[i];
    }
}

static void in_order(struct in_order *o, bool of_tasks)
{
    uint32_t before;
    do {
        before = load_acquire(&version);
        sort(o, of_tasks);
        fence_full();
    } while (before & 1 || load_relaxed(&version) != before);
}

void locals_exchange(const struct local_ctor *a, const struct local_ctor *b)
{
    uint16_t was = a->state->order;
    atomic_add32(&version, 1);
    store_relaxed(&a->state->order, b->state->order);
    store_relaxed(&b->state->order, was);
    atomic_add32(&version, 1);
}

void locals_walk(bool of_tasks, bool (*fn)(const struct local_ctor *, void *), void *arg)
{
    struct in_order o;
    in_order(&o, of_tasks);
    for (size_t i = 0; i < o.n && fn(o.item[i], arg); i++)
        ;
}

// Constructs one instance, of list's owner: 0, or what its constructor says.
static int construct(const struct local_ctor *c, const struct local_ctor *list, void *object,
                     void *owner, uint32_t *made)
{
    bool disabled = load_relaxed(&c->state->disabled);
    c->state->skipped_last = disabled;
    if (disabled || !c->ctor)
        return 0;
    int e = c->ctor(object, owner);
    atomic_add64(e ? &c->state->failed : &c->state->constructed, 1);
    *made |= (uint32_t)!e << (c - list);
    return e;
}

int hart_locals_construct(void)
{
    struct in_order o;
    int e = 0;
    in_order(&o, false);
    for (size_t i = 0; i < o.n && !e; i++)
        e = construct(o.item[i], SET_BEGIN(hart_locals), o.item[i]->hart_object(), NULL,
                      &hart_locals_made);
    return e;
}

// The first n, backwards. An instance whose constructor was disabled is all zero, and destructors must cope with that.
static void destroy(const struct in_order *o, size_t n, struct task *t, void *block)
{
    while (n--) {
        const struct local_ctor *c = o->item[n];
        if (c->dtor) {
            c->dtor((char *)block + c->state->offset, t);
            atomic_add64(&c->state->destroyed, 1);
        }
    }
}

int task_locals_construct(struct task *t, void *block)
{
    struct in_order o;
    in_order(&o, true);
    memset(block, 0, task_block);
    for (size_t i = 0; i < o.n; i++) {
        int e = construct(o.item[i], SET_BEGIN(task_locals),
                          (char *)block + o.item[i]->state->offset, t, task_locals_made(block));
        if (e) {
            destroy(&o, i, t, block);
            return e;
        }
    }
    return 0;
}

void task_locals_destroy(struct task *t, void *block)
{
    struct in_order o;
    in_order(&o, true);
    destroy(&o, o.n, t, block);
}
