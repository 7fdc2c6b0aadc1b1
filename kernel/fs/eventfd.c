// SPDX-License-Identifier: MIT
// eventfd(2): a counter that is waited for while it is 0, and added to until it is full.
//
// As with pipes one reader is woken at a time and passes the wake on when it leaves something for others.
// The tries serve what need not wait, from the trap path.
#include "fs/eventfd.h"
#include "async/wait_look.h"
#include "fs/anon.h"
#include "fs/light.h"
#include "fs/poll.h"
#include "fs/proc.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/thread.h"

enum { EFD_SEMAPHORE = 1 };
#define EVENTFD_MAX (UINT64_MAX - 1) // the counter's largest value

struct eventfd {
    struct spinlock lock;
    bool semaphore; // a read takes 1, not all
    uint32_t id;    // for who looks
    uint64_t count;
    struct waitq readable, writable, pollers;
};

static uint32_t last_id;

static inline struct eventfd *eventfd_of(const struct file *file)
{
    return file->priv;
}

static uint32_t eventfd_poll(struct file *file, struct poll_list *pl)
{
    struct eventfd *e = eventfd_of(file);
    spin_lock(&e->lock);
    if (pl)
        poll_add(pl, &e->lock, &e->pollers, POLL_ANY);
    uint32_t mask = (e->count ? POLLIN : 0) | (e->count < EVENTFD_MAX ? POLLOUT : 0);
    spin_unlock(&e->lock);
    return mask;
}

// ---- lock held

static inline uint64_t next_value(const struct eventfd *e)
{
    return e->semaphore ? 1 : e->count;
}

static inline void take(struct eventfd *e)
{
    e->count -= next_value(e);
    if (unlikely(!waitq_empty(&e->writable)))
        waitq_wake_all(&e->writable); // what does not fit for one may fit for another
    poll_wake(&e->pollers, POLLOUT);
}

static inline bool fits(const struct eventfd *e, uint64_t n)
{
    return n <= EVENTFD_MAX - e->count;
}

static inline void add(struct eventfd *e, uint64_t n)
{
    e->count += n;
    if (e->count && !waitq_empty(&e->readable))
        waitq_wake_one(&e->readable);
    poll_wake(&e->pollers, POLLIN);
}

// The reader has taken; what is left is the next one's.
static inline void pass_on(struct eventfd *e, struct waiter *w)
{
    waitq_remove(&e->readable, w);
    if (unlikely(e->count && !waitq_empty(&e->readable)))
        waitq_wake_one(&e->readable);
}

// ---- plain

static inline __attribute__((always_inline)) long take_out(struct eventfd *e, va_t va)
{
    uint64_t n = next_value(e);
    long r = user_copy_out(thread_current()->space, va, &n, sizeof n);
    if (unlikely(r != 0))
        return r;
    take(e);
    return sizeof n;
}

// Lock held: what a call returns that would have to wait, 1: it does.
static inline long would_wait(const struct file *file, const struct task *t)
{
    return file->flags & O_NONBLOCK ? -EAGAIN : task_interrupted(t) ? -ERESTARTSYS : 1;
}

LIGHT_WAIT(eventfd_readable, "eventfd readable");

static long eventfd_readable(struct thread *th, bool leave)
{
    struct light_file *lf = LIGHT_STATE(th, struct light_file);
    struct eventfd *e = eventfd_of(lf->file);
    spin_lock(&e->lock);
    bool take =
        likely(e->count) && likely(!task_killed(&th->task)); // who is to end leaves it to the next
    long r = take ? take_out(e, th->tf.x[11]) : would_wait(lf->file, &th->task);
    if (unlikely(r == 1)) {
        if (!leave) {
            r = light_file_again(th, lf, &e->readable);
            spin_unlock(&e->lock);
            return r;
        }
        r = -ERETRY;
    }
    pass_on(e, &lf->w);
    spin_unlock(&e->lock);
    return light_file_end(lf, r, leave);
}

static long eventfd_try_read(struct file *file, va_t va, size_t len, uint64_t pos)
{
    struct eventfd *e = eventfd_of(file);
    struct thread *th = thread_current();
    (void)pos;
    if (unlikely(len < sizeof e->count))
        return -EINVAL;
    spin_lock(&e->lock);
    long r = e->count ? take_out(e, va) : would_wait(file, &th->task);
    if (r == 1)
        r = light_file_begin(th, LIGHT_STATE(th, struct light_file), file, &e->readable,
                             &eventfd_readable_wait);
    spin_unlock(&e->lock);
    return r;
}

static long eventfd_try_write(struct file *file, va_t va, size_t len, uint64_t pos)
{
    struct eventfd *e = eventfd_of(file);
    uint64_t n;
    (void)pos;
    if (unlikely(len != sizeof n))
        return -EINVAL;
    long r = user_copy_in(thread_current()->space, &n, va, sizeof n);
    if (unlikely(r != 0))
        return r;
    if (unlikely(n == UINT64_MAX))
        return -EINVAL;
    spin_lock(&e->lock);
    if (likely(fits(e, n)))
        add(e, n);
    else
        r = syscall_go_async();
    spin_unlock(&e->lock);
    return r ? r : (long)sizeof n;
}

// ---- async: what the tries leave, and vectors. A value that cannot be copied out is lost, as in Linux.

