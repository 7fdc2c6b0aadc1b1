// SPDX-License-Identifier: MIT
// The tables of numbers, for those who make processes and threads and who end them. Lookups are in process.h and thread.h. All of
// it under process_tree_lock.
#pragma once

#include <stdint.h>

struct process;
struct thread;

// `wanted`, or a free number when that is 0: one that neither process, thread, group nor session has. 0: the wanted one is taken.
uint32_t pids_take(uint32_t wanted);
// By the number that it has from then on.
void pids_enter(struct process *p);
void pids_leave(struct process *p);
void pids_enter_thread(struct thread *th);
void pids_leave_thread(struct thread *th);
