// SPDX-License-Identifier: MIT
// The kernel heap: slabs of equal objects, a stack of free ones per hart and class.
//
// A slab is 1, 2 or 4 frames, or 1 of any class when no more lie side by side: with every second frame
// free there is memory still. Its bookkeeping lies in the page entry of its first frame: the class (order),
// free objects (flags), first free object (index), frames (pins). Free objects hold the number of the
// next. The other frames say how far away the first is. A slab that has free objects is in its
// class's list; one that becomes empty goes back to the frames, but for one spare per class. The
// class lock guards all that; a hart's stacks are its own.
#include "page/heap.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "lib/stock.h"
#include "page/frame.h"
#include "page/freed.h"

#include <string.h>

enum { STACK_MAX = 14, STACK_BATCH = 7, NO_OBJECT = 0xffff, TAIL = 0xffff };

static const struct {
    uint16_t size;
    uint8_t order;
} shape[HEAP_CLASSES] = {
    {16, 0},  {32, 0},  {48, 0},  {64, 0},   {96, 0},   {128, 0},  {192, 0},  {256, 0},  {272, 0},
    {384, 0}, {512, 0}, {768, 0}, {1024, 1}, {1536, 2}, {2048, 2}, {2560, 2}, {3072, 2},
};

struct size_class {
    struct spinlock lock;
    struct list partial; // slabs with free objects, by page.link
    uint64_t slabs, frames, objects, used, empty;
};
static struct size_class classes[HEAP_CLASSES];
static uint8_t class_of_size[HEAP_SLAB_MAX / 16 + 1]; // by (size + 15) / 16

struct hart_stack {
    uint32_t count;
    uint32_t held; // debug builds: of its class, in held_back
    uint64_t allocs, frees;
    void *object[STACK_MAX];
};
static _Thread_local struct hart_stack stacks[HEAP_CLASSES];
static struct hart_stack *stacks_of_hart[MAX_HARTS];
static struct freed_queue held_back[MAX_HARTS];

static struct spinlock large_lock = SPINLOCK_INIT("heap large");
static uint64_t large_blocks, large_frames, failures;

void heap_init(void)
{
    unsigned c = 0;
    for (unsigned i = 0; i <= HEAP_SLAB_MAX / 16; i++) {
        if (i * 16 > shape[c].size)
            c++;
        class_of_size[i] = (uint8_t)c;
    }
    for (c = 0; c < HEAP_CLASSES; c++) {
        spin_init(&classes[c].lock, "heap class");
        list_init(&classes[c].partial);
    }
}

static unsigned slab_objects(const struct page *slab, unsigned c)
{
    return slab->pins * (unsigned)PAGE_SIZE / shape[c].size;
}

// ---- slabs; the class lock is held

static void *slab_object(const struct page *slab, unsigned c, unsigned i)
{
    return (char *)page_kva(slab) + (size_t)i * shape[c].size;
}

static void slab_add(unsigned c, pa_t pa, unsigned frames)
{
    struct page *slab = page_of(pa);
    store_relaxed(&slab->pins, frames);
    unsigned n = slab_objects(slab, c);
    for (unsigned i = 0; i < frames; i++) {
        store_relaxed(&slab[i].kind, FRAME_SLAB);
        store_release(&slab[i].order, (uint8_t)c); // never FREE with a class (page/buddy.c)
        slab[i].flags = TAIL;
        slab[i].index = i;
    }
    slab->flags = (uint16_t)n;
    slab->index = 0;
    for (unsigned i = 0; i < n; i++) {
        freed_fill(slab_object(slab, c, i), shape[c].size);
        *(uint64_t *)slab_object(slab, c, i) = i + 1 < n ? i + 1 : NO_OBJECT;
    }
    list_push_front(&classes[c].partial, &slab->link);
    classes[c].slabs++;
    classes[c].frames += frames;
    classes[c].objects += n;
    classes[c].empty++;
}

static void *slab_take(struct page *slab, unsigned c)
{
    void *p = slab_object(slab, c, slab->index);
    if (slab->flags == slab_objects(slab, c))
        classes[c].empty--;
    slab->index = (uint32_t) * (uint64_t *)p;
    freed_fill(p, sizeof(uint64_t)); // in a stack it is all poison
    if (--slab->flags == 0)
        list_remove(&slab->link);
    classes[c].used++;
    return p;
}

