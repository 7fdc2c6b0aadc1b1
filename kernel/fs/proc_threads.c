// SPDX-License-Identifier: MIT
// /proc/PID/task: a directory per thread, which has what the process's has.
#include "fs/procfs.h"

#include <stdio.h>

bool proc_parse_pid(const char *name, size_t len, uint32_t *pid)
{
    *pid = 0;
    if (len == 0 || len > 9 || name[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        *pid = *pid * 10 + (uint32_t)(name[i] - '0');
    }
    return true;
}

bool proc_has_thread(struct process *p, uint32_t tid)
{
    if (!tid || (tid == p->pid && load_relaxed(&p->headless)))
        return true;
    struct thread *th = thread_find(tid);
    if (!th)
        return false;
    bool ours = th->process == p;
    thread_put(th);
    return ours;
}

// A process, or a thread by its number alone: that is found, but not listed.
long proc_lookup_pid(struct super *super, uint32_t id, struct proc_node **out)
{
    long r = proc_node_for(super, PROC_TASK_DIR, id, 0, 0, S_IFDIR | 0555, out);
    struct thread *th = r == -ENOENT ? thread_find(id) : NULL;
    if (th) {
        r = proc_node_for(super, PROC_TASK_DIR, th->process->pid, id, 0, S_IFDIR | 0555, out);
        thread_put(th);
    }
    return r;
}

long proc_threads_lookup(struct proc_node *dir, const char *name, size_t len, struct vnode **out)
{
    uint32_t tid;
    struct proc_node *node;
    struct process *p = proc_parse_pid(name, len, &tid) ? process_find(dir->pid) : NULL;
    if (!p)
        return -ENOENT;
    bool there = proc_has_thread(p, tid);
    process_put(p);
    if (!there)
        return -ENOENT;
    long r = proc_node_for(dir->v.super, PROC_TASK_DIR, dir->pid, tid, 0, S_IFDIR | 0555, &node);
    if (r == 0)
        *out = &node->v;
    return r;
}

// ---- the threads there are, in order of their numbers

enum { BATCH = 64 };

struct tids {
    uint32_t n, tid[BATCH]; // the lowest, in order
};

static void insert(struct tids *t, uint32_t tid)
{
    if (t->n == BATCH && tid > t->tid[BATCH - 1])
        return;
    uint32_t i = t->n < BATCH ? t->n++ : BATCH - 1;
    for (; i > 0 && t->tid[i - 1] > tid; i--)
        t->tid[i] = t->tid[i - 1];
    t->tid[i] = tid;
}

static void next_threads(struct process *p, uint32_t from, struct tids *t)
{
    t->n = 0;
    spin_lock(&p->lock);
    if (p->headless && p->pid >= from)
        insert(t, p->pid);
    LIST_FOREACH(it, &p->threads) {
        uint32_t tid = list_entry(it, struct thread, in_process)->tid;
        if (tid >= from)
            insert(t, tid);
    }
    spin_unlock(&p->lock);
}

static bool emit(struct proc_node *dir, struct dir_sink *sink, uint32_t tid)
{
    char name[12];
    int n = snprintf(name, sizeof name, "%u", (unsigned)tid);
    if (!sink->emit(sink, name, (size_t)n, proc_task_ino(dir->pid, tid, 0), DT_OF_MODE(S_IFDIR),
                    (int64_t)tid + 3))
        return false;
    sink->pos = (int64_t)tid + 3;
    return true;
}

// Position 2 + n is before the thread with the lowest number from n on.
long proc_threads_emit(struct proc_node *dir, struct dir_sink *sink)
{
    struct tids t;
    bool room = true;
    struct process *p = process_find(dir->pid);
    if (!p)
        return -ENOENT;
    do {
        next_threads(p, (uint32_t)(sink->pos - 2), &t);
        for (uint32_t i = 0; i < t.n && room; i++)
            room = emit(dir, sink, t.tid[i]);
    } while (room && t.n == BATCH);
    process_put(p);
    return 0;
}
