// SPDX-License-Identifier: MIT
// Credentials of threads. They never change once a thread has them: who becomes somebody else gets new ones, so those that
// were shared with siblings and children stay theirs. Others read a thread's under its process's lock.
#include "task/caps.h"

#include "lib/errno.h"
#include "page/heap.h"

void group_set_put(struct group_set *set)
{
    if (set && atomic_add32(&set->refs, -1u) == 1)
        kfree(set);
}

struct credentials *cred_new(void)
{
    struct credentials *c = kzalloc(sizeof *c);
    if (c)
        c->refs = 1;
    return c;
}

const struct credentials *cred_get(const struct credentials *c)
{
    atomic_add32(&((struct credentials *)c)->refs, 1);
    return c;
}

void cred_put(const struct credentials *c)
{
    if (!c || atomic_add32(&((struct credentials *)c)->refs, -1u) != 1)
        return;
    group_set_put(c->groups);
    kfree((struct credentials *)c);
}

struct credentials *cred_prepare(void)
{
    struct credentials *c = kmalloc(sizeof *c);
    if (!c)
        return NULL;
    *c = *cred_current();
    c->refs = 1;
    if (c->groups)
        atomic_add32(&c->groups->refs, 1);
    return c;
}

void cred_show(struct process *p, const struct credentials *c)
{
    p->cred = *c;
    p->cred.groups = NULL;
}

void cred_commit_locked(struct thread *th, const struct credentials *new)
{
    th->cred = new;
    if (th->tid == th->process->pid)
        cred_show(th->process, new);
}

long cred_commit(struct credentials *new, long r)
{
    struct thread *th = thread_current();
    const struct credentials *old = new;
    if (!new)
        return -ENOMEM;
    if (r >= 0) {
        old = th->cred;
        spin_lock(&th->process->lock);
        cred_commit_locked(th, new);
        spin_unlock(&th->process->lock);
    }
    cred_put(old);
    return r;
}

void cred_of(const struct thread_ref *ref, struct credentials *out)
{
    spin_lock(&ref->process->lock);
    *out = ref->thread ? *ref->thread->cred : ref->process->cred;
    spin_unlock(&ref->process->lock);
    out->groups = NULL;
}

bool process_may_look_into(const struct process *p)
{
    const struct credentials *me = cred_current(), *c = &p->cred;
    return p == process_current() || caps_have(me, CAP_SYS_PTRACE) ||
           (me->uid == c->uid && me->uid == c->euid && me->uid == c->suid && me->gid == c->gid &&
            me->gid == c->egid && me->gid == c->sgid);
}