static void slab_free(struct page *slab, unsigned c)
{
    unsigned frames = slab->pins;
    list_remove(&slab->link);
    classes[c].slabs--;
    classes[c].frames -= frames;
    classes[c].objects -= slab_objects(slab, c);
    classes[c].empty--;
    pa_t pa = page_pa(slab);
    for (unsigned i = 0; i < frames; i++)
        frame_unref(pa + i * PAGE_SIZE);
}

static struct page *slab_of(const void *p)
{
    struct page *pg = page_of(kva_to_pa(p));
    return pg->flags == TAIL ? pg - pg->index : pg;
}

static void slab_give(void *p, unsigned c)
{
    struct page *slab = slab_of(p);
    size_t offset = (size_t)((char *)p - (char *)page_kva(slab));
    if (unlikely(offset % shape[c].size))
        panic("heap: %p is not an object of %u bytes", p, shape[c].size);
    *(uint64_t *)p = slab->index;
    slab->index = (uint32_t)(offset / shape[c].size);
    classes[c].used--;
    if (slab->flags++ == 0)
        list_push_front(&classes[c].partial, &slab->link);
    if (slab->flags == slab_objects(slab, c) && ++classes[c].empty > 1)
        slab_free(slab, c);
}

// ---- a hart's stacks

// Frames for a slab; 0: none.
static pa_t slab_frames(unsigned c, unsigned *frames)
{
    pa_t pa = shape[c].order ? frame_try_run(1ul << shape[c].order) : 0;
    *frames = pa ? 1u << shape[c].order : 1;
    return pa ? pa : frame_alloc(0);
}

static cold void *stack_refill(struct hart_stack *s, unsigned c)
{
    struct size_class *k = &classes[c];
    store_relaxed(&stacks_of_hart[hart_index()], stacks);
    spin_lock(&k->lock);
    while (list_empty(&k->partial)) { // frames are taken without the lock: the shrinker below them
        spin_unlock(&k->lock);        // may kfree, and others may be faster meanwhile
        unsigned frames;
        pa_t pa = slab_frames(c, &frames);
        if (!pa)
            return NULL;
        spin_lock(&k->lock);
        slab_add(c, pa, frames);
    }
    while (s->count < STACK_BATCH && !list_empty(&k->partial))
        s->object[s->count++] = slab_take(list_entry(k->partial.next, struct page, link), c);
    spin_unlock(&k->lock);
    return s->object[--s->count];
}

static cold void stack_drain(struct hart_stack *s, unsigned c, unsigned keep)
{
    store_relaxed(&stacks_of_hart[hart_index()], stacks);
    spin_lock(&classes[c].lock);
    while (s->count > keep)
        slab_give(s->object[--s->count], c);
    spin_unlock(&classes[c].lock);
}

// An object that may be handed out again.
static inline void stack_put(struct hart_stack *s, void *p, unsigned c)
{
    if (unlikely(s->count == STACK_MAX))
        stack_drain(s, c, STACK_MAX - STACK_BATCH);
    s->object[s->count++] = p;
}

// Debug builds: p has waited long enough.
static void held_put(void *p)
{
    unsigned c = page_of(kva_to_pa(p))->order;
    stacks[c].held--;
    stack_put(&stacks[c], p, c);
}

// Debug builds: gives back what this hart held back.
static void release_held(void)
{
    void *p;
    while ((p = freed_release(&held_back[hart_index()])))
        held_put(p);
}

// Debug builds: p, of class c, waits its turn, unless memory is scarce; what had waited longest is
// free now.
static void hold_back(void *p, unsigned c, const void *pc)
{
    if (((uint64_t)p - (uint64_t)page_kva(slab_of(p))) % shape[c].size)
        panic("kfree(%p): not an object of %u bytes, by %p", p, shape[c].size, pc);
    if (freed_is_poison(p, shape[c].size))
        panic("kfree(%p): freed twice, %u bytes, by %p", p, shape[c].size, pc);
    store_relaxed(&stacks_of_hart[hart_index()], stacks);
    stacks[c].held++;
    p = freed_hold(&held_back[hart_index()], p, shape[c].size, pc);
    if (p)
        held_put(p);
    if (!frame_plenty())
        release_held();
}

