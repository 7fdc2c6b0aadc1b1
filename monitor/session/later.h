// SPDX-License-Identifier: MIT
// What the monitor was asked to do at a time: end or signal a task, hand completions on late. A kernel
// task of its own does it, made when it is first needed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { LATER_MAX = 16 };

// Sends the task's process a signal at a time (ns since boot); 0 takes that back. 0, -ENOSPC: that many
// tasks have a deadline; -ENOMEM. Any task context, no lock held.
int later_signal(uint32_t task, uint64_t when_ns, int sig);
uint64_t later_deadline(uint32_t task); // 0: it has none

// Hands each completion of a held queue (its place in the list) on when the request is that old; 0
// takes that back. The same errors.
int later_complete(uint64_t queue, uint64_t age_ns);
uint64_t later_age(uint64_t queue); // 0: none
