// SPDX-License-Identifier: MIT
// ppoll and pselect6: waiting for one of several files, for a signal, or for time to pass.
//
// One core polls an array of pollfd. A round without waiting registers nowhere; otherwise each file
// gets a waiter first and is asked afterwards (fs/poll.h), so that no change falls between.
#include "async/timer.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/fs_wait.h"
#include "syscall/syscall.h"
#include "task/thread.h"

enum { POLL_ALWAYS = POLLERR | POLLHUP | POLLNVAL, YIELD_EVERY = 256 };
enum { POLL_DEFAULT = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM };

// ---- the core

struct poll_set {
    struct pollfd_k *fds;
    uint32_t n;
    struct file **files; // referenced while waiters are registered
    struct poll_list list;
};

static uint32_t ask(struct file *file, struct poll_list *list)
{
    if (unlikely(file->flags & O_PATH))
        return POLLNVAL;
    return file->ops->poll ? file->ops->poll(file, list) : POLL_DEFAULT;
}

static uint32_t poll_one(struct poll_set *set, uint32_t i, struct fd_table *table, bool waiting)
{
    struct pollfd_k *p = &set->fds[i];
    uint32_t mask = POLLNVAL;
    if (p->fd < 0)
        return 0;
    if (waiting) {
        set->list.events = (uint16_t)p->events | POLL_ALWAYS;
        if (!set->files[i])
            set->files[i] = fd_get(table, p->fd);
        if (set->files[i])
            mask = ask(set->files[i], &set->list);
    } else {
        bool referenced;
        struct file *file = fd_borrow(table, (uint32_t)p->fd, &referenced);
        if (file) {
            mask = ask(file, NULL);
            fd_unborrow(file, referenced);
        }
    }
    return mask & ((uint16_t)p->events | POLL_ALWAYS);
}

// Asks every file; how many are ready.
static long poll_round(struct poll_set *set, struct fd_table *table, bool waiting)
{
    long ready = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        uint32_t mask = poll_one(set, i, table, waiting && ready == 0);
        set->fds[i].revents = (int16_t)mask;
        ready += mask != 0;
    }
    return ready;
}

static void poll_unregister(struct poll_set *set)
{
    for (uint32_t i = 0; i < set->list.used; i++)
        poll_remove(&set->list.entry[i]);
    set->list.used = 0;
}

static void poll_set_free(struct poll_set *set)
{
    poll_unregister(set);
    for (uint32_t i = 0; set->files && i < set->n; i++)
        if (set->files[i])
            file_put(set->files[i]);
    kfree(set->files);
    kfree(set->list.entry);
}

static int poll_set_prepare(struct poll_set *set, struct task *t)
{
    set->files = kzalloc((set->n + 1) * sizeof *set->files);
    set->list.entry = kmalloc((set->n + 1) * sizeof *set->list.entry);
    set->list.max = set->n;
    set->list.task = t;
    return set->files && set->list.entry ? 0 : -ENOMEM;
}

