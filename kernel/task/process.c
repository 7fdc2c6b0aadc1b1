// SPDX-License-Identifier: MIT
// Processes and threads: numbers, tables, references.
//
// A process is in the pid table from birth until it is reaped, a thread from birth until it has
// exited. Both tables, the tree and the list of all processes change under process_tree_lock; a
// lookup by number takes no lock, but an epoch: what it finds is freed after that.
#include "task/process.h"

#include "async/epoch.h"
#include "fs/file.h"
#include "fs/fsctx.h"
#include "fs/path.h"
#include "fs/poll.h"
#include "fs/tty.h"
#include "lib/log.h"
#include "mem/space.h"
#include "page/heap.h"
#include "syscall/table.h"
#include "task/caps.h"
#include "task/ptimer.h"
#include "task/signal.h"
#include "task/user_loop.h"

#include <string.h>

enum { HASH = 256 };

struct spinlock process_tree_lock = SPINLOCK_INIT("process tree");
struct process *process_init;
static struct process *pids[HASH]; // chains are read with load_acquire within an epoch
static struct thread *tids[HASH];
struct list process_list = LIST_INIT(process_list);
static uint32_t last_pid;
static bool pids_were_chosen; // by clone3's set_tid

// The tree lock held, or within an epoch.
static struct process *process_in_table(uint32_t pid)
{
    struct process *p = load_acquire(&pids[pid % HASH]);
    while (p && p->pid != pid)
        p = load_acquire(&p->hash_next);
    return p;
}

static struct thread *thread_in_table(uint32_t tid)
{
    struct thread *th = load_acquire(&tids[tid % HASH]);
    while (th && load_relaxed(&th->tid) != tid)
        th = load_acquire(&th->hash_next);
    return th;
}

struct process *process_find_locked(uint32_t pid)
{
    return process_in_table(pid);
}

static bool names_group(uint32_t pid)
{
    LIST_FOREACH(it, &process_list) {
        const struct process *p = list_entry(it, struct process, all);
        if (p->pgid == pid || p->sid == pid)
            return true;
    }
    return false;
}

// A number is free when neither process, thread, group nor session has it.
static uint32_t choose_pid(void)
{
    for (;;) {
        last_pid = last_pid + 1 < PID_MAX ? last_pid + 1 : 2;
        if (process_in_table(last_pid) || thread_in_table(last_pid))
            continue;
        // only after a wrap, or when somebody chose his own, can a group outlive its leader's number
        if ((last_pid >= 300 && !pids_were_chosen) || !names_group(last_pid))
            return last_pid;
    }
}

// `wanted`, or a free number when that is 0. 0: the wanted one is taken.
static uint32_t take_pid(uint32_t wanted)
{
    if (!wanted)
        return choose_pid();
    pids_were_chosen |= wanted > 1;
    bool taken = process_in_table(wanted) || thread_in_table(wanted) || names_group(wanted);
    return taken ? 0 : wanted;
}

void process_get(struct process *p)
{
    atomic_add32(&p->refs, 1);
}

static void process_free(struct epoch_item *item)
{
    kfree(container_of(item, struct process, epoch));
}

void process_put(struct process *p)
{
    if (atomic_add32(&p->refs, -1u) != 1)
        return;
    if (!list_empty(&p->timers)) // it was never born
        ptimers_delete(p, true);
    sigpending_free(&p->pending);
    sighand_put(p->sighand);
    process_drop_exe(p);
    epoch_retire(&p->epoch, process_free);
}

void process_drop_exe(struct process *p)
{
    spin_lock(&p->lock);
    struct path exe = p->exe;
    p->exe = (struct path){0};
    spin_unlock(&p->lock);
    process_exe_put(&exe);
}

void process_exe_put(const struct path *exe)
{
    if (!exe->dentry)
        return;
    vnode_run_end(exe->dentry->vnode); // a dentry that is referenced keeps its vnode
    path_put(exe);
}

