// SPDX-License-Identifier: MIT
// Clocks, sleeping, interval timers, times.
#include "task/time.h"
#include "async/wait_async.h"
#include "lib/init.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/process.h"
#include "task/rusage.h"
#include "task/signal.h"

enum {
    CLOCK_REALTIME,
    CLOCK_MONOTONIC,
    CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_THREAD_CPUTIME_ID,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_BOOTTIME,
    TIMER_ABSTIME = 1,
};

static uint64_t process_ticks(struct process *p)
{
    spin_lock(&p->lock);
    uint64_t n = p->utime_ticks + p->stime_ticks;
    PROCESS_THREADS(it, p)
    n += ticks_used(&thread_entry(it)->task);
    spin_unlock(&p->lock);
    return n;
}

static long clock_read(uint32_t clock, uint64_t *ns)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
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
    if (process_current()->cred.euid)
        return -EPERM;
    clock_set_realtime(timespec_ns(&ts));
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

// ---- the real-time interval timer (the only one; others are EINVAL)

struct itimerval_k {
    struct timeval_k interval, value;
};

static struct timeval_k ns_timeval(uint64_t ns)
{
    return (struct timeval_k){(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000 / 1000)};
}

static bool timeval_valid(const struct timeval_k *tv)
{
    return tv->sec >= 0 && tv->usec >= 0 && tv->usec < 1000000;
}

static uint64_t timeval_ns(const struct timeval_k *tv)
{
    return timespec_ns(&(struct timespec_k){tv->sec, tv->usec * 1000});
}

static void itimer_task(struct process *p);

// In the timer's lock: the signal and the next period are the timer task's work.
static void itimer_fire(struct timer *tm)
{
    itimer_task(container_of(tm, struct process, itimer_real));
}

static struct itimerval_k itimer_now(struct process *p)
{
    struct itimerval_k v = {.interval = ns_timeval(p->itimer_interval_ns)};
    uint64_t now = time_ticks();
    if (p->itimer_real.armed)
        v.value =
            ns_timeval(p->itimer_real.when > now ? ticks_to_ns(p->itimer_real.when - now) : 1000);
    return v;
}

// Fired processes wait here for the task that sends SIGALRM.
static struct spinlock fired_lock = SPINLOCK_INIT("itimer");
static struct list fired = LIST_INIT(fired);
static struct event fired_event;

static void itimer_task(struct process *p)
{
    spin_lock(&fired_lock);
    if (list_empty(&p->itimer_fired)) {
        process_get(p);
        list_push_back(&fired, &p->itimer_fired);
    }
    spin_unlock(&fired_lock);
    event_set(&fired_event);
}

static struct process *next_fired(void)
{
    spin_lock(&fired_lock);
    event_clear(&fired_event);
    struct list *it = list_pop_front(&fired);
    spin_unlock(&fired_lock);
    return it ? list_entry(it, struct process, itimer_fired) : NULL;
}

static void itimer_expired(struct process *p)
{
    spin_lock(&p->itimer_lock);
    if (p->itimer_interval_ns && !p->itimer_real.armed && !p->zombie)
        timer_arm(&p->itimer_real, p->itimer_interval_ns, itimer_fire);
    spin_unlock(&p->itimer_lock);
    signal_send_process(p, SIGALRM, NULL);
    process_put(p);
}

ASYNC_DECL(itimer_loop, int unused;);
ASYNC(itimer_loop, long r; struct process *p;)
{
    ASYNC_BEGIN(itimer_loop);
    for (;;) {
        while ((f->p = next_fired()))
            itimer_expired(f->p);
        AWAIT(f->r, event_wait, &fired_event, false);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void itimer_init(void)
{
    event_init(&fired_event);
    SPAWN("itimer", itimer_loop, 0);
}
INIT(INIT_LATE, itimer_init);

long sys_getitimer(int32_t which, va_t out)
{
    struct process *p = process_current();
    if (which)
        return -EINVAL;
    spin_lock(&p->itimer_lock);
    struct itimerval_k v = itimer_now(p);
    spin_unlock(&p->itimer_lock);
    return user_copy_out(thread_current()->space, out, &v, sizeof v);
}
SYSCALL(102, getitimer, 2);

long sys_setitimer(int32_t which, va_t in, va_t out)
{
    struct process *p = process_current();
    struct itimerval_k v = {0};
    if (which)
        return -EINVAL;
    long e = in ? user_copy_in(thread_current()->space, &v, in, sizeof v) : 0;
    if (e)
        return e;
    if (!timeval_valid(&v.interval) || !timeval_valid(&v.value))
        return -EINVAL;
    if (out) {
        spin_lock(&p->itimer_lock);
        struct itimerval_k was = itimer_now(p);
        spin_unlock(&p->itimer_lock);
        e = user_copy_out(thread_current()->space, out, &was, sizeof was);
        if (e)
            return e;
    }
    spin_lock(&p->itimer_lock);
    timer_cancel(&p->itimer_real);
    p->itimer_interval_ns = timeval_ns(&v.interval);
    if (timeval_ns(&v.value))
        timer_arm(&p->itimer_real, timeval_ns(&v.value), itimer_fire);
    else
        p->itimer_interval_ns = 0;
    spin_unlock(&p->itimer_lock);
    return 0;
}
SYSCALL(103, setitimer, 3);

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
