// SPDX-License-Identifier: MIT
// Pipes: a ring of up to 16 pages, allocated as the writer reaches them.
//
// head and tail count bytes for ever; the page of a position is (position / 4096) mod 16. A page is
// given back when the reader leaves it behind, except one that the next writer will use. A write of
// up to PIPE_BUF bytes goes in whole or waits. One reader (writer) is woken at a time and passes
// the wake on when it leaves something for others; pollers are woken all.
//
// The plain tries serve everything that need not wait, from the trap path; user memory is copied
// under the pipe's lock, which the checked copies allow (they do not fault).
#include "async/wait_look.h"
#include "fs/light.h"
#include "fs/pipe_impl.h"
#include "mem/user.h"
#include "page/frame.h"
#include "syscall/syscall.h"
#include "task/thread.h"

// ---- the ring; lock held

static inline uint64_t page_index(uint64_t pos)
{
    return pos / PAGE_SIZE % PIPE_PAGES;
}

static inline uint64_t in_page(uint64_t pos)
{
    return PAGE_SIZE - pos % PAGE_SIZE;
}

static inline uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static cold bool add_page(struct pipe *p, uint64_t i)
{
    pa_t pa = frame_alloc(FRAME_USER);
    if (!pa)
        return false;
    p->page[i] = pa_to_kva(pa);
    return true;
}

// The reader has left page i behind: it becomes the writer's next one, or goes.
static cold void drop_page(struct pipe *p, uint64_t i)
{
    uint64_t next = page_index(p->head);
    if (next == i)
        return; // the writer has come round to it
    if (!p->page[next])
        p->page[next] = p->page[i];
    else
        frame_unref(kva_to_pa(p->page[i]));
    p->page[i] = NULL;
}

// Empty now: in the same page.
static inline void start_over(struct pipe *p)
{
    p->head = p->tail = (p->tail - 1) & ~(uint64_t)PAGE_MASK;
}

static inline void consume(struct pipe *p, uint64_t n)
{
    uint64_t left = in_page(p->tail), i = page_index(p->tail);
    p->tail += n;
    if (p->tail == p->head)
        start_over(p);
    else if (unlikely(n == left))
        drop_page(p, i);
}

// Is there room for a write that has `left` bytes to go? A small one must fit whole.
static inline bool has_room(const struct pipe *p, size_t left)
{
    uint64_t room = PIPE_BYTES - fill_of(p);
    return left <= PIPE_BUF ? room >= left : room > 0;
}

// ---- plain

// lock held, not empty: one run of bytes within a page. -ERETRY: they are in more than one page.
static inline __attribute__((always_inline)) long read_run(struct pipe *p, struct space *space,
                                                           va_t va, size_t len)
{
    uint64_t fill = fill_of(p), n = min(len, in_page(p->tail));
    if (unlikely(fill > n && n < len))
        return -ERETRY;
    n = min(n, fill);
    const char *from = p->page[page_index(p->tail)] + p->tail % PAGE_SIZE;
    long r = user_copy_out(space, va, from, n);
    if (unlikely(r != 0))
        return r;
    consume(p, n);
    pipe_wake_writers(p, n);
    return n;
}

// Lock held: all there is, if that is a few bytes within a page and no writer waits. Then there is nobody to tell: nothing is
// left for other readers, and pollers know of the room. 0: it takes more than that.
static inline __attribute__((always_inline)) size_t read_few(struct pipe *p, struct space *space,
                                                             va_t va, size_t len)
{
    uint64_t n = fill_of(p);
    char *from = p->page[page_index(p->tail)] + p->tail % PAGE_SIZE;
    if (unlikely(n - 1 >= USER_FEW || n > len || n > in_page(p->tail) ||
                 !waitq_empty(&p->writable)) ||
        unlikely(!user_put_few(space, va, from, n)))
        return 0;
    p->tail = p->head;
    start_over(p);
    return n;
}

// A reader of an empty pipe waits without a frame.
struct light_read {
    struct light_file at;
    struct pipe *pipe;
};
LIGHT_WAIT(pipe_readable, "pipe readable");

// Lock held: what a read of the empty pipe returns, 1: it waits.
static inline long read_empty(const struct pipe *p, const struct file *file, const struct task *t)
{
    return p->writers == 0            ? 0
           : file->flags & O_NONBLOCK ? -EAGAIN
           : task_interrupted(t)      ? -ERESTARTSYS
                                      : 1;
}

