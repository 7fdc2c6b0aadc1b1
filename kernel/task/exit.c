// SPDX-License-Identifier: MIT
// The end of threads and processes, and wait4(2).
//
// A thread that exits gives back its files, then its space, then leaves its process; the last one
// makes the process a zombie, hands its children to init and tells the parent. All of it runs in
// the thread itself, shielded: nothing is torn by a second kill.
#include "task/exit.h"

#include "fs/file.h"
#include "fs/fsctx.h"
#include "fs/poll.h"
#include "fs/tty.h"
#include "lib/log.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/cputime.h"
#include "task/family.h"
#include "task/futex.h"
#include "task/process.h"
#include "task/ptimer.h"
#include "task/robust.h"
#include "task/rusage.h"
#include "task/signal.h"
#include "task/worker.h"

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

// A program that the parent runs since knows nothing of the signal that was asked for.
static uint32_t exit_signal_for(const struct process *p, const struct process *parent)
{
    return p->parent_execs == parent->execs ? p->exit_signal : SIGCHLD;
}

// process_tree_lock held: when the parent finds the zombie it has been told.
static void notify_parent_locked(struct process *p, struct process *parent, uint32_t sig)
{
    bool killed = p->exit_status & 127;
    struct cpu_times times = process_times(p);
    struct siginfo_k info = {
        .signo = (int)sig,
        .code = killed ? CLD_KILLED : CLD_EXITED,
        .pid = (int)p->pid,
        .uid = p->cred.uid,
        .status = (int)(killed ? p->exit_status & 127 : p->exit_status >> 8),
        .utime = ticks_to_ns(times.user) / 10000000,
        .stime = ticks_to_ns(times.system) / 10000000,
    };
    bool unheard = // not even if it is blocked
        sig == SIGCHLD && parent->sighand->action[SIGCHLD - 1].handler == 1;
    if (sig && sig <= NSIG && !unheard)
        signal_send_tree_locked(parent, (int)sig, &info);
}

static bool has_zombie(const struct process *p)
{
    LIST_FOREACH(it, &p->children)
        if (list_entry(it, struct process, in_parent)->zombie)
            return true;
    return false;
}

static void put_all(struct list *dead)
{
    struct list *it;
    while ((it = list_pop_front(dead)))
        process_put(list_entry(it, struct process, in_parent));
}

// The orphans among its children have an heir, a group it kept from being orphaned is hung up.
struct bereft {
    struct process *heir; // referenced
    struct list dead;     // zombies nobody waits for
    bool tell, group;
};

static void leave_children_locked(struct process *p, struct bereft *b)
{
    bool zombies = has_zombie(p);
    list_init(&b->dead);
    b->heir = family_heir_locked(p);
    process_get(b->heir);
    b->tell = family_adopt_locked(p, b->heir, &b->dead);
    b->group = p->parent->pgid != p->pgid && p->parent->sid == p->sid;
    if (zombies) {
        signal_send_tree_locked(b->heir, SIGCHLD, NULL);
        waitq_wake_all(&b->heir->child_exit);
    }
}

static void tell_bereft(struct process *p, struct bereft *b)
{
    if (b->tell)
        family_tell();
    if (b->group)
        family_hang_up_group(p->pgid);
    put_all(&b->dead);
    process_put(b->heir);
}

