// SPDX-License-Identifier: MIT
// Descriptors of processes (pidfd_open(2)).
//
// A pidfd keeps its process's struct, never its number: once the process is reaped it names nobody,
// whoever has the number then.
#pragma once

#include "task/thread.h"

struct file;

// Installs a new one, closed on exec, in the calling thread's table. flags: O_NONBLOCK or 0. Its
// number; -EMFILE, -ENOMEM.
long pidfd_new(struct process *p, uint32_t flags);
void pidfd_withdraw(int32_t fd); // closes it again: the process did not come to be
// The process of a pidfd, referenced; *flags: O_NONBLOCK or 0. NULL: it is another file, or none.
struct process *pidfd_process(int32_t fd, uint32_t *flags);
