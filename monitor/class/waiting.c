// SPDX-License-Identifier: MIT
// Tasks that wait, one after another: what hangs in no list of the kernel is met in their frames.
#include "async/task.h"
#include "class/classes.h"
#include "session/session.h"

bool class_visit_waiting(class_waiting_fn *fn, void *arg)
{
    struct class_key key[CLASS_KEYS];
    size_t n = CLASS_KEYS;
    bool more = true;
    for (uint64_t from = 0; more && n == CLASS_KEYS; from = n ? key[n - 1].id + 1 : 0) {
        n = class_task->keys(0, from, key, CLASS_KEYS);
        for (size_t i = 0; more && i < n; i++) {
            struct task *t = task_find((uint32_t)key[i].id);
            if (t && task_borrow(t)) {
                more = fn(t, arg);
                task_release(t);
            }
            if (t)
                task_put(t);
        }
        fiber_yield(session_fiber());
    }
    return more;
}
