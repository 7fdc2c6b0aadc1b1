// SPDX-License-Identifier: MIT
// Job control: stopping and continuing a process.
//
// A stop begins when a thread takes a stop signal. It marks the process and asks every thread to park
// at the border to user mode, which ends their interruptible waits; with the last one parked the stop is
// complete and the parent is told. SIGCONT may come at any point in between. After the signal was taken
// and before the process is marked there is nothing to continue yet: `stop_taken`, which SIGCONT clears,
// keeps such a stop from beginning.
#include "task/family.h"
#include "task/process.h"
#include "task/signal.h"

static void tell_parent(struct process *p, int code, int status)
{
    spin_lock(&process_tree_lock);
    struct process *parent = p->parent;
    if (!parent) {
        spin_unlock(&process_tree_lock);
        return;
    }
    process_get(parent);
    waitq_wake_all(&parent->child_exit);
    const struct sigaction_k *a = &parent->sighand->action[SIGCHLD - 1];
    bool quiet = a->handler == 1 || (a->flags & SA_NOCLDSTOP);
    spin_unlock(&process_tree_lock);
    struct siginfo_k info = {
        .signo = SIGCHLD, .code = code, .pid = (int)p->pid, .uid = p->cred.uid, .status = status};
    if (!quiet)
        signal_send_process(parent, SIGCHLD, &info);
    process_put(parent);
}

void process_notify_continued(struct process *p)
{
    tell_parent(p, CLD_CONTINUED, SIGCONT);
}

void process_tell_stopped(struct process *p)
{
    tell_parent(p, CLD_STOPPED, p->stopped);
}

// What the terminal sends stops nobody whom no shell could continue (POSIX, orphaned process group).
static bool stops_nobody(const struct process *p, int sig)
{
    if (sig == SIGSTOP)
        return false;
    spin_lock(&process_tree_lock);
    bool orphaned = family_group_orphaned_locked(p->pgid);
    spin_unlock(&process_tree_lock);
    return orphaned;
}

void process_stop(struct process *p, int sig)
{
    if (stops_nobody(p, sig))
        return;
    spin_lock(&p->lock);
    if (p->stop_taken && !p->stopped && !p->exiting) {
        p->stopped = (uint8_t)sig;
        p->stop_reported = p->continued = 0;
        PROCESS_THREADS(it, p)
        task_attention(&thread_entry(it)->task, ATTN_STOP);
    }
    spin_unlock(&p->lock);
}

bool process_stop_completes_locked(struct process *p)
{
    if (!p->stopped || p->stop_complete || p->nparked + p->nleaving < p->nthreads)
        return false;
    p->stop_complete = 1;
    return true;
}

void process_park(struct thread *th)
{
    struct process *p = th->process;
    spin_lock(&p->lock);
    if (p->stopped && !th->parked) {
        th->parked = true;
        p->nparked++;
    }
    bool complete = process_stop_completes_locked(p);
    spin_unlock(&p->lock);
    if (complete)
        process_tell_stopped(p);
}

bool process_continue_locked(struct process *p)
{
    if (!p->stopped)
        return false;
    p->stopped = p->stop_complete = 0;
    p->nparked = 0;
    p->continued = 1;
    PROCESS_THREADS(it, p)
    {
        struct thread *th = thread_entry(it);
        th->parked = false;
        task_attention_clear(&th->task, ATTN_STOP);
        task_wake(&th->task);
    }
    return true;
}
