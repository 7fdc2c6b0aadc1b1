// SPDX-License-Identifier: MIT
// Tasks as a linter sees them: one at a time, borrowed for a moment, copied.
//
// A task that is suspended is looked at with what its wait tells of itself (async/wait_look.h). Of one that runs or is
// queued only the number of its polls is known: what it has not acted upon yet shows in that number.
#pragma once

#include "async/wait_look.h"

#include <stdbool.h>
#include <stdint.h>

struct task_look {
    uint32_t id, pid; // pid 0: a kernel task
    char name[24];
    bool suspended;        // it was borrowed: the rest holds
    bool woken;            // but it was woken meanwhile
    bool held;             // somebody keeps it: a linter has nothing to say
    uint64_t polls;        // never equal again once it has run; always valid
    uint64_t since;        // ticks when it left its hart
    const char *what;      // of its leaf's await point
    struct wait_view wait; // wait.kind NULL: its wait tells nothing
};

// t is referenced. No lock held.
void task_look(struct task *t, struct task_look *out);
// False: no such task (any more).
bool task_look_id(uint32_t id, struct task_look *out);
// The tasks with id >= from in order, at most LOOKS: how many. Others run meanwhile.
//     for (uint32_t from = 0; (n = task_look_some(from, l)); from = l[n - 1].id + 1)
enum { LOOKS = 16 };
unsigned task_look_some(uint32_t from, struct task_look out[LOOKS]);

// Is l still what it was at the earlier look: the same task, that has not been polled since, and waits for the same?
bool task_look_same(const struct task_look *l, const struct task_look *earlier);
