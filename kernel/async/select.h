// SPDX-License-Identifier: MIT
// One wait on several events.
#pragma once

#include "async/async.h"
#include "async/wait.h"

struct choice {
    struct event *event;
    struct waiter w; // the wait's own
};

// The index of the first of n events that is set (it stays set); -EINTR if interruptible and
// interrupted. The choices lie in the caller's frame; only .event is the caller's to fill.
ASYNC_DECL(event_wait_any, struct choice *any; uint32_t n; bool interruptible;);
