// SPDX-License-Identifier: MIT
// Who a thread is: process numbers, groups, sessions. User and group ids: ids.c.
#include "task/process.h"
#include "fs/tty.h"
#include "lib/init.h"
#include "syscall/syscall.h"
#include "task/caps.h"
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

// A zombie is a member until it is reaped.
static bool group_in_session(uint32_t pgid, uint32_t sid)
{
    struct process *leader = process_find_locked(pgid);
    if (leader && leader->pgid == pgid)
        return leader->sid == sid;
    LIST_FOREACH(it, &process_list) {
        struct process *p = list_entry(it, struct process, all);
        if (p->pgid == pgid)
            return p->sid == sid;
    }
    return false;
}

static long set_group(uint32_t pid, uint32_t pgid)
{
    struct process *me = process_current(), *p = self_or_child(pid);
    if (!p)
        return !process_find_locked(pid) && process_of_locked(pid) ? -EINVAL : -ESRCH; // a thread
    if (p != me && (p->sid != me->sid))
        return -EPERM;
    if (p != me && p->execs)
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
    if ((pgid ? pgid : (int32_t)pid) < 0)
        return -EINVAL;
    spin_lock(&process_tree_lock);
    long r = set_group(pid, (uint32_t)pgid);
    spin_unlock(&process_tree_lock);
    return r;
}
SYSCALL(154, setpgid, 2);

static long group_or_session(uint32_t pid, bool session)
{
    spin_lock(&process_tree_lock);
    struct process *p = pid ? process_of_locked(pid) : process_current();
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
    struct tty *tty = NULL;
    long r = me->pid;
    spin_lock(&process_tree_lock);
    bool leads = false;
    LIST_FOREACH(it, &process_list)
        leads |= list_entry(it, struct process, all)->pgid == me->pid;
    if (leads) {
        r = -EPERM;
    } else {
        me->sid = me->pgid = me->pid;
        tty = tty_leave_locked(me);
    }
    spin_unlock(&process_tree_lock);
    tty_drop(tty);
    return r;
}
SYSCALL(157, setsid, 0);

// ---- what the terminal asks

static void job_signal_group(int32_t pgrp, int32_t sid, int sig)
{
    spin_lock(&process_tree_lock);
    bool ours = group_in_session((uint32_t)pgrp, (uint32_t)sid);
    spin_unlock(&process_tree_lock);
    if (ours)
        signal_send_group((uint32_t)pgrp, sig, NULL);
}

static void job_signal_leader(int32_t sid, int sig)
{
    struct process *p = process_find((uint32_t)sid);
    if (p && p->sid == (uint32_t)sid)
        signal_send_process(p, sig, NULL);
    if (p)
        process_put(p);
}

// As in Linux the number of a process will do that leads no group.
static int job_check_group(int32_t pgrp, int32_t sid)
{
    uint32_t id = (uint32_t)pgrp, its = (uint32_t)sid;
    spin_lock(&process_tree_lock);
    bool ours = group_in_session(id, its), exists = ours;
    LIST_FOREACH(it, &process_list)
        exists |= list_entry(it, struct process, all)->pgid == id;
    const struct process *p = exists ? NULL : process_of_locked(id);
    spin_unlock(&process_tree_lock);
    return ours || (p && p->sid == its) ? 0 : exists || p ? -EPERM : -ESRCH;
}

static bool job_ignores(struct task *t, int sig)
{
    return (thread_served(t)->blocked & SIGMASK(sig)) ||
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
    .signal_leader = job_signal_leader,
    .check_pgrp = job_check_group,
    .ignores = job_ignores,
    .orphaned = job_orphaned,
};

long sys_vhangup(void)
{
    if (!caller_can(CAP_SYS_TTY_CONFIG))
        return -EPERM;
    tty_hang_up_own(current_task());
    return 0;
}
SYSCALL(58, vhangup, 0);

static void jobs_init(void)
{
    tty_set_job_ops(&job_ops);
}
INIT(INIT_FS, jobs_init);
