// SPDX-License-Identifier: MIT
// See cputime.h.
#include "task/cputime.h"

#include "task/process.h"

void cpu_use_add(struct cpu_use *to, const struct cpu_use *more)
{
    to->ticks += more->ticks;
    to->user += more->user;
    to->system += more->system;
}

void cpu_times_add(struct cpu_times *to, const struct cpu_times *more)
{
    to->user += more->user;
    to->system += more->system;
}

struct cpu_use cpu_use_of_thread(const struct thread *th)
{
    const struct task *t = &th->task;
    return (struct cpu_use){task_ticks(t), load_relaxed(&t->user_samples),
                            load_relaxed(&t->system_samples)};
}

struct cpu_use cpu_use_of_process(struct process *p)
{
    struct cpu_use sum = p->used;
    PROCESS_THREADS(it, p)
    {
        struct cpu_use one = cpu_use_of_thread(thread_entry(it));
        cpu_use_add(&sum, &one);
    }
    return sum;
}

// part / whole of ticks, in steps of 2^-20 of it: neither product is too large.
static uint64_t share(uint64_t ticks, uint64_t part, uint64_t whole)
{
    enum { BITS = 20 };
    uint64_t ratio = (part << BITS) / whole;
    return (ticks >> BITS) * ratio + ((ticks & ((1 << BITS) - 1)) * ratio >> BITS);
}

struct cpu_times cpu_times_of(const struct cpu_use *use, struct cpu_times *said)
{
    if (use->ticks > said->user + said->system) {
        uint64_t system = use->system ? share(use->ticks, use->system, use->user + use->system) : 0;
        if (system < said->system)
            system = said->system;
        if (use->ticks - system < said->user)
            system = use->ticks - said->user;
        *said = (struct cpu_times){use->ticks - system, system};
    }
    return *said;
}

struct cpu_times process_times(struct process *p)
{
    spin_lock(&p->lock);
    struct cpu_use use = cpu_use_of_process(p);
    struct cpu_times times = cpu_times_of(&use, &p->said);
    spin_unlock(&p->lock);
    return times;
}

struct cpu_times thread_times(struct thread *th)
{
    struct cpu_use use = cpu_use_of_thread(th);
    spin_lock(&th->process->lock);
    struct cpu_times times = cpu_times_of(&use, &th->said);
    spin_unlock(&th->process->lock);
    return times;
}
