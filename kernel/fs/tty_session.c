// SPDX-License-Identifier: MIT
// Sessions and their terminals (POSIX XBD 11.1; what Linux does where it says more): who has which, who is
// stopped for using it from the background, and what happens when it goes.
//
// A terminal's session and the processes that it controls agree: as long as a leader has it, it names that
// leader's session. Members may have given it up by themselves, or never had it.
#include "fs/poll.h"
#include "fs/tty_impl.h"
#include "task/caps.h"

static const struct tty_job_ops *job;

void tty_set_job_ops(const struct tty_job_ops *ops)
{
    store_release(&job, ops);
}

static void signal_group(int32_t pgrp, int32_t sid, int sig)
{
    const struct tty_job_ops *ops = load_acquire(&job);
    if (ops && pgrp > 0)
        ops->signal_pgrp(pgrp, sid, sig);
}

void tty_signal(const struct tty *tty, int sig)
{
    signal_group(load_relaxed(&tty->pgrp), load_relaxed(&tty->session), sig);
}

int tty_check_pgrp(int32_t pgrp, int32_t sid)
{
    const struct tty_job_ops *ops = load_acquire(&job);
    return ops ? ops->check_pgrp(pgrp, sid) : -ESRCH;
}

bool tty_is_controlling(const struct tty *tty, struct task *t)
{
    return t->thread && load_relaxed(&t->thread->process->tty) == tty;
}

struct tty *tty_current(struct task *t)
{
    struct tty *tty = NULL;
    spin_lock(&process_tree_lock);
    if (t->thread && (tty = t->thread->process->tty))
        tty_get(tty);
    spin_unlock(&process_tree_lock);
    return tty;
}

void tty_of_process(const struct process *p, uint32_t *dev, int32_t *pgrp)
{
    spin_lock(&process_tree_lock);
    *dev = p->tty ? (uint32_t)p->tty->dev : 0;
    *pgrp = p->tty ? p->tty->pgrp : -1;
    spin_unlock(&process_tree_lock);
}

// ---- job control

// Who reads or changes the terminal from the background is stopped.
static long check(const struct tty *tty, struct task *t, int sig)
{
    if (!tty_is_controlling(tty, t))
        return 0;
    int32_t pgrp = load_relaxed(&tty->pgrp), own = (int32_t)t->thread->process->pgid;
    if (pgrp == 0 || pgrp == own)
        return 0;
    if (job->ignores(t, sig))
        return sig == TTY_SIGTTIN ? -EIO : 0;
    if (job->orphaned(t))
        return -EIO;
    job->signal_pgrp(own, (int32_t)t->thread->process->sid, sig);
    return -ERESTARTSYS;
}

long tty_check_read(const struct tty_file *of, struct task *t)
{
    return of->console ? 0 : check(of->tty, t, TTY_SIGTTIN);
}

long tty_check_change(struct tty *tty, struct task *t)
{
    return check(tty, t, TTY_SIGTTOU);
}

// ---- getting one

static bool leads(const struct process *p)
{
    return p->pid == p->sid;
}

// process_tree_lock held. p has none, and the terminal no session that would miss it.
static void become_controlling_locked(struct tty *tty, struct process *p)
{
    tty_get(tty);
    p->tty = tty;
    p->tty_old_pgrp = 0;
    tty->session = (int32_t)p->sid;
    store_relaxed(&tty->pgrp, (int32_t)p->pgid);
}

void tty_take_at_open(struct tty *tty, struct task *t)
{
    struct process *p = t->thread ? t->thread->process : NULL;
    spin_lock(&process_tree_lock);
    if (p && leads(p) && !p->tty && tty->session == 0 && !load_relaxed(&tty->gone))
        become_controlling_locked(tty, p);
    spin_unlock(&process_tree_lock);
}

struct losers {
    const struct tty *tty;
    uint32_t sid, lost;
    int32_t old_pgrp; // for the leader
};

static bool lose_one(struct process *p, void *arg)
{
    struct losers *l = arg;
    if (p->sid == l->sid && leads(p))
        p->tty_old_pgrp = l->old_pgrp;
    if (p->sid == l->sid && p->tty == l->tty) {
        p->tty = NULL;
        l->lost++;
    }
    return true;
}

// No member of the session has it any more. The caller has a reference, and has taken the session off the terminal.
static void take_from_members(struct tty *tty, int32_t sid, int32_t old_pgrp)
{
    struct losers l = {tty, (uint32_t)sid, 0, old_pgrp};
    if (sid != 0)
        process_foreach(0, lose_one, &l);
    atomic_add32(&tty->refs, -l.lost);
}

// The session that had it, with its foreground group. only: nothing happens if it is another's by now; 0: whose it is does
// not matter.
static int32_t take_off(struct tty *tty, int32_t only, int32_t *pgrp)
{
    int32_t sid = 0;
    *pgrp = 0;
    spin_lock(&process_tree_lock);
    if (only == 0 || tty->session == only) {
        sid = tty->session;
        *pgrp = tty->pgrp;
        tty->session = 0;
        store_relaxed(&tty->pgrp, 0);
    }
    spin_unlock(&process_tree_lock);
    return sid;
}

