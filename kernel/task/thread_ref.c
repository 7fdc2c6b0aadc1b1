// SPDX-License-Identifier: MIT
// What the number of a thread names: as long as a process is not waited for, its first thread can be asked and set, even when
// it has ended. It leaves its number and what calls ask for to its process.
#include "task/process.h"

static bool take(struct thread *th, struct thread_ref *out)
{
    if (!th)
        return false;
    process_get(th->process);
    *out = (struct thread_ref){th->process, th};
    return true;
}

bool thread_ref_get(uint32_t tid, struct thread_ref *out)
{
    if (!tid) {
        task_get(current_task());
        return take(thread_current(), out);
    }
    if (take(thread_find(tid), out))
        return true;
    struct process *p = process_find(tid);
    if (p && load_acquire(&p->headless)) {
        *out = (struct thread_ref){p, NULL};
        return true;
    }
    if (p)
        process_put(p);
    return take(thread_find(tid), out); // a thread may have become the first one meanwhile (exec)
}

void thread_ref_put(struct thread_ref *ref)
{
    if (ref->thread)
        thread_put(ref->thread);
    process_put(ref->process);
}
