// SPDX-License-Identifier: MIT
// Descriptors of processes and threads (pidfd_open(2)).
//
// A pidfd keeps its process's struct, never its number: once the process is reaped it names nobody, whoever has the number
// then. One of a thread names who had its number when it was made; the first thread's is that of any who takes its place (exec).
#pragma once

#include "fs/abi.h"
#include "task/thread.h"

struct file;

enum { PIDFD_THREAD = O_EXCL }; // of a thread, which need not be a first one

struct pidfd {
    struct process *process; // referenced
    uint32_t thread;         // task.id of one that was not the first; 0: the first one, or all
    uint32_t flags;          // O_NONBLOCK and PIDFD_THREAD, or not
};

// Installs a new one, closed on exec, in the calling thread's table. It takes a reference of its own. Its number; -EMFILE,
// -ENOMEM.
long pidfd_new(const struct pidfd *of);
void pidfd_withdraw(int32_t fd); // closes it again: the process did not come to be
// What it stands for. False: it is another file, or none.
bool pidfd_get(int32_t fd, struct pidfd *out);
// process.lock held: the thread it names, or its process's first one. NULL: it has ended.
struct thread *pidfd_thread_locked(const struct pidfd *of);
