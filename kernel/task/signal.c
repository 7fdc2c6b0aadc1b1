// SPDX-License-Identifier: MIT
// Signals: actions, sending, taking what is delivered next.
//
// sighand.lock guards the actions, both pending sets and what a thread blocks: a sender that holds it
// finds either the thread to take the signal, or the mask that its owner looks at the signal with.
#include "task/signal.h"

#include "fs/poll.h"
#include "lib/trace.h"
#include "page/heap.h"
#include "task/exit.h"
#include "task/process.h"

#include <string.h>

TRACE_POINT(signal_send, "signal.send", "a signal is sent to a process or thread",
            TRACE_ARG("to", NUMBER), TRACE_ARG("signal", NUMBER));

// ---- actions

struct sighand *sighand_new(void)
{
    struct sighand *sh = kzalloc(sizeof *sh);
    if (sh) {
        sh->refs = 1;
        spin_init(&sh->lock, "sighand");
        waitq_init(&sh->pollers);
    }
    return sh;
}

struct sighand *sighand_copy(struct sighand *from)
{
    struct sighand *sh = sighand_new();
    if (sh) {
        spin_lock(&from->lock);
        memcpy(sh->action, from->action, sizeof sh->action);
        spin_unlock(&from->lock);
    }
    return sh;
}

void sighand_get(struct sighand *sh)
{
    atomic_add32(&sh->refs, 1);
}

void sighand_put(struct sighand *sh)
{
    if (atomic_add32(&sh->refs, -1u) == 1)
        kfree(sh);
}

void sighand_to_default(struct sighand *sh)
{
    spin_lock(&sh->lock);
    for (int i = 0; i < NSIG; i++) {
        bool ignored = sh->action[i].handler == 1;
        sh->action[i] = (struct sigaction_k){.handler = ignored};
    }
    spin_unlock(&sh->lock);
}

void signal_exec_reset(struct thread *th)
{
    sighand_to_default(th->process->sighand);
    th->altstack_flags = 0;
    th->altstack_sp = th->altstack_size = 0;
}

static sigset deliverable(const struct thread *th)
{
    return (th->pending.set | th->process->pending.set) & ~th->blocked;
}

// What a fault of the thread itself says lies in the thread: there may be no memory for an entry.
static void force_locked(struct thread *th, const struct siginfo_k *info)
{
    if (th->pending.set & SIGMASK(info->signo)) // the first is kept
        return;
    th->pending.set |= SIGMASK(info->signo);
    if (th->forced) // a handler in between found no room for its frame: it has no more to say
        return;
    th->forced = (uint8_t)info->signo;
    th->forced_code = info->code;
    th->forced_addr = info->addr;
}

static int take_locked(struct thread *th, sigset set, struct siginfo_k *info)
{
    int sig = sigpending_take(&th->pending, set, info);
    if (sig && sig == th->forced) {
        info->code = th->forced_code;
        info->addr = th->forced_addr;
    }
    if (th->forced && !(th->pending.set & SIGMASK(th->forced)))
        th->forced = 0;
    return sig ? sig : sigpending_take(&th->process->pending, set, info);
}

int signal_take(struct thread *th, struct siginfo_k *info, struct sigaction_k *action)
{
    struct sighand *sh = th->process->sighand;
    spin_lock(&sh->lock);
    int sig = take_locked(th, ~th->blocked, info);
    if (sig) {
        *action = sh->action[sig - 1];
        if (action->handler > 1 && (action->flags & SA_RESETHAND))
            sh->action[sig - 1].handler = 0;
        if (action->handler == 0 && (SIGMASK(sig) & STOP_SIGNALS))
            th->process->stop_taken = 1;
    }
    spin_unlock(&sh->lock);
    return sig;
}

int signal_take_from(struct thread *th, sigset set, struct siginfo_k *info)
{
    struct sighand *sh = th->process->sighand;
    spin_lock(&sh->lock);
    int sig = take_locked(th, set, info);
    spin_unlock(&sh->lock);
    return sig;
}

bool signal_pending(const struct thread *th)
{
    return deliverable(th) != 0;
}

sigset signal_all_pending(struct thread *th)
{
    return th->pending.set | th->process->pending.set;
}

static void recalculate_locked(struct thread *th)
{
    if (deliverable(th) || th->restore_blocked || th->restart)
        atomic_or32(&th->task.attn, ATTN_SIGNAL);
    else
        atomic_and32(&th->task.attn, ~(uint32_t)ATTN_SIGNAL);
}

