// SPDX-License-Identifier: MIT
// What pauses hold: tasks at the user border, completions of queues.
//
// A task that is let go comes to the same point again with the same first argument, and must get by
// once: it has a pass. What a callback has in hand while it runs is known here, so that it is let go
// also when the script that runs it has to be abandoned.
#pragma once

#include "trace/tracer.h"

// Where the point is, by the task itself: takes its pass, if it has one.
bool held_pass(uint32_t task, const struct trace_point *point, uint64_t arg);

// The session that runs takes an event into its hand, until tracer_let_go. When it has too much in hand
// already the event is let go at once, and is held no more.
void held_take(struct trace_event *e);
void held_reset(void); // lets go all that is in hand
