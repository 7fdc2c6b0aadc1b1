// SPDX-License-Identifier: MIT
// io_uring_setup, io_uring_enter, io_uring_register.
//
// What does nothing is submitted and completed from the trap path, in one go under the ring's lock. The async handler of enter
// goes on where that had to stop, and waits.
#include "async/timer.h"
#include "fs/anon.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/fs_wait.h"
#include "syscall/syscall.h"
#include "syscall/uring_op.h"
#include "task/thread.h"

// ---- setup

enum {
    SETUP_KNOWN = SETUP_CQSIZE | SETUP_CLAMP | SETUP_R_DISABLED | SETUP_SUBMIT_ALL |
                  SETUP_COOP_TASKRUN | SETUP_TASKRUN_FLAG | SETUP_SINGLE_ISSUER |
                  SETUP_DEFER_TASKRUN | SETUP_NO_SQARRAY,
};

// Completions are written by whoever has one, so the flags that say when they may come change nothing.
static int check_setup(const struct uring_params *p)
{
    if (p->resv[0] || p->resv[1] || p->resv[2] || (p->flags & ~(uint32_t)SETUP_KNOWN))
        return -EINVAL;
    if ((p->flags & SETUP_DEFER_TASKRUN) && !(p->flags & SETUP_SINGLE_ISSUER))
        return -EINVAL;
    if ((p->flags & SETUP_TASKRUN_FLAG) && !(p->flags & (SETUP_COOP_TASKRUN | SETUP_DEFER_TASKRUN)))
        return -EINVAL;
    return 0;
}

