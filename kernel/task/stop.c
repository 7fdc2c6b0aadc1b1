// SPDX-License-Identifier: MIT
// Job control: stopping and continuing a process.
//
// A stop begins when a thread takes a stop signal. It marks the process and asks every thread to park
// at the border to user mode, which ends their interruptible waits; with the last one parked the stop is
// complete and the parent is told. SIGCONT may come at any point in between. After the signal was taken
// and before the process is marked there is nothing to continue yet: `stop_taken`, which SIGCONT clears,
// keeps such a stop from beginning.
//
// A stop completes, and a stopped process is continued, under process_tree_lock, and its parent has the SIGCHLD before that
// is let go: who waits sees none of it sooner, and hears of both in the order they came in.
#include "task/family.h"
#include "task/process.h"
#include "task/signal.h"

static void tell_parent_locked(struct process *p, int code, int status)
{
    struct process *parent = p->parent;
    if (!parent)
        return;
    const struct sigaction_k *a = &parent->sighand->action[SIGCHLD - 1];
    struct siginfo_k info = {
        .signo = SIGCHLD, .code = code, .pid = (int)p->pid, .uid = p->cred.uid, .status = status};
    if (a->handler != 1 && !(a->flags & SA_NOCLDSTOP))
        signal_send_tree_locked(parent, SIGCHLD, &info);
    waitq_wake_all(&parent->child_exit);
}

void process_tell_continued_locked(struct process *p)
{
    tell_parent_locked(p, CLD_CONTINUED, SIGCONT);
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
        PROCESS_THREADS(it, p)
        task_attention(&thread_entry(it)->task, ATTN_STOP);
    }
    spin_unlock(&p->lock);
}

void process_stop_goes_on(struct process *p)
{
    spin_lock(&process_tree_lock);
    spin_lock(&p->lock);
    int sig = p->stopped;
    bool completes =
        sig && !p->stop_complete && !p->exiting && p->nparked + p->nleaving >= p->nthreads;
    if (completes) {
        p->stop_complete = 1;
        p->stop_reported = p->continued = 0;
    }
    spin_unlock(&p->lock);
    if (completes)
        tell_parent_locked(p, CLD_STOPPED, sig);
    spin_unlock(&process_tree_lock);
}

void process_park(struct thread *th)
{
    struct process *p = th->process;
    spin_lock(&p->lock);
    bool parks = p->stopped && !th->parked;
    th->parked |= parks;
    p->nparked += parks;
    spin_unlock(&p->lock);
    if (parks)
        process_stop_goes_on(p);
}

void process_continue_locked(struct process *p)
{
    if (!p->stopped)
        return;
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
}