ASYNC_IMPL(eventfd_read, file_read, struct waiter w; struct eventfd * e; uint64_t value; long r;)
{
    ASYNC_BEGIN(eventfd_read);
    f->e = eventfd_of(f->file);
    waiter_init(&f->w);
    if (f->buf->left < sizeof f->value)
        ASYNC_RETURN(-EINVAL);
    spin_lock(&f->e->lock);
    while (f->e->count == 0) {
        f->r = would_wait(f->file, t);
        if (f->r != 1) {
            spin_unlock(&f->e->lock);
            ASYNC_RETURN(f->r);
        }
        waitq_add(&f->e->readable, &f->w, t);
        spin_unlock(&f->e->lock);
        SUSPEND("eventfd readable");
        spin_lock(&f->e->lock);
    }
    f->value = next_value(f->e);
    take(f->e);
    pass_on(f->e, &f->w);
    spin_unlock(&f->e->lock);
    AWAIT(f->r, iobuf_out_all, f->buf, &f->value, sizeof f->value);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->e->lock, &f->e->readable, &f->w);
    ASYNC_END;
}

ASYNC_DECL(eventfd_write_one, struct file *file; struct iobuf *buf;);
ASYNC(eventfd_write_one, struct waiter w; struct eventfd * e; uint64_t value; long r;)
{
    ASYNC_BEGIN(eventfd_write_one);
    f->e = eventfd_of(f->file);
    waiter_init(&f->w);
    if (f->buf->range != sizeof f->value)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, iobuf_in_all, f->buf, &f->value, sizeof f->value);
    if (f->r != sizeof f->value)
        ASYNC_RETURN(f->r < 0 ? f->r : -EFAULT); // a part of it is none
    if (f->value == UINT64_MAX)
        ASYNC_RETURN(-EINVAL);
    spin_lock(&f->e->lock);
    while (!fits(f->e, f->value)) {
        f->r = would_wait(f->file, t);
        if (f->r != 1) {
            spin_unlock(&f->e->lock);
            ASYNC_RETURN(f->r);
        }
        waitq_add(&f->e->writable, &f->w, t);
        spin_unlock(&f->e->lock);
        SUSPEND("eventfd writable");
        spin_lock(&f->e->lock);
    }
    add(f->e, f->value);
    waitq_remove(&f->e->writable, &f->w);
    spin_unlock(&f->e->lock);
    ASYNC_RETURN(sizeof f->value);
    ASYNC_FINALLY;
    waiter_finish(&f->e->lock, &f->e->writable, &f->w);
    ASYNC_END;
}

// A vector is as many writes, up to the first that fails.
ASYNC_IMPL(eventfd_write, file_write, long written; long r;)
{
    ASYNC_BEGIN(eventfd_write);
    f->written = 0;
    do {
        AWAIT(f->r, eventfd_write_one, f->file, f->buf);
        if (f->r < 0)
            break;
        f->written += f->r;
    } while (f->buf->left);
    ASYNC_RETURN(f->written ? f->written : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void eventfd_release(struct file *file)
{
    kfree(file->priv);
}

static void eventfd_show(struct file *file, struct text *out)
{
    struct eventfd *e = eventfd_of(file);
    text_printf(out, "eventfd-count: %16lx\neventfd-id: %u\neventfd-semaphore: %d\n",
                (unsigned long)load_relaxed(&e->count), (unsigned)e->id, e->semaphore);
}

static const struct file_ops eventfd_ops = {
    .read = &eventfd_read_fn,
    .write = &eventfd_write_fn,
    .try_read = eventfd_try_read,
    .try_write = eventfd_try_write,
    .poll = eventfd_poll,
    .release = eventfd_release,
    .seek = file_seek_nowhere,
    .show = eventfd_show,
    .flags = FILE_OPS_STREAM,
    .name = "[eventfd]",
};

bool file_is_eventfd(const struct file *file)
{
    return file->ops == &eventfd_ops;
}

void eventfd_signal(struct file *file)
{
    struct eventfd *e = eventfd_of(file);
    spin_lock(&e->lock);
    if (fits(e, 1))
        add(e, 1);
    spin_unlock(&e->lock);
}

long sys_eventfd2(uint32_t count, uint32_t flags)
{
    if (flags & ~(uint32_t)(EFD_SEMAPHORE | O_NONBLOCK | O_CLOEXEC))
        return -EINVAL;
    struct eventfd *e = kmalloc(sizeof *e);
    if (!e)
        return -ENOMEM;
    *e = (struct eventfd){
        .count = count, .semaphore = flags & EFD_SEMAPHORE, .id = atomic_add32(&last_id, 1)};
    spin_init(&e->lock, "eventfd");
    waitq_init(&e->readable);
    waitq_init(&e->writable);
    waitq_init(&e->pollers);
    long fd = anon_open(&eventfd_ops, e, flags);
    if (fd < 0)
        kfree(e);
    return fd;
}
SYSCALL(19, eventfd2, 2);

static void look(struct eventfd *e, const struct waiter *w, struct wait_view *v)
{
    v->object = e;
    spin_lock(&e->lock);
    wait_view_all(v, w, false);
    spin_unlock(&e->lock);
}

WAIT_LOOK(eventfd_read)
{
    const struct eventfd_read_frame *f = frame;
    v->kind = "count of an eventfd";
    look(f->e, &f->w, v);
}

WAIT_LOOK(eventfd_write_one)
{
    const struct eventfd_write_one_frame *f = frame;
    v->kind = "room in an eventfd";
    look(f->e, &f->w, v);
}

WAIT_LOOK_LIGHT(eventfd_readable)
{
    const struct light_file *lf = LIGHT_STATE((struct thread *)frame, struct light_file);
    v->kind = "count of an eventfd";
    look(eventfd_of(lf->file), &lf->w, v);
}
