// SPDX-License-Identifier: MIT
// Signals: sending, pending sets, choosing what is delivered next.
//
// sighand.lock guards the actions and both pending sets. A standard signal is pending at most once
// and keeps the first siginfo; real-time signals queue. When there is no memory for the queue entry
// a standard signal is still sent, without its details.
#include "task/signal.h"

#include "lib/trace.h"
#include "page/heap.h"
#include "task/exit.h"
#include "task/process.h"

#include <string.h>

enum { SIGRTMIN_K = 32 };

#define IGNORED_BY_DEFAULT                                                                         \
    (SIGMASK(SIGCHLD) | SIGMASK(SIGURG) | SIGMASK(SIGWINCH) | SIGMASK(SIGCONT))
#define STOP_SIGNALS (SIGMASK(SIGSTOP) | SIGMASK(SIGTSTP) | SIGMASK(SIGTTIN) | SIGMASK(SIGTTOU))
#define SYNCHRONOUS                                                                                \
    (SIGMASK(SIGSEGV) | SIGMASK(SIGBUS) | SIGMASK(SIGILL) | SIGMASK(SIGTRAP) | SIGMASK(SIGFPE) |   \
     SIGMASK(SIGSYS))

TRACE_POINT(signal_send, "signal.send", "pid", "signal");

// ---- actions

