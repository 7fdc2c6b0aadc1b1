// SPDX-License-Identifier: MIT
// Requests and operations: from the ring of submissions to that of completions.
#include "syscall/uring_op.h"

#include "async/executor.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/signal.h"
#include "task/worker.h"

enum {
    SQE_KNOWN = SQE_FIXED_FILE | SQE_IO_DRAIN | SQE_IO_LINK | SQE_IO_HARDLINK | SQE_ASYNC |
                SQE_BUFFER_SELECT | SQE_CQE_SKIP,
    SQE_LINKS = SQE_IO_LINK | SQE_IO_HARDLINK,
};

ASYNC_IFACE_DEFINE(uring_run);

// ---- what does nothing

// opcode, flags and ioprio are its first word. What it says of rights and results needs thought.
static inline bool is_mere_nop(const struct uring_sqe *sqe)
{
    return !load_relaxed((const uint32_t *)sqe) && !load_relaxed(&sqe->rw_flags) &&
           !load_relaxed(&sqe->personality);
}

uint32_t uring_take_nops(struct uring *u, uint32_t most)
{
    uint64_t head = u->sq_head, tail = u->cq_tail, end = head + most;
    for (; head != end; head++, tail++) {
        const struct uring_sqe *sqe = uring_sqe_at(u, head);
        if (unlikely(!sqe) || unlikely(!is_mere_nop(sqe)))
            break;
        *uring_cqe_at(u, tail) = (struct uring_cqe){load_relaxed(&sqe->user_data), 0, 0};
    }
    uint32_t n = (uint32_t)head - u->sq_head;
    if (likely(n)) {
        u->posted += n;
        uring_sq_taken(u, (uint32_t)head);
        uring_cq_written(u, (uint32_t)tail);
        uring_tell(u);
    }
    return n;
}

// ---- requests

// What is charged for each, with all that comes of it: its entry when its completion finds no room; its task, the segment that
// its arena may take.
enum { REQUEST_BYTES = 256, OPERATION_BYTES = THREAD_SIZE + PAGE_SIZE };

static struct uring_req *req_new(struct uring *u)
{
    if (!uring_charge(u->user, REQUEST_BYTES))
        return NULL;
    struct uring_req *req = kzalloc(sizeof *req);
    if (!req)
        uring_uncharge(u->user, REQUEST_BYTES);
    return req;
}

static void req_free(struct uring *u, struct uring_req *req)
{
    if (req->file)
        file_put(req->file);
    kfree(req);
    uring_uncharge(u->user, REQUEST_BYTES);
}

void uring_chain_free(struct uring *u, struct uring_chain *chain)
{
    while (chain->head) {
        struct uring_req *next = chain->head->next;
        req_free(u, chain->head);
        chain->head = next;
    }
    *chain = (struct uring_chain){0};
}

static void complete(struct uring *u, const struct uring_req *req, long r, bool at_once)
{
    const struct uring_def *def = uring_def(req->sqe.opcode);
    const struct uring_cqe c = {req->sqe.user_data, (int32_t)r, 0};
    if (!(req->sqe.flags & SQE_CQE_SKIP) || r < 0)
        uring_complete(u, &c, def && def->timeout, at_once);
}

struct file *uring_find_file(struct uring *u, int32_t fd, bool registered)
{
    struct file *file = NULL;
    if (!registered) {
        file = fd_get(thread_current()->files, fd);
    } else {
        spin_lock(&u->lock);
        if ((uint32_t)fd < u->nfiles && u->files[fd])
            file = file_get(u->files[fd]);
        spin_unlock(&u->lock);
    }
    if (file && (file->flags & O_PATH)) {
        file_put(file);
        file = NULL;
    }
    return file;
}

static struct file *find_file(struct uring *u, const struct uring_sqe *sqe)
{
    return uring_find_file(u, sqe->fd, sqe->flags & SQE_FIXED_FILE);
}

bool uring_complete_more(struct uring_op *op, int32_t res)
{
    struct uring *u = op->ring;
    const struct uring_cqe c = {op->req->sqe.user_data, res, CQE_F_MORE};
    spin_lock(&u->lock);
    bool room = uring_has_room(u, 1);
    spin_unlock(&u->lock);
    if (room)
        uring_complete(u, &c, false, false);
    return room;
}

static int check(struct uring *u, const struct uring_sqe *sqe, bool linked)
{
    const struct uring_def *def = uring_def(sqe->opcode);
    if (!def || sqe->flags & ~SQE_KNOWN)
        return -EINVAL;
    if (sqe->flags & SQE_BUFFER_SELECT)
        return -EOPNOTSUPP;
    if ((sqe->ioprio && !def->ioprio) || sqe->personality)
        return -EINVAL; // no credentials are registered
    u->no_drain |= sqe->flags & SQE_CQE_SKIP;
    if ((sqe->flags & SQE_IO_DRAIN) && u->no_drain)
        return -EOPNOTSUPP;
    if (sqe->opcode == OP_LINK_TIMEOUT && !linked)
        return -EINVAL;
    return def->check ? def->check(sqe) : 0;
}

