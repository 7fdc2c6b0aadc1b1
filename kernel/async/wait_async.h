// SPDX-License-Identifier: MIT
// Async functions that only wait: for an event, for time; and the async mutex.
#pragma once

#include "async/async.h"
#include "async/wait.h"

// 0, or -EINTR when `interruptible` and a signal came.
ASYNC_DECL(event_wait, struct event *e; bool interruptible;);

// Until an absolute tick count. 0, or -EINTR when interruptible.
ASYNC_DECL(sleep_until_ticks, uint64_t when; bool interruptible;);
ASYNC_DECL(sleep_ns, uint64_t ns; bool interruptible;);

// An async mutex: held across awaits. Lock order is the caller's business; the holder is a task.
struct mutex {
    struct spinlock lock;
    struct waitq waiters;
    struct task *holder;
    const char *name;
    uint64_t contended;
#ifdef LOCK_ORDER
    struct mutex *outer; // what its holder locked before it
    const void *pc;      // the function that locked it
    uint32_t class;
#endif
};
void mutex_init(struct mutex *m, const char *name);
// 0, or -EINTR if interruptible and interrupted. Unlock in FINALLY when `mutex_held(m, t)`.
ASYNC_DECL(mutex_lock, struct mutex *m; bool interruptible;);
bool mutex_trylock(struct mutex *m, struct task *t);
void mutex_unlock(struct mutex *m, struct task *t);
static inline bool mutex_held(const struct mutex *m, const struct task *t)
{
    return m->holder == t;
}
