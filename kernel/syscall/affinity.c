// SPDX-License-Identifier: MIT
// Which harts a thread may run on. Order of errors as in sched_setaffinity(2) of Linux.
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/process.h"

#define US thread_current()->space

static uint64_t all_harts(void)
{
    return hart_count < 64 ? (1ul << hart_count) - 1 : ~0ul;
}

// Referenced; NULL: there is none.
static struct thread *affinity_target(int32_t tid)
{
    if (tid)
        return tid > 0 ? thread_find((uint32_t)tid) : NULL;
    struct thread *self = thread_current();
    task_get(&self->task);
    return self;
}

long sys_sched_getaffinity(int32_t tid, uint32_t size, va_t out)
{
    if (size < 8 || size % 8)
        return -EINVAL;
    struct thread *th = affinity_target(tid);
    if (!th)
        return -ESRCH;
    uint64_t mask = load_relaxed(&th->task.affinity) & all_harts();
    thread_put(th);
    long e = user_copy_out(US, out, &mask, sizeof mask);
    return e ? e : (long)sizeof mask;
}
SYSCALL(123, sched_getaffinity, 3);

static bool may_place(const struct thread *th)
{
    const struct credentials *me = &process_current()->cred, *other = &th->process->cred;
    return !me->euid || me->euid == other->euid || me->euid == other->uid;
}

// The caller itself is on an allowed hart when the call returns; another thread leaves at its next safe point.
long sys_sched_setaffinity(int32_t tid, uint32_t size, va_t in)
{
    uint64_t mask = 0, all = all_harts();
    long e = user_copy_in(US, &mask, in, size < 8 ? size : 8);
    if (e)
        return e;
    struct thread *th = affinity_target(tid);
    if (!th)
        return -ESRCH;
    mask &= all;
    if (!may_place(th)) {
        e = -EPERM;
    } else if (!mask) {
        e = -EINVAL;
    } else if (&th->task != current_task()) {
        task_set_affinity(&th->task, mask == all ? AFFINITY_ANY : mask);
    } else {
        store_relaxed(&th->task.affinity, mask == all ? AFFINITY_ANY : mask);
        if (!task_may_run_on(&th->task, hart_index()))
            th->task.local |= LOCAL_YIELD;
    }
    thread_put(th);
    return e;
}
SYSCALL(122, sched_setaffinity, 3);