static __attribute__((noinline)) long readable_slow(struct thread *th, bool leave)
{
    struct light_read *lr = LIGHT_STATE(th, struct light_read);
    struct pipe *p = lr->pipe;
    long r;
    spin_lock(&p->lock);
    if (likely(fill_of(p) != 0)) {
        r = read_run(p, th->space, th->tf.x[11], th->tf.x[12]);
    } else if ((r = read_empty(p, lr->at.file, &th->task)) == 1) {
        if (!leave) {
            r = light_file_again(th, &lr->at, &p->readable);
            spin_unlock(&p->lock);
            return r;
        }
        r = -ERETRY;
    }
    waitq_remove(&p->readable, &lr->at.w);
    if (unlikely(fill_of(p) && !waitq_empty(&p->readable)))
        waitq_wake_one(&p->readable); // what is left is the next reader's
    spin_unlock(&p->lock);
    return light_file_end(&lr->at, r, leave);
}

static long pipe_readable(struct thread *th, bool leave)
{
    struct light_read *lr = LIGHT_STATE(th, struct light_read);
    struct pipe *p = lr->pipe;
    size_t n = 0;
    spin_lock(&p->lock);
    if (likely(!lr->at.w.queued && !lr->at.w.key))
        n = read_few(p, th->space, th->tf.x[11], th->tf.x[12]);
    spin_unlock(&p->lock);
    return likely(n != 0) ? (long)n : readable_slow(th, leave);
}

static __attribute__((noinline)) long read_now(struct pipe *p, va_t va, size_t len)
{
    spin_lock(&p->lock);
    long r = fill_of(p) ? read_run(p, thread_current()->space, va, len) : -ERETRY;
    spin_unlock(&p->lock);
    return likely(r != -ERETRY) ? r : syscall_go_async();
}

// It seemed empty.
static __attribute__((noinline)) long read_wait(struct file *file, struct pipe *p, va_t va,
                                                size_t len)
{
    struct thread *th = thread_current();
    struct light_read *lr = LIGHT_STATE(th, struct light_read);
    spin_lock(&p->lock);
    if (unlikely(fill_of(p) != 0)) {
        spin_unlock(&p->lock);
        return read_now(p, va, len);
    }
    lr->pipe = p;
    long r = read_empty(p, file, &th->task);
    if (likely(r == 1))
        r = light_file_begin(th, &lr->at, file, &p->readable, &pipe_readable_wait);
    spin_unlock(&p->lock);
    return r;
}

long pipe_try_read(struct file *file, va_t va, size_t len, uint64_t pos)
{
    struct pipe *p = pipe_of(file);
    (void)pos;
    if (unlikely(len == 0))
        return 0;
    // a glance; looked at again under the lock
    return load_relaxed(&p->head) == load_relaxed(&p->tail) ? read_wait(file, p, va, len)
                                                            : read_now(p, va, len);
}

static __attribute__((noinline)) long write_now(struct pipe *p, va_t va, size_t len)
{
    spin_lock(&p->lock);
    uint64_t i = page_index(p->head);
    long r = 1;
    if (likely(p->readers && len <= in_page(p->head) && has_room(p, len) &&
               (p->page[i] || add_page(p, i))))
        r = user_copy_in(thread_current()->space, p->page[i] + p->head % PAGE_SIZE, va, len);
    if (likely(r == 0)) {
        p->head += len;
        pipe_wake_readers(p);
        r = (long)len;
    } else if (r == 1) {
        r = syscall_go_async(); // no room, no reader, or more than one page
    }
    spin_unlock(&p->lock);
    return r;
}

// Lock held: a few bytes that leave room. False: it takes more than that.
static inline __attribute__((always_inline)) bool write_few(struct pipe *p, va_t va, size_t len)
{
    char *page = p->page[page_index(p->head)];
    if (unlikely(len - 1 >= USER_FEW || len > in_page(p->head) || fill_of(p) + len > PIPE_BYTES ||
                 !p->readers || !page) ||
        unlikely(!user_get_few(thread_current()->space, page + p->head % PAGE_SIZE, va, len)))
        return false;
    p->head += len;
    return true;
}