ASYNC_DECL(poll_sleep, const struct poll_list *list;);
ASYNC(poll_sleep, )
{
    ASYNC_BEGIN(poll_sleep);
    if (task_interrupted(t))
        ASYNC_RETURN(-EINTR);
    if (!poll_told(f->list))
        SUSPEND("one of several files");
    ASYNC_RETURN(task_interrupted(t) ? -EINTR : 0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// timeout_ns: 0 do not wait, < 0 no limit. How many are ready, or -EINTR.
ASYNC_DECL(poll_core, struct pollfd_k *fds; uint32_t n; int64_t timeout_ns;);
ASYNC(poll_core, struct poll_set set; struct deadline d; uint64_t end; uint64_t now; long ready;
      long r;)
{
    ASYNC_BEGIN(poll_core);
    f->set = (struct poll_set){.fds = f->fds, .n = f->n};
    f->end = clock_monotonic_ns() + (uint64_t)f->timeout_ns;
    f->ready = poll_round(&f->set, t->thread->files, false);
    if (f->ready || f->timeout_ns == 0)
        ASYNC_RETURN(f->ready);
    f->r = poll_set_prepare(&f->set, t);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    for (;;) {
        f->ready = poll_round(&f->set, t->thread->files, true);
        if (f->ready)
            ASYNC_RETURN(f->ready);
        f->now = clock_monotonic_ns();
        if (f->timeout_ns > 0 && f->now >= f->end)
            ASYNC_RETURN(0);
        if (f->timeout_ns < 0)
            AWAIT(f->r, poll_sleep, &f->set.list);
        else
            AWAIT_WITHIN(f->r, &f->d, f->end - f->now, poll_sleep, &f->set.list);
        if (f->r == -EINTR)
            ASYNC_RETURN(-EINTR);
        poll_unregister(&f->set);
    }
    ASYNC_FINALLY;
    poll_set_free(&f->set);
    ASYNC_END;
}

// ---- what both calls share

// What is left goes back, as Linux does it, and a restarted call goes on with it; a bad pointer there is
// no error any more, only the end of an interrupted call.
ASYNC_DECL(timeout_back, va_t va; int64_t ns; uint64_t start;);
ASYNC(timeout_back, struct timespec_k ts; long r;)
{
    ASYNC_BEGIN(timeout_back);
    if (f->va && f->ns >= 0) {
        f->ns -= (int64_t)(clock_monotonic_ns() - f->start);
        if (f->ns < 0)
            f->ns = 0;
        f->ts = (struct timespec_k){f->ns / 1000000000, f->ns % 1000000000};
        AWAIT(f->r, user_write, t->thread->space, f->va, &f->ts, sizeof f->ts);
        ASYNC_RETURN(f->r);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// The core under a temporary signal mask.
ASYNC_DECL(poll_masked, struct pollfd_k *fds; uint32_t n; int64_t ns; bool masked; sigset mask;);
ASYNC(poll_masked, struct thread *th; long r;)
{
    ASYNC_BEGIN(poll_masked);
    f->th = t->thread;
    if (f->masked)
        wait_mask_set(f->th, f->mask);
    AWAIT(f->r, poll_core, f->fds, f->n, f->ns);
    if (f->masked)
        wait_mask_back(f->th, f->r == -EINTR);
    ASYNC_RETURN(f->r == -EINTR ? -ERESTARTNOHAND : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- ppoll

ASYNC_SYSCALL(sys_ppoll, struct pollfd_k *fds; uint32_t n; int64_t ns; uint64_t start; sigset mask;
              bool masked; long r; long w;)
{
    ASYNC_BEGIN(sys_ppoll);
    f->fds = NULL;
    f->n = (uint32_t)f->a[1];
    f->start = clock_monotonic_ns();
    AWAIT(f->r, timeout_arg, f->a[2], &f->ns);
    if (f->r >= 0)
        AWAIT(f->r, mask_arg, f->a[3], f->a[4], &f->mask, &f->masked);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->n > t->thread->process->rlimit[RLIMIT_NOFILE].cur)
        ASYNC_RETURN(-EINVAL);
    f->fds = kmalloc((f->n + 1) * sizeof *f->fds);
    if (!f->fds)
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, user_read, t->thread->space, f->fds, f->a[0], f->n * sizeof *f->fds);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, poll_masked, f->fds, f->n, f->ns, f->masked, f->mask);
    if (f->r >= 0) {
        AWAIT(f->w, user_write, t->thread->space, f->a[0], f->fds, f->n * sizeof *f->fds);
        if (f->w < 0)
            ASYNC_RETURN(f->w);
    }
    if (f->a[2])
        AWAIT(f->w, timeout_back, f->a[2], f->ns, f->start);
    ASYNC_RETURN(f->r == -ERESTARTNOHAND && f->a[2] && f->w < 0 ? -EINTR : f->r);
    ASYNC_FINALLY;
    kfree(f->fds);
    ASYNC_END;
}
SYSCALL_ASYNC(73, ppoll, 5);

// ---- pselect6

enum { SELECT_SETS = 3, SELECT_MAX = 65536 };
static const uint16_t select_events[SELECT_SETS] = {POLLIN | POLLRDNORM, POLLOUT | POLLWRNORM,
                                                    POLLPRI};
static const uint16_t select_ready[SELECT_SETS] = {POLLIN | POLLRDNORM | POLLHUP | POLLERR,
                                                   POLLOUT | POLLWRNORM | POLLERR, POLLPRI};

struct select {
    uint32_t nfds, bytes;       // bytes of one bit map, a multiple of 8
    uint64_t *map[SELECT_SETS]; // in one block, map[0] owns it; zeroed when not given
    struct pollfd_k *fds;
    uint32_t n;
};

static bool bit(const uint64_t *map, uint32_t i)
{
    return map[i / 64] >> (i % 64) & 1;
}

static int select_prepare(struct select *s)
{
    s->bytes = (s->nfds + 63) / 64 * 8;
    s->map[0] = kzalloc(SELECT_SETS * s->bytes + 8);
    if (!s->map[0])
        return -ENOMEM;
    s->map[1] = s->map[0] + s->bytes / 8;
    s->map[2] = s->map[1] + s->bytes / 8;
    return 0;
}

// One pollfd per descriptor that is in some set. -EBADF when one of them is not open.
static int select_to_poll(struct select *s, struct fd_table *table)
{
    for (uint32_t i = 0; i < s->nfds; i++)
        s->n += bit(s->map[0], i) || bit(s->map[1], i) || bit(s->map[2], i);
    s->fds = kzalloc((s->n + 1) * sizeof *s->fds);
    if (!s->fds)
        return -ENOMEM;
    s->n = 0;
    for (uint32_t i = 0; i < s->nfds; i++) {
        uint16_t events = 0;
        for (int k = 0; k < SELECT_SETS; k++)
            events |= bit(s->map[k], i) ? select_events[k] : 0;
        if (!events)
            continue;
        if (fd_get_cloexec(table, (int32_t)i) < 0)
            return -EBADF;
        s->fds[s->n++] = (struct pollfd_k){.fd = (int32_t)i, .events = (int16_t)events};
    }
    return 0;
}

// The maps become the result; how many bits are set.
static long select_from_poll(struct select *s)
{
    long count = 0;
    uint64_t *map = s->map[0];
    struct pollfd_k *p = s->fds;
    for (uint32_t i = 0; i < s->n; i++, p++)
        for (int k = 0; k < SELECT_SETS; k++) {
            uint64_t *word = map + (uint32_t)k * (s->bytes / 8) + (uint32_t)p->fd / 64;
            uint64_t mask = 1ull << (uint32_t)p->fd % 64;
            if (!(*word & mask))
                continue;
            if ((uint16_t)p->revents & select_ready[k])
                count++;
            else
                *word &= ~mask;
        }
    return count;
}

// The three maps in (out false) or back out.
ASYNC_DECL(select_copy, struct select *s; va_t va[SELECT_SETS]; bool out;);
ASYNC(select_copy, int i; long r;)
{
    ASYNC_BEGIN(select_copy);
    f->r = 0;
    for (f->i = 0; f->i < SELECT_SETS && f->r >= 0; f->i++) {
        if (!f->va[f->i])
            continue;
        if (f->out)
            AWAIT(f->r, user_write, t->thread->space, f->va[f->i], f->s->map[f->i],
                  (f->s->nfds + 7) / 8);
        else
            AWAIT(f->r, user_read, t->thread->space, f->s->map[f->i], f->va[f->i],
                  (f->s->nfds + 7) / 8);
    }
    // Bits beyond nfds in the last byte are not asked about.
    for (int k = 0; k < SELECT_SETS && !f->out && f->s->nfds % 64; k++)
        f->s->map[k][f->s->nfds / 64] &= (1ull << f->s->nfds % 64) - 1;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

struct sigmask_arg {
    uint64_t va, size;
};

ASYNC_SYSCALL(sys_pselect6, struct select s; struct sigmask_arg sig; int64_t ns; uint64_t start;
              sigset mask; bool masked; long r; long w;)
{
    ASYNC_BEGIN(sys_pselect6);
    f->s = (struct select){.nfds = (uint32_t)f->a[0]};
    f->sig = (struct sigmask_arg){0, 0};
    f->start = clock_monotonic_ns();
    if ((int32_t)f->a[0] < 0)
        ASYNC_RETURN(-EINVAL);
    if (f->s.nfds > SELECT_MAX)
        f->s.nfds = SELECT_MAX; // no descriptor is larger
    AWAIT(f->r, timeout_arg, f->a[4], &f->ns);
    if (f->r >= 0 && f->a[5])
        AWAIT(f->r, user_read, t->thread->space, &f->sig, f->a[5], sizeof f->sig);
    if (f->r >= 0)
        AWAIT(f->r, mask_arg, f->sig.va, f->sig.size, &f->mask, &f->masked);
    if (f->r >= 0)
        f->r = select_prepare(&f->s);
    if (f->r >= 0)
        AWAIT(f->r, select_copy, &f->s, {f->a[1], f->a[2], f->a[3]}, false);
    if (f->r >= 0)
        f->r = select_to_poll(&f->s, t->thread->files);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, poll_masked, f->s.fds, f->s.n, f->ns, f->masked, f->mask);
    if (f->r >= 0) {
        f->r = select_from_poll(&f->s);
        AWAIT(f->w, select_copy, &f->s, {f->a[1], f->a[2], f->a[3]}, true);
        if (f->w < 0)
            ASYNC_RETURN(f->w);
    }
    if (f->a[4])
        AWAIT(f->w, timeout_back, f->a[4], f->ns, f->start);
    ASYNC_RETURN(f->r == -ERESTARTNOHAND && f->a[4] && f->w < 0 ? -EINTR : f->r);
    ASYNC_FINALLY;
    kfree(f->s.map[0]);
    kfree(f->s.fds);
    ASYNC_END;
}
SYSCALL_ASYNC(72, pselect6, 6);
