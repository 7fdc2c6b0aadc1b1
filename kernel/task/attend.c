// SPDX-License-Identifier: MIT
// What the flag word asks of a thread before it may enter user mode: hold, stop, signals, end.
#include "lib/log.h"
#include "lib/trace.h"
#include "task/exit.h"
#include "task/process.h"
#include "task/signal.h"
#include "task/user_loop.h"

TRACE_POINT(signal_deliver, "signal.deliver", "tid", "signal", "handler");

#define STOPS    (SIGMASK(SIGSTOP) | SIGMASK(SIGTSTP) | SIGMASK(SIGTTIN) | SIGMASK(SIGTTOU))
#define HARMLESS (SIGMASK(SIGCHLD) | SIGMASK(SIGURG) | SIGMASK(SIGWINCH) | SIGMASK(SIGCONT))

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
    bool quiet = parent->sighand->action[SIGCHLD - 1].flags & SA_NOCLDSTOP;
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

static void stop_process(struct process *p, int sig)
{
    spin_lock(&p->lock);
    p->stopped = (uint8_t)sig;
    p->stop_reported = p->continued = 0;
    PROCESS_THREADS(it, p)
    task_attention(&thread_entry(it)->task, ATTN_STOP);
    spin_unlock(&p->lock);
    tell_parent(p, CLD_STOPPED, sig);
}

// A call that was interrupted is restarted, or fails with EINTR when a handler runs that says so.
static void settle_restart(struct thread *th, const struct sigaction_k *handler)
{
    int code = th->restart;
    th->restart = 0;
    if (!code || !handler)
        return; // sepc is at the ecall already
    th->restart_until = 0;
    if (code == ERESTARTNOINTR)
        return;
    if (code == ERESTARTNOHAND || !(handler->flags & SA_RESTART)) {
        tf_sepc(&th->tf) += 4;
        th->tf.x[10] = (uint64_t)-EINTR;
    }
}

static void restore_mask(struct thread *th)
{
    if (!th->restore_blocked)
        return;
    th->restore_blocked = false;
    th->blocked = th->saved_blocked;
}

ASYNC_DECL(deliver_signals, struct thread *th;);
ASYNC(deliver_signals, long r; int sig; struct siginfo_k info; struct sigaction_k action;)
{
    ASYNC_BEGIN(deliver_signals);
    while ((f->sig = signal_take(f->th, &f->info, &f->action))) {
        TRACE(signal_deliver, f->th->tid, (uint64_t)f->sig, f->action.handler);
        if (f->action.handler == 1)
            continue;
        if (f->action.handler > 1) {
            settle_restart(f->th, &f->action);
            AWAIT(f->r, sigframe_push, f->th, &f->info, &f->action);
            if (f->r < 0) // no stack to run it on
                process_exit_group(f->th->process, status_signaled(SIGSEGV));
            f->th->restore_blocked = false;
            break;
        }
        if (SIGMASK(f->sig) & HARMLESS)
            continue;
        if (f->th->process->pid == 1 && f->info.code <= 0)
            continue; // sent while it was blocked: init gets only what it handles, and faults
        if (SIGMASK(f->sig) & STOPS) {
            stop_process(f->th->process, f->sig);
            break;
        }
        process_exit_group(f->th->process, status_signaled(f->sig));
        break;
    }
    settle_restart(f->th, NULL);
    restore_mask(f->th);
    signal_recalculate(f->th);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(user_attend, long r;)
{
    ASYNC_BEGIN(user_attend);
    t->local = 0;
    if (t->attn & ATTN_CANCEL)
        ASYNC_RETURN(1);
    if (t->attn & (ATTN_RESCHED | ATTN_MOVE)) {
        task_attention_clear(t, ATTN_RESCHED);
        f->th->preempted++;
        YIELD();
    }
    if (t->attn & ATTN_DEADLINE)
        task_attention_clear(t, ATTN_DEADLINE);
    while ((t->attn & (ATTN_STOP | ATTN_SUSPEND)) && !(t->attn & ATTN_CANCEL))
        SUSPEND("to be continued");
    if (t->attn & ATTN_HOLD)
        SUSPEND("to be released");
    if ((t->attn & ATTN_SIGNAL) && !(t->attn & ATTN_CANCEL))
        AWAIT(f->r, deliver_signals, f->th);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