static __attribute__((noinline)) long tell_and_unlock(struct pipe *p, size_t written)
{
    pipe_wake_readers(p);
    spin_unlock(&p->lock);
    return (long)written;
}

long pipe_try_write(struct file *file, va_t va, size_t len, uint64_t pos)
{
    struct pipe *p = pipe_of(file);
    (void)pos;
    if (unlikely(len == 0))
        return 0;
    spin_lock(&p->lock);
    if (likely(write_few(p, va, len)))
        return tell_and_unlock(p, len);
    spin_unlock(&p->lock);
    return write_now(p, va, len);
}

// ---- async

// These move what can be moved now, a page of the ring after the other, and of each all or, as in
// Linux, nothing: where the user's memory cuts a copy short buf stays before that page, *stop stands at
// the address that stopped it. Bytes, or -ECOMMIT / -EFAULT when nothing moved.
static long read_some(struct pipe *p, struct iobuf *buf, struct iobuf *stop)
{
    long moved = 0;
    while (buf->left && fill_of(p)) {
        uint64_t n = min(min(fill_of(p), in_page(p->tail)), buf->left);
        struct iobuf before = *buf;
        long r = iobuf_out(buf, p->page[page_index(p->tail)] + p->tail % PAGE_SIZE, n);
        if (unlikely(r != (long)n)) {
            *stop = *buf;
            *buf = before;
            return moved ? moved : r < 0 ? r : -ECOMMIT;
        }
        consume(p, n);
        moved += r;
    }
    return moved;
}

static long write_some(struct pipe *p, struct iobuf *buf, struct iobuf *stop)
{
    long moved = 0;
    while (buf->left && fill_of(p) < PIPE_BYTES) {
        uint64_t i = page_index(p->head);
        if (!p->page[i] && !add_page(p, i))
            return moved ? moved : -ENOMEM;
        uint64_t n = min(min(PIPE_BYTES - fill_of(p), in_page(p->head)), buf->left);
        struct iobuf before = *buf;
        long r = iobuf_in(buf, p->page[i] + p->head % PAGE_SIZE, n);
        if (unlikely(r != (long)n)) {
            *stop = *buf;
            *buf = before;
            return moved ? moved : r < 0 ? r : -ECOMMIT;
        }
        p->head += n;
        moved += r;
    }
    return moved;
}

// What an absent page of the user's cuts short goes on once it is there.
ASYNC_IMPL(pipe_read, file_read, struct waiter w; struct iobuf stop; struct pipe *p; long moved;
           long r;)
{
    ASYNC_BEGIN(pipe_read);
    f->p = pipe_of(f->file);
    f->moved = 0;
    waiter_init(&f->w);
    if (f->buf->left == 0)
        ASYNC_RETURN(0);
    spin_lock(&f->p->lock);
    for (;;) {
        while (fill_of(f->p) == 0 && !f->moved) {
            f->r = f->p->writers == 0            ? 0
                   : f->file->flags & O_NONBLOCK ? -EAGAIN
                   : task_interrupted(t)         ? -ERESTARTSYS
                                                 : 1;
            if (f->r <= 0) {
                spin_unlock(&f->p->lock);
                ASYNC_RETURN(f->r);
            }
            waitq_add(&f->p->readable, &f->w, t);
            spin_unlock(&f->p->lock);
            SUSPEND("pipe readable");
            spin_lock(&f->p->lock);
        }
        f->r = read_some(f->p, f->buf, &f->stop);
        if (f->r > 0) {
            f->moved += f->r;
            pipe_wake_writers(f->p, (uint64_t)f->r);
        }
        if (f->r < 0 ? f->r != -ECOMMIT : !f->buf->left || !fill_of(f->p))
            break;
        spin_unlock(&f->p->lock);
        AWAIT(f->r, iobuf_commit, &f->stop, true);
        spin_lock(&f->p->lock);
        if (f->r < 0)
            break;
    }
    waitq_remove(&f->p->readable, &f->w);
    if (fill_of(f->p) && !waitq_empty(&f->p->readable))
        waitq_wake_one(&f->p->readable); // what is left is the next reader's
    spin_unlock(&f->p->lock);
    ASYNC_RETURN(f->moved ? f->moved : f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->p->lock, &f->p->readable, &f->w);
    ASYNC_END;
}

