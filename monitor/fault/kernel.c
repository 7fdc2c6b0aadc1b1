// SPDX-License-Identifier: MIT
// lost-wake, failed-alloc, dropped-ipi: what goes wrong inside the kernel.
#include "task/thread.h"

#include "fault/fault.h"
#include "lib/errno.h"
#include "lint/look.h"
#include "page/frame.h"

#include <stdio.h>

// ---- lost-wake: the next wake of one waiting task is lost

static uint32_t victim;

static bool may_lose(const struct task_look *l)
{
    return l->suspended && !l->woken && !l->held && l->wait.told;
}

// The seed-th of the user tasks that wait.
static uint32_t draw_victim(uint64_t seed)
{
    struct task_look l[LOOKS];
    uint32_t some = 0, n;
    for (int turn = 0; turn < 2; turn++) {
        uint32_t seen = 0;
        for (uint32_t from = 0; (n = task_look_some(from, l)); from = l[n - 1].id + 1)
            for (uint32_t i = 0; i < n; i++)
                if (l[i].pid && may_lose(&l[i]) && seen++ == (turn ? seed % some : UINT32_MAX))
                    return l[i].id;
        if (!(some = seen))
            return 0;
    }
    return 0;
}

static long lose_validate(struct fault_options *o, char *why, size_t n)
{
    struct task_look l;
    if (!o->task && !(o->task = draw_victim(o->seed))) {
        snprintf(why, n, "no program waits for anything");
        return -EINVAL;
    }
    if (!task_look_id((uint32_t)o->task, &l))
        snprintf(why, n, "Task#%u exited", (unsigned)o->task);
    else if (!l.pid)
        snprintf(why, n, "%s is a kernel task", l.name);
    else if (!may_lose(&l))
        snprintf(why, n, "%s does not wait for a wake now", l.name);
    else
        return 0;
    return -EINVAL;
}

static long lose_begin(const struct fault_options *o)
{
    struct task *t = task_find((uint32_t)o->task);
    long r = t && task_borrow(t) ? 0 : -EAGAIN;
    if (r == 0) {
        atomic_or32(&t->attn, ATTN_LOSE);
        task_release(t);
        victim = t->id;
    }
    if (t)
        task_put(t);
    return r;
}

// A wake that means nothing is always allowed; who has lost one looks again.
static void lose_end(void)
{
    struct task *t = task_find(victim);
    if (!t)
        return;
    atomic_and32(&t->attn, ~(uint32_t)ATTN_LOSE);
    task_wake(t);
    task_put(t);
}

static uint64_t lose_hits(void)
{
    struct task *t = task_find(victim);
    uint64_t hit = t && !(load_relaxed(&t->attn) & ATTN_LOSE);
    if (t)
        task_put(t);
    return hit;
}
FAULT(lost_wake, "lost-wake", "the next wake of `task` (drawn among programs that wait) is lost",
      MODE_RW, FAULT_TASK, lose_validate, lose_begin, lose_end, lose_hits);

// ---- failed-alloc

enum { ALLOC_EVERY = 97 };

static struct fault_dice alloc_dice;
static uint32_t alloc_task; // 0: any program's
static bool alloc_on;

static bool allocation_fails(void)
{
    const struct task *t = current_task();
    return load_acquire(&alloc_on) && t && t->thread && (!alloc_task || t->id == alloc_task) &&
           fault_dice_hit(&alloc_dice);
}
static struct alloc_failure alloc_failure = {.fails = allocation_fails};

static long alloc_begin(const struct fault_options *o)
{
    fault_dice_init(&alloc_dice, o->seed, o->every ? o->every : ALLOC_EVERY);
    alloc_task = (uint32_t)o->task;
    alloc_failure_add(&alloc_failure);
    store_release(&alloc_on, true);
    return 0;
}

static void alloc_end(void)
{
    store_release(&alloc_on, false);
}

static uint64_t alloc_hits(void)
{
    return load_relaxed(&alloc_dice.hits);
}
FAULT(failed_alloc, "failed-alloc",
      "one allocation in `every` (97) for a program, or for `task`, fails", MODE_RW,
      FAULT_EVERY | FAULT_TASK, NULL, alloc_begin, alloc_end, alloc_hits);

// ---- dropped-ipi: only those that say "look at your queue"; nobody waits for their answer

enum { IPI_EVERY = 2 };

static struct fault_dice ipi_dice;

static bool ipi_drop(uint32_t hart, uint32_t what)
{
    (void)hart;
    return what == IPI_WAKE && fault_dice_hit(&ipi_dice);
}

static long ipi_begin(const struct fault_options *o)
{
    fault_dice_init(&ipi_dice, o->seed, o->every ? o->every : IPI_EVERY);
    store_release(&ipi_is_lost, ipi_drop);
    return 0;
}

static void ipi_end(void)
{
    store_release(&ipi_is_lost, NULL);
    fence_full();
    for (uint32_t i = 0; i < hart_count; i++)
        if (i != hart_index())
            ipi_send(i, IPI_WAKE);
}

static uint64_t ipi_hits(void)
{
    return load_relaxed(&ipi_dice.hits);
}
FAULT(dropped_ipi, "dropped-ipi", "one interrupt in `every` (2) that tells a hart of work is lost",
      MODE_UNSAFE, FAULT_EVERY, NULL, ipi_begin, ipi_end, ipi_hits);