// Copies the next submission: 0, -ENOENT.
static long take_sqe(struct uring *u, struct uring_sqe *out)
{
    spin_lock(&u->lock);
    const struct uring_sqe *sqe = uring_sqe_at(u, u->sq_head);
    if (sqe)
        memcpy(out, sqe, sizeof *out);
    else
        store_relaxed(&u->header->sq_dropped, u->header->sq_dropped + 1);
    uring_sq_taken(u, u->sq_head + 1);
    spin_unlock(&u->lock);
    return sqe ? 0 : -ENOENT;
}

// No request of it runs: each has the error that it was refused for, or this one. More may be linked to it, and will fail.
static void fail(struct uring *u, struct uring_chain *chain, int error)
{
    const struct uring_chain as_it_was = *chain;
    for (const struct uring_req *req = chain->head; req; req = req->next)
        complete(u, req, req->error ? req->error : error, true);
    uring_chain_free(u, chain);
    chain->length = as_it_was.length;
    chain->refused = true;
}

// What cannot be run because its descriptor is none fails when its turn comes; everything else is refused here.
long uring_take(struct uring *u, struct uring_chain *chain)
{
    struct uring_req *req = req_new(u);
    if (!req)
        return -EAGAIN;
    long r = take_sqe(u, &req->sqe);
    if (r) {
        req_free(u, req);
        return r;
    }
    req->error =
        ++chain->length == CHAIN_MOST + 1 ? -EINVAL : check(u, &req->sqe, chain->length > 1);
    if (!req->error && !chain->head && uring_def(req->sqe.opcode)->file &&
        !(req->file = find_file(u, &req->sqe)))
        req->error = -EBADF;
    bool refused = req->error && req->error != -EBADF;
    chain->refused |= refused;
    if (chain->head)
        chain->tail->next = req;
    else
        chain->head = req;
    chain->tail = req;
    uint8_t flags = req->sqe.flags;
    if (chain->length > CHAIN_MOST)
        fail(u, chain, -ECANCELED);
    if (!(flags & SQE_LINKS))
        uring_start(u, chain);
    return refused && !(flags & SQE_LINKS);
}

// ---- operations

// ring.lock held: is nothing under way that comes before it?
static bool has_its_turn(const struct uring_op *op)
{
    const struct list *ops = &op->ring->ops;
    return list_empty(ops) || list_entry(ops->next, struct uring_flight, in_ring)->seq > op->after;
}

ASYNC_DECL(uring_turn, struct uring_op *op;);
ASYNC(uring_turn, struct waiter w; struct uring *u;)
{
    ASYNC_BEGIN(uring_turn);
    f->u = f->op->ring;
    waiter_init(&f->w);
    spin_lock(&f->u->lock);
    while (!has_its_turn(f->op)) {
        waitq_add(&f->u->drains, &f->w, t);
        spin_unlock(&f->u->lock);
        if (task_interrupted(t)) // perhaps before this poll: then no wake is left
            ASYNC_RETURN(-ECANCELED);
        SUSPEND("operations before it");
        spin_lock(&f->u->lock);
    }
    spin_unlock(&f->u->lock);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    waiter_finish(&f->u->lock, &f->u->drains, &f->w);
    ASYNC_END;
}

static bool is_interruption(long r)
{
    return r == -EINTR || (r <= -ERESTARTSYS && r >= -ERESTARTNOHAND);
}

// What its write to a pipe without readers would have sent, and the like.
static void pass_signals_on(struct thread *worker)
{
    for (int sig = 1; worker->pending.set && sig <= NSIG; sig++)
        if (worker->pending.set & SIGMASK(sig))
            signal_send_thread(worker->maker, sig, NULL);
}

// Completes the present request, and the timeout that was linked to it. True: another follows, which is the present one then.
static bool advance(struct uring_op *op, struct thread *worker, long r)
{
    struct uring_req *req = op->req, *next = req->next;
    bool at_once = worker->task.polls <= 1;
    bool timed_out = r == -ETIMEDOUT && next && next->sqe.opcode == OP_LINK_TIMEOUT;
    if (timed_out || (is_interruption(r) && op->cancelled))
        r = -ECANCELED;
    else if (is_interruption(r))
        r = -EINTR;
    complete(op->ring, req, r, at_once);
    bool failed = (r < 0 || op->shortened) && !(req->sqe.flags & SQE_IO_HARDLINK);
    if (next && next->sqe.opcode == OP_LINK_TIMEOUT) {
        complete(op->ring, next, timed_out ? -ETIME : -ECANCELED, at_once);
        struct uring_req *after = next->next;
        req_free(op->ring, next);
        next = after;
    }
    while (next && (failed || task_killed(&worker->task))) {
        complete(op->ring, next, -ECANCELED, at_once);
        struct uring_req *after = next->next;
        req_free(op->ring, next);
        next = after;
    }
    spin_lock(&op->ring->lock);
    op->req = next;
    op->posted = op->ring->posted;
    op->cancelled = false;
    spin_unlock(&op->ring->lock);
    task_attention_clear(&worker->task, ATTN_SIGNAL);
    op->shortened = false;
    req_free(op->ring, req);
    return next;
}

