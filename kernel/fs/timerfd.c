// SPDX-License-Identifier: MIT
// timerfd: a timer that is read. What has run out waits to be read as a count.
//
// A periodic timer fires once and is armed again by who looks at it, with what it missed reckoned then:
// one that nobody reads costs nothing.
//
// Two locks, since firing holds the hart's timers and arming takes them: set_lock, for arming and for
// what it is set to -> the hart's timers -> lock, for what has happened.
#include "fs/timerfd.h"

#include "fs/anon.h"
#include "fs/poll.h"
#include "fs/proc.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/process.h"
#include "task/time.h"

enum { TFD_TIMER_CANCEL_ON_SET = 2 };

struct timerfd {
    struct spinlock set_lock;
    uint32_t clock, flags;  // as it was made, as it was set last: for who looks
    bool wall;              // its clock is CLOCK_REALTIME
    bool absolute;          // and it is set to a time of that
    bool cancel_on_set;     // and reads fail once somebody sets the clock
    uint64_t due, interval; // ns by its clock; due 0: it does not run
    struct timer timer;
    struct list in_wall; // wall_timers

    struct spinlock lock;
    uint64_t expirations; // not read yet
    bool fired;           // and not armed again since
    bool clock_was_set;
    struct waitq readers, pollers;
};

static struct spinlock wall_lock = SPINLOCK_INIT("wall clock timers"); // before set_lock
static struct list wall_timers = LIST_INIT(wall_timers);

static inline struct timerfd *timerfd_of(const struct file *file)
{
    return file->priv;
}

static uint64_t now_of(const struct timerfd *tfd)
{
    return tfd->absolute && tfd->wall ? clock_realtime_ns() : clock_monotonic_ns();
}

// lock held.
static void tell(struct timerfd *tfd)
{
    waitq_wake_all(&tfd->readers);
    poll_wake(&tfd->pollers, POLLIN);
}

static void on_fire(struct timer *tm)
{
    struct timerfd *tfd = container_of(tm, struct timerfd, timer);
    spin_lock(&tfd->lock);
    tfd->fired = true;
    tfd->expirations++;
    tell(tfd);
    spin_unlock(&tfd->lock);
}

// ---- set_lock held

static void arm(struct timerfd *tfd)
{
    uint64_t now = now_of(tfd);
    if (tfd->due)
        timer_arm(&tfd->timer, tfd->due > now ? tfd->due - now : 0, on_fire);
}

// One that has fired is armed again, and what it missed since is counted.
static void catch_up(struct timerfd *tfd)
{
    uint64_t now = now_of(tfd), missed = 0;
    spin_lock(&tfd->lock);
    bool fired = tfd->fired;
    if (fired && tfd->interval && now > tfd->due)
        missed = (now - tfd->due) / tfd->interval;
    tfd->expirations += missed;
    tfd->fired = false;
    spin_unlock(&tfd->lock);
    if (!fired)
        return;
    tfd->due = tfd->interval ? tfd->due + (missed + 1) * tfd->interval : 0;
    arm(tfd);
}

static struct itimerspec_k setting(struct timerfd *tfd)
{
    catch_up(tfd);
    uint64_t now = now_of(tfd), left = tfd->due > now ? tfd->due - now : 0;
    return (struct itimerspec_k){ns_timespec(tfd->interval), ns_timespec(left)};
}

// Somebody has set the clock, and it was to be told so: once.
static bool cancelled(struct timerfd *tfd)
{
    spin_lock(&tfd->lock);
    bool yes = tfd->clock_was_set;
    tfd->clock_was_set = false;
    if (yes) {
        tfd->expirations = 0;
        tfd->fired = false;
    }
    spin_unlock(&tfd->lock);
    return yes;
}

static void set(struct timerfd *tfd, const struct itimerspec_k *new, uint32_t flags)
{
    timer_cancel(&tfd->timer);
    spin_lock(&tfd->lock);
    tfd->expirations = 0;
    tfd->fired = false;
    spin_unlock(&tfd->lock);
    tfd->flags = flags;
    tfd->absolute = flags & TIMER_ABSTIME;
    tfd->cancel_on_set = tfd->wall && tfd->absolute && (flags & TFD_TIMER_CANCEL_ON_SET);
    uint64_t value = timespec_ns(&new->value);
    tfd->due = !value ? 0 : tfd->absolute ? value : now_of(tfd) + value;
    tfd->interval = timespec_ns(&new->interval);
    arm(tfd);
}

// ---- reading

