// SPDX-License-Identifier: MIT
// What the monitor wants to know of a task's birth: task-local storage, made by its constructors.
#include "class/birth.h"

#include "async/task.h"
#include "lib/local.h"

static int birth_construct(void *obj, void *owner)
{
    (void)owner;
    *(struct birth *)obj = (struct birth){clock_monotonic_ns()};
    return 0;
}
TASK_LOCAL(birth, struct birth, birth_construct, NULL);

static int creator_construct(void *obj, void *owner)
{
    const struct task *by = current_task();
    (void)owner;
    *(struct creator *)obj = (struct creator){by ? by->id : 0};
    return 0;
}
TASK_LOCAL(creator, struct creator, creator_construct, NULL);
