// SPDX-License-Identifier: MIT
// The graph of "held while taking" over classes of spinlocks, and what each hart holds.
//
// The graph only grows, and is free of circles: an edge is added under `busy` after a search for the
// way back. `known` answers without any lock whether an edge is there already, which is nearly always.
#ifdef LOCK_ORDER
#include "lib/lock_order.h"

#include "async/wait_async.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "lib/translations.h"

#include <stdio.h>
#include <string.h>

enum { CLASSES = 128, EDGES = 1024, HELD = 12, REPORT = 640 };

static struct lock_class {
    const char *name, *file;
    uint32_t line;
} classes[CLASSES]; // entry 0: none
static uint32_t class_count = 1;

static struct edge {
    uint16_t from, to;
    const void *from_pc, *to_pc; // of the first time
} edges[EDGES];
static uint32_t edge_count;
static uint64_t known[CLASSES][CLASSES / 64]; // bit to of [from]
static uint32_t busy; // guards all above; innermost, and never held elsewhere

static _Thread_local struct {
    uint32_t count;
    struct {
        struct spinlock *lock;
        const void *pc;
    } at[HELD];
} held;

static void graph_lock(void)
{
    while (!atomic_try_acquire32(&busy))
        cpu_relax();
}

static void graph_unlock(void)
{
    atomic_release32(&busy, 0);
}

static const char *name_of(const char *name)
{
    return name ? name : "?";
}

// ---- classes

static uint32_t class_find(const char *name, const char *file, uint32_t line)
{
    uint32_t c;
    graph_lock();
    for (c = 1; c < class_count; c++)
        if (classes[c].line == line && classes[c].file == file && classes[c].name == name)
            break;
    if (c == class_count && c < CLASSES)
        classes[class_count++] = (struct lock_class){name, file, line};
    graph_unlock();
    if (c == CLASSES)
        panic("lock order: more than %u classes of locks", CLASSES);
    return c;
}

static uint32_t class_of(struct spinlock *l)
{
    uint32_t c = load_relaxed(&l->class);
    if (unlikely(!c)) {
        if (!l->file)
            panic("lock at %p was never initialised", (void *)l);
        c = class_find(l->name, l->file, l->line);
        store_relaxed(&l->class, c);
    }
    return c;
}

// ---- the graph

static const struct edge *edge_of(uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < edge_count; i++)
        if (edges[i].from == from && edges[i].to == to)
            return &edges[i];
    return NULL;
}

// The shortest way from one class to another: fills next[c], the class after c on it. False: none.
static bool find_way(uint32_t from, uint32_t to, uint8_t next[CLASSES])
{
    uint8_t queue[CLASSES];
    uint32_t n = 0;
    memset(next, 0, CLASSES);
    queue[n++] = (uint8_t)to; // backwards from the end, so that next[] comes out forwards
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t e = 0; e < edge_count; e++) {
            uint32_t c = edges[e].from;
            if (edges[e].to != queue[i] || c == to || next[c])
                continue;
            next[c] = queue[i];
            if (c == from)
                return true;
            queue[n++] = (uint8_t)c;
        }
    return false;
}

static _Noreturn void report(uint32_t from, uint32_t to, const void *from_pc, const void *to_pc,
                             const uint8_t next[CLASSES])
{
    static char text[REPORT];
    size_t n = 0;
    const struct lock_class *a = &classes[from], *b = &classes[to];
    n += (size_t)snprintf(
        text, REPORT, "lock order: %s (%s:%u) taken at %p while %s (%s:%u) is held since %p;",
        name_of(b->name), b->file, b->line, to_pc, name_of(a->name), a->file, a->line, from_pc);
    for (uint32_t c = to; c != from && n < REPORT; c = next[c]) {
        const struct edge *e = edge_of(c, next[c]);
        n += (size_t)snprintf(
            text + n, REPORT - n, " but earlier %s at %p while %s was held since %p;",
            name_of(classes[next[c]].name), e->to_pc, name_of(classes[c].name), e->from_pc);
    }
    panic("%s", text);
}

