// SPDX-License-Identifier: MIT
// System calls about timers: timer_create(2) and its kin, setitimer(2).
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/process.h"
#include "task/ptimer.h"
#include "task/time.h"

struct sigevent_k {
    uint64_t value;
    int32_t signo, notify;
    uint32_t tid;
    uint32_t pad[11];
};
_Static_assert(sizeof(struct sigevent_k) == 64, "sigevent");

// The clock that a timer of `clock` runs by, and for a thread's whose it is.
static long timer_clock(uint32_t clock, struct ptimer_spec *spec)
{
    uint64_t now;
    if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
        return -EOPNOTSUPP; // nothing here wakes a machine that sleeps
    long e = clock_read(clock, &now);
    if (e)
        return e;
    if ((int32_t)clock < 0) {
        uint32_t id = clock_owner(clock);
        if (!clock_of_thread(clock) && id && id != process_current()->pid)
            return -EINVAL; // of another process: not supported
        spec->owner = id;
        clock = clock_of_thread(clock) ? CLOCK_THREAD_CPUTIME_ID : CLOCK_PROCESS_CPUTIME_ID;
    }
    if (!spec->owner)
        spec->owner = thread_current()->tid;
    if (clock >= CLOCK_MONOTONIC_RAW && clock <= CLOCK_MONOTONIC_COARSE)
        return -EOPNOTSUPP;
    spec->clock = clock == CLOCK_BOOTTIME ? CLOCK_MONOTONIC
                  : clock == CLOCK_TAI    ? CLOCK_REALTIME
                                          : clock;
    return 0;
}

static bool is_sibling(uint32_t tid)
{
    struct thread *th = thread_find(tid);
    bool yes = th && th->process == process_current();
    if (th)
        thread_put(th);
    return yes;
}

static bool event_valid(const struct sigevent_k *ev)
{
    if (ev->notify == SIGEV_NONE)
        return true;
    if (ev->notify == SIGEV_THREAD_ID && !is_sibling(ev->tid))
        return false;
    return (ev->notify == SIGEV_SIGNAL || ev->notify == SIGEV_THREAD ||
            ev->notify == SIGEV_THREAD_ID) &&
           ev->signo >= 1 && ev->signo <= NSIG;
}

long sys_timer_create(uint32_t clock, va_t event, va_t out)
{
    struct process *p = process_current();
    struct sigevent_k ev = {.signo = SIGALRM, .notify = SIGEV_SIGNAL};
    struct ptimer_spec spec = {0};
    long e = event ? user_copy_in(thread_current()->space, &ev, event, sizeof ev) : 0;
    if (e)
        return e;
    e = timer_clock(clock, &spec);
    if (e)
        return e;
    if (!event_valid(&ev))
        return -EINVAL;
    e = user_copy_out(thread_current()->space, out, &spec.id,
                      sizeof spec.id); // it may have to wait
    if (e)
        return e;
    spec.notify = ev.notify;
    spec.signo = ev.signo;
    spec.tid = ev.tid;
    spec.value = ev.value;
    spec.value_is_id = !event;
    long id = ptimer_create(p, &spec);
    if (id < 0)
        return id;
    e = user_copy_out(thread_current()->space, out, &spec.id, sizeof spec.id);
    if (e)
        ptimer_delete(p, spec.id);
    return e;
}
SYSCALL(107, timer_create, 3);

static struct itimerspec_k to_user(const struct ptimer_setting *s)
{
    return (struct itimerspec_k){ns_timespec(s->interval), ns_timespec(s->value)};
}

long sys_timer_gettime(int32_t id, va_t out)
{
    struct ptimer_setting s;
    long e = id < 0 ? -EINVAL : ptimer_set(process_current(), id, NULL, false, &s);
    if (e)
        return e;
    struct itimerspec_k v = to_user(&s);
    return user_copy_out(thread_current()->space, out, &v, sizeof v);
}
SYSCALL(108, timer_gettime, 2);

