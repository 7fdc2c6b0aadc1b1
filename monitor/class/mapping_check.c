// SPDX-License-Identifier: MIT
// What is looked at before mappings change: what a range has, who uses its pages, whether it may.
#include "class/mapping_impl.h"

#include "class/classes.h"
#include "dev/virtio/queue.h"
#include "fs/vnode.h"
#include "mem/phys.h"
#include "session/session.h"
#include "task/process.h"

#include <stdio.h>

enum { BATCH = 64 };

bool class_is_inits(uint64_t space)
{
    struct space *s = space_find((uint32_t)space);
    if (!s)
        return false;
    spin_lock(&process_init->lock);
    bool is = process_init->space == s;
    spin_unlock(&process_init->lock);
    space_unref(s);
    return is;
}

static void count_entry(struct mapping_census *c, const struct pte_info *e)
{
    const struct page *pg = page_of(pte_pa(e->entry));
    c->pages += e->pages;
    c->own += load_relaxed(&pg->kind) == FRAME_ANON ? e->pages : 0;
    c->absent += !(e->entry & PTE_V);
    for (uint64_t i = 0; i < e->pages; i++)
        if (load_relaxed(&pg[i].pins))
            c->pinned = page_pa(pg + i);
}

static bool is_within(const struct phys_mapper *m, uint64_t space, va_t lo, va_t hi)
{
    return m->space == space && m->lo >= lo && m->hi <= hi;
}

// ph, to which the caller has one reference, is known otherwise than by the mappings in [lo, hi) of the space.
static bool is_elsewhere(struct phys *ph, uint64_t space, va_t lo, va_t hi)
{
    struct phys_mapper m[BATCH];
    uint32_t mappers = 0;
    for (size_t n; (n = phys_mappers(ph, mappers, m, BATCH)); mappers += (uint32_t)n)
        for (size_t i = 0; i < n; i++)
            if (!is_within(&m[i], space, lo, hi))
                return true;
    const struct vnode *v = ph->kind == PHYS_FILE ? ph->owner : NULL;
    return (v && v->nlink) || load_relaxed(v ? &v->refs : &ph->refs) > mappers + 1;
}

static void look_elsewhere(struct mapping_census *c, uint64_t space, va_t lo, va_t hi)
{
    struct space *s = space_find((uint32_t)space);
    struct phys *ph = s ? space_object(s, lo) : NULL;
    if (s)
        space_unref(s);
    if (!ph)
        return;
    c->last = !is_elsewhere(ph, space, lo, hi);
    c->lost = c->last ? load_relaxed(&ph->pages) : 0;
    phys_put(ph);
}

void mapping_note_object(const struct phys *ph, uint64_t arg[CHANGE_ARGS])
{
    struct class_key key = {ph->number, 0};
    if (ph->kind == PHYS_FILE)
        class_phys_key(ph, &key);
    arg[4] = key.id;
    arg[5] = key.owner;
    arg[7] = (uintptr_t)ph;
}

struct phys *mapping_object(const struct change *c)
{
    struct class_key key = {c->arg[4], c->arg[5]};
    uint64_t number = key.owner ? 0 : key.id;
    if (number && !class_phys_of(c->arg[7], &key)) // by whoever maps it now
        return NULL;
    struct phys *ph = class_phys_find(&key);
    if (!ph || ((uintptr_t)ph == c->arg[7] && ph->number == number))
        return ph;
    phys_put(ph);
    return NULL;
}

void mapping_take_census(uint64_t space, va_t lo, va_t hi, struct mapping_census *c)
{
    struct pte_info e[BATCH];
    size_t n = BATCH;
    *c = (struct mapping_census){0};
    look_elsewhere(c, space, lo, hi);
    while (n == BATCH) {
        struct space *s = space_find((uint32_t)space);
        if (!s)
            return;
        n = space_entries(s, lo, hi, e, BATCH);
        space_unref(s);
        for (size_t i = 0; i < n; i++)
            count_entry(c, &e[i]);
        lo = n ? e[n - 1].va + e[n - 1].pages * PAGE_SIZE : hi;
        if (n == BATCH)
            fiber_yield(session_fiber());
    }
}

// By whom: the first chain in flight that leads to the frame.
static bool pinned_by(struct virtqueue *q, pa_t pa, char *buf, size_t n)
{
    int head = -1;
    spin_lock(&q->lock);
    for (uint16_t h = 0; h < q->size && head < 0; h++) {
        uint16_t d = h;
        for (uint16_t k = 0; q->slot[h].state != VIRTQ_FREE && k < q->slot[h].descs && d < q->size;
             k++, d = q->desc[d].next)
            if (page_round_down(q->desc[d].addr) == pa)
                head = h;
    }
    spin_unlock(&q->lock);
    if (head >= 0)
        snprintf(buf, n, "a page is pinned by %s descriptor %d", q->name, head);
    return head >= 0;
}

void mapping_why_pinned(pa_t pa, char *buf, size_t n)
{
    struct virtqueue *q;
    snprintf(buf, n, "a page is pinned by I/O under way");
    for (uint64_t i = 0; (q = virtqueue_at(i)); i++)
        if (pinned_by(q, pa, buf, n))
            return;
}

bool mapping_check_range(struct change *c, struct mapping_info *m)
{
    uint64_t lo = c->arg[1], bytes = c->arg[2];
    if (lo & PAGE_MASK || bytes & PAGE_MASK || !bytes || lo + bytes < lo)
        snprintf(c->why, sizeof c->why, "not whole pages");
    else if (!class_mapping_at(c->arg[0], lo, m, NULL) || m->lo > lo || m->hi < lo + bytes)
        snprintf(c->why, sizeof c->why, "this range is not within one mapping");
    else if (class_is_inits(c->arg[0]) && monitor_mode() < MODE_UNSAFE)
        snprintf(c->why, sizeof c->why,
                 "it is init's: the machine dies with it (unsafe mode does it)");
    return !c->why[0];
}
