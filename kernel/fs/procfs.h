// SPDX-License-Identifier: MIT
// Inside of procfs: the nodes (procfs.c) and the directories of processes (proc_dir.c).
#pragma once

#include "fs/file.h"
#include "fs/fsctx.h"
#include "fs/proc.h"
#include "task/thread.h"

enum proc_kind {
    PROC_ROOT,
    PROC_DIR,  // a directory of plain entries: "sys"
    PROC_FILE, // a plain entry
    PROC_SELF,
    PROC_THREAD_SELF,
    PROC_TASK_DIR, // of a process, or of a thread
    PROC_THREADS,  // a process's "task"
    PROC_TASK_FILE,
    PROC_TASK_LINK, // exe, cwd, root
    PROC_FD_DIR,
    PROC_FD_LINK,
    PROC_FDINFO_DIR,
    PROC_FDINFO,
};

struct proc_node {
    struct vnode v; // first
    enum proc_kind kind;
    uint32_t pid;
    uint32_t tid;   // of the thread whose directory it is, or is in; 0: the process's
    uint32_t which; // number within the process's directory; descriptor
    const struct proc_entry *entry;           // PROC_FILE
    const struct proc_task_entry *task_entry; // PROC_TASK_FILE
    const char *prefix;                       // PROC_DIR: its entries' names begin with this
    size_t prefix_len;
};

extern const struct file_ops proc_file_ops;

struct proc_node *proc_node_of(struct vnode *v);
// A node of a process's directory, or (tid) of one of its threads. 0, -ENOENT: no such process, -ENOMEM.
long proc_node_for(struct super *super, enum proc_kind kind, uint32_t pid, uint32_t tid,
                   uint32_t which, uint32_t mode, struct proc_node **out);
bool proc_parse_pid(const char *name, size_t len, uint32_t *pid);
// A thread's directory has other numbers than its process's: no directory lies in itself.
uint64_t proc_task_ino(uint32_t pid, uint32_t tid, uint32_t which);

// proc_threads.c
long proc_threads_lookup(struct proc_node *dir, const char *name, size_t len, struct vnode **out);
long proc_threads_emit(struct proc_node *dir, struct dir_sink *sink);
// Is it one of p's? The first one is until the last has ended. 0: p itself, always.
bool proc_has_thread(struct process *p, uint32_t tid);
// The directory of the process, or the thread, with this number. 0, -ENOENT, -ENOMEM.
long proc_lookup_pid(struct super *super, uint32_t id, struct proc_node **out);

// proc_dir.c
long proc_task_lookup(struct proc_node *dir, const char *name, size_t len, struct vnode **out);
long proc_task_emit(struct proc_node *dir, struct dir_sink *sink);
long proc_fd_lookup(struct proc_node *dir, const char *name, size_t len, struct vnode **out);
long proc_fd_emit(struct proc_node *dir, struct dir_sink *sink);
// What fdinfo says of a descriptor. 0 or -ENOENT: it is not open any more.
long proc_fdinfo_text(struct proc_node *node, struct text *out);
long proc_link_text(struct proc_node *node, char *buf, size_t size);
int proc_link_follow(struct vnode *v, struct path *out);
