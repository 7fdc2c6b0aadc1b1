// SPDX-License-Identifier: MIT
// Scheduling policy as data: a table of rules that the executor reads where a slice ends, and nowhere else.
//
// A rule is about a task or about a group (a process). `weight`: for how many turns' time it may go on while others are
// ready, 1 without a rule; so tasks that compute on one hart share it by their weights. `deadline`: how long it waits at
// most behind others once it was woken; no slice is longer than the shortest deadline. The kernel's own tasks, the monitor
// among them, wait for the end of the slice: no weight makes a machine that nobody can talk to. Whoever gives way to one of
// these goes on with its turn right after it. Who writes rules does so from a task; the executor may read them on any hart
// at that time, and then acts as if there were none.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct task;

enum { POLICY_RULES = 32, POLICY_WEIGHT_MOST = 64 };

struct policy_rule {
    uint32_t task, group; // ids: one of them is not 0
    uint32_t weight;      // 1 .. POLICY_WEIGHT_MOST
    uint32_t padding;
    uint64_t deadline; // ns; 0: none
};

// All rules there are from now on; n <= POLICY_RULES, 0: none. One writer at a time.
void policy_set(const struct policy_rule *rules, uint32_t n);
// The group of a task that is alive, 0: it has none. Set once, at boot; called where a slice ends.
extern uint32_t (*policy_group)(const struct task *t);

// For the executor, where a slice ends.
uint32_t policy_weight(const struct task *t);
bool policy_in_force(void); // there are rules
bool policy_has_deadline(const struct task *t);
bool policy_is_kernels(const struct task *t);
uint64_t policy_slice_ns(uint64_t usual); // how long a slice may be
