// SPDX-License-Identifier: MIT
// Workers: birth, and the wait for their end.
//
// They hang in their process, which has room for that: struct thread has none to spare, since what is left of its block is
// the arena that every call wants.
#include "task/worker.h"

#include "fs/file.h"
#include "fs/fsctx.h"
#include "mem/space.h"
#include "page/heap.h"
#include "task/cputime.h"
#include "task/process.h"

enum { CANCEL_BATCH = 64 };

// In the frame of a thread that waits.
struct workers_awaited {
    struct list link; // process.workers_awaited
    struct thread *maker;
    uint32_t left; // workers of its; process.lock
};

// ---- birth

static bool count(struct process *p)
{
    spin_lock(&p->lock);
    bool fits = p->nworkers < WORKERS_MAX;
    p->nworkers += fits;
    spin_unlock(&p->lock);
    return fits;
}

static void uncount(struct process *p)
{
    spin_lock(&p->lock);
    p->nworkers--;
    spin_unlock(&p->lock);
}

static void borrow_from(struct thread *th, struct thread *maker)
{
    th->task.helps = true;
    th->maker = maker;
    th->tid = maker->tid;
    th->blocked = ~0ul;
    th->sched = maker->sched;
    space_get(th->space = maker->space);
    fd_table_get(th->files = maker->files);
    fs_context_get(th->fs = maker->fs);
    th->cred = cred_get(maker->cred);
}

static void give_back(struct thread *th)
{
    struct process *p = th->process;
    struct fd_table *files = th->files;
    struct fs_context *fs = th->fs;
    struct space *space = th->space;
    spin_lock(&p->lock); // others look at them under it
    th->files = NULL;
    th->fs = NULL;
    th->space = NULL;
    spin_unlock(&p->lock);
    fd_table_put(files);
    fs_context_put(fs);
    space_unref(space);
}

static struct thread *make(struct thread *maker, const char *name, const struct async_fn *fn,
                           const void *args, size_t n)
{
    struct thread *th = thread_alloc(maker->process);
    if (!th)
        return NULL;
    borrow_from(th, maker);
    if (thread_set_root(th, name, fn, args, n))
        return th;
    give_back(th);
    cred_put(th->cred);
    kfree(th);
    return NULL;
}

struct thread *worker_new(const char *name, const struct async_fn *fn, const void *args, size_t n)
{
    struct thread *maker = thread_current();
    struct process *p = maker->process;
    if (!count(p))
        return NULL;
    struct thread *th = make(maker, name, fn, args, n);
    if (!th) {
        uncount(p);
        return NULL;
    }
    th->task.affinity = maker->task.affinity;
    spin_lock(&p->lock);
    list_push_back(&p->workers, &th->in_process);
    spin_unlock(&p->lock);
    return th;
}

// ---- end

static void tell_maker_locked(struct process *p, const struct thread *maker)
{
    LIST_FOREACH(it, &p->workers_awaited) {
        struct workers_awaited *w = list_entry(it, struct workers_awaited, link);
        if (w->maker == maker && --w->left == 0)
            task_wake(&w->maker->task);
    }
}

void worker_finish(struct thread *worker)
{
    struct process *p = worker->process;
    struct cpu_use used = cpu_use_of_thread(worker);
    give_back(worker);
    spin_lock(&p->lock);
    cpu_use_add(&p->used, &used);
    list_remove(&worker->in_process);
    p->nworkers--;
    tell_maker_locked(p, worker->maker); // the last that is done with it
    spin_unlock(&p->lock);
}

static uint32_t count_locked(const struct thread *maker)
{
    uint32_t n = 0;
    LIST_FOREACH(it, &maker->process->workers)
        n += thread_entry(it)->maker == maker;
    return n;
}

// Cancels some that are not cancelled yet. False: all are.
static bool cancel_some_locked(const struct thread *maker)
{
    unsigned n = 0;
    LIST_FOREACH(it, &maker->process->workers) {
        struct thread *th = thread_entry(it);
        if (th->maker != maker || load_relaxed(&th->task.attn) & ATTN_CANCEL)
            continue;
        if (n++ == CANCEL_BATCH)
            return true;
        task_cancel(&th->task);
    }
    return false;
}

ASYNC(workers_end, struct process *p; struct workers_awaited w; bool more;)
{
    ASYNC_BEGIN(workers_end);
    f->p = f->maker->process;
    f->w.maker = f->maker;
    spin_lock(&f->p->lock);
    f->w.left = count_locked(f->maker);
    list_push_back(&f->p->workers_awaited, &f->w.link);
    f->more = f->w.left;
    while (f->more) {
        f->more = cancel_some_locked(f->maker);
        spin_unlock(&f->p->lock);
        YIELD();
        spin_lock(&f->p->lock);
    }
    while (f->w.left) {
        spin_unlock(&f->p->lock);
        SUSPEND("its workers");
        spin_lock(&f->p->lock);
    }
    spin_unlock(&f->p->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    spin_lock(&f->p->lock);
    list_remove(&f->w.link);
    spin_unlock(&f->p->lock);
    ASYNC_END;
}
