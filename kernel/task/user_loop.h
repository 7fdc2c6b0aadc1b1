// SPDX-License-Identifier: MIT
// The user loop: the root of every thread, for which entering user mode is a function call.
#pragma once

#include "async/async.h"
#include "task/thread.h"

// Runs a thread until it ends. Entered with th->tf ready.
ASYNC_DECL(user_loop, struct thread *th;);

// Everything that attention asks for before user mode: signals, stops, exit. 1: the thread is to
// exit (th->exit_code is set), 0: go on.
ASYNC_DECL(user_attend, struct thread *th;);
