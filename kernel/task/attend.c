// SPDX-License-Identifier: MIT
// What the flag word asks of a thread before it may enter user mode: hold, stop, signals, end.
#include "lib/log.h"
#include "lib/trace.h"
#include "task/exit.h"
#include "task/process.h"
#include "task/ptimer.h"
#include "task/signal.h"
#include "task/user_loop.h"

TRACE_POINT(signal_deliver, "signal.deliver", "a thread takes a signal",
            TRACE_ARG("signal", NUMBER), TRACE_ARG("handler", ADDRESS));

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
    signal_set_blocked(th, th->saved_blocked);
}

ASYNC_DECL(deliver_signals, struct thread *th;);
ASYNC(deliver_signals, long r; int sig; struct siginfo_k info; struct sigaction_k action;)
{
    ASYNC_BEGIN(deliver_signals);
    while ((f->sig = signal_take(f->th, &f->info, &f->action))) {
        TRACE(signal_deliver, (uint64_t)f->sig, f->action.handler);
        if (f->action.handler == 1)
            continue;
        if (f->action.handler > 1) {
            settle_restart(f->th, &f->action);
            AWAIT(f->r, sigframe_push, f->th, &f->info, &f->action);
            if (f->r < 0)
                signal_no_frame(f->th, f->sig);
            else
                f->th->restore_blocked = false;
            break;
        }
        if (SIGMASK(f->sig) & IGNORED_BY_DEFAULT)
            continue;
        if (f->th->process->pid == 1 && f->info.code <= 0)
            continue; // sent while it was blocked: init gets only what it handles, and faults
        if (SIGMASK(f->sig) & STOP_SIGNALS) {
            process_stop(f->th->process, f->sig);
            if (!(t->attn & ATTN_STOP))
                continue;
            signal_recalculate(f->th); // how its call goes on is settled when it is continued
            ASYNC_RETURN(0);
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
    if (t->attn & ATTN_CLOCK) {
        task_attention_clear(t, ATTN_CLOCK);
        ptimers_check_cpu(f->th);
    }
    if (t->attn & ATTN_DEADLINE)
        task_attention_clear(t, ATTN_DEADLINE);
    while ((t->attn & (ATTN_STOP | ATTN_SUSPEND)) && !(t->attn & ATTN_CANCEL)) {
        if (t->attn & ATTN_STOP)
            process_park(f->th);
        SUSPEND("to be continued");
    }
    if (t->attn & ATTN_HOLD)
        SUSPEND("to be released");
    if ((t->attn & ATTN_SIGNAL) && !(t->attn & ATTN_CANCEL))
        AWAIT(f->r, deliver_signals, f->th);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
