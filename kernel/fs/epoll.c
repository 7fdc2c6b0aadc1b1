// SPDX-License-Identifier: MIT
// epoll(7). A watch is an entry in the poll queue of its file: a wake there puts it on the ready list of
// its epoll and wakes one who waits for that, with no task in between. Whoever takes from the list asks
// the file: what is not ready after all is dropped, and what is watched by level goes behind the others,
// to be asked again the next time. So a wait costs what is ready, not what is watched.
//
// A watch has no reference to its file, which takes its watches with it (epoll_forget, before anything of
// the file is taken down): while ep->lock is held and the watch is there, its file may be polled.
//
// Locks, outer to inner: ep->lock of the outer epoll -> of the inner one -> links_lock; ep->lock -> the
// file's own lock -> ready_lock of the inner epoll -> of the outer one. An epoll is in no circle, and at
// most EPOLL_DEPTH are in a row.
#include "fs/epoll_impl.h"
#include "fs/light.h"
#include "mem/user.h"
#include "task/thread.h"

bool epoll_make_ready(struct epoll *ep, struct watch *w, bool first)
{
    if (w->ready)
        return false;
    w->ready = true;
    ep->nready++;
    if (first)
        list_push_front(&ep->ready, &w->in_ready);
    else
        list_push_back(&ep->ready, &w->in_ready);
    return waitq_wake_one(&ep->waiters);
}

static struct watch *pop_ready(struct epoll *ep)
{
    spin_lock(&ep->ready_lock);
    struct list *it = list_pop_front(&ep->ready);
    struct watch *w = it ? list_entry(it, struct watch, in_ready) : NULL;
    if (w) {
        w->ready = false;
        ep->nready--;
    }
    spin_unlock(&ep->ready_lock);
    return w;
}

static void push_ready(struct epoll *ep, struct watch *w, bool first)
{
    spin_lock(&ep->ready_lock);
    epoll_make_ready(ep, w, first);
    spin_unlock(&ep->ready_lock);
}

// poll_entry.notify: the lock of the file's queue is held.
bool epoll_on_event(struct poll_entry *e, uint32_t events)
{
    struct watch *w = container_of(e, struct watch, entry);
    struct epoll *ep = w->ep;
    (void)events;
    spin_lock_nested(&ep->ready_lock);
    bool woke = epoll_make_ready(ep, w, false);
    poll_wake(&ep->pollers, POLLIN | POLLRDNORM); // also if it was: by edge that is news
    spin_unlock(&ep->ready_lock);
    return woke;
}

uint32_t epoll_ready_count(const struct epoll *ep)
{
    return load_relaxed(&ep->nready);
}

static inline uint32_t ask(const struct watch *w)
{
    return w->file->ops->poll(w->file, NULL) & w->events;
}

long epoll_take(struct epoll *ep, va_t out, uint32_t max, uint32_t *look_at)
{
    struct space *space = thread_current()->space;
    long n = 0, r = 0;
    spin_lock(&ep->lock);
    for (int i = 0; i < EPOLL_CHUNK && *look_at && n < max; i++) {
        struct watch *w = pop_ready(ep);
        uint32_t events = w ? ask(w) : 0;
        *look_at = w ? *look_at - 1 : 0;
        if (!events)
            continue;
        struct epoll_event_k ev = {events, 0, w->data};
        r = user_copy_out(space, out + (uint64_t)n * sizeof ev, &ev, sizeof ev);
        if (unlikely(r != 0)) {
            push_ready(ep, w, true);
            ++*look_at;
            break;
        }
        n++;
        if (w->events & EPOLLONESHOT) {
            w->events &= EPOLL_MODES;
            store_relaxed(&w->entry.w.key, 0);
        } else if (!(w->events & EPOLLET)) {
            push_ready(ep, w, false);
        }
    }
    spin_unlock(&ep->lock);
    return n ? n : r;
}

LIGHT_WAIT(epoll_ready, "one of the files of an epoll");

