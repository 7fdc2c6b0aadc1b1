// SPDX-License-Identifier: MIT
// Workers: birth, and the wait for their end.
#include "task/worker.h"

#include "fs/file.h"
#include "fs/fsctx.h"
#include "mem/space.h"
#include "task/process.h"

enum { CANCEL_BATCH = 64 };

struct thread *worker_new(const char *name, const struct async_fn *fn, const void *args, size_t n)
{
    struct thread *maker = thread_current(), *th;
    struct process *p = maker->process;
    if (load_relaxed(&p->nworkers) >= WORKERS_MAX || !(th = thread_new_root(p, name, fn, args, n)))
        return NULL;
    th->tid = maker->tid;
    th->blocked = ~0ul;
    th->task.affinity = maker->task.affinity;
    th->sched = maker->sched;
    space_get(th->space = maker->space);
    fd_table_get(th->files = maker->files);
    fs_context_get(th->fs = maker->fs);
    th->cred = cred_get(maker->cred);
    spin_lock(&p->lock);
    list_push_back(&maker->workers, &th->in_process);
    p->nworkers++;
    spin_unlock(&p->lock);
    return th;
}

void worker_finish(struct thread *worker, struct thread *maker)
{
    struct process *p = worker->process;
    struct fd_table *files = worker->files;
    struct fs_context *fs = worker->fs;
    struct space *space = worker->space;
    spin_lock(&p->lock); // others look at them under it
    worker->files = NULL;
    worker->fs = NULL;
    worker->space = NULL;
    spin_unlock(&p->lock);
    fd_table_put(files);
    fs_context_put(fs);
    space_unref(space);
    spin_lock(&p->lock);
    p->utime_ticks += task_ticks(&worker->task);
    list_remove(&worker->in_process);
    p->nworkers--;
    if (list_empty(&maker->workers))
        task_wake(&maker->task); // it may wait in workers_end
    spin_unlock(&p->lock);
}

// process.lock held: cancels some that are not cancelled yet. False: all are.
static bool cancel_some_locked(struct thread *maker)
{
    unsigned n = 0;
    LIST_FOREACH(it, &maker->workers) {
        struct task *t = &thread_entry(it)->task;
        if (load_relaxed(&t->attn) & ATTN_CANCEL)
            continue;
        if (n++ == CANCEL_BATCH)
            return true;
        task_cancel(t);
    }
    return false;
}

ASYNC(workers_end, struct process *p; bool more;)
{
    ASYNC_BEGIN(workers_end);
    f->p = f->maker->process;
    do {
        spin_lock(&f->p->lock);
        f->more = cancel_some_locked(f->maker);
        spin_unlock(&f->p->lock);
        YIELD();
    } while (f->more);
    spin_lock(&f->p->lock);
    while (!list_empty(&f->maker->workers)) {
        spin_unlock(&f->p->lock);
        SUSPEND("its workers");
        spin_lock(&f->p->lock);
    }
    spin_unlock(&f->p->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
