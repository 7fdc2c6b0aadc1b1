// SPDX-License-Identifier: MIT
// What io_uring can do: one line per operation, beside those that need a function of their own.
#include "async/timer.h"
#include "mem/user.h"
#include "syscall/uring_op.h"
#include "task/thread.h"
#include "task/user_loop.h"

// ---- system calls of the same meaning

enum { CALL_CLOSE = 57 };

// One letter per argument: f fd, a addr, o off (or addr2), l len, r rw_flags, i file_index, 0.
static uint64_t call_arg(char letter, const struct uring_sqe *sqe)
{
    switch (letter) {
    case 'f':
        return (uint64_t)(int64_t)sqe->fd;
    case 'a':
        return sqe->addr;
    case 'o':
        return sqe->off;
    case 'l':
        return sqe->len;
    case 'r':
        return sqe->rw_flags;
    case 'i':
        return (uint64_t)(int64_t)sqe->file_index;
    default:
        return 0;
    }
}

static void prepare_call(struct trap_frame *tf, const struct uring_sqe *sqe)
{
    const struct uring_def *def = uring_def(sqe->opcode);
    for (int i = 0; i < 6; i++)
        tf->x[10 + i] = 0;
    for (int i = 0; def->args[i]; i++)
        tf->x[10 + i] = call_arg(def->args[i], sqe);
    tf->x[17] = def->call;
}

