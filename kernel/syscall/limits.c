// SPDX-License-Identifier: MIT
// Resource limits (getrlimit(2)): where they are kept and who may set whose. They bite elsewhere.
#include "fs/file.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/process.h"
#include "task/ptimer.h"

#define US thread_current()->space

// p->lock held. new may be NULL.
static long exchange_locked(struct process *p, uint32_t which, const struct rlimit_k *new,
                            struct rlimit_k *old)
{
    *old = p->rlimit[which];
    if (!new)
        return 0;
    if (new->max > old->max && !caller_can(CAP_SYS_RESOURCE))
        return -EPERM;
    p->rlimit[which] = *new;
    if (which == RLIMIT_STACK && p->space)
        p->space->stack_limit = new->cur;
    if (which == RLIMIT_AS && p->space)
        p->space->limit = new->cur;
    if (which == RLIMIT_DATA && p->space)
        p->space->data_limit = new->cur;
    return 0;
}

// new may be NULL.
static long exchange(struct process *p, uint32_t which, const struct rlimit_k *new,
                     struct rlimit_k *old)
{
    if (which >= RLIM_COUNT || (new &&new->cur > new->max))
        return -EINVAL;
    if (new &&which == RLIMIT_NOFILE &&new->max > FD_LIMIT)
        return -EPERM;
    if (new &&which == RLIMIT_CPU && ptimer_need_cpu_limit(p))
        return -ENOMEM;
    spin_lock(&p->lock);
    long e = exchange_locked(p, which, new, old);
    spin_unlock(&p->lock);
    if (!e && new &&which == RLIMIT_CPU)
        ptimer_limit_cpu(p);
    return e;
}

// Root, and who is the same user and group in every way.
static bool may_limit(const struct process *p)
{
    const struct credentials *me = cred_current(), *c = &p->cred;
    if (p == process_current() || caps_have(me, CAP_SYS_RESOURCE))
        return true;
    return me->uid == c->uid && me->uid == c->euid && me->uid == c->suid && me->gid == c->gid &&
           me->gid == c->egid && me->gid == c->sgid;
}

static long exchange_of(int32_t pid, uint32_t which, const struct rlimit_k *new,
                        struct rlimit_k *old)
{
    if (!pid)
        return exchange(process_current(), which, new, old);
    struct process *p = pid > 0 ? process_of((uint32_t)pid) : NULL;
    if (!p)
        return -ESRCH;
    long e = may_limit(p) ? exchange(p, which, new, old) : -EPERM;
    process_put(p);
    return e;
}

ASYNC_SYSCALL(sys_prlimit64, long r; struct rlimit_k new; struct rlimit_k old;)
{
    ASYNC_BEGIN(sys_prlimit64);
    f->r = 0;
    if (f->a[2])
        AWAIT(f->r, user_read, US, &f->new, f->a[2], sizeof f->new);
    if (f->r == 0)
        f->r = exchange_of((int32_t)f->a[0], (uint32_t)f->a[1], f->a[2] ? &f->new : NULL, &f->old);
    if (f->r == 0 && f->a[3])
        AWAIT(f->r, user_write, US, f->a[3], &f->old, sizeof f->old);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(261, prlimit64, 4);

long sys_getrlimit(uint32_t which, va_t out)
{
    struct rlimit_k old;
    long e = exchange(process_current(), which, NULL, &old);
    return e ? e : user_copy_out(US, out, &old, sizeof old);
}
SYSCALL(163, getrlimit, 2);

long sys_setrlimit(uint32_t which, va_t in)
{
    struct rlimit_k new, old;
    long e = user_copy_in(US, &new, in, sizeof new);
    return e ? e : exchange(process_current(), which, &new, &old);
}
SYSCALL(164, setrlimit, 2);