void signal_recalculate(struct thread *th)
{
    struct sighand *sh = th->process->sighand;
    spin_lock(&sh->lock);
    recalculate_locked(th);
    spin_unlock(&sh->lock);
}

void signal_pass_on(struct process *p)
{
    if (!p->pending.set || p->exiting)
        return;
    PROCESS_THREADS(it, p)
    if (p->pending.set & ~thread_entry(it)->blocked)
        task_attention(&thread_entry(it)->task, ATTN_SIGNAL);
}

void signal_set_blocked(struct thread *th, sigset blocked)
{
    struct process *p = th->process;
    blocked &= ~SIG_UNBLOCKABLE;
    spin_lock(&p->sighand->lock);
    bool leaves = p->pending.set & blocked & ~th->blocked;
    th->blocked = blocked;
    recalculate_locked(th);
    spin_unlock(&p->sighand->lock);
    if (leaves) {
        spin_lock(&p->lock);
        signal_pass_on(p);
        spin_unlock(&p->lock);
    }
}

// ---- sending

// th NULL: every thread blocks it. What is blocked is kept even if it would be ignored now.
static bool dropped(const struct process *p, const struct thread *th, int sig)
{
    uint64_t h = p->sighand->action[sig - 1].handler;
    if (sig == SIGKILL || sig == SIGSTOP)
        return false;
    if (!th || ((th->blocked | th->waiting) & SIGMASK(sig)))
        return false;
    if (p->pid == 1 && h == 0) // init gets only what it has handlers for
        return true;
    return h == 1 || (h == 0 && (IGNORED_BY_DEFAULT & SIGMASK(sig)));
}

// Which signals cancel each other out.
static void prepare(struct process *p, int sig)
{
    sigset flush = SIGMASK(sig) & STOP_SIGNALS ? SIGMASK(SIGCONT)
                   : sig == SIGCONT            ? STOP_SIGNALS
                                               : 0;
    if (!flush)
        return;
    sigpending_flush(&p->pending, flush);
    PROCESS_THREADS(it, p)
    sigpending_flush(&thread_entry(it)->pending, flush);
    if (sig == SIGCONT)
        p->stop_taken = 0;
}

// It is neither stopping nor ending, and takes no other signal first.
static bool is_free(const struct thread *th)
{
    return !(load_relaxed(&th->task.attn) & (ATTN_SIGNAL | ATTN_STOP | ATTN_CANCEL));
}

// NULL: all block it.
static struct thread *choose_thread(struct process *p, int sig)
{
    struct thread *busy = NULL;
    PROCESS_THREADS(it, p)
    {
        struct thread *th = thread_entry(it);
        if (th->blocked & SIGMASK(sig))
            continue;
        if (is_free(th))
            return th;
        if (!busy)
            busy = th;
    }
    return busy;
}

// Ends the whole process the moment that th, which does not block it, would be woken for it, as Linux does
// (complete_signal): th may be in a wait that only an end breaks, and its siblings do not run on until it is over.
// What dumps core waits for the border to user mode. Not ignored: dropped() was asked.
static bool kills_now(const struct process *p, const struct thread *th, int sig)
{
    sigset other = STOP_SIGNALS | CORE_SIGNALS | th->waiting;
    return p->sighand->action[sig - 1].handler == 0 && !(SIGMASK(sig) & other) && is_free(th);
}

static void kill_now(struct process *p, int sig)
{
    p->exiting = 1;
    p->exit_status = status_signaled(sig);
    PROCESS_THREADS(it, p)
    task_attention(&thread_entry(it)->task, ATTN_CANCEL);
}

// process.lock and sighand.lock held, for SIGCONT process_tree_lock as well. th NULL: to the process. q: a timer's entry, or NULL.
static int send_locked(struct process *p, struct thread *th, int sig, const struct siginfo_k *info,
                       struct sigqueue *q)
{
    if (p->zombie || (p->exiting && sig != SIGKILL))
        return 0;
    TRACE(signal_send, p->pid, (uint64_t)sig);
    prepare(p, sig);
    if (sig == SIGCONT)
        process_continue_locked(p);
    if (sig == SIGKILL) {
        if (p->pid == 1 && info)
            return 0; // nobody kills init but the kernel
        if (!p->exiting)
            kill_now(p, sig);
        return 0;
    }
    struct thread *to = th ? th : choose_thread(p, sig);
    if (dropped(p, to, sig))
        return 0;
    struct sigpending *set = th ? &th->pending : &p->pending;
    int e = 0;
    if (q)
        sigpending_add_owned(set, q, info);
    else
        e = sigpending_add(set, p, sig, info);
    if (e)
        return e;
    poll_wake(&p->sighand->pollers, POLLIN);
    if (!to || (to->blocked & SIGMASK(sig)))
        return 0;
    if (kills_now(p, to, sig))
        kill_now(p, sig);
    else
        task_attention(&to->task, ATTN_SIGNAL);
    return 0;
}

