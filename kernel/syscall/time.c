// SPDX-License-Identifier: MIT
// Clocks, sleeping, times.
#include "task/time.h"
#include "async/wait_async.h"
#include "fs/timerfd.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/cputime.h"
#include "task/process.h"
#include "task/ptimer.h"
#include "task/rusage.h"
#include "task/signal.h"

uint64_t process_ticks(struct process *p)
{
    spin_lock(&p->lock);
    uint64_t n = cpu_use_of_process(p).ticks;
    spin_unlock(&p->lock);
    return n;
}

// A clock of processor time that is not the caller's own: its number holds whose it is.
static long read_other(uint32_t clock, uint64_t *ns)
{
    uint32_t id = clock_owner(clock);
    struct thread_ref of;
    if ((clock & 3) == 3)
        return -EINVAL;
    if (clock_of_thread(clock)) {
        if (!thread_ref_get(id, &of))
            return -EINVAL;
        bool ours = of.process == process_current();
        *ns = ticks_to_ns(of.thread ? task_ticks(&of.thread->task)
                                    : cpu_times_sum(&of.process->leader.times));
        thread_ref_put(&of);
        return ours ? 0 : -EINVAL;
    }
    struct process *p = id ? process_find(id) : process_current();
    if (!p)
        return -EINVAL;
    *ns = ticks_to_ns(process_ticks(p));
    if (id)
        process_put(p);
    return 0;
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
        *ns = ticks_to_ns(task_ticks(current_task()));
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
    deadlines_clock_was_set();
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

// A sleep to `until`, by whatever clock, was interrupted with rest_ns to go. It fails only if a handler runs; else (stopped
// and continued) it goes on. The rest goes to `left`, 0: nowhere; an absolute sleep has nothing to tell or to remember.
ASYNC_DECL(sleep_interrupted, uint64_t until; uint64_t rest_ns; va_t left; bool absolute;);
ASYNC(sleep_interrupted, long r; struct timespec_k rest;)
{
    ASYNC_BEGIN(sleep_interrupted);
    if (!f->absolute && f->left) {
        f->rest = ns_timespec(f->rest_ns);
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

ASYNC_DECL(user_sleep, uint64_t until; va_t left; bool absolute;);
ASYNC(user_sleep, long r;)
{
    ASYNC_BEGIN(user_sleep);
    AWAIT(f->r, sleep_until_ticks, f->until, true);
    if (f->r < 0)
        AWAIT(f->r, sleep_interrupted, f->until, ticks_ahead_ns(f->until), f->left, f->absolute);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Until a time of CLOCK_REALTIME, whenever that is: setting the clock brings it nearer or takes it farther away.
ASYNC_DECL(wall_sleep, uint64_t until;);
ASYNC(wall_sleep, long r; struct wall_deadline d;)
{
    ASYNC_BEGIN(wall_sleep);
    deadline_arm_wall(t, &f->hdr, &f->d, f->until);
    AWAIT(f->r, sleep_until_ticks, UINT64_MAX, true);
    deadline_disarm(t, &f->d.deadline);
    ASYNC_RETURN(f->r == -ETIMEDOUT ? 0 : -ERESTARTNOHAND);
    ASYNC_FINALLY;
    ASYNC_END;
}

static bool is_cpu_clock(uint32_t clock)
{
    return clock == CLOCK_PROCESS_CPUTIME_ID || (int32_t)clock < 0;
}

// Until a clock of processor time shows `until`, which is never sooner than all harts together can make it do: then it is looked
// at again, but not every moment.
enum { CPU_LOOK_NS = 1000000 };
static uint64_t earliest(uint64_t left)
{
    return left / hart_count > CPU_LOOK_NS ? left / hart_count : CPU_LOOK_NS;
}

ASYNC_DECL(cpu_sleep, uint32_t clock; uint64_t until; va_t left; bool absolute;);
ASYNC(cpu_sleep, long r; long ended; uint64_t now;)
{
    ASYNC_BEGIN(cpu_sleep);
    f->ended = 0;
    for (;;) {
        if ((f->r = clock_read(f->clock, &f->now)) < 0)
            ASYNC_RETURN(f->r);
        if (f->now >= f->until)
            ASYNC_RETURN(0);
        if (f->ended < 0)
            break;
        AWAIT(f->ended, sleep_ns, earliest(f->until - f->now), true);
    }
    AWAIT(f->r, sleep_interrupted, f->until, f->until - f->now, f->left, f->absolute);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ns: from now, or if absolute a time of that clock. Nobody can wait for his own thread's time, and there are no alarm clocks.
static long cpu_sleep_end(struct thread *th, uint32_t clock, bool absolute, uint64_t *ns)
{
    uint64_t now = 0, restarted = th->restart_until;
    uint32_t owner = clock_owner(clock);
    if (clock_of_thread(clock) && (!owner || owner == th->tid))
        return -EINVAL;
    th->restart_until = 0;
    long e = clock_read(clock, &now);
    *ns = restarted ? restarted : absolute ? *ns : now + *ns;
    return e;
}

// Some clocks tell the time but wake nobody.
static long check_sleep(uint32_t clock)
{
    switch (clock) {
    case CLOCK_THREAD_CPUTIME_ID:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
        return -EOPNOTSUPP;
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
    case CLOCK_TAI:
        return 0;
    default:
        return clock_of_file(clock) ? -EOPNOTSUPP : is_cpu_clock(clock) ? 0 : -EINVAL;
    }
}

ASYNC_SYSCALL(sys_clock_nanosleep, long r; struct timespec_k ts; uint64_t ns; uint32_t clock;
              bool absolute;)
{
    ASYNC_BEGIN(sys_clock_nanosleep);
    f->clock = (uint32_t)f->a[0];
    f->absolute = f->a[1] & TIMER_ABSTIME;
    if ((f->r = check_sleep(f->clock)) < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, user_read, t->thread->space, &f->ts, f->a[2], sizeof f->ts);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!timespec_valid(&f->ts))
        ASYNC_RETURN(-EINVAL);
    f->ns = timespec_ns(&f->ts);
    if (f->clock == CLOCK_REALTIME_ALARM || f->clock == CLOCK_BOOTTIME_ALARM)
        ASYNC_RETURN(-EOPNOTSUPP);
    if (is_cpu_clock(f->clock)) {
        f->r = cpu_sleep_end(t->thread, f->clock, f->absolute, &f->ns);
        if (f->r == 0)
            AWAIT(f->r, cpu_sleep, f->clock, f->ns, f->a[3], f->absolute);
        ASYNC_RETURN(f->r);
    }
    if (f->absolute && (f->clock == CLOCK_REALTIME || f->clock == CLOCK_TAI)) {
        AWAIT(f->r, wall_sleep, f->ns);
        ASYNC_RETURN(f->r);
    }
    if (f->absolute)
        f->ns = ns_until(f->ns);
    AWAIT(f->r, user_sleep,
          f->absolute ? time_ticks() + ns_to_ticks(f->ns) : signal_wait_end(t->thread, f->ns),
          f->a[3], f->absolute);
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
    struct cpu_times own = process_times(p), children = p->child_time;
    int64_t tms[4] = {clock_t_of(own.user), clock_t_of(own.system), clock_t_of(children.user),
                      clock_t_of(children.system)};
    long e = out ? user_copy_out(thread_current()->space, out, tms, sizeof tms) : 0;
    return e ? e : (long)(clock_monotonic_ns() / 10000000);
}
SYSCALL(153, times, 1);
