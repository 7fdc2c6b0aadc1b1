// SPDX-License-Identifier: MIT
// Who a thread is: process numbers, groups, sessions, user and group ids.
#include "task/process.h"
#include "fs/tty.h"
#include "lib/init.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/family.h"
#include "task/signal.h"

long sys_getpid(void)
{
    return process_current()->pid;
}
SYSCALL(172, getpid, 0);

long sys_getppid(void)
{
    const struct process *parent = load_relaxed(&process_current()->parent);
    return parent ? parent->pid : 0;
}
SYSCALL(173, getppid, 0);

long sys_gettid(void)
{
    return thread_current()->tid;
}
SYSCALL(178, gettid, 0);

long sys_set_tid_address(va_t va)
{
    thread_current()->clear_child_tid = va;
    return thread_current()->tid;
}
SYSCALL(96, set_tid_address, 1);

// ---- groups and sessions (process_tree_lock held while another process is looked at)

static struct process *self_or_child(uint32_t pid)
{
    struct process *me = process_current(), *p;
    if (!pid || pid == me->pid)
        return me;
    p = process_find_locked(pid);
    return p && p->parent == me ? p : NULL;
}

static bool group_in_session(uint32_t pgid, uint32_t sid)
{
    struct process *leader = process_find_locked(pgid);
    if (leader && leader->pgid == pgid)
        return leader->sid == sid;
    LIST_FOREACH(it, &process_list) {
        struct process *p = list_entry(it, struct process, all);
        if (p->pgid == pgid && !p->zombie)
            return p->sid == sid;
    }
    return false;
}

static long set_group(struct process *p, uint32_t pgid)
{
    struct process *me = process_current();
    if (!p)
        return -ESRCH;
    if (p != me && (p->sid != me->sid))
        return -EPERM;
    if (p != me && p->did_exec)
        return -EACCES;
    if (p->sid == p->pid)
        return -EPERM;
    if (!pgid)
        pgid = p->pid;
    if (pgid != p->pid && !group_in_session(pgid, me->sid))
        return -EPERM;
    p->pgid = pgid;
    return 0;
}

long sys_setpgid(uint32_t pid, int32_t pgid)
{
    if (pgid < 0)
        return -EINVAL;
    spin_lock(&process_tree_lock);
    long r = set_group(self_or_child(pid), (uint32_t)pgid);
    spin_unlock(&process_tree_lock);
    return r;
}
SYSCALL(154, setpgid, 2);

static long group_or_session(uint32_t pid, bool session)
{
    spin_lock(&process_tree_lock);
    struct process *p = pid ? process_find_locked(pid) : process_current();
    long r = !p ? -ESRCH : (long)(session ? p->sid : p->pgid);
    spin_unlock(&process_tree_lock);
    return r;
}

long sys_getpgid(uint32_t pid)
{
    return group_or_session(pid, false);
}
SYSCALL(155, getpgid, 1);

long sys_getsid(uint32_t pid)
{
    return group_or_session(pid, true);
}
SYSCALL(156, getsid, 1);

long sys_setsid(void)
{
    struct process *me = process_current();
    long r = me->pid;
    spin_lock(&process_tree_lock);
    bool leads = false;
    LIST_FOREACH(it, &process_list)
        leads |= list_entry(it, struct process, all)->pgid == me->pid;
    if (leads)
        r = -EPERM;
    else
        me->sid = me->pgid = me->pid;
    spin_unlock(&process_tree_lock);
    return r;
}
SYSCALL(157, setsid, 0);

// ---- what the terminal asks

static void job_signal_group(int32_t pgrp, int sig)
{
    signal_send_group((uint32_t)pgrp, sig, NULL);
}

static void job_self(struct task *t, int32_t *pid, int32_t *pgrp, int32_t *sid)
{
    const struct process *p = t->thread->process;
    *pid = (int32_t)p->pid;
    *pgrp = (int32_t)p->pgid;
    *sid = (int32_t)p->sid;
}

static int job_check_group(int32_t pgrp, int32_t sid)
{
    bool exists = false;
    spin_lock(&process_tree_lock);
    bool ours = group_in_session((uint32_t)pgrp, (uint32_t)sid);
    LIST_FOREACH(it, &process_list)
        exists |= list_entry(it, struct process, all)->pgid == (uint32_t)pgrp;
    spin_unlock(&process_tree_lock);
    return ours ? 0 : exists ? -EPERM : -ESRCH;
}

static bool job_ignores(struct task *t, int sig)
{
    return (t->thread->blocked & SIGMASK(sig)) ||
           t->thread->process->sighand->action[sig - 1].handler == 1;
}

static bool job_orphaned(struct task *t)
{
    spin_lock(&process_tree_lock);
    bool orphaned = family_group_orphaned_locked(t->thread->process->pgid);
    spin_unlock(&process_tree_lock);
    return orphaned;
}

static const struct tty_job_ops job_ops = {
    .signal_pgrp = job_signal_group,
    .self = job_self,
    .check_pgrp = job_check_group,
    .ignores = job_ignores,
    .orphaned = job_orphaned,
};

static void jobs_init(void)
{
    tty_set_job_ops(&job_ops);
}
INIT(INIT_FS, jobs_init);

