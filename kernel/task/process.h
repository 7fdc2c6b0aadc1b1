// SPDX-License-Identifier: MIT
// Birth and bookkeeping of processes and threads, for the task room itself.
#pragma once

#include "task/thread.h"

enum { PID_MAX = 4194304 }; // numbers are below

// A process without threads, a child of parent (NULL: the first), with one reference, the
// caller's. Takes a reference on sighand. NULL: no memory.
struct process *process_new(struct process *parent, struct sighand *sighand);
// Gives it a pid and makes it visible, a child of `parent` (with `sibling`: of parent's parent, with
// the exit signal that parent has), in parent's group and session; the tree takes a reference. pid 0:
// choose one. -EEXIST: it is taken. -EAGAIN: RLIMIT_NPROC. -ERESTARTNOINTR: the caller has a signal to
// take first. What is sent to a group reaches the caller before the child is in it, or the child as well.
int process_link(struct process *p, struct process *parent, bool sibling, uint32_t pid);
// Unlinks a zombie: the tree's reference goes. process_tree_lock held.
void process_reap_locked(struct process *p);

// A thread of p, not yet visible and not yet started; tf, space, files, fs and fpu are the caller's
// to fill (references move in). NULL: no memory.
struct thread *thread_new(struct process *p, const char *name);
// Its two halves, for a thread with another root than the user loop. NULL: no memory. Others see it, as a task, from the second on.
struct thread *thread_alloc(struct process *p);
// fn(args). False: no memory, th is the caller's to give back with what it fills it with, by kfree.
bool thread_set_root(struct thread *th, const char *name, const struct async_fn *fn,
                     const void *args, size_t n);
void thread_free_unlinked(struct thread *th);
// Joins the process with this tid (0: choose one; the first thread gets the pid). -EAGAIN: the process
// is exiting, or RLIMIT_NPROC. -EEXIST: the tid is taken.
int thread_link(struct thread *th, uint32_t tid);
// HARD_CANCEL (task/inject.c): th, of a process that `parent` made, is killed at some wait, unless that is process 1.
void inject_birth(struct thread *th, const struct process *parent);
void thread_start(struct thread *th);

// RLIMIT_NPROC: may the caller's user have no more threads and zombies? Root is not held back. process_tree_lock held.
bool process_too_many_locked(void);
// Has the caller's user more than RLIMIT_NPROC threads and zombies besides the caller's own `mine`?
bool process_user_is_over(uint64_t mine);
void process_count_space(struct process *p, const struct space *s); // about to be given up
void thread_vfork_done(struct thread *th); // exec and exit let a vforking parent go on
struct process *process_find_locked(uint32_t pid);
struct process *process_of_locked(uint32_t id); // see process_of
// process_tree_lock and process lock held.
void thread_unlink_locked(struct thread *th);
void thread_rename_locked(struct thread *th, uint32_t tid);
extern struct list process_list;     // all, by pid; process_tree_lock
extern struct process *process_init; // pid 1, adopts orphans

static inline struct thread *thread_of_task(struct task *t)
{
    return container_of(t, struct thread, task);
}

// Calls fn for each thread, under p->lock.
#define PROCESS_THREADS(it, p) LIST_FOREACH(it, &(p)->threads)
#define thread_entry(it)       list_entry(it, struct thread, in_process)
