// SPDX-License-Identifier: MIT
// epoll_create1, epoll_ctl, epoll_pwait, epoll_pwait2.
//
// All but a wait for what is not there yet is plain.
#include "fs/anon.h"
#include "fs/epoll.h"
#include "mem/user.h"
#include "syscall/fs_wait.h"
#include "syscall/syscall.h"

enum { EPOLL_MAX_EVENTS = INT32_MAX / (int)sizeof(struct epoll_event_k) };
#define EXCLUSIVE_OK (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

long sys_epoll_create1(uint32_t flags)
{
    return flags & ~(uint32_t)O_CLOEXEC ? -EINVAL : epoll_new(flags);
}
SYSCALL(20, epoll_create1, 1);

static long control(struct file *epoll, int32_t op, int32_t fd, struct file *file,
                    const struct epoll_event_k *ev)
{
    if (file->flags & O_PATH)
        return -EBADF;
    if (!file->ops->poll)
        return -EPERM;
    if (file == epoll || epoll->ops != &epoll_ops)
        return -EINVAL;
    if (op != EPOLL_CTL_DEL && (ev->events & EPOLLEXCLUSIVE) &&
        (op == EPOLL_CTL_MOD || file->ops == &epoll_ops || (ev->events & ~EXCLUSIVE_OK)))
        return -EINVAL;
    switch (op) {
    case EPOLL_CTL_ADD:
        return epoll_add(epoll, file, fd, ev);
    case EPOLL_CTL_MOD:
        return epoll_modify(epoll_of(epoll), file, fd, ev);
    case EPOLL_CTL_DEL:
        return epoll_remove(epoll_of(epoll), file, fd);
    default:
        return -EINVAL;
    }
}

long sys_epoll_ctl(int32_t epfd, int32_t op, int32_t fd, va_t event)
{
    struct fd_table *table = thread_current()->files;
    struct epoll_event_k ev = {0};
    long r = op == EPOLL_CTL_DEL ? 0 : user_copy_in(thread_current()->space, &ev, event, sizeof ev);
    if (r)
        return r;
    bool epoll_referenced, referenced;
    struct file *epoll = fd_borrow(table, (uint32_t)epfd, &epoll_referenced);
    struct file *file = epoll ? fd_borrow(table, (uint32_t)fd, &referenced) : NULL;
    r = file ? control(epoll, op, fd, file, &ev) : -EBADF;
    if (file)
        fd_unborrow(file, referenced);
    if (epoll)
        fd_unborrow(epoll, epoll_referenced);
    return r;
}
SYSCALL(21, epoll_ctl, 4);

// ---- waiting

static long check_room(va_t events, int32_t max)
{
    if (max <= 0 || max > EPOLL_MAX_EVENTS)
        return -EINVAL;
    return user_range_ok(events, (uint64_t)max * sizeof(struct epoll_event_k)) ? 0 : -EFAULT;
}

// ns: 0 do not wait, < 0 no limit.
static inline long try_wait(int32_t fd, va_t events, int32_t max, int64_t ns)
{
    struct fd_table *table = thread_current()->files;
    long r = check_room(events, max);
    if (r)
        return r;
    bool referenced;
    struct file *file = anon_borrow(table, (uint32_t)fd, &epoll_ops, -EINVAL, &r, &referenced);
    if (!file)
        return r;
    struct epoll *ep = epoll_of(file);
    uint32_t look_at = epoll_ready_count(ep);
    bool all = look_at <= EPOLL_CHUNK;
    r = look_at && all ? epoll_take(ep, events, (uint32_t)max, &look_at) : 0;
    if (!r && (!all || ns))
        r = all && ns < 0 ? epoll_wait_light(file) : syscall_go_async();
    fd_unborrow(file, referenced);
    return r;
}

