// SPDX-License-Identifier: MIT
// Clocks, sleeping, times.
#include "task/time.h"
#include "async/wait_async.h"
#include "fs/timerfd.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/process.h"
#include "task/ptimer.h"
#include "task/rusage.h"
#include "task/signal.h"

uint64_t process_ticks(struct process *p)
{
    spin_lock(&p->lock);
    uint64_t n = p->utime_ticks + p->stime_ticks;
    PROCESS_THREADS(it, p)
    n += ticks_used(&thread_entry(it)->task);
    spin_unlock(&p->lock);
    return n;
}

// A clock of processor time that is not the caller's own: its number holds whose it is.
static long read_other(uint32_t clock, uint64_t *ns)
{
    uint32_t id = clock_owner(clock);
    struct process *p = !id ? NULL : clock_of_thread(clock) ? NULL : process_find(id);
    struct thread *th = id && clock_of_thread(clock) ? thread_find(id) : NULL;
    long e = 0;
    if ((clock & 3) == 3 || (id && !p && (!th || th->process != process_current())))
        e = -EINVAL;
    else if (clock_of_thread(clock))
        *ns = ticks_to_ns(ticks_used(th ? &th->task : current_task()));
    else
        *ns = ticks_to_ns(process_ticks(p ? p : process_current()));
    if (p)
        process_put(p);
    if (th)
        thread_put(th);
    return e;
}

long clock_read(uint32_t clock, uint64_t *ns)
{
    if ((int32_t)clock < 0)
        return read_other(clock, ns);
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
        *ns = clock_realtime_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *ns = clock_monotonic_ns();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        *ns = ticks_to_ns(process_ticks(process_current()));
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        *ns = ticks_to_ns(ticks_used(current_task()));
        return 0;
    default:
        return -EINVAL;
    }
}

long sys_clock_gettime(uint32_t clock, va_t out)
{
    uint64_t ns;
    long e = clock_read(clock, &ns);
    if (e)
        return e;
    struct timespec_k ts = ns_timespec(ns);
    return user_copy_out(thread_current()->space, out, &ts, sizeof ts);
}
SYSCALL(113, clock_gettime, 2);

long sys_clock_getres(uint32_t clock, va_t out)
{
    uint64_t ns;
    long e = clock_read(clock, &ns);
    struct timespec_k ts = {0, (int64_t)(1000000000 / timebase_hz)};
    return e || !out ? e : user_copy_out(thread_current()->space, out, &ts, sizeof ts);
}
SYSCALL(114, clock_getres, 2);

long sys_clock_settime(uint32_t clock, va_t in)
{
    struct timespec_k ts;
    long e = user_copy_in(thread_current()->space, &ts, in, sizeof ts);
    if (e)
        return e;
    if (clock != CLOCK_REALTIME || !timespec_valid(&ts))
        return -EINVAL;
    if (!caller_can(CAP_SYS_TIME))
        return -EPERM;
    clock_set_realtime(timespec_ns(&ts));
    ptimers_clock_was_set();
    timerfds_clock_was_set();
    return 0;
}
SYSCALL(112, clock_settime, 2);

long sys_gettimeofday(va_t tv_va, va_t tz_va)
{
    struct space *s = thread_current()->space;
    uint64_t ns = clock_realtime_ns();
    struct timeval_k tv = {(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000 / 1000)};
    uint64_t zero = 0;
    long e = tv_va ? user_copy_out(s, tv_va, &tv, sizeof tv) : 0;
    return e || !tz_va ? e : user_copy_out(s, tz_va, &zero, sizeof zero);
}
SYSCALL(169, gettimeofday, 2);

// ---- sleeping

static struct timespec_k time_left(uint64_t until)
{
    return ns_timespec(ticks_ahead_ns(until));
}

// An interrupted sleep fails only if a handler runs; else (stopped and continued) it goes on. What
// is left goes to `left`, 0: nowhere; an absolute sleep has nothing to tell or to remember.
ASYNC_DECL(user_sleep, uint64_t until; va_t left; bool absolute;);
ASYNC(user_sleep, long r; struct timespec_k rest;)
{
    ASYNC_BEGIN(user_sleep);
    AWAIT(f->r, sleep_until_ticks, f->until, true);
    if (f->r == 0)
        ASYNC_RETURN(0);
    if (!f->absolute && f->left) {
        f->rest = time_left(f->until);
        AWAIT(f->r, user_write, t->thread->space, f->left, &f->rest, sizeof f->rest);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (!f->absolute)
        t->thread->restart_until = f->until;
    ASYNC_RETURN(-ERESTARTNOHAND);
    ASYNC_FINALLY;
    ASYNC_END;
}

static bool sleepable(uint32_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
}

// A clock that tells the time but wakes nobody.
static bool readable_only(uint32_t clock)
{
    return clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_MONOTONIC_RAW ||
           clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE;
}

ASYNC_SYSCALL(sys_clock_nanosleep, long r; struct timespec_k ts; uint64_t ns;)
{
    ASYNC_BEGIN(sys_clock_nanosleep);
    if (!sleepable((uint32_t)f->a[0]))
        ASYNC_RETURN(readable_only((uint32_t)f->a[0]) ? -EOPNOTSUPP : -EINVAL);
    AWAIT(f->r, user_read, t->thread->space, &f->ts, f->a[2], sizeof f->ts);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!timespec_valid(&f->ts))
        ASYNC_RETURN(-EINVAL);
    f->ns = timespec_ns(&f->ts);
    if (f->a[1] & TIMER_ABSTIME)
        f->ns = ns_until(f->ns, f->a[0] == CLOCK_REALTIME);
    AWAIT(f->r, user_sleep,
          f->a[1] & TIMER_ABSTIME ? time_ticks() + ns_to_ticks(f->ns)
                                  : signal_wait_end(t->thread, f->ns),
          f->a[3], f->a[1] & TIMER_ABSTIME);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(115, clock_nanosleep, 4);

ASYNC_SYSCALL(sys_nanosleep, long r; struct timespec_k ts;)
{
    ASYNC_BEGIN(sys_nanosleep);
    AWAIT(f->r, user_read, t->thread->space, &f->ts, f->a[0], sizeof f->ts);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!timespec_valid(&f->ts))
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, user_sleep, signal_wait_end(t->thread, timespec_ns(&f->ts)), f->a[1], false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(101, nanosleep, 2);

// ---- times(2): in clock ticks of 10 ms

static int64_t clock_t_of(uint64_t ticks)
{
    return (int64_t)(ticks_to_ns(ticks) / 10000000);
}

long sys_times(va_t out)
{
    struct process *p = process_current();
    int64_t tms[4] = {clock_t_of(process_ticks(p)), clock_t_of(p->stime_ticks),
                      clock_t_of(p->cutime_ticks), clock_t_of(p->cstime_ticks)};
    long e = out ? user_copy_out(thread_current()->space, out, tms, sizeof tms) : 0;
    return e ? e : (long)(clock_monotonic_ns() / 10000000);
}
SYSCALL(153, times, 1);
