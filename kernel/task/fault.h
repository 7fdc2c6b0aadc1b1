// SPDX-License-Identifier: MIT
// Exceptions of user programs: page faults that must wait or fail, and the rest as signals.
#pragma once

#include "async/async.h"
#include "task/thread.h"

// cause: scause of the trap; th->tf.stval the address. 0 always: errors become signals.
ASYNC_DECL(user_fault, struct thread *th; uint64_t cause;);
