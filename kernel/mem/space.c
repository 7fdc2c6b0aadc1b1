// SPDX-License-Identifier: MIT
// Birth and death of address spaces, which hart has which loaded, and the list of all.
//
// A hart that loads a root holds the space; it lets go when it loads another. So a dead space can
// be emptied at once (nobody runs in it again, nothing needs flushing), while its tables and root
// stay until the last hart has left. Neither is ever done in one go: how much there is, is the program's choice.
#include "mem/space.h"
#include "async/executor.h"
#include "lib/init.h"
#include "lib/log.h"
#include "lib/stock.h"
#include "mem/shortage.h"
#include "mem/space_internal.h"
#include "page/heap.h"

#include <string.h>

static struct spinlock spaces_lock = SPINLOCK_INIT("spaces");
static struct list spaces = LIST_INIT(spaces);
static uint32_t next_id;

// ---- birth

struct space *space_new(void)
{
    struct space *s = kzalloc(sizeof *s);
    pte_t *root = s ? space_root_new() : NULL;
    if (!root) {
        kfree(s);
        return NULL;
    }
    s->refs = 1;
    s->holds = 1;
    s->magic = SPACE_MAGIC;
    s->root = root;
    s->satp = satp_of_root(kva_to_pa(root));
    s->tables = 1;
    s->walked = UINT64_MAX;
    s->stack_limit = 8 << 20;
    s->limit = s->data_limit = UINT64_MAX;
    spin_init(&s->lock, "space");
    mutex_init(&s->mutate, "space");
    list_init(&s->table_list);
    list_init(&s->filling);
    waitq_init(&s->filled);
    range_map_init(&s->map, &mapping_range_ops);
    s->stack_top = USER_TOP - PAGE_SIZE;
    s->mmap_top = s->stack_top - s->stack_limit;
    spin_lock(&spaces_lock);
    s->id = ++next_id;
    list_push_back(&spaces, &s->all);
    spin_unlock(&spaces_lock);
    return s;
}

// ---- harts come and go

void space_switch_slow(struct space *s)
{
    struct hart *h = this_hart();
    struct space *old = h->space;
    uint64_t bit = 1ul << h->index;
    atomic_add32(&s->holds, 1);
    atomic_or64(&s->harts, bit); // join, fence, then load: who changes entries later sees the bit
    fence_full();
    satp_load(s->satp);
    h->space = s;
    if (load_relaxed(&h->icache_stale)) {
        atomic_swap32(&h->icache_stale, 0);
        icache_flush_local();
    }
    if (old) {
        atomic_and64(&old->harts, ~bit);
        space_hold_drop(old);
    }
}

// Spaces whose last reference, or last hold, went in a place that cannot wait.
static struct spinlock reap_lock = SPINLOCK_INIT("space reaper");
static struct list reap_list = LIST_INIT(reap_list);
static struct event reap_event;

static void reap_later(struct space *s)
{
    spin_lock(&reap_lock);
    list_push_back(&reap_list, &s->all);
    spin_unlock(&reap_lock);
    event_set(&reap_event);
}

// A space that no hart has loaded: true when it is gone.
static cold bool space_free_step(struct space *s)
{
    ASSERT(s->magic == SPACE_MAGIC && !s->harts && !s->resident && !s->huge);
    if (!space_tables_free_some(s))
        return false;
    space_root_free(s->root);
    s->magic = 0;
    kfree(s);
    return true;
}

void space_hold_drop(struct space *s)
{
    if (atomic_add32(&s->holds, (uint32_t)-1) == 1 && !space_free_step(s))
        reap_later(s);
}

// A hart that has nothing to do does not keep a dead space's tables alive: it goes back to the
// kernel's root. Part of its idle work.
static void leave_dead_space(void)
{
    struct hart *h = this_hart();
    struct space *s = h->space;
    if (likely(!s || load_relaxed(&s->refs)))
        return;
    satp_load(satp_of_root(kva_to_pa(kernel_root)));
    h->space = NULL;
    atomic_and64(&s->harts, ~(1ul << h->index));
    space_hold_drop(s);
}

static void flush_hart(void)
{
    leave_dead_space();
    space_roots_flush();
}
STOCK(space_roots, flush_hart);

static bool idle_work(void)
{
    leave_dead_space();
    return frame_idle_zero();
}