// All that is ready, in pieces. How many, -EFAULT, -ENOMEM.
ASYNC_DECL(epoll_take_all, struct epoll *ep; va_t events; uint32_t max;);
ASYNC(epoll_take_all, uint32_t look_at; uint32_t n; long r;)
{
    ASYNC_BEGIN(epoll_take_all);
    f->n = 0;
    f->look_at = epoll_ready_count(f->ep);
    while (f->look_at && f->n < f->max) {
        f->r = epoll_take(f->ep, f->events + f->n * sizeof(struct epoll_event_k), f->max - f->n,
                          &f->look_at);
        if (f->r >= 0) {
            f->n += (uint32_t)f->r;
            if (f->look_at && f->n < f->max)
                YIELD();
            continue;
        }
        if (f->r == -ECOMMIT) {
            t->local &= ~(uint32_t)LOCAL_COMMIT;
            AWAIT(f->r, space_commit, t->thread->space, t->commit.va, t->commit.len,
                  t->commit.access);
        }
        if (f->r < 0)
            ASYNC_RETURN(f->n ? (long)f->n : f->r);
    }
    ASYNC_RETURN((long)f->n);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(epoll_wait, struct epoll *ep; va_t events; uint32_t max; int64_t ns;);
ASYNC(epoll_wait, uint64_t end; uint64_t now; struct deadline d; long r;)
{
    ASYNC_BEGIN(epoll_wait);
    f->end = clock_monotonic_ns() + (uint64_t)f->ns;
    for (;;) {
        AWAIT(f->r, epoll_take_all, f->ep, f->events, f->max);
        if (f->r)
            ASYNC_RETURN(f->r);
        f->now = clock_monotonic_ns();
        if (f->ns >= 0 && f->now >= f->end)
            ASYNC_RETURN(0);
        if (f->ns < 0)
            AWAIT(f->r, epoll_sleep, f->ep);
        else
            AWAIT_WITHIN(f->r, &f->d, f->end - f->now, epoll_sleep, f->ep);
        if (f->r == -EINTR)
            ASYNC_RETURN(-EINTR);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// Both calls, with their arguments and the timeout in ns.
ASYNC_DECL(wait_call, uint64_t a[6]; int64_t ns;);
ASYNC(wait_call, struct file *file; sigset mask; bool masked; long r;)
{
    ASYNC_BEGIN(wait_call);
    f->file = NULL;
    AWAIT(f->r, mask_arg, f->a[4], f->a[5], &f->mask, &f->masked);
    if (f->r >= 0)
        f->r = check_room(f->a[1], (int32_t)f->a[2]);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file || f->file->ops != &epoll_ops)
        ASYNC_RETURN(f->file ? -EINVAL : -EBADF);
    if (f->masked)
        wait_mask_set(t->thread, f->mask);
    AWAIT(f->r, epoll_wait, epoll_of(f->file), f->a[1], (uint32_t)f->a[2], f->ns);
    if (f->masked)
        wait_mask_back(t->thread, f->r == -EINTR);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
#define ALL_OF(a)                                                                                  \
    {                                                                                              \
        (a)[0], (a)[1], (a)[2], (a)[3], (a)[4], (a)[5]                                             \
    }

static int64_t ms_to_ns(int32_t ms)
{
    return ms < 0 ? -1 : (int64_t)ms * 1000000;
}

static long try_epoll_pwait(int32_t fd, va_t events, int32_t max, int32_t ms, va_t mask)
{
    return mask ? syscall_go_async() : try_wait(fd, events, max, ms_to_ns(ms));
}

ASYNC_SYSCALL(sys_epoll_pwait, long r;)
{
    ASYNC_BEGIN(sys_epoll_pwait);
    AWAIT(f->r, wait_call, ALL_OF(f->a), ms_to_ns((int32_t)f->a[3]));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(22, epoll_pwait, 5);

static long try_epoll_pwait2(int32_t fd, va_t events, int32_t max, va_t timeout, va_t mask)
{
    return mask || timeout ? syscall_go_async() : try_wait(fd, events, max, -1);
}

ASYNC_SYSCALL(sys_epoll_pwait2, int64_t ns; long r;)
{
    ASYNC_BEGIN(sys_epoll_pwait2);
    AWAIT(f->r, timeout_arg, f->a[3], &f->ns);
    if (f->r >= 0)
        AWAIT(f->r, wait_call, ALL_OF(f->a), f->ns);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(441, epoll_pwait2, 5);