// What a wait without a limit has got: its events, -EINTR, or 0: it waits on. -ERETRY: more files than are looked at in one go.
static inline long get_events(struct thread *th, struct epoll *ep)
{
    uint32_t look_at = epoll_ready_count(ep);
    if (unlikely(look_at > EPOLL_CHUNK))
        return -ERETRY;
    if (unlikely(task_killed(&th->task)))
        return -EINTR; // and leaves what is ready to the next
    long r = look_at ? epoll_take(ep, th->tf.x[11], (uint32_t)th->tf.x[12], &look_at) : 0;
    return unlikely(!r) && task_interrupted(&th->task) ? -EINTR : r;
}

static long epoll_ready(struct thread *th, bool leave)
{
    struct light_file *lf = LIGHT_STATE(th, struct light_file);
    struct epoll *ep = epoll_of(lf->file);
    spin_lock(&ep->ready_lock);
    waitq_remove(&ep->waiters, &lf->w); // a grant goes to who takes at once
    spin_unlock(&ep->ready_lock);
    long r;
    while (!(r = get_events(th, ep))) {
        if (leave) {
            r = -ERETRY;
            break;
        }
        spin_lock(&ep->ready_lock);
        if (likely(!ep->nready))
            light_file_again(th, lf, &ep->waiters);
        spin_unlock(&ep->ready_lock);
        if (likely(th->task.local & LOCAL_WAIT))
            return 0;
    }
    if (unlikely(r == -EINTR)) {
        spin_lock(&ep->ready_lock);
        if (ep->nready)
            waitq_wake_one(&ep->waiters);
        spin_unlock(&ep->ready_lock);
    }
    return light_file_end(lf, r, leave);
}

long epoll_wait_light(struct file *file)
{
    struct thread *th = thread_current();
    struct epoll *ep = epoll_of(file);
    spin_lock(&ep->ready_lock);
    long r = unlikely(ep->nready) || unlikely(task_interrupted(&th->task))
                 ? syscall_go_async()
                 : light_file_begin(th, LIGHT_STATE(th, struct light_file), file, &ep->waiters,
                                    &epoll_ready_wait);
    spin_unlock(&ep->ready_lock);
    return r;
}

ASYNC(epoll_sleep, struct waiter w; long r;)
{
    ASYNC_BEGIN(epoll_sleep);
    waiter_init(&f->w);
    spin_lock(&f->ep->ready_lock);
    f->r = task_interrupted(t) ? -EINTR : 0;
    if (f->ep->nready || f->r) {
        spin_unlock(&f->ep->ready_lock);
        ASYNC_RETURN(f->ep->nready ? 0 : f->r);
    }
    waitq_add(&f->ep->waiters, &f->w, t);
    spin_unlock(&f->ep->ready_lock);
    SUSPEND("one of the files of an epoll");
    spin_lock(&f->ep->ready_lock);
    waitq_remove(&f->ep->waiters, &f->w); // a grant goes to the caller, who takes at once
    spin_unlock(&f->ep->ready_lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->ep->ready_lock, &f->ep->waiters, &f->w);
    ASYNC_END;
}

// Whether a file that it watches is ready. After so many that were not it may as well be said.
static uint32_t epoll_poll(struct file *file, struct poll_list *pl)
{
    struct epoll *ep = epoll_of(file);
    uint32_t mask = 0;
    spin_lock_nested(&ep->lock);
    if (pl) {
        spin_lock(&ep->ready_lock);
        poll_add(pl, &ep->ready_lock, &ep->pollers, POLL_ANY);
        spin_unlock(&ep->ready_lock);
    }
    for (int i = 0; i < EPOLL_CHUNK && !mask; i++) {
        struct watch *w = pop_ready(ep);
        if (!w)
            break;
        if (i == EPOLL_CHUNK - 1 || ask(w)) {
            push_ready(ep, w, true);
            mask = POLLIN | POLLRDNORM;
        }
    }
    spin_unlock(&ep->lock);
    return mask;
}

const struct file_ops epoll_ops = {
    .poll = epoll_poll,
    .release = epoll_release,
    .seek = file_seek_nowhere,
    .show = epoll_show,
    .flags = FILE_OPS_STREAM,
    .name = "[eventpoll]",
};