static void inherit_exe(struct process *p, struct process *parent)
{
    spin_lock(&parent->lock);
    p->exe = parent->exe;
    if (p->exe.dentry) {
        path_get(&p->exe);
        vnode_run_again(p->exe.dentry->vnode);
    }
    spin_unlock(&parent->lock);
}

bool process_exe(struct process *p, struct path *out)
{
    spin_lock(&p->lock);
    *out = p->exe;
    if (out->dentry)
        path_get(out);
    spin_unlock(&p->lock);
    return out->dentry != NULL;
}

struct process *process_new(struct process *parent, struct sighand *sighand)
{
    struct process *p = kzalloc(sizeof *p);
    if (!p)
        return NULL;
    if (parent) { // inherited
        cred_show(p, cred_current());
        memcpy(p->rlimit, parent->rlimit, sizeof p->rlimit);
        memcpy(p->comm, parent->comm, sizeof p->comm);
        inherit_exe(p, parent);
        p->dumpable = parent->dumpable;
        p->no_new_privs = parent->no_new_privs;
        p->personality = parent->personality;
        p->oom_adj = parent->oom_adj;
        p->arg_start = parent->arg_start;
        p->arg_end = parent->arg_end;
        p->env_start = parent->env_start;
        p->env_end = parent->env_end;
    }
    p->refs = 1;
    p->sighand = sighand;
    sighand_get(sighand);
    spin_init(&p->lock, "process");
    list_init(&p->threads);
    list_init(&p->workers);
    list_init(&p->workers_awaited);
    list_init(&p->children);
    list_init(&p->in_parent);
    list_init(&p->all);
    list_init(&p->timers);
    spin_init(&p->timer_lock, "process timers");
    sigpending_init(&p->pending);
    waitq_init(&p->child_exit);
    waitq_init(&p->ended);
    p->start_ns = clock_monotonic_ns();
    return p;
}

// process_tree_lock held.
static void join_family(struct process *p, struct process *parent, bool sibling)
{
    if (!parent) {
        p->pgid = p->sid = p->pid;
        return;
    }
    p->pgid = parent->pgid;
    p->sid = parent->sid;
    tty_inherit_locked(p, parent);
    p->maker = thread_current()->tid;
    if (sibling) {
        p->exit_signal = parent->exit_signal;
        p->maker = parent->maker;
        parent = parent->parent;
    }
    p->parent = parent;
    list_push_back(&parent->children, &p->in_parent);
}

// Threads and zombies of the caller's user.
static uint64_t count_of_user_locked(void)
{
    uint64_t n = 0;
    LIST_FOREACH(it, &process_list) {
        const struct process *p = list_entry(it, struct process, all);
        if (p->cred.uid == cred_current()->uid)
            n += p->nthreads ? p->nthreads : 1;
    }
    return n;
}

// RLIMIT_NPROC: may the caller's user have no more? Root is not held back.
static bool too_many_locked(void)
{
    const struct process *me = process_current();
    if (!cred_current()->uid || caller_can(CAP_SYS_RESOURCE) || caller_can(CAP_SYS_ADMIN))
        return false;
    return count_of_user_locked() >= me->rlimit[RLIMIT_NPROC].cur;
}

bool process_user_is_over(uint64_t mine)
{
    const struct process *me = process_current();
    if (!cred_current()->uid)
        return false;
    spin_lock(&process_tree_lock);
    uint64_t n = count_of_user_locked();
    spin_unlock(&process_tree_lock);
    return n > mine && n - mine > me->rlimit[RLIMIT_NPROC].cur;
}

int process_link(struct process *p, struct process *parent, bool sibling, uint32_t pid)
{
    spin_lock(&process_tree_lock);
    int e = parent && task_interrupted(current_task()) ? -ERESTARTNOINTR
            : parent && too_many_locked()              ? -EAGAIN
            : !(pid = take_pid(pid))                   ? -EEXIST
                                                       : 0;
    if (e) {
        spin_unlock(&process_tree_lock);
        return e;
    }
    process_get(p);
    p->pid = pid;
    join_family(p, parent, sibling);
    p->hash_next = pids[p->pid % HASH];
    store_release(&pids[p->pid % HASH], p);
    struct list *at = process_list.prev; // nearly always the end: numbers grow
    while (at != &process_list && list_entry(at, struct process, all)->pid > p->pid)
        at = at->prev;
    list_insert_after(at, &p->all);
    spin_unlock(&process_tree_lock);
    return 0;
}

