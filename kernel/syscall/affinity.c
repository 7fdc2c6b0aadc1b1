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
    return caps_have(me, CAP_SYS_NICE) || me->euid == other->euid || me->euid == other->uid;
}

// For tid, whose thread is referenced into *th. 0, -ESRCH, -EPERM, -EINVAL: it could run nowhere.
static long place(int32_t tid, uint64_t mask, struct thread **th)
{
    uint64_t all = all_harts();
    *th = affinity_target(tid);
    if (!*th)
        return -ESRCH;
    if (!may_place(*th))
        return -EPERM;
    if (!(mask & all))
        return -EINVAL;
    task_set_affinity(&(*th)->task, (mask & all) == all ? AFFINITY_ANY : mask & all);
    return 0;
}

// Nobody runs where he may not when the call returns. Who does so now, the caller or another, leaves at his next safe point,
// which no poll is far from: it is not worth a wake.
ASYNC_SYSCALL(sys_sched_setaffinity, long r; uint64_t mask; struct thread * th;)
{
    ASYNC_BEGIN(sys_sched_setaffinity);
    f->th = NULL;
    f->mask = 0;
    AWAIT(f->r, user_read, US, &f->mask, f->a[2], (uint32_t)f->a[1] < 8 ? (uint32_t)f->a[1] : 8);
    if (f->r == 0)
        f->r = place((int32_t)f->a[0], f->mask, &f->th);
    while (f->r == 0 && task_is_misplaced(&f->th->task))
        YIELD();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->th)
        thread_put(f->th);
    ASYNC_END;
}
SYSCALL_ASYNC(122, sched_setaffinity, 3);
