// SPDX-License-Identifier: MIT
// Which harts a thread may run on. Order of errors as in sched_setaffinity(2) of Linux.
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/process.h"

#define US thread_current()->space

static uint64_t all_harts(void)
{
    return hart_count < 64 ? (1ul << hart_count) - 1 : ~0ul;
}

static uint64_t *affinity_of(const struct thread_ref *ref)
{
    return ref->thread ? &ref->thread->task.affinity : &ref->process->leader.affinity;
}

long sys_sched_getaffinity(int32_t tid, uint32_t size, va_t out)
{
    if (size < 8 || size % 8)
        return -EINVAL;
    struct thread_ref of;
    if (!thread_ref_get((uint32_t)tid, &of))
        return -ESRCH;
    uint64_t mask = load_relaxed(affinity_of(&of)) & all_harts();
    thread_ref_put(&of);
    long e = user_copy_out(US, out, &mask, sizeof mask);
    return e ? e : (long)sizeof mask;
}
SYSCALL(123, sched_getaffinity, 3);

static bool may_place(const struct thread_ref *of)
{
    const struct credentials *me = cred_current();
    struct credentials its;
    cred_of(of, &its);
    return caps_have(me, CAP_SYS_NICE) || me->euid == its.euid || me->euid == its.uid;
}

// 0, -EPERM, -EINVAL: it could run nowhere.
static long place(const struct thread_ref *of, uint64_t mask)
{
    uint64_t all = all_harts();
    if (!may_place(of))
        return -EPERM;
    if (!(mask & all))
        return -EINVAL;
    mask = (mask & all) == all ? AFFINITY_ANY : mask & all;
    if (of->thread)
        task_set_affinity(&of->thread->task, mask);
    else
        store_relaxed(&of->process->leader.affinity, mask);
    return 0;
}

// Nobody runs where he may not when the call returns. Who does so now, the caller or another, leaves at his next safe point,
// which no poll is far from: it is not worth a wake.
ASYNC_SYSCALL(sys_sched_setaffinity, long r; uint64_t mask; struct thread_ref of;)
{
    ASYNC_BEGIN(sys_sched_setaffinity);
    f->of = (struct thread_ref){0};
    f->mask = 0;
    AWAIT(f->r, user_read, US, &f->mask, f->a[2], (uint32_t)f->a[1] < 8 ? (uint32_t)f->a[1] : 8);
    if (f->r == 0)
        f->r = thread_ref_get((uint32_t)f->a[0], &f->of) ? place(&f->of, f->mask) : -ESRCH;
    while (f->r == 0 && f->of.thread && task_is_misplaced(&f->of.thread->task))
        YIELD();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->of.process)
        thread_ref_put(&f->of);
    ASYNC_END;
}
SYSCALL_ASYNC(122, sched_setaffinity, 3);
