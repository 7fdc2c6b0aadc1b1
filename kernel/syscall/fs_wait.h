// SPDX-License-Identifier: MIT
// What the calls that wait for files share (ppoll, pselect6, epoll_pwait): a timeout that lies in the
// caller's memory, and a signal mask for the time of the wait.
#pragma once

#include "async/async.h"
#include "task/signal.h"

// The timespec at va in ns; -1: none given, or longer than can be waited. -EINVAL, -EFAULT.
ASYNC_DECL(timeout_arg, va_t va; int64_t *ns;);
// The mask at va, if va is not 0 (*given). -EINVAL: a size that no mask has; -EFAULT.
ASYNC_DECL(mask_arg, va_t va; uint64_t size; sigset *mask; bool *given;);

static inline void wait_mask_set(struct thread *th, sigset mask)
{
    th->saved_blocked = th->blocked;
    signal_set_blocked(th, mask);
}

// When a signal ends the wait, the old mask comes back only after its handler has its frame.
static inline void wait_mask_back(struct thread *th, bool interrupted)
{
    if (interrupted)
        th->restore_blocked = true; // not earlier: it keeps the attention bit set
    else
        signal_set_blocked(th, th->saved_blocked);
}