long sys_timer_getoverrun(int32_t id)
{
    return ptimer_overrun(process_current(), id);
}
SYSCALL(109, timer_getoverrun, 1);

long sys_timer_settime(int32_t id, uint32_t flags, va_t in, va_t out)
{
    struct process *p = process_current();
    struct space *space = thread_current()->space;
    struct itimerspec_k v;
    struct ptimer_setting was;
    if (!in)
        return -EINVAL;
    long e = user_copy_in(space, &v, in, sizeof v);
    if (e)
        return e;
    if (!timespec_valid(&v.interval) || !timespec_valid(&v.value) || id < 0)
        return -EINVAL;
    e = ptimer_set(p, id, NULL, false, &was);
    if (!e && out) { // before it is set: it may have to be tried again
        struct itimerspec_k old = to_user(&was);
        e = user_copy_out(space, out, &old, sizeof old);
    }
    struct ptimer_setting new = {timespec_ns(&v.value), timespec_ns(&v.interval)};
    return e ? e : ptimer_set(p, id, &new, flags & TIMER_ABSTIME, NULL);
}
SYSCALL(110, timer_settime, 4);

long sys_timer_delete(int32_t id)
{
    return id < 0 ? -EINVAL : ptimer_delete(process_current(), id);
}
SYSCALL(111, timer_delete, 1);

// ---- interval timers: made when they are first set

struct itimerval_k {
    struct timeval_k interval, value;
};

static struct timeval_k ns_timeval(uint64_t ns)
{
    ns += ns && ns < 1000 ? 1000 : 0; // one that runs is never 0
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

static struct itimerval_k itimer_now(uint32_t which)
{
    struct ptimer_setting s = {0};
    ptimer_set(process_current(), -1 - (int32_t)which, NULL, false, &s);
    return (struct itimerval_k){ns_timeval(s.interval), ns_timeval(s.value)};
}

long sys_getitimer(uint32_t which, va_t out)
{
    if (which > ITIMER_PROF)
        return -EINVAL;
    struct itimerval_k v = itimer_now(which);
    return user_copy_out(thread_current()->space, out, &v, sizeof v);
}
SYSCALL(102, getitimer, 2);

static long itimer_set(uint32_t which, const struct ptimer_setting *new)
{
    static const int signals[] = {SIGALRM, SIGVTALRM, SIGPROF};
    static const uint32_t clocks[] = {CLOCK_MONOTONIC, PTIMER_USER_TIME, CLOCK_PROCESS_CPUTIME_ID};
    struct ptimer_spec spec = {
        .id = -1 - (int32_t)which,
        .clock = clocks[which],
        .signo = signals[which],
    };
    struct process *p = process_current();
    if (!ptimer_set(p, spec.id, new, false, NULL) || !(new->value | new->interval))
        return 0;
    return ptimer_create(p, &spec) == -EAGAIN ? -ENOMEM : ptimer_set(p, spec.id, new, false, NULL);
}

long sys_setitimer(uint32_t which, va_t in, va_t out)
{
    struct space *space = thread_current()->space;
    struct itimerval_k v = {0};
    if (which > ITIMER_PROF)
        return -EINVAL;
    long e = in ? user_copy_in(space, &v, in, sizeof v) : 0;
    if (e)
        return e;
    if (!timeval_valid(&v.interval) || !timeval_valid(&v.value))
        return -EINVAL;
    if (out) {
        struct itimerval_k was = itimer_now(which);
        e = user_copy_out(space, out, &was, sizeof was);
        if (e)
            return e;
    }
    struct ptimer_setting new = {timeval_ns(&v.value), timeval_ns(&v.interval)};
    if (!new.value && which == ITIMER_REAL)
        new.interval = 0; // the others keep it
    return itimer_set(which, &new);
}
SYSCALL(103, setitimer, 3);
