// SPDX-License-Identifier: MIT
// What io_uring does with an open file: transfers, fsync, polls.
#include "fs/poll.h"
#include "mem/user.h"
#include "syscall/fs_rw.h"
#include "syscall/uring_op.h"
#include "task/thread.h"

// ---- a file's events

enum { POLL_ALWAYS = POLLERR | POLLHUP };

static uint32_t ask(struct file *file, struct poll_list *list)
{
    uint32_t mask =
        file->ops->poll ? file->ops->poll(file, list) : POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    return mask & list->events;
}

static void forget(struct poll_list *list)
{
    for (uint32_t i = 0; i < list->used; i++)
        poll_remove(&list->entry[i]);
    list->used = 0;
}

// Waits for one of the events of the request's file, and returns it; with `many` each is a completion, until there is no room
// for one. Registered first, then asked, then told of: what happens in between is another event.
ASYNC_DECL(uring_events, struct uring_op *op; uint32_t events; bool many;);
ASYNC(uring_events, struct poll_list list; struct poll_entry entry; uint32_t mask;)
{
    ASYNC_BEGIN(uring_events);
    f->list = (struct poll_list){.task = t, .max = 1, .entry = &f->entry};
    f->list.events = f->events | POLL_ALWAYS;
    for (;;) {
        f->mask = ask(f->op->req->file, &f->list);
        if (f->mask && (!f->many || !uring_complete_more(f->op, (int32_t)f->mask)))
            ASYNC_RETURN(f->mask);
        while (!task_interrupted(t) && !poll_told(&f->list))
            SUSPEND("a file's events");
        if (task_interrupted(t))
            ASYNC_RETURN(-EINTR);
        forget(&f->list);
    }
    ASYNC_FINALLY;
    forget(&f->list);
    ASYNC_END;
}

// ---- transfers

static bool is_write(const struct uring_sqe *sqe)
{
    return sqe->opcode == OP_WRITE || sqe->opcode == OP_WRITEV || sqe->opcode == OP_WRITE_FIXED;
}

static uint32_t length(const struct uring_sqe *sqe)
{
    return sqe->len < RW_MAX ? sqe->len : RW_MAX;
}

int uring_check_rw(const struct uring_sqe *sqe)
{
    if (sqe->rw_flags)
        return -EOPNOTSUPP;
    return (int64_t)sqe->off < -1 ? -EINVAL : 0;
}

// A registered buffer is a range that was looked at; its pages are found when they are used.
static bool is_in_buffer(struct uring *u, const struct uring_sqe *sqe)
{
    bool inside = false;
    spin_lock(&u->lock);
    if (sqe->buf_index < u->nbuffers) {
        const struct uring_buffer *b = &u->buffers[sqe->buf_index];
        inside = sqe->addr >= b->va && sqe->addr - b->va <= b->len &&
                 sqe->len <= b->len - (sqe->addr - b->va);
    }
    spin_unlock(&u->lock);
    return inside;
}

static bool range_ok(struct uring *u, const struct uring_sqe *sqe)
{
    if (!user_range_ok(sqe->addr, sqe->len))
        return false;
    bool fixed = sqe->opcode == OP_READ_FIXED || sqe->opcode == OP_WRITE_FIXED;
    return !fixed || is_in_buffer(u, sqe);
}

// A stream has no position, whatever the submission says.
static int64_t position(const struct uring_req *req)
{
    return req->file->ops->flags & FILE_OPS_STREAM ? -1 : (int64_t)req->sqe.off;
}

ASYNC_DECL(uring_transfer, struct uring_op *op;);
ASYNC(uring_transfer, struct iobuf buf; long r;)
{
    ASYNC_BEGIN(uring_transfer);
    if (!range_ok(f->op->ring, &f->op->req->sqe))
        ASYNC_RETURN(-EFAULT);
    iobuf_user(&f->buf, t->thread->space, f->op->req->sqe.addr, length(&f->op->req->sqe));
    AWAIT(f->r, file_transfer, f->op->req->file, &f->buf, (int64_t)f->op->req->sqe.off,
          is_write(&f->op->req->sqe));
    f->op->shortened = f->r != (long)f->op->req->sqe.len;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(uring_transfer_vector, struct uring_op *op;);
ASYNC(uring_transfer_vector, uint64_t total; long r;)
{
    ASYNC_BEGIN(uring_transfer_vector);
    f->total = 0;
    AWAIT(f->r, file_transfer_vector, f->op->req->file, f->op->req->sqe.addr, f->op->req->sqe.len,
          position(f->op->req), is_write(&f->op->req->sqe), &f->total);
    f->op->shortened = f->r != (long)f->total;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// A descriptor that may not wait has refused it, but the operation waits.
static bool must_wait(const struct uring_op *op, long r)
{
    return r == -EAGAIN && op->req->file->ops->poll;
}

// Tried again once something has happened to the file since: that it is ready for somebody does not make it so for all.
ASYNC_IMPL(uring_rw, uring_run, struct poll_list list; struct poll_entry entry; bool vector; long r;)
{
    ASYNC_BEGIN(uring_rw);
    f->list = (struct poll_list){.task = t, .max = 1, .entry = &f->entry};
    f->list.events = POLL_ALWAYS | (is_write(&f->op->req->sqe) ? POLLOUT : POLLIN);
    f->vector = f->op->req->sqe.opcode == OP_READV || f->op->req->sqe.opcode == OP_WRITEV;
    for (;;) {
        if (f->vector)
            AWAIT(f->r, uring_transfer_vector, f->op);
        else
            AWAIT(f->r, uring_transfer, f->op);
        if (!must_wait(f->op, f->r))
            ASYNC_RETURN(f->r);
        if (!f->list.used) {
            ask(f->op->req->file, &f->list);
            continue;
        }
        while (!task_interrupted(t) && !poll_told(&f->list))
            SUSPEND("a file that is ready");
        if (task_interrupted(t))
            ASYNC_RETURN(-EINTR);
        forget(&f->list);
    }
    ASYNC_FINALLY;
    forget(&f->list);
    ASYNC_END;
}

int uring_check_fsync(const struct uring_sqe *sqe)
{
    return sqe->addr || sqe->buf_index || sqe->rw_flags & ~(uint32_t)FSYNC_DATASYNC ? -EINVAL : 0;
}

ASYNC_IMPL(uring_fsync, uring_run, long r;)
{
    ASYNC_BEGIN(uring_fsync);
    AWAIT(f->r, file_sync, f->op->req->file, f->op->req->sqe.rw_flags & FSYNC_DATASYNC);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- polls

int uring_check_poll(const struct uring_sqe *sqe)
{
    if (sqe->buf_index || sqe->off || sqe->addr || sqe->len & ~(uint32_t)POLL_ADD_MULTI)
        return -EINVAL;
    return sqe->len & POLL_ADD_MULTI && sqe->flags & SQE_CQE_SKIP ? -EINVAL : 0;
}

ASYNC_IMPL(uring_poll_add, uring_run, long r;)
{
    ASYNC_BEGIN(uring_poll_add);
    AWAIT(f->r, uring_events, f->op, f->op->req->sqe.rw_flags & 0xffff,
          f->op->req->sqe.len & POLL_ADD_MULTI);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