static long begin(struct uring_op *op, struct task *t)
{
    struct uring_req *req = op->req;
    const struct uring_def *def = uring_def(req->sqe.opcode);
    if (task_killed(t) || op->cancelled)
        return -ECANCELED;
    if (!req->error && def->file && !req->file && !(req->file = find_file(op->ring, &req->sqe)))
        return -EBADF;
    return req->error;
}

static bool has_timeout(const struct uring_op *op)
{
    return op->req->next && op->req->next->sqe.opcode == OP_LINK_TIMEOUT;
}

static long run_plain(struct uring_op *op)
{
    return uring_def(op->req->sqe.opcode)->plain(op->ring, &op->req->sqe);
}

// Its last act as an operation and as a worker.
static void leave(struct uring_op *op, struct thread *worker)
{
    struct uring *u = op->ring;
    pass_signals_on(worker);
    uring_landed(u, &op->flight);
    uring_uncharge(u->user, OPERATION_BYTES);
    uring_put(u);
    worker_finish(worker);
}

// Room for all that fn may await, or the request fails.
#define RESERVE(fn)                                                                                \
    if (!f->r && async_reserve(t, (fn)))                                                           \
    f->r = -ENOMEM

// Every cancel unwinds to here.
ASYNC_DECL(uring_worker, struct uring_op op;);
ASYNC(uring_worker, const struct async_fn *run; struct deadline d; uint64_t ns; long r;)
{
    ASYNC_BEGIN(uring_worker);
    f->r = 0;
    if (f->op.after) {
        RESERVE(&uring_turn_fn);
        if (!f->r)
            AWAIT(f->r, uring_turn, &f->op);
        task_trim(t);
    }
    do {
        if (!f->r)
            f->r = begin(&f->op, t);
        if (!f->r && has_timeout(&f->op)) {
            RESERVE(&uring_time_left_fn);
            if (!f->r)
                AWAIT(f->r, uring_time_left, &f->op.req->next->sqe, &f->ns);
            task_trim(t);
        }
        f->run = uring_def(f->op.req->sqe.opcode)->run;
        if (!f->r && !f->run)
            f->r = run_plain(&f->op);
        else {
            RESERVE(f->run);
            if (!f->r && has_timeout(&f->op))
                deadline_arm(t, &f->hdr, &f->d, f->ns);
            if (!f->r)
                AWAIT_VIA(f->r, uring_run, f->run, &f->op);
            if (t->deadline)
                deadline_disarm(t, &f->d);
            task_trim(t);
        }
        f->r = advance(&f->op, t->thread, f->r) ? 0 : 1;
    } while (!f->r);
    leave(&f->op, t->thread);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- start

static void join(struct uring *u, struct uring_op *op)
{
    bool drain = op->req->sqe.flags & SQE_IO_DRAIN;
    uring_get(u);
    spin_lock(&u->lock);
    op->flight.seq = ++u->seq;
    op->after = drain ? u->seq - 1 : u->drain;
    if (drain)
        u->drain = u->seq;
    op->posted = u->posted;
    list_push_back(&u->ops, &op->flight.in_ring);
    u->under_way++;
    spin_unlock(&u->lock);
}

static bool start_worker(struct uring *u, struct uring_req *head)
{
    const struct uring_worker_args args = {{.ring = u, .req = head}};
    if (!uring_charge(u->user, OPERATION_BYTES))
        return false;
    struct thread *th =
        worker_new(uring_def(head->sqe.opcode)->name, &uring_worker_fn, &args, sizeof args);
    if (!th) {
        uring_uncharge(u->user, OPERATION_BYTES);
        return false;
    }
    struct task *t = &th->task;
    struct uring_op *op = &((struct uring_worker_args *)(t->top + 1))->op;
    bool later = head->sqe.flags & SQE_ASYNC;
    op->flight.task = t;
    task_get(t);
    join(u, op);
    if (later)
        task_start(t);
    else
        executor_poll_now(t);
    task_put(t);
    return true;
}

void uring_start(struct uring *u, struct uring_chain *chain)
{
    struct uring_req *head = chain->head;
    if (!head) { // it was too long
        *chain = (struct uring_chain){0};
        return;
    }
    const struct uring_def *def = uring_def(head->sqe.opcode);
    bool alone = !head->next && !u->drain && !(head->sqe.flags & (SQE_IO_DRAIN | SQE_ASYNC));
    if (chain->refused || (alone && head->error)) {
        fail(u, chain, -ECANCELED);
    } else if (alone && def->plain) {
        complete(u, head, def->plain(u, &head->sqe), true);
        uring_chain_free(u, chain);
    } else if (start_worker(u, head)) {
        chain->head = NULL;
    } else {
        fail(u, chain, -EAGAIN);
    }
    *chain = (struct uring_chain){0};
}
