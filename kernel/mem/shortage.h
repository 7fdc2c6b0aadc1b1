// SPDX-License-Identifier: MIT
// When memory is short: who needs a frame waits here, and one task, the memory keeper, sees to it.
//
// The keeper gives up cached pages, has dirty ones written, has the harts give back what they keep for
// themselves (lib/stock.h), and when nothing is left ends one program (the policy, task/oom.c) and waits
// until its memory is back before it looks again. So whoever has to wait for memory waits for the end of
// a round of the keeper's, holding what it holds: nothing that write-back or the end of a program needs
// may be held across it.
//
// Frames are kept back in steps (frame_reserve, R): programs leave R; small programs of the superuser
// R/2, so that root can still look and kill; the kernel itself and what is being killed R/8 or less.
// When the kernel itself falls below R/2 the keeper starts although nobody waits.
#pragma once

#include "async/async.h"

#include <stdbool.h>
#include <stdint.h>

// An allocation has failed. 0: try again. -ENOMEM: there is no memory and nobody to take it from.
// -EINTR: the task is being killed. Any task but the keeper's own helpers; no spinlock held.
ASYNC_DECL(memory_wait, int unused;);
// A caller that failed this often although memory was there gives up.
enum { MEMORY_TRIES = 64 };

// Somebody has just given back much (a space has been emptied): the keeper looks again. Any context.
void memory_returned(void);

// The policy. Chooses a program, ends it, says so in the log, or finds one that is ending already.
// `asked`: name of the task that needs memory. False: there is none that may be ended.
void memory_set_policy(bool (*end_one)(const char *asked));

struct memory_stats {
    uint64_t rounds, waits, ended;
    uint64_t collected; // frames that harts had for themselves
};
extern struct memory_stats memory_stats; // approximate