static void add_edge(uint32_t from, uint32_t to, const void *from_pc, const void *to_pc)
{
    uint8_t next[CLASSES];
    graph_lock();
    if (!edge_of(from, to)) {
        if (find_way(to, from, next)) {
            graph_unlock();
            report(from, to, from_pc, to_pc, next);
        }
        if (edge_count == EDGES)
            panic("lock order: more than %u pairs", EDGES);
        edges[edge_count++] = (struct edge){(uint16_t)from, (uint16_t)to, from_pc, to_pc};
        atomic_or64(&known[from][to / 64], 1ul << to % 64);
    }
    graph_unlock();
}

// ---- the interface

void lock_order_take(struct spinlock *l, enum lock_how how, const void *pc)
{
    uint32_t to = class_of(l);
    REQUIRE(!cpu_interrupts_on());
    for (uint32_t i = 0; i < held.count && how != LOCK_TRY; i++) {
        uint32_t from = class_of(held.at[i].lock);
        if (from == to && how != LOCK_NESTED && held.at[i].lock != l)
            panic(
                "lock order: %s (%s:%u) at %p taken at %p while another of its class, at %p, is held "
                "since %p",
                name_of(l->name), l->file, l->line, (void *)l, pc, (void *)held.at[i].lock,
                held.at[i].pc);
        if (from != to && unlikely(!(load_relaxed(&known[from][to / 64]) >> to % 64 & 1)))
            add_edge(from, to, held.at[i].pc, pc);
    }
    if (held.count == HELD)
        panic("lock order: %u spinlocks at once", HELD);
    held.at[held.count].lock = l;
    held.at[held.count++].pc = pc;
}

void lock_order_drop(struct spinlock *l)
{
    for (uint32_t i = held.count; i-- > 0;)
        if (held.at[i].lock == l) {
            held.count--;
            memmove(&held.at[i], &held.at[i + 1], (held.count - i) * sizeof held.at[0]);
            if (!held.count)
                translations_check_settled();
            return;
        }
    panic("lock %s (%s:%u) at %p is released by hart %u, which does not hold it", name_of(l->name),
          l->file, l->line, (void *)l, hart_index());
}

void lock_order_none_held(const char *what)
{
    if (likely(!held.count))
        return;
    const struct spinlock *l = held.at[held.count - 1].lock;
    panic("%s with lock %s (%s:%u) held, taken at %p", what, name_of(l->name), l->file, l->line,
          held.at[held.count - 1].pc);
}

// ---- mutexes: a task's are a list from the one it took last, linked by mutex.outer

// Who awaits mutex_lock, or calls mutex_trylock: the frame says it better than a return address.
static const void *locker(const struct task *t)
{
    const struct frame *f = t->top;
    if (f && f->fn == &mutex_lock_fn)
        f = f->parent;
    return f ? (const void *)f->fn->resume : NULL;
}

static uint32_t mutex_class(const struct mutex *m)
{
    static const char kind[] = "a mutex";
    return m->class ? m->class : class_find(m->name, kind, 0);
}

void lock_order_mutex_wait(struct mutex *m, struct task *t)
{
    m->class = mutex_class(m);
    for (const struct mutex *o = t->mutexes; o; o = o->outer)
        if (o->class != m->class &&
            !(load_relaxed(&known[o->class][m->class / 64]) >> m->class % 64 & 1))
            add_edge(o->class, m->class, o->pc, locker(t));
}

void lock_order_mutex_taken(struct mutex *m, struct task *t)
{
    m->class = mutex_class(m);
    m->pc = locker(t);
    m->outer = t->mutexes;
    t->mutexes = m;
}

void lock_order_mutex_dropped(struct mutex *m, struct task *t)
{
    for (struct mutex **p = &t->mutexes; *p; p = &(*p)->outer)
        if (*p == m) {
            *p = m->outer;
            return;
        }
    panic("mutex %s is not among those that %s holds", name_of(m->name), t->name);
}
#endif
