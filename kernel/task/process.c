// SPDX-License-Identifier: MIT
// Processes: birth, references, the end. Their numbers are pids.c's, their threads thread.c's.
#include "task/process.h"

#include "async/epoch.h"
#include "fs/path.h"
#include "fs/poll.h"
#include "fs/tty.h"
#include "page/heap.h"
#include "task/caps.h"
#include "task/pids.h"
#include "task/ptimer.h"
#include "task/signal.h"

#include <string.h>

struct process *process_init;

void process_get(struct process *p)
{
    atomic_add32(&p->refs, 1);
}

static void process_free(struct epoch_item *item)
{
    kfree(container_of(item, struct process, epoch));
}

void process_put(struct process *p)
{
    if (atomic_add32(&p->refs, -1u) != 1)
        return;
    if (!list_empty(&p->timers)) // it was never born
        ptimers_delete(p, true);
    sigpending_free(&p->pending);
    sighand_put(p->sighand);
    process_drop_exe(p);
    epoch_retire(&p->epoch, process_free);
}

void process_drop_exe(struct process *p)
{
    spin_lock(&p->lock);
    struct path exe = p->exe;
    p->exe = (struct path){0};
    spin_unlock(&p->lock);
    process_exe_put(&exe);
}

void process_exe_put(const struct path *exe)
{
    if (!exe->dentry)
        return;
    vnode_run_end(exe->dentry->vnode); // a dentry that is referenced keeps its vnode
    path_put(exe);
}

static void inherit_exe(struct process *p, struct process *parent)
{
    spin_lock(&parent->lock);
    p->exe = parent->exe;
    if (p->exe.dentry) {
        path_get(&p->exe);
        vnode_run_again(p->exe.dentry->vnode);
    }
    spin_unlock(&parent->lock);
}

bool process_exe(struct process *p, struct path *out)
{
    spin_lock(&p->lock);
    *out = p->exe;
    if (out->dentry)
        path_get(out);
    spin_unlock(&p->lock);
    return out->dentry != NULL;
}

struct process *process_new(struct process *parent, struct sighand *sighand)
{
    struct process *p = kzalloc(sizeof *p);
    if (!p)
        return NULL;
    if (parent) { // inherited
        cred_show(p, cred_current());
        memcpy(p->rlimit, parent->rlimit, sizeof p->rlimit);
        memcpy(p->comm, parent->comm, sizeof p->comm);
        inherit_exe(p, parent);
        p->dumpable = parent->dumpable;
        p->no_new_privs = parent->no_new_privs;
        p->personality = parent->personality;
        p->oom_adj = parent->oom_adj;
        p->arg_start = parent->arg_start;
        p->arg_end = parent->arg_end;
        p->env_start = parent->env_start;
        p->env_end = parent->env_end;
    }
    p->refs = 1;
    p->sighand = sighand;
    sighand_get(sighand);
    spin_init(&p->lock, "process");
    list_init(&p->threads);
    list_init(&p->workers);
    list_init(&p->workers_awaited);
    list_init(&p->children);
    list_init(&p->in_parent);
    list_init(&p->all);
    list_init(&p->timers);
    spin_init(&p->timer_lock, "process timers");
    sigpending_init(&p->pending);
    waitq_init(&p->child_exit);
    waitq_init(&p->ended);
    p->start_ns = clock_monotonic_ns();
    return p;
}

// process_tree_lock held.
static void join_family(struct process *p, struct process *parent, bool sibling)
{
    if (!parent) {
        p->pgid = p->sid = p->pid;
        return;
    }
    p->pgid = parent->pgid;
    p->sid = parent->sid;
    tty_inherit_locked(p, parent);
    p->maker = thread_current()->tid;
    p->parent_execs = parent->execs;
    if (sibling) {
        p->exit_signal = parent->exit_signal;
        p->parent_execs = parent->parent_execs;
        p->maker = parent->maker;
        parent = parent->parent;
    }
    p->parent = parent;
    list_push_back(&parent->children, &p->in_parent);
}

// Threads and zombies of the caller's user.
static uint64_t count_of_user_locked(void)
{
    uint64_t n = 0;
    LIST_FOREACH(it, &process_list) {
        const struct process *p = list_entry(it, struct process, all);
        if (p->cred.uid == cred_current()->uid)
            n += p->nthreads ? p->nthreads : 1;
    }
    return n;
}

bool process_too_many_locked(void)
{
    const struct process *me = process_current();
    if (!cred_current()->uid || caller_can(CAP_SYS_RESOURCE) || caller_can(CAP_SYS_ADMIN))
        return false;
    return count_of_user_locked() >= me->rlimit[RLIMIT_NPROC].cur;
}

bool process_user_is_over(uint64_t mine)
{
    const struct process *me = process_current();
    if (!cred_current()->uid)
        return false;
    spin_lock(&process_tree_lock);
    uint64_t n = count_of_user_locked();
    spin_unlock(&process_tree_lock);
    return n > mine && n - mine > me->rlimit[RLIMIT_NPROC].cur;
}

int process_link(struct process *p, struct process *parent, bool sibling, uint32_t pid)
{
    spin_lock(&process_tree_lock);
    int e = parent && task_interrupted(current_task()) ? -ERESTARTNOINTR
            : parent && process_too_many_locked()      ? -EAGAIN
            : !(pid = pids_take(pid))                  ? -EEXIST
                                                       : 0;
    if (e) {
        spin_unlock(&process_tree_lock);
        return e;
    }
    process_get(p);
    p->pid = pid;
    join_family(p, parent, sibling);
    pids_enter(p);
    spin_unlock(&process_tree_lock);
    return 0;
}

void process_reap_locked(struct process *p)
{
    pids_leave(p);
    list_remove(&p->in_parent);
    p->reaped = 1;
    poll_wake(&p->ended, POLLHUP);
}