// What keeps a write of `total` bytes from going on: 0 nothing, 1 it must wait, or an error.
static long write_obstacle(const struct pipe *p, const struct file *file, size_t total,
                           const struct task *t)
{
    if (p->readers == 0)
        return -EPIPE;
    if (has_room(p, total))
        return 0;
    if (file->flags & O_NONBLOCK)
        return -EAGAIN;
    return task_interrupted(t) ? -ERESTARTSYS : 1;
}

// For a write of n <= PIPE_BUF bytes: it lies in one page or two.
static bool add_pages(struct pipe *p, uint64_t n)
{
    uint64_t first = page_index(p->head), last = page_index(p->head + n - 1);
    return (p->page[first] || add_page(p, first)) && (p->page[last] || add_page(p, last));
}

// A small write goes in whole or not at all: what an absent page cut short is taken back.
static long write_or_undo(struct pipe *p, struct iobuf *buf, bool whole, struct iobuf *stop)
{
    struct iobuf before = *buf;
    uint64_t head = p->head;
    if (whole && !add_pages(p, buf->left))
        return -ENOMEM; // no page of the user's is absent: to commit and come again would not end
    long r = write_some(p, buf, stop);
    if (whole && buf->left && r >= 0) {
        *buf = before;
        p->head = head;
        return -ECOMMIT;
    }
    return r;
}

ASYNC_IMPL(pipe_write, file_write, struct waiter w; struct iobuf stop; struct pipe *p;
           size_t total; size_t moved; long r;)
{
    ASYNC_BEGIN(pipe_write);
    f->p = pipe_of(f->file);
    waiter_init(&f->w);
    f->moved = 0;
    f->r = 0;
    f->total = f->buf->left;
    spin_lock(&f->p->lock);
    while (f->buf->left) {
        f->r = write_obstacle(f->p, f->file, f->total, t);
        if (f->r < 0)
            break;
        if (f->r == 1) {
            waitq_add(&f->p->writable, &f->w, t);
            spin_unlock(&f->p->lock);
            SUSPEND("pipe writable");
            spin_lock(&f->p->lock);
            continue;
        }
        f->r = write_or_undo(f->p, f->buf, f->total <= PIPE_BUF, &f->stop);
        if (f->r > 0) {
            f->moved += (size_t)f->r;
            pipe_wake_readers(f->p);
        } else if (f->r == -ECOMMIT) {
            spin_unlock(&f->p->lock);
            AWAIT(f->r, iobuf_commit, &f->stop, false);
            spin_lock(&f->p->lock);
        }
        if (f->r < 0)
            break;
    }
    waitq_remove(&f->p->writable, &f->w);
    if (f->p->readers == 0 || fill_of(f->p) < PIPE_BYTES)
        pipe_wake_writers(f->p, 0); // whoever waits behind this one looks for itself
    spin_unlock(&f->p->lock);
    if (f->r == -EPIPE && t->thread)
        signal_send_thread(t->thread, SIGPIPE, NULL);
    ASYNC_RETURN(f->moved ? (long)f->moved : f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->p->lock, &f->p->writable, &f->w);
    ASYNC_END;
}

static void look(struct pipe *p, const struct waiter *w, struct wait_view *v, bool over)
{
    v->object = p;
    spin_lock(&p->lock);
    wait_view_all(
        v, w,
        over); // that bytes or room are there is no proof: who was told first may be busy with a page
    spin_unlock(&p->lock);
}

WAIT_LOOK(pipe_read)
{
    const struct pipe_read_frame *f = frame;
    v->kind = "bytes in a pipe";
    look(f->p, &f->w, v, !load_relaxed(&f->p->writers));
}

WAIT_LOOK(pipe_write)
{
    const struct pipe_write_frame *f = frame;
    v->kind = "room in a pipe";
    look(f->p, &f->w, v, !load_relaxed(&f->p->readers));
}

WAIT_LOOK_LIGHT(pipe_readable)
{
    const struct light_read *lr = LIGHT_STATE((struct thread *)frame, struct light_read);
    v->kind = "bytes in a pipe";
    look(lr->pipe, &lr->at.w, v, !load_relaxed(&lr->pipe->writers));
}
