// SPDX-License-Identifier: MIT
// Robust futexes: words whose owner has ended say so (get_robust_list(2)).
#pragma once

#include "async/async.h"
#include "task/thread.h"

// Walks th's list in its present space: each word it owns is marked and one of its waiters woken. For
// exit and exec. What is unreadable ends the walk; it is never longer than 2048 entries. Always 0.
ASYNC_DECL(robust_release, struct thread *th;);