// ---- user and group ids

#define GETTER(nr, name, field)                                                                    \
    long sys_##name(void)                                                                          \
    {                                                                                              \
        return process_current()->cred.field;                                                      \
    }                                                                                              \
    SYSCALL(nr, name, 0)
GETTER(174, getuid, uid);
GETTER(175, geteuid, euid);
GETTER(176, getgid, gid);
GETTER(177, getegid, egid);

static bool privileged(const struct credentials *c)
{
    return c->euid == 0;
}

// One kind of ids: real, effective, saved, fs.
struct ids {
    uint32_t *r, *e, *s, *fs;
};

static struct ids users(struct credentials *c)
{
    return (struct ids){&c->uid, &c->euid, &c->suid, &c->fsuid};
}

static struct ids groups(struct credentials *c)
{
    return (struct ids){&c->gid, &c->egid, &c->sgid, &c->fsgid};
}

static bool is_one_of(const struct ids *i, uint32_t v)
{
    return v == *i->r || v == *i->e || v == *i->s;
}

static long set_one(struct ids i, uint32_t v)
{
    if (v == UINT32_MAX)
        return -EINVAL;
    if (privileged(&process_current()->cred))
        *i.r = *i.s = v;
    else if (v != *i.r && v != *i.s)
        return -EPERM;
    *i.e = *i.fs = v;
    return 0;
}

static long set_three(struct ids i, uint32_t r, uint32_t e, uint32_t s)
{
    const uint32_t v[3] = {r, e, s};
    if (!privileged(&process_current()->cred))
        for (int k = 0; k < 3; k++)
            if (v[k] != UINT32_MAX && !is_one_of(&i, v[k]))
                return -EPERM;
    *i.r = r == UINT32_MAX ? *i.r : r;
    *i.e = *i.fs = e == UINT32_MAX ? *i.e : e;
    *i.s = s == UINT32_MAX ? *i.s : s;
    return 0;
}

static long set_two(struct ids i, uint32_t r, uint32_t e)
{
    bool save = r != UINT32_MAX || (e != UINT32_MAX && e != *i.r);
    if (!privileged(&process_current()->cred)) {
        if (r != UINT32_MAX && r != *i.r && r != *i.e)
            return -EPERM;
        if (e != UINT32_MAX && !is_one_of(&i, e))
            return -EPERM;
    }
    *i.r = r == UINT32_MAX ? *i.r : r;
    *i.e = *i.fs = e == UINT32_MAX ? *i.e : e;
    if (save)
        *i.s = *i.e;
    return 0;
}

static long get_three(struct ids i, va_t r, va_t e, va_t s)
{
    struct space *space = thread_current()->space;
    long bad = user_copy_out(space, r, i.r, 4);
    if (!bad)
        bad = user_copy_out(space, e, i.e, 4);
    return bad ? bad : user_copy_out(space, s, i.s, 4);
}

static long set_fs(struct ids i, uint32_t v)
{
    uint32_t old = *i.fs;
    if (v != UINT32_MAX && (privileged(&process_current()->cred) || is_one_of(&i, v) || v == old))
        *i.fs = v;
    return old;
}

#define CRED (&process_current()->cred)
long sys_setuid(uint32_t v)
{
    return set_one(users(CRED), v);
}
SYSCALL(146, setuid, 1);
long sys_setgid(uint32_t v)
{
    return set_one(groups(CRED), v);
}
SYSCALL(144, setgid, 1);
long sys_setreuid(uint32_t r, uint32_t e)
{
    return set_two(users(CRED), r, e);
}
SYSCALL(145, setreuid, 2);
long sys_setregid(uint32_t r, uint32_t e)
{
    return set_two(groups(CRED), r, e);
}
SYSCALL(143, setregid, 2);
long sys_setresuid(uint32_t r, uint32_t e, uint32_t s)
{
    return set_three(users(CRED), r, e, s);
}
SYSCALL(147, setresuid, 3);
long sys_setresgid(uint32_t r, uint32_t e, uint32_t s)
{
    return set_three(groups(CRED), r, e, s);
}
SYSCALL(149, setresgid, 3);
long sys_getresuid(va_t r, va_t e, va_t s)
{
    return get_three(users(CRED), r, e, s);
}
SYSCALL(148, getresuid, 3);
long sys_getresgid(va_t r, va_t e, va_t s)
{
    return get_three(groups(CRED), r, e, s);
}
SYSCALL(150, getresgid, 3);
long sys_setfsuid(uint32_t v)
{
    return set_fs(users(CRED), v);
}
SYSCALL(151, setfsuid, 1);
long sys_setfsgid(uint32_t v)
{
    return set_fs(groups(CRED), v);
}
SYSCALL(152, setfsgid, 1);

// No supplementary groups: the set is always empty.
long sys_getgroups(int32_t n, va_t groups)
{
    (void)groups;
    return n < 0 ? -EINVAL : 0;
}
SYSCALL(158, getgroups, 2);

long sys_setgroups(int32_t n, va_t groups)
{
    (void)groups;
    if (!privileged(CRED))
        return -EPERM;
    return n == 0 ? 0 : -EINVAL;
}
SYSCALL(159, setgroups, 2);
