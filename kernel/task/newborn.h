// SPDX-License-Identifier: MIT
// Who is asked before a thread that was just born takes its first step in user mode.
#pragma once

#include "async/async.h"

struct thread;

// Awaited by the newborn itself, with no lock held, whose space, files and number are all there. It has a deadline of its
// own, and its result means nothing: a thread is born all the same.
ASYNC_IFACE(newborn, struct thread *th;);

extern const struct async_fn
    *newborn_wait; // an implementation, or NULL: nobody. Loads and stores once
