// SPDX-License-Identifier: MIT
// Parents, children and process groups (POSIX, _exit: consequences of process termination).
//
// A child belongs to a process, and within it to the thread that made it (wait4's __WNOTHREAD and
// the parent-death signal ask). Signals cannot be sent under process_tree_lock; children that are to
// get some are marked `bereaved` under it and told afterwards.
#include "task/family.h"

#include "task/cputime.h"
#include "task/signal.h"

struct process *family_heir_locked(struct process *p)
{
    for (struct process *a = p->parent; a; a = a->parent)
        if (a->child_subreaper && !a->exiting)
            return a;
    return process_init;
}

bool family_auto_reaps(const struct process *parent, uint32_t exit_signal)
{
    const struct sigaction_k *a = &parent->sighand->action[SIGCHLD - 1];
    return exit_signal == SIGCHLD && (a->handler == 1 || (a->flags & SA_NOCLDWAIT));
}

static uint32_t first_tid(struct process *p)
{
    spin_lock(&p->lock);
    uint32_t tid = list_empty(&p->threads) ? 0 : thread_entry(p->threads.next)->tid;
    spin_unlock(&p->lock);
    return tid;
}

// Another parent, or another thread of the same one.
static bool bereave(struct process *c, struct process *lost, struct process *heir)
{
    bool group = lost != heir && lost->pgid != c->pgid && lost->sid == c->sid;
    c->bereaved |= group || c->death_signal;
    return c->bereaved;
}

bool family_adopt_locked(struct process *p, struct process *heir, struct list *dead)
{
    bool tell = false;
    uint32_t maker = list_empty(&p->children) ? 0 : first_tid(heir);
    while (!list_empty(&p->children)) {
        struct process *c = list_entry(p->children.next, struct process, in_parent);
        list_remove(&c->in_parent);
        c->parent = heir;
        c->maker = maker;
        c->exit_signal = SIGCHLD;
        list_push_back(&heir->children, &c->in_parent);
        tell |= bereave(c, p, heir);
        if (c->zombie && family_auto_reaps(heir, SIGCHLD)) {
            process_reap_locked(c);
            list_push_back(dead, &c->in_parent);
        }
    }
    return tell;
}

bool family_thread_ended_locked(struct process *p, uint32_t tid)
{
    bool tell = false;
    if (list_empty(&p->children))
        return false;
    uint32_t next = first_tid(p);
    LIST_FOREACH(it, &p->children) {
        struct process *c = list_entry(it, struct process, in_parent);
        if (c->maker != tid)
            continue;
        c->maker = next;
        tell |= bereave(c, p, p);
    }
    return tell;
}

void family_thread_renamed_locked(struct process *p, uint32_t from, uint32_t to)
{
    LIST_FOREACH(it, &p->children) {
        struct process *c = list_entry(it, struct process, in_parent);
        if (c->maker == from)
            c->maker = to;
    }
}

static bool tell_one(struct process *c, void *unused)
{
    (void)unused;
    if (!c->bereaved)
        return true;
    c->bereaved = 0;
    if (c->death_signal)
        signal_send_process(c, c->death_signal, NULL);
    family_hang_up_group(c->pgid);
    return true;
}

void family_tell(void)
{
    process_visit(tell_one, NULL);
}

bool family_group_orphaned_locked(uint32_t pgid)
{
    LIST_FOREACH(it, &process_list) {
        const struct process *p = list_entry(it, struct process, all);
        if (p->pgid != pgid || p->zombie || !p->parent || p->parent == process_init)
            continue;
        if (p->parent->pgid != pgid && p->parent->sid == p->sid)
            return false;
    }
    return true;
}

static bool has_stopped_locked(uint32_t pgid)
{
    LIST_FOREACH(it, &process_list) {
        const struct process *p = list_entry(it, struct process, all);
        if (p->pgid == pgid && !p->zombie && p->stopped)
            return true;
    }
    return false;
}

void family_hang_up_group(uint32_t pgid)
{
    spin_lock(&process_tree_lock);
    bool due = has_stopped_locked(pgid) && family_group_orphaned_locked(pgid);
    spin_unlock(&process_tree_lock);
    if (due) {
        signal_send_group(pgid, SIGHUP, NULL);
        signal_send_group(pgid, SIGCONT, NULL);
    }
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void family_add_usage(struct process *parent, struct process *c)
{
    struct cpu_times own = process_times(c);
    cpu_times_add(&parent->child_time, &own);
    cpu_times_add(&parent->child_time, &c->child_time);
    parent->cmin_faults += c->min_faults + c->cmin_faults;
    parent->cmaj_faults += c->maj_faults + c->cmaj_faults;
    parent->cwaits += c->waits + c->cwaits;
    parent->cpreempted += c->preempted + c->cpreempted;
    parent->cmax_resident =
        larger(parent->cmax_resident, larger(c->max_resident, c->cmax_resident));
}
