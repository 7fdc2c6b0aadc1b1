// SPDX-License-Identifier: MIT
// The user loop: the root of every thread, for which entering user mode is a function call.
#pragma once

#include "async/async.h"
#include "task/thread.h"

// Runs a thread until it ends. Entered with th->tf ready.
ASYNC_DECL(user_loop, struct thread *th;);

// The system call that th->tf asks for, by the running task, whose thread th is: the plain part, if it is not known (`absent`) that
// a page is missing, then the async one. Its result; the registers stay.
ASYNC_DECL(syscall_run, struct thread *th; bool absent;);

// Everything that attention asks for before user mode: signals, stops, exit. 1: the thread is to
// exit (th->exit_code is set), 0: go on.
ASYNC_DECL(user_attend, struct thread *th;);
