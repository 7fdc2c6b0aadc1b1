// SPDX-License-Identifier: MIT
// Numbers: which are taken, and by whom.
//
// A process is in the table from birth until it is reaped, a thread from birth until it has exited. Both tables, the tree
// and the list of all processes change under process_tree_lock; a lookup by number takes no lock, but an epoch: what it
// finds is freed after that.
#include "task/pids.h"

#include "async/epoch.h"
#include "task/process.h"

enum { HASH = 256 };

struct spinlock process_tree_lock = SPINLOCK_INIT("process tree");
struct list process_list = LIST_INIT(process_list);
static struct process *pids[HASH]; // chains are read with load_acquire within an epoch
static struct thread *tids[HASH];
static uint32_t last_pid;
// After a wrap, or one that clone3's set_tid chose: a group may have outlived its leader's number.
static bool numbers_return;

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

// Whether neither process, thread, group nor session has it. A number that was never given names no group.
static bool is_free(uint32_t pid)
{
    return !process_in_table(pid) && !thread_in_table(pid) && !(numbers_return && names_group(pid));
}

static uint32_t choose_pid(void)
{
    do {
        if (++last_pid == PID_MAX) {
            last_pid = 2;
            numbers_return = true;
        }
    } while (!is_free(last_pid));
    return last_pid;
}

uint32_t pids_take(uint32_t wanted)
{
    if (!wanted)
        return choose_pid();
    numbers_return |= wanted > 1;
    return is_free(wanted) ? wanted : 0;
}

void pids_enter(struct process *p)
{
    p->hash_next = pids[p->pid % HASH];
    store_release(&pids[p->pid % HASH], p);
    struct list *at = process_list.prev; // nearly always the end: numbers grow
    while (at != &process_list && list_entry(at, struct process, all)->pid > p->pid)
        at = at->prev;
    list_insert_after(at, &p->all);
}

void pids_leave(struct process *p)
{
    struct process **at = &pids[p->pid % HASH];
    while (*at != p)
        at = &(*at)->hash_next;
    store_release(at, p->hash_next);
    list_remove(&p->all);
}

void pids_enter_thread(struct thread *th)
{
    th->hash_next = tids[th->tid % HASH];
    store_release(&tids[th->tid % HASH], th);
}

void pids_leave_thread(struct thread *th)
{
    struct thread **at = &tids[th->tid % HASH];
    while (*at != th)
        at = &(*at)->hash_next;
    store_release(at, th->hash_next);
}

void thread_rename_locked(struct thread *th, uint32_t tid)
{
    pids_leave_thread(th);
    store_relaxed(&th->tid, tid);
    store_release(&th->hash_next, tids[tid % HASH]);
    store_release(&tids[tid % HASH], th);
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
