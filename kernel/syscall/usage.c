// SPDX-License-Identifier: MIT
// getrusage(2): what a thread, a process, or its children have used.
#include "task/rusage.h"

#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/cputime.h"
#include "task/process.h"

static void set_times(struct rusage_user *out, const struct cpu_times *t)
{
    uint64_t u = ticks_to_ns(t->user), s = ticks_to_ns(t->system);
    out->utime.sec = (int64_t)(u / 1000000000);
    out->utime.usec = (int64_t)(u % 1000000000 / 1000);
    out->stime.sec = (int64_t)(s / 1000000000);
    out->stime.usec = (int64_t)(s % 1000000000 / 1000);
}

struct usage {
    struct cpu_times times;
    uint64_t minor, major, waits, preempted, resident;
};

static void add_thread(struct usage *u, const struct thread *th)
{
    u->waits += th->task.polls - th->preempted;
    u->preempted += th->preempted;
}

static struct usage usage_of_process(struct process *p)
{
    struct usage u = {process_times(p), p->min_faults, p->maj_faults,
                      p->waits,         p->preempted,  p->max_resident};
    spin_lock(&p->lock);
    PROCESS_THREADS(it, p)
    add_thread(&u, thread_entry(it));
    if (p->space) {
        u.minor += minor_faults(p->space);
        u.major += p->space->major;
        u.resident = p->space->peak > u.resident ? p->space->peak : u.resident;
    }
    spin_unlock(&p->lock);
    return u;
}

static struct usage usage_of_children(const struct process *p)
{
    return (struct usage){p->child_time, p->cmin_faults, p->cmaj_faults,
                          p->cwaits,     p->cpreempted,  p->cmax_resident};
}

static void usage_out(const struct usage *u, struct rusage_user *out)
{
    *out = (struct rusage_user){
        .maxrss = (int64_t)(u->resident * (PAGE_SIZE / 1024)),
        .minflt = (int64_t)u->minor,
        .majflt = (int64_t)u->major,
        .nvcsw = (int64_t)u->waits,
        .nivcsw = (int64_t)u->preempted,
    };
    set_times(out, &u->times);
}

void rusage_of_child(struct process *p, struct rusage_user *out)
{
    struct usage u = usage_of_process(p), c = usage_of_children(p);
    cpu_times_add(&u.times, &c.times);
    u.minor += c.minor;
    u.major += c.major;
    u.waits += c.waits;
    u.preempted += c.preempted;
    u.resident = c.resident > u.resident ? c.resident : u.resident;
    usage_out(&u, out);
}

long sys_getrusage(int32_t who, va_t out)
{
    struct thread *th = thread_current();
    struct usage u = {.minor = th->task.faults, .resident = th->space->peak};
    struct rusage_user r;
    if (who == 0) // RUSAGE_SELF
        u = usage_of_process(th->process);
    else if (who == -1) // RUSAGE_CHILDREN
        u = usage_of_children(th->process);
    else if (who == 1) { // RUSAGE_THREAD
        add_thread(&u, th);
        u.times = thread_times(th);
    } else
        return -EINVAL;
    usage_out(&u, &r);
    return user_copy_out(th->space, out, &r, sizeof r);
}
SYSCALL(165, getrusage, 2);