void process_reap_locked(struct process *p)
{
    struct process **at = &pids[p->pid % HASH];
    while (*at != p)
        at = &(*at)->hash_next;
    store_release(at, p->hash_next);
    list_remove(&p->all);
    list_remove(&p->in_parent);
    p->reaped = 1;
    poll_wake(&p->ended, POLLHUP);
}

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
    if (p->nthreads && (p->exiting || p->exec_waiter || too_many_locked())) {
        e = -EAGAIN;
    } else if (!(tid = p->nthreads ? take_pid(tid) : p->pid)) {
        e = -EEXIST;
    } else {
        th->tid = tid;
        th->hash_next = tids[th->tid % HASH];
        store_release(&tids[th->tid % HASH], th);
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
    struct thread **at = &tids[th->tid % HASH];
    while (*at != th)
        at = &(*at)->hash_next;
    store_release(at, th->hash_next);
    list_remove(&th->in_process);
    th->process->nthreads--;
}

void thread_rename_locked(struct thread *th, uint32_t tid)
{
    struct thread **at = &tids[th->tid % HASH];
    while (*at != th)
        at = &(*at)->hash_next;
    store_release(at, th->hash_next);
    store_relaxed(&th->tid, tid);
    store_release(&th->hash_next, tids[tid % HASH]);
    store_release(&tids[tid % HASH], th);
}

void thread_start(struct thread *th)
{
    task_start(&th->task);
}

struct process *process_find(uint32_t pid)
{
    uint64_t outer = epoch_enter();
    struct process *p = process_in_table(pid);
    if (p && !ref_get_unless_zero(&p->refs))
        p = NULL;
    epoch_leave(outer);
    return p;
}

// A thread that takes its leader's number (exec) changes chains, and leads a reader that stands on it
// astray: what was not found is looked for again under the lock.
static struct thread *thread_find_surely(uint32_t tid)
{
    spin_lock(&process_tree_lock);
    struct thread *th = thread_in_table(tid);
    if (th)
        task_get(&th->task);
    spin_unlock(&process_tree_lock);
    return th;
}

struct thread *thread_find(uint32_t tid)
{
    uint64_t outer = epoch_enter();
    struct thread *th = thread_in_table(tid);
    if (th && !ref_get_unless_zero(&th->task.refs))
        th = NULL;
    epoch_leave(outer);
    return th ? th : thread_find_surely(tid);
}

struct process *process_of_locked(uint32_t id)
{
    struct process *p = process_in_table(id);
    const struct thread *th = p ? NULL : thread_in_table(id);
    return th ? th->process : p;
}

struct process *process_of(uint32_t id)
{
    struct process *p = process_find(id);
    if (p)
        return p;
    struct thread *th = thread_find(id);
    if (!th)
        return NULL;
    p = th->process;
    process_get(p);
    thread_put(th);
    return p;
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

void process_visit(bool (*fn)(struct process *, void *), void *arg)
{
    uint32_t from = 0;
    bool more = true;
    while (more) {
        struct process *p = NULL;
        spin_lock(&process_tree_lock);
        LIST_FOREACH(it, &process_list) {
            p = list_entry(it, struct process, all);
            if (p->pid >= from)
                break;
            p = NULL;
        }
        if (p)
            process_get(p);
        spin_unlock(&process_tree_lock);
        if (!p)
            return;
        from = p->pid + 1;
        more = fn(p, arg);
        process_put(p);
    }
}

void process_foreach(uint32_t from, bool (*fn)(struct process *, void *), void *arg)
{
    spin_lock(&process_tree_lock);
    LIST_FOREACH(it, &process_list) {
        struct process *p = list_entry(it, struct process, all);
        if (p->pid >= from && !fn(p, arg))
            break;
    }
    spin_unlock(&process_tree_lock);
}