// Harts that sleep in a space that has just died are woken to leave it, if it keeps much.
static void wake_sleepers(struct space *s)
{
    if (s->tables <= TABLE_SLACK)
        return;
    for (uint64_t m = load_relaxed(&s->harts) & ~(1ul << hart_index()); m; m &= m - 1)
        if (load_relaxed(&harts[__builtin_ctzl(m)]->idle))
            ipi_send((uint32_t)__builtin_ctzl(m), IPI_WAKE);
}

// ---- death

// Empties a space nobody uses any more, as far as the budget goes. True when nothing is left.
static bool space_empty_step(struct space *s, unsigned budget)
{
    struct zap z;
    bool done = true;
    spin_lock(&s->lock);
    zap_begin(&z, s);
    z.dead = true;
    for (;;) {
        struct range *r = range_map_from(&s->map, 0);
        if (!r)
            break;
        if (!budget) {
            done = false;
            break;
        }
        va_t at = zap_range(&z, r->lo, r->hi, &budget);
        if (at < r->hi) {
            range_map_resize(&s->map, r, at, r->hi);
            done = false;
            break;
        }
        range_map_take(&s->map, r);
        zap_finish(&z); // frames before the object they may belong to
        mapping_release(r);
        pay(&budget, MAPPING_COST);
    }
    zap_finish(&z);
    spin_unlock(&s->lock);
    return done;
}

static void space_unlist(struct space *s)
{
    spin_lock(&spaces_lock);
    list_remove(&s->all);
    spin_unlock(&spaces_lock);
}

ASYNC(space_release, )
{
    ASYNC_BEGIN(space_release);
    if (atomic_add32(&f->s->refs, (uint32_t)-1) == 1) {
        space_unlist(f->s);
        SHIELD_BEGIN();
        while (!space_empty_step(f->s, STEP_PAGES))
            YIELD();
        SHIELD_END();
        wake_sleepers(f->s);
        space_hold_drop(f->s);
        memory_returned();
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

void space_unref(struct space *s)
{
    if (atomic_add32(&s->refs, (uint32_t)-1) != 1)
        return;
    space_unlist(s);
    if (space_empty_step(s, STEP_PAGES / 4)) {
        wake_sleepers(s);
        space_hold_drop(s);
        return;
    }
    reap_later(s);
}

static struct space *reap_next(void)
{
    spin_lock(&reap_lock);
    struct list *it = list_pop_front(&reap_list);
    if (!it)
        event_clear(&reap_event);
    spin_unlock(&reap_lock);
    return it ? list_entry(it, struct space, all) : NULL;
}

// True: there is no more to do for it here.
static bool reap_step(struct space *s)
{
    if (!load_relaxed(&s->holds)) {
        if (!space_free_step(s))
            return false;
    } else {
        if (!space_empty_step(s, STEP_PAGES))
            return false;
        wake_sleepers(s);
        space_hold_drop(s);
    }
    memory_returned();
    return true;
}

ASYNC_DECL(space_reaper, int unused;);
ASYNC(space_reaper, struct space *s; long r;)
{
    ASYNC_BEGIN(space_reaper);
    for (;;) {
        AWAIT(f->r, event_wait, &reap_event, false);
        while ((f->s = reap_next()))
            while (!reap_step(f->s))
                YIELD();
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void space_init(void)
{
    event_init(&reap_event);
    if (!SPAWN("space reaper", space_reaper, 0))
        panic("no memory for the space reaper");
    executor_set_idle_work(idle_work);
}
INIT(INIT_CORE, space_init);

// ---- the list

// A space in the list may be about to leave it; refs tells.
static bool get_unless_dead(struct space *s)
{
    for (uint32_t n = load_relaxed(&s->refs); n;) {
        uint32_t was = atomic_cas32(&s->refs, n, n + 1);
        if (was == n)
            return true;
        n = was;
    }
    return false;
}

struct space *space_find(uint32_t id)
{
    struct space *found = NULL;
    spin_lock(&spaces_lock);
    LIST_FOREACH(it, &spaces) {
        struct space *s = list_entry(it, struct space, all);
        if (s->id == id && get_unless_dead(s)) {
            found = s;
            break;
        }
    }
    spin_unlock(&spaces_lock);
    return found;
}

void space_foreach(uint32_t from, bool (*fn)(struct space *, void *), void *arg)
{
    spin_lock(&spaces_lock);
    LIST_FOREACH(it, &spaces) {
        struct space *s = list_entry(it, struct space, all);
        if (s->id >= from && !fn(s, arg))
            break;
    }
    spin_unlock(&spaces_lock);
}
