// SPDX-License-Identifier: MIT
// Read-ahead: what a reader who goes on from page to page will want next is read before it asks.
//
// A reader that misses where the last read ended is sequential. It waits for a first, small window
// only: one page of it is the trigger, and who touches that has the next window, twice as large,
// read by a task of its own, whose first page is the next trigger. So one window is on its way while
// another is used up. A read elsewhere that misses ends all that; of a program that faults there the
// whole block around the page is read, as that is what a fault maps.
//
// The pages of a window are BUSY in the tree from the start: who comes to them early waits for this
// read, and they keep the object, whose destruction and truncation wait for them. So the task holds
// no reference on the file, and nobody who closes, unlinks or unmounts is told of it. If it cannot
// be started, or the disk fails, the pages leave the tree, and who wants one reads it himself. Pages
// never used are not RECENT: the first to be given up. Each store has so many tasks and no more, so that one that does not
// answer leaves the others theirs.
#include "mem/phys_internal.h"

enum {
    FIRST_WINDOW = 4,
    WINDOW = 32,
    WINDOW_SEQUENTIAL = 64,
    WILL_NEED_MOST = 256,
    TASKS_MOST = 16
};

// ---- the policy; lock held

static uint32_t window_most(const struct readahead *ra, uint32_t how)
{
    how |= load_relaxed(&ra->how);
    return how & PHYS_RANDOM ? 0 : how & PHYS_SEQUENTIAL ? WINDOW_SEQUENTIAL : WINDOW;
}

static uint32_t min_pages(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t ahead_miss(struct readahead *ra, uint64_t index, uint32_t want, uint32_t how)
{
    uint32_t n = want < PHYS_RUN ? want : PHYS_RUN;
    bool goes_on = index == load_relaxed(&ra->next) || index == ra->end;
    if (!goes_on || !window_most(ra, how)) {
        ra->window = 0;
        return n;
    }
    if (n < FIRST_WINDOW)
        n = FIRST_WINDOW;
    if (n < 2 * ra->window)
        n = min_pages(2 * ra->window, PHYS_RUN);
    ra->window = n;
    return n;
}

bool ahead_claimed(struct readahead *ra, uint64_t index, uint32_t want, uint32_t count)
{
    ra->end = index + count;
    ra->trigger = ra->window ? index + min_pages(want, count) : AHEAD_NOWHERE;
    return ra->trigger == ra->end;
}

uint32_t ahead_around(struct phys *ph, uint64_t index, uint32_t *count)
{
    uint64_t lo = index & ~(uint64_t)(PHYS_RUN - 1), first = index;
    while (first > lo && !radix_get(&ph->tree, first - 1))
        first--;
    *count = (uint32_t)(lo + PHYS_RUN - first);
    return (uint32_t)(index - first);
}

uint32_t ahead_failed(struct readahead *ra)
{
    ra->window = 0;
    ra->trigger = AHEAD_NOWHERE;
    return 1;
}

// ---- reading

static uint32_t *tasks_of(const struct phys *ph)
{
    static uint32_t others;
    return ph->reading_ahead ? ph->reading_ahead : &others;
}

static void task_end(uint32_t *tasks)
{
    atomic_add32(tasks, -1u);
    atomic_add32(&phys_totals.reading_ahead, -1u);
}

ASYNC_DECL(read_ahead, struct phys *ph; uint64_t index; uint32_t count; uint32_t *tasks;
           struct page *pages[WINDOW_SEQUENTIAL];);
ASYNC(read_ahead, long r;)
{
    ASYNC_BEGIN(read_ahead);
    AWAIT(f->r, phys_read_run, f->ph, f->index, f->pages, f->count);
    ASYNC_RETURN(f->r); // ph may be gone
    ASYNC_FINALLY;
    task_end(f->tasks);
    ASYNC_END;
}

// May there be one more task? What the kernel keeps for itself is not for this.
static bool task_begin(uint32_t *tasks)
{
    if (frame_spare() < frame_reserve / 2)
        return false;
    atomic_add32(&phys_totals.reading_ahead, 1);
    if (atomic_add32(tasks, 1) < TASKS_MOST)
        return true;
    task_end(tasks);
    return false;
}

// Has the pages read that are claimed; false: none are, or there is no memory for the task.
static bool start(struct read_ahead_args *a)
{
    if (a->count && task_spawn("read-ahead", &read_ahead_fn, a, sizeof *a)) {
        atomic_add64(&phys_totals.ahead, 1);
        return true;
    }
    if (a->count)
        phys_finish_run(a->ph, a->index, a->count, a->pages, false);
    task_end(a->tasks);
    return false;
}

// Lock held. Claims pages of [index, index + want) behind those that are there. Returns how many
// pages of the range are dealt with.
static uint32_t claim(struct read_ahead_args *a, uint64_t index, uint32_t want)
{
    uint32_t skip = 0;
    while (skip < want && radix_get(&a->ph->tree, index + skip))
        skip++;
    a->index = index + skip;
    a->count = phys_claim_run(a->ph, a->index, want - skip, a->pages);
    return skip + a->count;
}

bool phys_read_ahead(struct phys *ph, struct readahead *ra, uint64_t seen, uint32_t how)
{
    struct read_ahead_args a;
    a.ph = ph;
    a.tasks = tasks_of(ph);
    spin_lock(&ph->lock);
    uint32_t want = min_pages(2 * ra->window, window_most(ra, how));
    if (ra->trigger != seen) { // another reader of the same file was here
        spin_unlock(&ph->lock);
        return false;
    }
    ra->trigger = AHEAD_NOWHERE;
    if (!want || !task_begin(a.tasks)) {
        spin_unlock(&ph->lock);
        return false;
    }
    uint32_t done = claim(&a, ra->end, want);
    if (done) {
        ra->trigger = ra->end;
        ra->end += done;
        ra->window = want;
    }
    spin_unlock(&ph->lock);
    return start(&a);
}

void phys_will_need(struct phys *ph, uint64_t lo, uint64_t hi)
{
    struct read_ahead_args a;
    a.ph = ph;
    a.tasks = tasks_of(ph);
    if (!phys_can_evict(ph) || lo >= hi)
        return;
    hi = hi - lo < WILL_NEED_MOST ? hi : lo + WILL_NEED_MOST;
    for (uint32_t done = 1; done && lo < hi && task_begin(a.tasks); lo += done) {
        spin_lock(&ph->lock);
        done = claim(&a, lo, min_pages((uint32_t)(hi - lo), WINDOW_SEQUENTIAL));
        spin_unlock(&ph->lock);
        start(&a);
    }
}