// th NULL: to the process. A thread that has left gets nothing. SIGCONT: process_tree_lock held.
static int deliver(struct process *p, struct thread *th, int sig, const struct siginfo_k *info,
                   struct sigqueue *q)
{
    spin_lock(&p->lock);
    bool was_stopped = p->stopped;
    spin_lock(&p->sighand->lock);
    int e = th && list_empty(&th->in_process) ? 0 : send_locked(p, th, sig, info, q);
    bool continued = was_stopped && !p->stopped;
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
    if (continued)
        process_tell_continued_locked(p);
    return e;
}

static int send(struct process *p, struct thread *th, int sig, const struct siginfo_k *info,
                struct sigqueue *q)
{
    if (sig != SIGCONT)
        return deliver(p, th, sig, info, q);
    spin_lock(&process_tree_lock);
    int e = deliver(p, th, sig, info, q);
    spin_unlock(&process_tree_lock);
    return e;
}

int signal_send_tree_locked(struct process *p, int sig, const struct siginfo_k *info)
{
    return deliver(p, NULL, sig, info, NULL);
}

int signal_send_process(struct process *p, int sig, const struct siginfo_k *info)
{
    return send(p, NULL, sig, info, NULL);
}

int signal_send_thread(struct thread *th, int sig, const struct siginfo_k *info)
{
    return send(th->process, th, sig, info, NULL);
}

int signal_send_owned(struct process *p, struct thread *th, struct sigqueue *q,
                      const struct siginfo_k *info)
{
    return send(p, th, info->signo, info, q);
}

struct group_send {
    uint32_t pgid;
    int sig, found;
    const struct siginfo_k *info;
};

static bool send_to_member(struct process *p, void *arg)
{
    struct group_send *g = arg;
    if (p->pgid == g->pgid && !p->zombie) {
        signal_send_process(p, g->sig, g->info);
        g->found++;
    }
    return true;
}

int signal_send_group(uint32_t pgid, int sig, const struct siginfo_k *info)
{
    struct group_send g = {pgid, sig, 0, info};
    process_visit(send_to_member, &g);
    return g.found ? 0 : -ESRCH;
}

// A blocked or ignored fault signal cannot wait: the action falls back to the default, which kills.
static void force(struct thread *th, const struct siginfo_k *info, bool fatal)
{
    struct process *p = th->process;
    int sig = info->signo;
    spin_lock(&p->lock);
    spin_lock(&p->sighand->lock);
    struct sigaction_k *a = &p->sighand->action[sig - 1];
    if (fatal || a->handler == 1 || (th->blocked & SIGMASK(sig))) {
        a->handler = 0;
        th->blocked &= ~SIGMASK(sig);
    }
    force_locked(th, info);
    task_attention(&th->task, ATTN_SIGNAL);
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
}

void signal_force_fault(struct thread *th, int sig, int code, uint64_t addr)
{
    force(th, &(struct siginfo_k){.signo = sig, .code = code, .addr = addr}, false);
}

void signal_no_frame(struct thread *th, int sig)
{
    force(th, &(struct siginfo_k){.signo = SIGSEGV, .code = SI_KERNEL}, sig == SIGSEGV);
}

void siginfo_to_user(const struct siginfo_k *info, struct siginfo_user *out)
{
    *out = (struct siginfo_user){info->signo,
                                 info->error,
                                 info->code,
                                 0,
                                 {info->addr, info->value, info->utime, info->stime}};
}

// An action that ignores drops what is pending (POSIX).
void signal_set_action(struct thread *th, int sig, const struct sigaction_k *new)
{
    struct process *p = th->process;
    spin_lock(&p->lock);
    spin_lock(&p->sighand->lock);
    p->sighand->action[sig - 1] = *new;
    if (new->handler == 1 || (new->handler == 0 && (IGNORED_BY_DEFAULT & SIGMASK(sig)))) {
        sigpending_flush(&p->pending, SIGMASK(sig));
        PROCESS_THREADS(it, p)
        sigpending_flush(&thread_entry(it)->pending, SIGMASK(sig));
    }
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
}