static void process_finish(struct process *p)
{
    struct bereft b;
    if (p == process_init)
        panic("init (pid 1) has ended with status 0x%x", p->exit_status);
    ptimers_delete(p, true);
    process_drop_exe(p); // a zombie keeps no file system busy
    tty_process_exit(p);
    spin_lock(&process_tree_lock);
    leave_children_locked(p, &b);
    p->zombie = 1;
    struct process *parent = p->parent;
    process_get(parent);
    uint32_t sig = exit_signal_for(p, parent);
    bool gone = family_auto_reaps(parent, sig);
    if (gone) // what nobody waited for is not counted as a child's (POSIX, times)
        process_reap_locked(p);
    notify_parent_locked(p, parent, sig);
    waitq_wake_all(&parent->child_exit);
    poll_wake(&p->ended, POLLIN | POLLRDNORM);
    spin_unlock(&process_tree_lock);
    tell_bereft(p, &b);
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
static struct space *leave_space(struct thread *th)
{
    struct process *p = th->process;
    struct space *s = th->space;
    bool last = true;
    spin_lock(&p->lock);
    th->space = NULL;
    PROCESS_THREADS(it, p)
    if (thread_entry(it)->space) {
        last = false;
        break;
    }
    if (last)
        p->space = NULL;
    spin_unlock(&p->lock);
    return s;
}

// The process ends with the code of the thread that was the last to exit, whoever is gone last.
static void begin_exit(struct thread *th)
{
    struct process *p = th->process;
    spin_lock(&p->lock);
    p->nparked -= th->parked;
    th->parked = false;
    if (++p->nleaving == p->nthreads && !p->exiting) {
        p->exiting = 1;
        p->exit_status = th->exit_code;
    }
    bool stops = p->stopped;
    spin_unlock(&p->lock);
    if (stops) // it may be the last that had not parked
        process_stop_goes_on(p);
}

struct fd_table *process_files(struct process *p)
{
    struct fd_table *files = NULL;
    spin_lock(&p->lock);
    PROCESS_THREADS(it, p)
    {
        if ((files = thread_entry(it)->files)) {
            fd_table_get(files);
            break;
        }
    }
    spin_unlock(&p->lock);
    return files;
}

// Others look at a thread's files under process.lock.
static void leave_files(struct thread *th)
{
    struct process *p = th->process;
    spin_lock(&p->lock);
    struct fd_table *files = th->files;
    struct fs_context *fs = th->fs;
    th->files = NULL;
    th->fs = NULL;
    spin_unlock(&p->lock);
    fd_table_put(files);
    fs_context_put(fs);
}

// What a space that is given up has cost. Its last user counts it.
void process_count_space(struct process *p, const struct space *s)
{
    if (load_relaxed(&s->refs) > 1)
        return;
    p->min_faults += minor_faults(s);
    p->maj_faults += s->major;
    if (s->peak > p->max_resident)
        p->max_resident = s->peak;
}

// process.lock held. The first thread can be asked for until the process is reaped.
static void leave_number_locked(struct thread *th, const struct cpu_use *used)
{
    struct process *p = th->process;
    if (th->tid != p->pid)
        return;
    p->leader = (struct leader){th->sched, th->task.affinity, cpu_times_of(used, &th->said)};
    store_release(&p->headless, 1);
}

// Leaves the process. True: it was the last thread.
static bool leave_process(struct thread *th)
{
    struct process *p = th->process;
    bool tell = false;
    spin_lock(&process_tree_lock);
    spin_lock(&p->lock);
    struct cpu_use used = cpu_use_of_thread(th);
    leave_number_locked(th, &used);
    thread_unlink_locked(th);
    p->nleaving--;
    bool last = p->nthreads == 0;
    signal_pass_on(p);
    cpu_use_add(&p->used, &used);
    p->waits += th->task.polls - th->preempted;
    p->preempted += th->preempted;
    if (p->exec_waiter && p->nthreads == 1)
        event_set(p->exec_waiter);
    spin_unlock(&p->lock);
    if (!last) {
        tell = family_thread_ended_locked(p, th->tid);
        poll_wake(&p->ended, POLLIN | POLLRDNORM | POLLHUP); // of pidfds of threads
    }
    spin_unlock(&process_tree_lock);
    if (tell)
        family_tell();
    return last;
}

ASYNC(thread_exit, long r; struct space *space;)
{
    ASYNC_BEGIN(thread_exit);
    begin_exit(f->th);
    if (workers_maybe(f->th))
        AWAIT(f->r, workers_end, f->th);
    AWAIT(f->r, robust_release, f->th);
    if (f->th->clear_child_tid && load_relaxed(&f->th->space->refs) > 1)
        AWAIT(f->r, clear_child_tid, f->th);
    leave_files(f->th);
    f->space = leave_space(f->th);
    thread_vfork_done(f->th);
    process_count_space(f->th->process, f->space);
    AWAIT(f->r, space_release, f->space);
    if (leave_process(f->th))
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
