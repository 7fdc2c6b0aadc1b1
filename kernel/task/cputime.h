// SPDX-License-Identifier: MIT
// Processor time and whose it was, the program's or the kernel's on its behalf.
//
// How long a thread runs is known exactly. What with is sampled (async/sample.h), and the exact time is divided as the samples
// are, as Linux does it. So that neither part ever goes back, what was said last is kept, by whom it was said of.
#pragma once

#include "task/thread.h"

static inline uint64_t cpu_times_sum(const struct cpu_times *t)
{
    return t->user + t->system;
}

// Of a process: of its ended and its living threads; process.lock held.
struct cpu_use cpu_use_of_thread(const struct thread *th);
struct cpu_use cpu_use_of_process(struct process *p);
void cpu_use_add(struct cpu_use *to, const struct cpu_use *more);
void cpu_times_add(struct cpu_times *to, const struct cpu_times *more);

// use->ticks divided, or what was said before if that is more. said: of the process or thread whose use it is; process.lock.
struct cpu_times cpu_times_of(const struct cpu_use *use, struct cpu_times *said);

// The same, of all threads of a process, and of one. They take process.lock.
struct cpu_times process_times(struct process *p);
struct cpu_times thread_times(struct thread *th);
