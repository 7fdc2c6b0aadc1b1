// SPDX-License-Identifier: MIT
// Cancelling operations of io_uring by others: what they wait for ends as by a signal.
#include "syscall/uring_op.h"
#include "task/thread.h"

struct wanted {
    uint32_t flags; // CANCEL_*
    uint64_t user_data;
    const struct file *file;
    uint32_t opcode; // OP_LAST: any
};

static bool matches(const struct uring_op *op, const struct wanted *w)
{
    const struct uring_req *req = op->req;
    if (!req || op->flight.task == current_task())
        return false;
    if (w->flags & CANCEL_ANY)
        return true;
    if ((w->flags & (CANCEL_FD | CANCEL_FD_FIXED)) && req->file != w->file)
        return false;
    bool by_data = w->flags & CANCEL_USERDATA || !(w->flags & (CANCEL_FD | CANCEL_FD_FIXED));
    if (by_data && req->sqe.user_data != w->user_data)
        return false;
    return w->opcode == OP_LAST || req->sqe.opcode == w->opcode;
}

enum { TOLD_AT_ONCE = 64 };

// How many were told, of some; *found: there are any, told before perhaps.
static long cancel_some(struct uring *u, const struct wanted *w, bool *found)
{
    bool all = w->flags & (CANCEL_ALL | CANCEL_ANY);
    long n = 0, most = all ? TOLD_AT_ONCE : 1;
    spin_lock(&u->lock);
    LIST_FOREACH(it, &u->ops) {
        struct uring_op *op = (struct uring_op *)list_entry(it, struct uring_flight, in_ring);
        if (!matches(op, w))
            continue;
        *found = true;
        if (op->cancelled)
            continue;
        op->cancelled = true;
        task_attention(op->flight.task, ATTN_SIGNAL);
        if (++n == most)
            break;
    }
    spin_unlock(&u->lock);
    return n;
}

// Who is told wakes: that would be too many under a spinlock, so it is let go in between.
static long cancel_matching(struct uring *u, const struct wanted *w, bool *found)
{
    long all = 0, n;
    *found = false;
    do
        all += n = cancel_some(u, w, found);
    while (n == TOLD_AT_ONCE);
    return all;
}

static long one(long n, bool found)
{
    return n ? 0 : found ? -EALREADY : -ENOENT;
}

long uring_cancel_one(struct uring *u, uint64_t user_data, uint32_t opcode)
{
    const struct wanted w = {.user_data = user_data, .opcode = opcode};
    bool found;
    long n = cancel_matching(u, &w, &found);
    return one(n, found);
}

int uring_check_cancel(const struct uring_sqe *sqe)
{
    const uint32_t fd = CANCEL_FD | CANCEL_FD_FIXED;
    if (sqe->off || sqe->file_index || sqe->len)
        return -EINVAL;
    if (sqe->rw_flags & ~(CANCEL_ALL | CANCEL_ANY | CANCEL_USERDATA | fd))
        return -EINVAL;
    return (sqe->rw_flags & CANCEL_ANY) && (sqe->rw_flags & fd) ? -EINVAL : 0;
}

long uring_cancel(struct uring *u, const struct uring_sqe *sqe)
{
    struct wanted w = {.flags = sqe->rw_flags, .user_data = sqe->addr, .opcode = OP_LAST};
    struct file *file = NULL;
    bool found;
    if (w.flags & (CANCEL_FD | CANCEL_FD_FIXED)) {
        file =
            uring_find_file(u, sqe->fd, sqe->flags & SQE_FIXED_FILE || w.flags & CANCEL_FD_FIXED);
        if (!file)
            return -EBADF;
    }
    w.file = file;
    long n = cancel_matching(u, &w, &found);
    if (file)
        file_put(file);
    return w.flags & (CANCEL_ALL | CANCEL_ANY) ? n : one(n, found);
}