void heap_flush_hart(void)
{
    release_held();
    for (unsigned c = 0; c < HEAP_CLASSES; c++)
        stack_drain(&stacks[c], c, 0);
}

STOCK(heap, heap_flush_hart);

// ---- whole frames

static cold void *large_alloc(size_t size)
{
    size_t n = page_round_up(size) >> PAGE_SHIFT;
    pa_t pa = size > PAGE_SIZE << FRAME_ORDER_MAX ? 0
              : n == 1                            ? frame_alloc(0)
                                                  : frame_alloc_run(n);
    if (!pa)
        return NULL;
    store_relaxed(&page_of(pa)->kind, FRAME_HEAP);
    page_of(pa)->index = (uint32_t)n;
    spin_lock(&large_lock);
    large_blocks++;
    large_frames += n;
    spin_unlock(&large_lock);
    return pa_to_kva(pa);
}

static cold void large_free(struct page *pg)
{
    pa_t pa = page_pa(pg);
    uint32_t n = pg->index;
    spin_lock(&large_lock);
    large_blocks--;
    large_frames -= n;
    spin_unlock(&large_lock);
    for (uint32_t i = 0; i < n; i++)
        frame_unref(pa + i * PAGE_SIZE);
}

static cold void *out_of_memory(void)
{
    atomic_add64(&failures, 1);
    return NULL;
}

// ---- the interface

// Debug builds: nobody wrote into p while it was free, and who reads before writing sees no zeroes.
static void hand_out(void *p)
{
    size_t size = kmalloc_usable(p);
    if (page_of(kva_to_pa(p))->kind == FRAME_SLAB)
        freed_check(p, size);
    freed_fill_new(p, size);
}

void *kmalloc(size_t size)
{
    if (alloc_fails())
        return out_of_memory();
    void *p;
    if (likely(size <= HEAP_SLAB_MAX)) {
        unsigned c = class_of_size[(size + 15) / 16];
        struct hart_stack *s = &stacks[c];
        if (likely(s->count != 0))
            p = s->object[--s->count];
        else
            p = stack_refill(s, c);
        s->allocs++;
    } else {
        p = large_alloc(size);
    }
    if (FREED_KEPT && p)
        hand_out(p);
    return likely(p != NULL) ? p : out_of_memory();
}

void *kzalloc(size_t size)
{
    void *p = kmalloc(size);
    if (p)
        memset(p, 0, size);
    return p;
}

void kfree(void *p)
{
    if (!p)
        return;
    struct page *pg = page_of(kva_to_pa(p));
    if (likely(pg->kind == FRAME_SLAB)) {
        unsigned c = pg->order;
        struct hart_stack *s = &stacks[c];
        if (FREED_KEPT)
            hold_back(p, c, __builtin_return_address(0));
        else
            stack_put(s, p, c);
        s->frees++;
    } else if (pg->kind == FRAME_HEAP && !((uint64_t)p & PAGE_MASK)) {
        large_free(pg);
    } else {
        panic("kfree(%p): not from the heap (frame kind %u)", p, pg->kind);
    }
}

size_t kmalloc_usable(const void *p)
{
    const struct page *pg = page_of(kva_to_pa(p));
    return pg->kind == FRAME_SLAB ? shape[pg->order].size : (size_t)pg->index << PAGE_SHIFT;
}

void heap_stats_get(struct heap_stats *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned c = 0; c < HEAP_CLASSES; c++) {
        struct heap_class_stats *s = &out->cls[c];
        s->size = shape[c].size;
        spin_lock(&classes[c].lock);
        s->slabs = classes[c].slabs;
        s->frames = classes[c].frames;
        s->objects = classes[c].objects;
        s->used = classes[c].used;
        spin_unlock(&classes[c].lock);
        for (uint32_t h = 0; h < MAX_HARTS; h++)
            if (stacks_of_hart[h]) {
                s->used -= load_relaxed(&stacks_of_hart[h][c].count) +
                           load_relaxed(&stacks_of_hart[h][c].held);
                s->allocs += stacks_of_hart[h][c].allocs;
                s->frees += stacks_of_hart[h][c].frees;
            }
    }
    out->large_blocks = large_blocks;
    out->large_frames = large_frames;
    out->failures = failures;
}