// set_lock held. Its time has come though its interrupt has not: who asks need not wait for that.
static void fire_if_due(struct timerfd *tfd)
{
    if (tfd->due && tfd->due <= now_of(tfd) && timer_cancel(&tfd->timer))
        on_fire(&tfd->timer);
}

// No lock held. Takes the count, out of the kernel as well unless out is 0. 0: wait; -ECANCELED.
static long look(struct timerfd *tfd, va_t out)
{
    spin_lock(&tfd->set_lock);
    long r = cancelled(tfd) ? -ECANCELED : 0;
    if (!load_relaxed(&tfd->expirations))
        fire_if_due(tfd);
    if (!r && load_relaxed(&tfd->expirations)) {
        catch_up(tfd);
        uint64_t n = load_relaxed(&tfd->expirations); // meanwhile only more fire
        r = out ? user_copy_out(thread_current()->space, out, &n, sizeof n) : 0;
        if (!r) {
            spin_lock(&tfd->lock);
            tfd->expirations -= n;
            spin_unlock(&tfd->lock);
            r = (long)n;
        }
    }
    spin_unlock(&tfd->set_lock);
    return r;
}

static long timerfd_try_read(struct file *file, va_t va, size_t len, uint64_t pos)
{
    (void)pos;
    if (len < sizeof(uint64_t))
        return -EINVAL;
    long r = look(timerfd_of(file), va);
    if (r == 0)
        return file->flags & O_NONBLOCK ? -EAGAIN : syscall_go_async();
    return r > 0 ? (long)sizeof(uint64_t) : r;
}

ASYNC_DECL(timerfd_wait, struct timerfd *tfd;);
ASYNC(timerfd_wait, struct waiter w;)
{
    ASYNC_BEGIN(timerfd_wait);
    waiter_init(&f->w);
    spin_lock(&f->tfd->lock);
    while (!f->tfd->expirations && !f->tfd->clock_was_set) {
        if (task_interrupted(t)) {
            spin_unlock(&f->tfd->lock);
            ASYNC_RETURN(-ERESTARTSYS);
        }
        waitq_add(&f->tfd->readers, &f->w, t);
        spin_unlock(&f->tfd->lock);
        SUSPEND("a timer");
        spin_lock(&f->tfd->lock);
    }
    waitq_remove(&f->tfd->readers, &f->w);
    spin_unlock(&f->tfd->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->tfd->lock, &f->tfd->readers, &f->w);
    ASYNC_END;
}

