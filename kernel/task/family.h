// SPDX-License-Identifier: MIT
// Parents, children and groups: who adopts whom, and what the end of one does to the others.
#pragma once

#include "task/process.h"

// process_tree_lock held by the callers of all functions named _locked.

// Who adopts p's children: the nearest ancestor that is a child subreaper, else init.
struct process *family_heir_locked(struct process *p);
// Gives p's children to heir. Zombies that heir does not want to wait for are reaped into *dead (by
// in_parent, one reference each). True: family_tell has something to do afterwards.
bool family_adopt_locked(struct process *p, struct process *heir, struct list *dead);
// A thread of p has ended and others go on: its children become those of another. True: as above.
bool family_thread_ended_locked(struct process *p, uint32_t tid);
// The thread that made them has another number now.
void family_thread_renamed_locked(struct process *p, uint32_t from, uint32_t to);
// Sends what is due to children that lost their parent: their parent-death signal; SIGHUP and SIGCONT
// to a group that is orphaned thereby and has stopped members. No lock held.
void family_tell(void);

// No member of the group has a parent in another group of the same session.
bool family_group_orphaned_locked(uint32_t pgid);
// If the group is orphaned and has a stopped member: SIGHUP, then SIGCONT to all of it. No lock held.
void family_hang_up_group(uint32_t pgid);

// Does a parent want no zombie of a child with this exit signal?
bool family_auto_reaps(const struct process *parent, uint32_t exit_signal);
// The child's usage, and that of its own children, is its parent's children's now.
void family_add_usage(struct process *parent, struct process *c);
