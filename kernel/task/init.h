// SPDX-License-Identifier: MIT
// Process 1.
#pragma once

#include "async/async.h"
#include "task/thread.h"

// Opens the console as 0, 1, 2 and replaces the calling thread, which has no space yet, by init.
// Panics with the names it tried when there is none.
ASYNC_DECL(init_exec, struct thread *th;);