static long may_control_locked(const struct tty *tty, const struct thread *th, bool readable,
                               bool steal)
{
    const struct process *p = th->process;
    bool admin = caps_have(th->cred, CAP_SYS_ADMIN);
    if (load_relaxed(&tty->gone))
        return -EIO; // what takes it off its session may be over
    if (!leads(p) || p->tty || (tty->session != 0 && !(steal && admin)) || (!readable && !admin))
        return -EPERM;
    return 0;
}

long tty_set_controlling(struct tty *tty, struct task *t, bool readable, bool steal)
{
    struct process *p = t->thread->process;
    int32_t unused;
    for (;;) {
        spin_lock(&process_tree_lock);
        bool has = leads(p) && tty->session == (int32_t)p->sid;
        bool free = tty->session == 0;
        long r = has ? 0 : may_control_locked(tty, t->thread, readable, steal);
        if (!has && r == 0 && free)
            become_controlling_locked(tty, p);
        spin_unlock(&process_tree_lock);
        if (r < 0 || has || free)
            return r;
        take_from_members(tty, take_off(tty, 0, &unused), 0);
    }
}

long tty_set_foreground(struct tty *tty, struct task *t, int32_t pgrp)
{
    int32_t sid = (int32_t)t->thread->process->sid;
    if (pgrp < 0)
        return -EINVAL;
    if (!tty_is_controlling(tty, t) || tty->session != sid)
        return -ENOTTY;
    int r = tty_check_pgrp(pgrp, sid);
    spin_lock(&process_tree_lock);
    if (r == 0 && tty->session == sid)
        store_relaxed(&tty->pgrp, pgrp);
    spin_unlock(&process_tree_lock);
    return r;
}

void tty_inherit_locked(struct process *child, const struct process *parent)
{
    child->tty = parent->tty;
    if (child->tty)
        tty_get(child->tty);
}

// ---- losing it

struct tty *tty_leave_locked(struct process *p)
{
    struct tty *tty = p->tty;
    p->tty = NULL;
    p->tty_old_pgrp = 0;
    return tty;
}

void tty_drop(struct tty *tty)
{
    if (tty)
        tty_put(tty);
}

// The leader lets go of a terminal that goes on.
static void leader_leaves(struct tty *tty, const struct process *p, bool exits)
{
    int32_t pgrp, sid = take_off(tty, (int32_t)p->sid, &pgrp);
    signal_group(pgrp, sid, TTY_SIGHUP);
    if (!exits)
        signal_group(pgrp, sid, TTY_SIGCONT);
    take_from_members(tty, sid, 0);
}

long tty_give_up(struct tty *tty, struct task *t)
{
    struct process *p = t->thread->process;
    if (!tty_is_controlling(tty, t))
        return -ENOTTY;
    if (leads(p)) {
        leader_leaves(tty, p, false);
        return 0;
    }
    spin_lock(&process_tree_lock);
    struct tty *own = tty_leave_locked(p);
    spin_unlock(&process_tree_lock);
    tty_drop(own);
    return 0;
}

void tty_process_exit(struct process *p)
{
    spin_lock(&process_tree_lock);
    int32_t old_pgrp = p->tty_old_pgrp;
    struct tty *tty = p->tty;
    if (tty)
        tty_get(tty);
    spin_unlock(&process_tree_lock);
    if (leads(p) && !tty) {
        signal_group(old_pgrp, (int32_t)p->sid, TTY_SIGHUP);
        signal_group(old_pgrp, (int32_t)p->sid, TTY_SIGCONT);
    } else if (leads(p) && tty->driver->pty) {
        leader_leaves(tty, p, true);
    } else if (leads(p) && load_relaxed(&tty->session) == (int32_t)p->sid) {
        tty_hang_up(tty, true);
    }
    tty_drop(tty);
    spin_lock(&process_tree_lock);
    tty = tty_leave_locked(p);
    spin_unlock(&process_tree_lock);
    tty_drop(tty);
}

void tty_hang_up(struct tty *tty, bool leader_exits)
{
    spin_lock(&tty->lock);
    tty->hangups++;
    if (!leader_exits) { // what was typed ahead is for the leader that follows: here we are kinder than Linux
        ldisc_flush_input(&tty->ld);
        tty_input_taken_locked(tty);
    }
    waitq_wake_all(&tty->readers);
    waitq_wake_all(&tty->writers);
    poll_wake(&tty->pollers, POLL_ANY);
    spin_unlock(&tty->lock);
    int32_t pgrp, sid = take_off(tty, 0, &pgrp);
    take_from_members(tty, sid, pgrp);
    if (sid != 0) {
        job->signal_leader(sid, TTY_SIGHUP);
        job->signal_leader(sid, TTY_SIGCONT);
    }
    if (leader_exits)
        signal_group(pgrp, sid, TTY_SIGHUP);
}

void tty_hang_up_own(struct task *t)
{
    struct tty *tty = tty_current(t);
    if (tty)
        tty_hang_up(tty, false);
    tty_drop(tty);
}