// Its number is given last: nobody else can have used it, or closed it, when the call fails.
ASYNC_SYSCALL(sys_io_uring_setup, struct uring_params p; struct file * file; long r;)
{
    ASYNC_BEGIN(sys_io_uring_setup);
    f->file = NULL;
    AWAIT(f->r, user_read, t->thread->space, &f->p, f->a[1], sizeof f->p);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->p.sq_entries = (uint32_t)f->a[0];
    if ((f->r = check_setup(&f->p)) || (f->r = uring_new(&f->p, &f->file)))
        ASYNC_RETURN(f->r);
    AWAIT(f->r, user_write, t->thread->space, f->a[1], &f->p, sizeof f->p);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->r = fd_install(t->thread->files, f->file, 0, t->thread->process->rlimit[RLIMIT_NOFILE].cur,
                      O_CLOEXEC);
    if (f->r >= 0)
        f->file = NULL;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(425, io_uring_setup, 2);

// ---- enter

enum {
    ENTER_KNOWN =
        ENTER_GETEVENTS | ENTER_SQ_WAKEUP | ENTER_SQ_WAIT | ENTER_EXT_ARG | ENTER_ABS_TIMER
};
enum {
    PLAIN_MOST = 512,
    POLL_NS = 50000
}; // submissions with interrupts off; how long a poll submits

struct entered { // what the plain part did, for the async one
    uint32_t submitted;
};

static struct uring *uring_borrow(uint64_t fd, long *error, struct file **file, bool *referenced)
{
    *file =
        anon_borrow(thread_current()->files, fd, &uring_file_ops, -EOPNOTSUPP, error, referenced);
    return *file ? uring_of(*file) : NULL;
}

// Everything at once, or as much as needs no thought: then the async handler goes on.
static long enter_plain(struct uring *u, uint32_t want, uint32_t wait)
{
    struct entered *done = LIGHT_STATE(thread_current(), struct entered);
    bool over = false;
    done->submitted = 0;
    spin_lock(&u->lock);
    if (likely(uring_is_plain(u))) {
        uint32_t all = uring_submitted(u), most = want < all ? want : all;
        if (likely(most <= PLAIN_MOST && uring_has_room(u, most)))
            done->submitted = uring_take_nops(u, most);
        if (wait > u->cq_mask + 1)
            wait = u->cq_mask + 1;
        over = done->submitted == most && list_empty(&u->overflow) &&
               (most < want || uring_ready(u) >= wait);
    }
    spin_unlock(&u->lock);
    return likely(over) ? (long)done->submitted : syscall_go_async();
}

static long try_io_uring_enter(uint64_t fd, uint32_t submit, uint32_t wait, uint32_t flags,
                               va_t arg, size_t size)
{
    struct file *file;
    bool referenced;
    long r;
    (void)size;
    if (unlikely(flags & ~(uint32_t)ENTER_KNOWN))
        return -EINVAL;
    struct uring *u = uring_borrow(fd, &r, &file, &referenced);
    if (unlikely(!u))
        return r;
    if (likely(!(flags & ~(uint32_t)ENTER_GETEVENTS) && !arg)) {
        r = enter_plain(u, submit, flags & ENTER_GETEVENTS ? wait : 0);
    } else {
        LIGHT_STATE(thread_current(), struct entered)->submitted = 0;
        r = syscall_go_async();
    }
    fd_unborrow(file, referenced);
    return r;
}

static bool too_long(const struct task *t)
{
    return time_ticks() - t->since > ns_to_ticks(POLL_NS);
}

// Takes up to `want` submissions: how many (*count; one of them may have been refused); negative if it was none.
ASYNC_DECL(enter_submit, struct uring *u; uint32_t want; uint32_t *count;);
ASYNC(enter_submit, struct uring_chain chain; uint32_t left; long r;)
{
    ASYNC_BEGIN(enter_submit);
    f->chain = (struct uring_chain){0};
    AWAIT(f->r, mutex_lock, &f->u->submit, false);
    if (f->u->flags & SETUP_SINGLE_ISSUER) {
        if (!f->u->issuer)
            f->u->issuer = t->thread;
        else if (f->u->issuer != t->thread)
            ASYNC_RETURN(-EEXIST);
    }
    // Who took nops without the mutex has taken them by now, or sees who holds it.
    spin_lock(&f->u->lock);
    f->left = uring_submitted(f->u);
    spin_unlock(&f->u->lock);
    f->left = f->left < f->want ? f->left : f->want;
    for (f->r = 0; f->left; f->left--) {
        f->r = f->u->kept > f->u->cq_mask || f->u->kept > URING_KEPT_MOST
                   ? -EBUSY
                   : uring_take(f->u, &f->chain);
        if (f->r < 0)
            break;
        ++*f->count;
        if (f->r && !(f->u->flags & SETUP_SUBMIT_ALL))
            break;
        if (too_long(t))
            YIELD();
    }
    if (f->chain.head)
        uring_start(f->u, &f->chain);
    ASYNC_RETURN(f->r == -EAGAIN || f->r == -EBUSY ? f->r : 0);
    ASYNC_FINALLY;
    uring_chain_free(f->u, &f->chain);
    if (mutex_held(&f->u->submit, t))
        mutex_unlock(&f->u->submit, t);
    ASYNC_END;
}

// Until there are `wait` completions. 0, or -EINTR.
ASYNC_DECL(enter_sleep, struct uring *u; uint32_t wait;);
ASYNC(enter_sleep, struct waiter w;)
{
    ASYNC_BEGIN(enter_sleep);
    waiter_init(&f->w);
    for (;;) {
        while (uring_flush(f->u) && uring_ready(f->u) < f->wait)
            if (too_long(t))
                YIELD();
        spin_lock(&f->u->lock);
        if (uring_ready(f->u) >= f->wait)
            break;
        waitq_add(&f->u->waiters, &f->w, t);
        spin_unlock(&f->u->lock);
        if (task_interrupted(t))
            ASYNC_RETURN(-EINTR);
        SUSPEND("completions");
    }
    spin_unlock(&f->u->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->u->lock, &f->u->waiters, &f->w);
    ASYNC_END;
}

struct enter_wait {
    uint32_t flags;
    va_t mask;
    uint64_t mask_size;
    va_t timeout;
};

static uint64_t time_left(const struct timespec_k *ts, bool absolute)
{
    const int64_t most = INT64_MAX / 4000000000;
    int64_t sec = ts->sec < -most ? -most : ts->sec > most ? most : ts->sec;
    int64_t nsec = ts->nsec < -most ? -most : ts->nsec > most ? most : ts->nsec;
    int64_t ns = sec * 1000000000 + nsec - (absolute ? (int64_t)clock_monotonic_ns() : 0);
    return ns > 0 ? (uint64_t)ns : 0;
}

// Any completion that is there at the end makes it a success.
ASYNC_DECL(enter_wait, struct uring *u; uint32_t wait; struct enter_wait how;);
ASYNC(enter_wait, struct deadline d; struct timespec_k ts; uint64_t ns; sigset mask; bool masked;
      long r;)
{
    ASYNC_BEGIN(enter_wait);
    f->ns = UINT64_MAX;
    f->r = 0;
    if (f->how.timeout) {
        AWAIT(f->r, user_read, t->thread->space, &f->ts, f->how.timeout, sizeof f->ts);
        f->ns = time_left(&f->ts, f->how.flags & ENTER_ABS_TIMER);
    }
    while (uring_flush(f->u))
        if (too_long(t))
            YIELD();
    if (f->r < 0 || uring_ready(f->u) >= f->wait)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mask_arg, f->how.mask, f->how.mask_size, &f->mask, &f->masked);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->masked)
        wait_mask_set(t->thread, f->mask);
    if (f->ns == UINT64_MAX)
        AWAIT(f->r, enter_sleep, f->u, f->wait);
    else
        AWAIT_WITHIN(f->r, &f->d, f->ns, enter_sleep, f->u, f->wait);
    if (f->r == -ETIMEDOUT)
        f->r = -ETIME;
    if (f->masked)
        wait_mask_back(t->thread, f->r == -EINTR);
    ASYNC_RETURN(uring_ready(f->u) ? 0 : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// The last two arguments: a signal mask and its size, or a struct that has these and a timeout.
ASYNC_DECL(enter_argument, uint32_t flags; va_t arg; uint64_t size; struct enter_wait *out;);
ASYNC(enter_argument, struct uring_getevents ext; long r;)
{
    ASYNC_BEGIN(enter_argument);
    *f->out = (struct enter_wait){f->flags, f->arg, f->size, 0};
    if (!(f->flags & ENTER_EXT_ARG))
        ASYNC_RETURN(0);
    if (f->size != sizeof f->ext)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, user_read, t->thread->space, &f->ext, f->arg, sizeof f->ext);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    *f->out = (struct enter_wait){f->flags, f->ext.sigmask, f->ext.sigmask_size, f->ext.ts};
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_SYSCALL(sys_io_uring_enter, struct file *file; struct uring * u; uint32_t count;
              uint32_t want; uint32_t wait; struct enter_wait how; long r;)
{
    ASYNC_BEGIN(sys_io_uring_enter);
    f->count = LIGHT_STATE(t->thread, struct entered)->submitted;
    f->want = (uint32_t)f->a[1];
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file || f->file->ops != &uring_file_ops) // another thread has changed it
        ASYNC_RETURN(f->count  ? (long)f->count
                     : f->file ? -EOPNOTSUPP
                               : -EBADF); // another thread changed it
    f->u = uring_of(f->file);
    if (f->u->flags & SETUP_R_DISABLED)
        ASYNC_RETURN(-EBADFD);
    f->r = 0;
    if (f->count < f->want)
        AWAIT(f->r, enter_submit, f->u, f->want - f->count, &f->count);
    if (f->count < f->want || f->r < 0 || !(f->a[3] & ENTER_GETEVENTS))
        ASYNC_RETURN(f->count ? (long)f->count : f->r);
    f->wait = (uint32_t)f->a[2] < f->u->cq_mask + 1 ? (uint32_t)f->a[2] : f->u->cq_mask + 1;
    AWAIT(f->r, enter_argument, (uint32_t)f->a[3], f->a[4], f->a[5], &f->how);
    if (f->r == 0)
        AWAIT(f->r, enter_wait, f->u, f->wait, f->how);
    ASYNC_RETURN(f->count ? (long)f->count : f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_TRY(426, io_uring_enter, 6);
