// SPDX-License-Identifier: MIT
// Threads: birth, references, the end.
#include "task/thread.h"

#include "async/epoch.h"
#include "fs/file.h"
#include "fs/fsctx.h"
#include "mem/space.h"
#include "page/heap.h"
#include "syscall/table.h"
#include "task/pids.h"
#include "task/process.h"
#include "task/signal.h"
#include "task/user_loop.h"

#include <string.h>

static void thread_free(struct epoch_item *item)
{
    kfree(container_of(item, struct thread, epoch));
}

static void thread_release(struct task *t)
{
    struct thread *th = thread_of_task(t);
    struct process *p = th->process;
    spin_lock(&p->lock); // another thread may run a program and replace the table of actions
    spin_lock(&p->sighand->lock); // a timer may look at its entry
    sigpending_free(&th->pending);
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
    fpu_release(&th->fpu);
    cred_put(th->cred);
    process_put(th->process);
    epoch_retire(&th->epoch, thread_free);
}

struct thread *thread_alloc(struct process *p)
{
    struct thread *th = kmalloc(THREAD_SIZE);
    if (!th)
        return NULL;
    memset(th, 0, sizeof *th);
    th->process = p;
    th->tf.flags = &th->task.flags;
    th->tf.table = syscall_fast;
    th->fpu.hart = UINT32_MAX;
    sigpending_init(&th->pending);
    list_init(&th->in_process);
    return th;
}

bool thread_set_root(struct thread *th, const char *name, const struct async_fn *fn,
                     const void *args, size_t n)
{
    if (task_init(&th->task, name, th->arena, THREAD_SIZE - sizeof *th, fn, args, n))
        return false;
    th->task.catcher =
        th->task.top; // a kill that comes before the first poll ends in the user loop too
    th->task.thread = th;
    th->task.release = thread_release;
    process_get(th->process);
    return true;
}

struct thread *thread_new(struct process *p, const char *name)
{
    struct thread *th = thread_alloc(p);
    if (th && !thread_set_root(th, name, &user_loop_fn, &(struct user_loop_args){th},
                               sizeof(struct user_loop_args))) {
        kfree(th);
        return NULL;
    }
    return th;
}

void thread_free_unlinked(struct thread *th)
{
    if (th->space)
        space_unref(th->space);
    if (th->files)
        fd_table_put(th->files);
    if (th->fs)
        fs_context_put(th->fs);
    th->task.state = TASK_DEAD;
    task_put(&th->task);
}

// What was sent to the process while this thread was none of its threads.
static void catch_up_locked(struct thread *th)
{
    const struct process *p = th->process;
    uint32_t bits = (p->exiting ? ATTN_CANCEL : 0) | (p->stopped ? ATTN_STOP : 0) |
                    (p->pending.set ? ATTN_SIGNAL : 0) |
                    (load_relaxed(&p->cpu_timers) ? ATTN_CLOCK : 0);
    if (bits)
        atomic_or32(&th->task.attn, bits);
}

int thread_link(struct thread *th, uint32_t tid)
{
    struct process *p = th->process;
    int e = 0;
    spin_lock(&process_tree_lock);
    spin_lock(&p->lock);
    if (p->nthreads && (p->exiting || p->exec_waiter || process_too_many_locked())) {
        e = -EAGAIN;
    } else if (!(tid = p->nthreads ? pids_take(tid) : p->pid)) {
        e = -EEXIST;
    } else {
        th->tid = tid;
        pids_enter_thread(th);
        list_push_back(&p->threads, &th->in_process);
        p->nthreads++;
        catch_up_locked(th);
    }
    spin_unlock(&p->lock);
    spin_unlock(&process_tree_lock);
    return e;
}

void thread_unlink_locked(struct thread *th)
{
    pids_leave_thread(th);
    list_remove(&th->in_process);
    th->process->nthreads--;
}

void thread_start(struct thread *th)
{
    task_start(&th->task);
}

void thread_put(struct thread *th)
{
    task_put(&th->task);
}

void thread_set_name(struct thread *th, const char *name)
{
    struct process *p = th->process;
    char text[sizeof p->comm] = "";
    strlcpy(text, name, sizeof text);
    spin_lock(&p->lock);
    memcpy(th->task.name, text, sizeof text);
    if (th->tid == p->pid)
        memcpy(p->comm, text, sizeof text);
    spin_unlock(&p->lock);
}
