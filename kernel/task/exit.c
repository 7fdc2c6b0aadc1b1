// SPDX-License-Identifier: MIT
// The end of threads and processes, and wait4(2).
//
// A thread that exits gives back its files, then its space, then leaves its process; the last one
// makes the process a zombie, hands its children to init and tells the parent. All of it runs in
// the thread itself, shielded: nothing is torn by a second kill.
#include "task/exit.h"

#include "fs/file.h"
#include "fs/fsctx.h"
#include "fs/tty.h"
#include "lib/log.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/futex.h"
#include "task/process.h"
#include "task/signal.h"

#include <string.h>

void process_exit_group(struct process *p, uint32_t status)
{
    spin_lock(&p->lock);
    if (!p->exiting) {
        p->exiting = 1;
        p->exit_status = status;
    }
    PROCESS_THREADS(it, p)
    task_attention(&thread_entry(it)->task, ATTN_CANCEL);
    spin_unlock(&p->lock);
}

// ---- the last thread

static void notify_parent(struct process *p, struct process *parent)
{
    bool killed = p->exit_status & 127;
    struct siginfo_k info = {
        .signo = (int)p->exit_signal,
        .code = killed ? CLD_KILLED : CLD_EXITED,
        .pid = (int)p->pid,
        .uid = p->cred.uid,
        .status = (int)(killed ? p->exit_status & 127 : p->exit_status >> 8),
    };
    if (p->exit_signal && p->exit_signal <= NSIG)
        signal_send_process(parent, (int)p->exit_signal, &info);
}

// Does the parent want no zombies?
static bool auto_reaped(const struct process *parent, uint32_t exit_signal)
{
    const struct sigaction_k *a = &parent->sighand->action[SIGCHLD - 1];
    return exit_signal == SIGCHLD && (a->handler == 1 || (a->flags & SA_NOCLDWAIT));
}

static void adopt_children(struct process *p, struct process *heir)
{
    while (!list_empty(&p->children)) {
        struct process *c = list_entry(p->children.next, struct process, in_parent);
        list_remove(&c->in_parent);
        c->parent = heir;
        c->exit_signal = SIGCHLD;
        list_push_back(&heir->children, &c->in_parent);
    }
}

static bool has_zombie(const struct process *p)
{
    LIST_FOREACH(it, &p->children)
        if (list_entry(it, struct process, in_parent)->zombie)
            return true;
    return false;
}

static void process_finish(struct process *p)
{
    if (p == process_init)
        panic("init (pid 1) has ended with status 0x%x", p->exit_status);
    spin_lock(&p->itimer_lock);
    timer_cancel(&p->itimer_real);
    p->itimer_interval_ns = 0;
    spin_unlock(&p->itimer_lock);
    process_drop_exe(p); // a zombie keeps no file system busy
    spin_lock(&process_tree_lock);
    bool orphans = has_zombie(p);
    adopt_children(p, process_init);
    p->zombie = 1;
    struct process *parent = p->parent;
    process_get(parent);
    bool gone = auto_reaped(parent, p->exit_signal);
    if (gone) {
        parent->cutime_ticks += p->utime_ticks + p->cutime_ticks;
        parent->cstime_ticks += p->stime_ticks + p->cstime_ticks;
        process_reap_locked(p);
    }
    waitq_wake_all(&parent->child_exit);
    waitq_wake_all(&p->ended);
    if (orphans)
        waitq_wake_all(&process_init->child_exit);
    spin_unlock(&process_tree_lock);
    notify_parent(p, parent);
    if (orphans)
        signal_send_process(process_init, SIGCHLD, NULL);
    if (p->pid == p->sid)
        tty_session_exit((int32_t)p->sid);
    process_put(parent);
    if (gone)
        process_put(p);
}

void thread_vfork_done(struct thread *th)
{
    spin_lock(&th->process->lock);
    if (th->vfork_done)
        event_set(th->vfork_done);
    th->vfork_done = NULL;
    spin_unlock(&th->process->lock);
}

ASYNC_DECL(clear_child_tid, struct thread *th;);
ASYNC(clear_child_tid, long r; uint32_t zero;)
{
    ASYNC_BEGIN(clear_child_tid);
    f->zero = 0;
    AWAIT(f->r, user_write, f->th->space, f->th->clear_child_tid, &f->zero, 4);
    if (f->r == 0)
        futex_wake(f->th->space, f->th->clear_child_tid, 1, ~0u, false);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Takes the space from the thread. With the last one the process has none, and says so before the
// space can go: others look at process.space under process.lock.
static struct space *leave_space(struct thread *th, bool *last)
{
    struct process *p = th->process;
    struct space *s = th->space;
    spin_lock(&p->lock);
    th->space = NULL;
    *last = true;
    PROCESS_THREADS(it, p)
    if (thread_entry(it)->space) {
        *last = false;
        break;
    }
    if (*last)
        p->space = NULL;
    spin_unlock(&p->lock);
    return s;
}

ASYNC(thread_exit, long r; struct space *space; bool last;)
{
    ASYNC_BEGIN(thread_exit);
    if (f->th->clear_child_tid && load_relaxed(&f->th->space->refs) > 1)
        AWAIT(f->r, clear_child_tid, f->th);
    fd_table_put(f->th->files);
    f->th->files = NULL;
    fs_context_put(f->th->fs);
    f->th->fs = NULL;
    f->space = leave_space(f->th, &f->last);
    thread_vfork_done(f->th);
    AWAIT(f->r, space_release, f->space);
    spin_lock(&process_tree_lock);
    spin_lock(&f->th->process->lock);
    thread_unlink_locked(f->th);
    f->last = f->th->process->nthreads == 0;
    signal_pass_on(f->th->process);
    f->th->process->utime_ticks += t->ticks;
    if (f->last && !f->th->process->exiting)
        f->th->process->exit_status = f->th->exit_code;
    f->th->process->exiting |= f->last;
    if (f->th->process->exec_waiter && f->th->process->nthreads == 1)
        event_set(f->th->process->exec_waiter);
    spin_unlock(&f->th->process->lock);
    spin_unlock(&process_tree_lock);
    if (f->last)
        process_finish(f->th->process);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- exit(2), exit_group(2): the attention makes the user loop end the thread

long sys_exit(uint64_t code)
{
    struct thread *th = thread_current();
    th->exit_code = status_exited((uint32_t)code);
    atomic_or32(&th->task.attn, ATTN_CANCEL);
    return 0;
}
SYSCALL(93, exit, 1);

long sys_exit_group(uint64_t code)
{
    process_exit_group(process_current(), status_exited((uint32_t)code));
    return 0;
}
SYSCALL(94, exit_group, 1);