ASYNC_IMPL(timerfd_read, file_read, uint64_t n; long r;)
{
    ASYNC_BEGIN(timerfd_read);
    if (f->buf->left < sizeof f->n)
        ASYNC_RETURN(-EINVAL);
    while ((f->r = look(timerfd_of(f->file), 0)) == 0) {
        if (f->file->flags & O_NONBLOCK)
            ASYNC_RETURN(-EAGAIN);
        AWAIT(f->r, timerfd_wait, timerfd_of(f->file));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->n = (uint64_t)f->r;
    AWAIT(f->r, iobuf_out_all, f->buf, &f->n, sizeof f->n);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static uint32_t timerfd_poll(struct file *file, struct poll_list *pl)
{
    struct timerfd *tfd = timerfd_of(file);
    spin_lock(&tfd->lock);
    if (pl)
        poll_add(pl, &tfd->lock, &tfd->pollers, POLL_ANY);
    uint32_t mask = tfd->expirations ? POLLIN : 0;
    spin_unlock(&tfd->lock);
    return mask;
}

static void timerfd_release(struct file *file)
{
    struct timerfd *tfd = timerfd_of(file);
    if (!tfd)
        return;
    spin_lock(&wall_lock);
    list_remove(&tfd->in_wall);
    spin_unlock(&wall_lock);
    timer_cancel(&tfd->timer);
    kfree(tfd);
}

static void timerfd_show(struct file *file, struct text *out)
{
    struct timerfd *tfd = timerfd_of(file);
    spin_lock(&tfd->set_lock);
    struct itimerspec_k now = setting(tfd);
    uint32_t flags = tfd->flags;
    spin_unlock(&tfd->set_lock);
    text_printf(out, "clockid: %u\nticks: %lu\nsettime flags: 0%o\n", (unsigned)tfd->clock,
                (unsigned long)load_relaxed(&tfd->expirations), (unsigned)flags);
    text_printf(out, "it_value: (%ld, %ld)\nit_interval: (%ld, %ld)\n", (long)now.value.sec,
                (long)now.value.nsec, (long)now.interval.sec, (long)now.interval.nsec);
}

static const struct file_ops timerfd_ops = {
    .read = &timerfd_read_fn,
    .try_read = timerfd_try_read,
    .poll = timerfd_poll,
    .release = timerfd_release,
    .seek = file_seek_nowhere,
    .show = timerfd_show,
    .flags = FILE_OPS_STREAM,
    .name = "[timerfd]",
};

// ---- the clock

void timerfds_clock_was_set(void)
{
    spin_lock(&wall_lock);
    LIST_FOREACH(it, &wall_timers) {
        struct timerfd *tfd = list_entry(it, struct timerfd, in_wall);
        spin_lock(&tfd->set_lock);
        if (tfd->absolute && timer_cancel(&tfd->timer))
            arm(tfd);
        if (tfd->cancel_on_set) {
            spin_lock(&tfd->lock);
            tfd->clock_was_set = true;
            tfd->expirations++;
            tell(tfd);
            spin_unlock(&tfd->lock);
        }
        spin_unlock(&tfd->set_lock);
    }
    spin_unlock(&wall_lock);
}

// ---- system calls

static bool clock_valid(uint32_t clock)
{
    return clock <= CLOCK_MONOTONIC || (clock >= CLOCK_BOOTTIME && clock <= CLOCK_BOOTTIME_ALARM);
}

long sys_timerfd_create(uint32_t clock, uint32_t flags)
{
    if ((flags & ~(uint32_t)(O_NONBLOCK | O_CLOEXEC)) || !clock_valid(clock))
        return -EINVAL;
    if (clock >= CLOCK_REALTIME_ALARM && !caller_can(CAP_WAKE_ALARM))
        return -EPERM; // such a timer may wake a machine that sleeps
    struct timerfd *tfd = kzalloc(sizeof *tfd);
    if (!tfd)
        return -ENOMEM;
    spin_init(&tfd->set_lock, "timerfd setting");
    spin_init(&tfd->lock, "timerfd");
    waitq_init(&tfd->readers);
    waitq_init(&tfd->pollers);
    list_init(&tfd->in_wall);
    tfd->clock = clock;
    tfd->wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
    if (tfd->wall) {
        spin_lock(&wall_lock);
        list_push_back(&wall_timers, &tfd->in_wall);
        spin_unlock(&wall_lock);
    }
    long fd = anon_open(&timerfd_ops, tfd, flags);
    if (fd < 0)
        timerfd_release(&(struct file){.priv = tfd});
    return fd;
}
SYSCALL(85, timerfd_create, 2);

long sys_timerfd_settime(int32_t fd, uint32_t flags, va_t in, va_t out)
{
    struct space *space = thread_current()->space;
    struct fd_table *table = thread_current()->files;
    struct itimerspec_k new;
    bool referenced;
    long r = user_copy_in(space, &new, in, sizeof new);
    if (r)
        return r;
    if ((flags & ~(uint32_t)(TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) ||
        !timespec_valid(&new.value) || !timespec_valid(&new.interval))
        return -EINVAL;
    struct file *file = anon_borrow(table, (uint32_t)fd, &timerfd_ops, -EINVAL, &r, &referenced);
    if (!file)
        return r;
    struct timerfd *tfd = timerfd_of(file);
    spin_lock(&tfd->set_lock);
    if (out) { // before it is set: it may have to be tried again
        struct itimerspec_k was = setting(tfd);
        r = user_copy_out(space, out, &was, sizeof was);
    } else {
        r = 0;
    }
    if (!r) {
        r = cancelled(tfd) ? -ECANCELED : 0;
        set(tfd, &new, flags);
    }
    spin_unlock(&tfd->set_lock);
    fd_unborrow(file, referenced);
    return r;
}
SYSCALL(86, timerfd_settime, 4);

long sys_timerfd_gettime(int32_t fd, va_t out)
{
    struct fd_table *table = thread_current()->files;
    long r;
    bool referenced;
    struct file *file = anon_borrow(table, (uint32_t)fd, &timerfd_ops, -EINVAL, &r, &referenced);
    if (!file)
        return r;
    struct timerfd *tfd = timerfd_of(file);
    spin_lock(&tfd->set_lock);
    struct itimerspec_k now = setting(tfd);
    spin_unlock(&tfd->set_lock);
    fd_unborrow(file, referenced);
    return user_copy_out(thread_current()->space, out, &now, sizeof now);
}
SYSCALL(87, timerfd_gettime, 2);
