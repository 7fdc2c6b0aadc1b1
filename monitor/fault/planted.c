// SPDX-License-Identifier: MIT
// deadlock, long-poll, leaked-frame: mistakes of the kernel itself, planted for k.lint to find.
#include "arch/cpu.h"
#include "async/rwlock.h"
#include "async/wait_async.h"
#include "fault/fault.h"
#include "lib/errno.h"
#include "page/frame.h"

#include <stdio.h>

// ---- deadlock: two kernel tasks take two locks in the two orders

static struct rwlock locks[2];
static struct event has[2];
static uint32_t takers[2];

ASYNC_DECL(take_two, int first;);
ASYNC(take_two, long r;)
{
    ASYNC_BEGIN(take_two);
    AWAIT(f->r, rwlock_lock, &locks[f->first], RWLOCK_WRITE, false);
    event_set(&has[f->first]);
    AWAIT(f->r, event_wait, &has[!f->first], false);
    AWAIT(f->r, rwlock_lock, &locks[!f->first], RWLOCK_WRITE, false);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    for (int i = 0; i < 2; i++)
        if (locks[i].writer == t)
            rwlock_unlock(&locks[i], RWLOCK_WRITE, t);
    ASYNC_END;
}

static bool lives(uint32_t id)
{
    struct task *t = id ? task_find(id) : NULL;
    if (t)
        task_put(t);
    return t;
}

static long deadlock_validate(struct fault_options *o, char *why, size_t n)
{
    (void)o;
    if (!lives(takers[0]) && !lives(takers[1]))
        return 0;
    snprintf(why, n, "the tasks of the last one have not ended yet");
    return -EBUSY;
}

static void cancel(uint32_t id)
{
    struct task *t = task_find(id);
    if (!t)
        return;
    task_cancel(t);
    task_put(t);
}

static long deadlock_begin(const struct fault_options *o)
{
    (void)o;
    for (int i = 0; i < 2; i++) {
        rwlock_init(&locks[i], i ? "planted second" : "planted first");
        event_init(&has[i]);
        takers[i] = 0;
    }
    for (int i = 0; i < 2; i++) { // neither can end before it is cancelled
        struct task *t = SPAWN(i ? "taker two" : "taker one", take_two, i);
        if (!t) {
            if (i)
                cancel(takers[0]);
            return -ENOMEM;
        }
        takers[i] = t->id;
    }
    return 0;
}

static void deadlock_end(void)
{
    cancel(takers[0]);
    cancel(takers[1]);
}
FAULT(deadlock, "deadlock", "two kernel tasks wait for each other's lock", MODE_RW, 0,
      deadlock_validate, deadlock_begin, deadlock_end, NULL);

// ---- long-poll: a kernel task that computes on and on

enum { LONG_MS = 2000 };

static uint32_t spinning; // the round that may spin

ASYNC_DECL(compute, uint32_t round; uint64_t ticks; uint32_t not_on;);
ASYNC(compute, )
{
    ASYNC_BEGIN(compute);
    task_set_affinity(t, ~(1ul << f->not_on));
    while (!task_may_run_on(t, hart_index()))
        YIELD();
    for (uint64_t till = time_ticks() + f->ticks;
         time_ticks() < till && load_relaxed(&spinning) == f->round;)
        ipi_serve(); // others may wait for its translations
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long spin_validate(struct fault_options *o, char *why, size_t n)
{
    (void)o;
    if (hart_count > 1)
        return 0;
    snprintf(why, n, "there is no hart but the monitor's");
    return -EINVAL;
}

static long spin_begin(const struct fault_options *o)
{
    uint64_t ticks = ns_to_ticks((o->ms ? o->ms : LONG_MS) * 1000000);
    return SPAWN("computes", compute, spinning, ticks, hart_index()) ? 0 : -ENOMEM;
}

static void spin_end(void)
{
    store_release(&spinning, spinning + 1);
}
FAULT(long_poll, "long-poll", "a kernel task computes for `ms` (2000) in one poll", MODE_UNSAFE,
      FAULT_MS, spin_validate, spin_begin, spin_end, NULL);

// ---- leaked-frame: user memory that no page table knows

static pa_t leaked;

static long leak_begin(const struct fault_options *o)
{
    (void)o;
    leaked = frame_alloc(0);
    if (leaked)
        page_of(leaked)->kind = FRAME_ANON;
    return leaked ? 0 : -ENOMEM;
}

static void leak_end(void)
{
    frame_unref(leaked);
}
FAULT(leaked_frame, "leaked-frame", "a frame of user memory that nobody has", MODE_RW, 0, NULL,
      leak_begin, leak_end, NULL);