struct sighand *sighand_new(void)
{
    struct sighand *sh = kzalloc(sizeof *sh);
    if (sh) {
        sh->refs = 1;
        spin_init(&sh->lock, "sighand");
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
    th->altstack_flags = SS_DISABLE;
    th->altstack_sp = th->altstack_size = 0;
}

// ---- pending sets (sighand.lock held)

void sigpending_init(struct sigpending *p)
{
    p->set = 0;
    list_init(&p->queue);
}

void sigpending_free(struct sigpending *p)
{
    struct list *it;
    while ((it = list_pop_front(&p->queue)))
        kfree(list_entry(it, struct sigqueue, link));
    p->set = 0;
}

static void flush_signals(struct sigpending *p, sigset which)
{
    p->set &= ~which;
    LIST_FOREACH_SAFE(it, next, &p->queue) {
        struct sigqueue *q = list_entry(it, struct sigqueue, link);
        if (SIGMASK(q->info.signo) & which) {
            list_remove(it);
            kfree(q);
        }
    }
}

static int enqueue_signal(struct sigpending *p, int sig, const struct siginfo_k *info)
{
    if (sig < SIGRTMIN_K && (p->set & SIGMASK(sig)))
        return 0;
    struct sigqueue *q = kmalloc(sizeof *q);
    if (!q && sig >= SIGRTMIN_K && info && info->code != SI_USER)
        return -EAGAIN;
    p->set |= SIGMASK(sig);
    if (q) {
        q->info = info ? *info : (struct siginfo_k){.code = SI_KERNEL};
        q->info.signo = sig;
        list_push_back(&p->queue, &q->link);
    }
    return 0;
}

static void dequeue_signal(struct sigpending *p, int sig, struct siginfo_k *info)
{
    bool more = false, found = false;
    *info = (struct siginfo_k){.signo = sig, .code = SI_USER};
    LIST_FOREACH_SAFE(it, next, &p->queue) {
        struct sigqueue *q = list_entry(it, struct sigqueue, link);
        if (q->info.signo != sig)
            continue;
        if (found) {
            more = true;
            break;
        }
        found = true;
        *info = q->info;
        list_remove(it);
        kfree(q);
    }
    if (!more)
        p->set &= ~SIGMASK(sig);
}

static int lowest(sigset set)
{
    if (set & SYNCHRONOUS)
        set &= SYNCHRONOUS;
    return set ? __builtin_ctzl(set) + 1 : 0;
}

static sigset deliverable(const struct thread *th)
{
    return (th->pending.set | th->process->pending.set) & ~th->blocked;
}

static int take_locked(struct thread *th, sigset set, struct siginfo_k *info)
{
    int sig = lowest(th->pending.set & set);
    if (sig) {
        dequeue_signal(&th->pending, sig, info);
    } else if ((sig = lowest(th->process->pending.set & set))) {
        dequeue_signal(&th->process->pending, sig, info);
    }
    return sig;
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

void signal_recalculate(struct thread *th)
{
    struct sighand *sh = th->process->sighand;
    spin_lock(&sh->lock);
    if (deliverable(th) || th->restore_blocked || th->restart)
        atomic_or32(&th->task.attn, ATTN_SIGNAL);
    else
        atomic_and32(&th->task.attn, ~(uint32_t)ATTN_SIGNAL);
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
    th->blocked = blocked & ~SIG_UNBLOCKABLE;
    signal_recalculate(th);
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

// process.lock held.
static void continue_process(struct process *p)
{
    if (!p->stopped)
        return;
    p->stopped = 0;
    p->continued = 1;
    PROCESS_THREADS(it, p)
    {
        struct task *t = &thread_entry(it)->task;
        task_attention_clear(t, ATTN_STOP);
        task_wake(t);
    }
}

// Which signals cancel each other out.
static void prepare(struct process *p, int sig)
{
    sigset flush = SIGMASK(sig) & STOP_SIGNALS ? SIGMASK(SIGCONT)
                   : sig == SIGCONT            ? STOP_SIGNALS
                                               : 0;
    if (!flush)
        return;
    flush_signals(&p->pending, flush);
    PROCESS_THREADS(it, p)
    flush_signals(&thread_entry(it)->pending, flush);
}

static struct thread *choose_thread(struct process *p, int sig)
{
    PROCESS_THREADS(it, p)
    {
        struct thread *th = thread_entry(it);
        if (!(th->blocked & SIGMASK(sig)))
            return th;
    }
    return NULL;
}

static void kill_now(struct process *p)
{
    p->exiting = 1;
    p->exit_status = status_signaled(SIGKILL);
    PROCESS_THREADS(it, p)
    task_attention(&thread_entry(it)->task, ATTN_CANCEL);
}

// process.lock and sighand.lock held. th NULL: to the process.
static int send_locked(struct process *p, struct thread *th, int sig, const struct siginfo_k *info)
{
    if (p->zombie || (p->exiting && sig != SIGKILL))
        return 0;
    TRACE(signal_send, p->pid, (uint64_t)sig);
    prepare(p, sig);
    if (sig == SIGCONT)
        continue_process(p);
    if (sig == SIGKILL) {
        if (p->pid == 1 && info)
            return 0; // nobody kills init but the kernel
        if (!p->exiting)
            kill_now(p);
        return 0;
    }
    struct thread *to = th ? th : choose_thread(p, sig);
    if (dropped(p, to, sig))
        return 0;
    int e = enqueue_signal(th ? &th->pending : &p->pending, sig, info);
    if (!e && to && !(to->blocked & SIGMASK(sig)))
        task_attention(&to->task, ATTN_SIGNAL);
    return e;
}

int signal_send_process(struct process *p, int sig, const struct siginfo_k *info)
{
    bool was_stopped = false;
    spin_lock(&p->lock);
    was_stopped = p->stopped;
    spin_lock(&p->sighand->lock);
    int e = send_locked(p, NULL, sig, info);
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
    if (was_stopped && sig == SIGCONT)
        process_notify_continued(p);
    return e;
}

int signal_send_thread(struct thread *th, int sig, const struct siginfo_k *info)
{
    struct process *p = th->process;
    spin_lock(&p->lock);
    spin_lock(&p->sighand->lock);
    int e = list_empty(&th->in_process) ? 0 : send_locked(p, th, sig, info);
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
    return e;
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
void signal_force_fault(struct thread *th, int sig, int code, uint64_t addr)
{
    struct process *p = th->process;
    struct siginfo_k info = {.signo = sig, .code = code, .addr = addr};
    spin_lock(&p->lock);
    spin_lock(&p->sighand->lock);
    struct sigaction_k *a = &p->sighand->action[sig - 1];
    if (a->handler == 1 || (th->blocked & SIGMASK(sig))) {
        a->handler = 0;
        th->blocked &= ~SIGMASK(sig);
    }
    enqueue_signal(&th->pending, sig, &info);
    task_attention(&th->task, ATTN_SIGNAL);
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
}

void siginfo_to_user(const struct siginfo_k *info, struct siginfo_user *out)
{
    *out = (struct siginfo_user){.signo = info->signo, .error = info->error, .code = info->code};
    struct {
        int32_t pid;
        uint32_t uid;
        int32_t status, pad;
    } who = {info->pid, info->uid, info->status, 0};
    if (info->addr || info->signo == SIGSEGV || info->signo == SIGBUS || info->signo == SIGILL ||
        info->signo == SIGTRAP) {
        if (info->code != SI_USER && info->code != SI_TKILL && info->code != SI_QUEUE) {
            out->field[0] = info->addr;
            return;
        }
    }
    memcpy(out->field, &who, sizeof who);
    if (info->signo != SIGCHLD)
        out->field[1] = info->value;
}

// An action that ignores drops what is pending (POSIX).
void signal_set_action(struct thread *th, int sig, const struct sigaction_k *new)
{
    struct process *p = th->process;
    spin_lock(&p->lock);
    spin_lock(&p->sighand->lock);
    p->sighand->action[sig - 1] = *new;
    if (new->handler == 1 || (new->handler == 0 && (IGNORED_BY_DEFAULT & SIGMASK(sig)))) {
        flush_signals(&p->pending, SIGMASK(sig));
        PROCESS_THREADS(it, p)
        flush_signals(&thread_entry(it)->pending, SIGMASK(sig));
    }
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
}