ASYNC_IMPL(uring_call, uring_run, long r;)
{
    ASYNC_BEGIN(uring_call);
    prepare_call(&t->thread->tf, &f->op->req->sqe);
    AWAIT(f->r, syscall_run, t->thread, false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Registered files are no descriptors, and none is registered by an operation.
static int check_call(const struct uring_sqe *sqe)
{
    if (sqe->flags & SQE_FIXED_FILE)
        return -EBADF;
    return sqe->file_index && sqe->opcode != OP_WAITID ? -EINVAL : 0;
}

static int check_close(const struct uring_sqe *sqe)
{
    if (sqe->off || sqe->addr || sqe->len || sqe->rw_flags || sqe->buf_index)
        return -EINVAL;
    return check_call(sqe);
}

// ---- nothing

static int check_nop(const struct uring_sqe *sqe)
{
    return sqe->rw_flags & ~(uint32_t)NOP_INJECT_RESULT ? -EINVAL : 0;
}

static long nop(struct uring *u, const struct uring_sqe *sqe)
{
    (void)u;
    return sqe->rw_flags & NOP_INJECT_RESULT ? (int32_t)sqe->len : 0;
}

// ---- polls and timeouts

static int check_poll_remove(const struct uring_sqe *sqe)
{
    return sqe->buf_index || sqe->file_index || sqe->len || sqe->off || sqe->rw_flags ? -EINVAL : 0;
}

static long poll_remove_op(struct uring *u, const struct uring_sqe *sqe)
{
    return uring_cancel_one(u, sqe->addr, OP_POLL_ADD);
}

ASYNC(uring_time_left, struct timespec_k ts; long r;)
{
    ASYNC_BEGIN(uring_time_left);
    AWAIT(f->r, user_read, t->thread->space, &f->ts, f->sqe->addr, sizeof f->ts);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->ts.sec < 0 || f->ts.nsec < 0)
        ASYNC_RETURN(-EINVAL);
    *f->ns = UINT64_MAX / 4;
    if (f->ts.sec < INT64_MAX / 4000000000)
        *f->ns = (uint64_t)f->ts.sec * 1000000000 + (uint64_t)f->ts.nsec;
    if (f->sqe->rw_flags & TIMEOUT_ABS) {
        uint64_t now =
            f->sqe->rw_flags & TIMEOUT_REALTIME ? clock_realtime_ns() : clock_monotonic_ns();
        *f->ns = *f->ns > now ? *f->ns - now : 0;
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static int check_timeout(const struct uring_sqe *sqe)
{
    const uint32_t clocks = TIMEOUT_BOOTTIME | TIMEOUT_REALTIME;
    if (sqe->buf_index || sqe->len != 1 || sqe->file_index)
        return -EINVAL;
    if (sqe->off && sqe->opcode == OP_LINK_TIMEOUT)
        return -EINVAL;
    if (sqe->rw_flags & ~(TIMEOUT_ABS | TIMEOUT_ETIME_SUCCESS | clocks))
        return -EINVAL;
    return (sqe->rw_flags & clocks) == clocks ? -EINVAL : 0;
}

// Until n more completions have come, or for ever.
ASYNC_DECL(uring_count, struct uring *u; uint32_t from; uint32_t n;);
ASYNC(uring_count, struct waiter w;)
{
    ASYNC_BEGIN(uring_count);
    waiter_init(&f->w);
    spin_lock(&f->u->lock);
    while (!f->n || f->u->posted - f->from < f->n) {
        if (f->n)
            waitq_add(&f->u->waiters, &f->w, t);
        spin_unlock(&f->u->lock);
        if (task_interrupted(t)) // perhaps before this poll: then no wake is left
            ASYNC_RETURN(-EINTR);
        SUSPEND("time, or completions");
        spin_lock(&f->u->lock);
    }
    spin_unlock(&f->u->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->u->lock, &f->u->waiters, &f->w);
    ASYNC_END;
}

ASYNC_IMPL(uring_timeout, uring_run, struct deadline d; uint64_t ns; long r;)
{
    ASYNC_BEGIN(uring_timeout);
    AWAIT(f->r, uring_time_left, &f->op->req->sqe, &f->ns);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT_WITHIN(f->r, &f->d, f->ns, uring_count, f->op->ring, f->op->posted,
                 (uint32_t)f->op->req->sqe.off);
    ASYNC_RETURN(f->r == -ETIMEDOUT ? -ETIME : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static int check_timeout_remove(const struct uring_sqe *sqe)
{
    return sqe->buf_index || sqe->len || sqe->file_index || sqe->rw_flags ? -EINVAL : 0;
}

static long timeout_remove(struct uring *u, const struct uring_sqe *sqe)
{
    return uring_cancel_one(u, sqe->addr, OP_TIMEOUT);
}

// ---- the table

#define CALL(nr, letters)                                                                          \
    .run = &uring_call_fn, .call = (nr), .args = (letters), .check = check_call

static const struct uring_def defs[OP_LAST] = {
    [OP_NOP] = {"uring nop", check_nop, .plain = nop},
    [OP_READV] = {"uring readv", uring_check_rw, .run = &uring_rw_fn, .file = true, .ioprio = true},
    [OP_WRITEV] = {"uring writev", uring_check_rw, .run = &uring_rw_fn, .file = true,
                   .ioprio = true},
    [OP_FSYNC] = {"uring fsync", uring_check_fsync, .run = &uring_fsync_fn, .file = true},
    [OP_READ_FIXED] = {"uring read_fixed", uring_check_rw, .run = &uring_rw_fn, .file = true,
                       .ioprio = true},
    [OP_WRITE_FIXED] = {"uring write_fixed", uring_check_rw, .run = &uring_rw_fn, .file = true,
                        .ioprio = true},
    [OP_POLL_ADD] = {"uring poll", uring_check_poll, .run = &uring_poll_add_fn, .file = true},
    [OP_POLL_REMOVE] = {"uring poll_remove", check_poll_remove, .plain = poll_remove_op},
    [OP_TIMEOUT] = {"uring timeout", check_timeout, .run = &uring_timeout_fn, .timeout = true},
    [OP_TIMEOUT_REMOVE] = {"uring timeout_remove", check_timeout_remove, .plain = timeout_remove},
    [OP_ASYNC_CANCEL] = {"uring cancel", uring_check_cancel, .plain = uring_cancel},
    [OP_LINK_TIMEOUT] = {"uring link_timeout", check_timeout, .plain = nop},
    [OP_FALLOCATE] = {"uring fallocate", CALL(47, "floa")},
    [OP_OPENAT] = {"uring openat", CALL(56, "farl")},
    [OP_CLOSE] = {"uring close", .run = &uring_call_fn, .call = CALL_CLOSE, .args = "f",
                  .check = check_close},
    [OP_STATX] = {"uring statx", CALL(291, "farlo")},
    [OP_READ] = {"uring read", uring_check_rw, .run = &uring_rw_fn, .file = true, .ioprio = true},
    [OP_WRITE] = {"uring write", uring_check_rw, .run = &uring_rw_fn, .file = true, .ioprio = true},
    [OP_FADVISE] = {"uring fadvise", CALL(223, "folr")},
    [OP_MADVISE] = {"uring madvise", CALL(233, "alr")},
    [OP_EPOLL_CTL] = {"uring epoll_ctl", CALL(21, "floa")},
    [OP_RENAMEAT] = {"uring renameat", CALL(276, "falor")},
    [OP_UNLINKAT] = {"uring unlinkat", CALL(35, "far")},
    [OP_MKDIRAT] = {"uring mkdirat", CALL(34, "fal")},
    [OP_SYMLINKAT] = {"uring symlinkat", CALL(36, "afo")},
    [OP_LINKAT] = {"uring linkat", CALL(37, "falor")},
    [OP_WAITID] = {"uring waitid", CALL(95, "lfoi0")},
    [OP_FTRUNCATE] = {"uring ftruncate", CALL(46, "fo")},
};

const struct uring_def *uring_def(uint32_t opcode)
{
    return opcode < OP_LAST && defs[opcode].name ? &defs[opcode] : NULL;
}
