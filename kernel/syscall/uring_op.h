// SPDX-License-Identifier: MIT
// Operations of io_uring: how a submission is taken, checked, run and completed.
//
// A request is one submission, copied. Requests that are linked form a chain, run by one operation: a worker task of the thread
// that submitted it, which awaits one after the other. A lone request that never waits needs no operation.
#pragma once

#include "fs/uring.h"

struct thread;

struct uring_req {          // on the heap
    struct uring_req *next; // linked behind it
    struct uring_sqe sqe;
    struct file *file; // referenced; NULL: none, or not looked up yet
    int32_t error;     // it was refused
};

struct uring_chain {
    struct uring_req *head, *tail; // NULL: empty
    uint32_t length; // one poll may run it all, or give it up: more than CHAIN_MOST fail
    bool refused;    // some request was
};
enum { CHAIN_MOST = 64 };

struct uring_op {
    struct uring_flight flight; // first
    struct uring *ring;         // referenced
    struct uring_req *req;      // the present one; changed under ring.lock
    uint64_t after;             // operations up to this seq come before it, 0: none
    uint32_t posted;            // ring.posted when it was submitted, or its turn in its chain came
    bool cancelled;             // asked for; ring.lock
    bool shortened;             // the present request has succeeded in part: its links fail
};

// Runs op->req. Its result, negative errno; what was interrupted may be -EINTR or a restart code.
ASYNC_IFACE(uring_run, struct uring_op *op;);

struct uring_def {
    const char *name; // of its tasks
    int (*check)(
        const struct uring_sqe *sqe); // refuses what makes no sense; NULL: nothing to check
    long (*plain)(struct uring *u, const struct uring_sqe *sqe); // never waits; or
    const struct async_fn *run; // implements uring_run; uring_call:
    uint16_t call;              // a system call of the same meaning,
    const char *args;           // its arguments, see uring_ops.c
    bool file;                  // needs the open file of sqe.fd
    bool ioprio;                // ioprio may be set
    bool timeout;               // its completion does not count for timeouts
};
// NULL: unknown. (syscall/uring_ops.c)
const struct uring_def *uring_def(uint32_t opcode);
// How many ns are left of the timespec at sqe->addr, as sqe->rw_flags say; UINT64_MAX: more than can be waited. -EINVAL, -EFAULT.
ASYNC_DECL(uring_time_left, const struct uring_sqe *sqe; uint64_t *ns;);

// ---- submission (syscall/uring_op.c)

// u->lock held, uring_is_plain, and the ring of completions has room: takes and completes up to `most` submissions, as long as
// each is an operation that does nothing and asks for nothing. How many.
uint32_t uring_take_nops(struct uring *u, uint32_t most);

// u->submit held: takes the next submission into the chain, which is started when it is complete. 0; 1: it was refused, and nothing is linked to it;
// -EAGAIN: no memory; -ENOENT: it has no place.
long uring_take(struct uring *u, struct uring_chain *chain);
void uring_start(struct uring *u, struct uring_chain *chain); // nothing more is linked to it
void uring_chain_free(struct uring *u, struct uring_chain *chain);

// A descriptor of the calling thread, or a registered file: referenced, or NULL.
struct file *uring_find_file(struct uring *u, int32_t fd, bool registered);
// A completion of a request of which others follow. False: there is no room for it now.
bool uring_complete_more(struct uring_op *op, int32_t res);

// ---- of open files (syscall/uring_rw.c)

int uring_check_rw(const struct uring_sqe *sqe);
ASYNC_IMPL_DECL(uring_rw); // READ, WRITE, of registered buffers and of vectors
int uring_check_fsync(const struct uring_sqe *sqe);
ASYNC_IMPL_DECL(uring_fsync);
int uring_check_poll(const struct uring_sqe *sqe);
ASYNC_IMPL_DECL(uring_poll_add);

// ---- cancellation (syscall/uring_cancel.c)

// Of all operations under way those with this user_data and opcode. 0, -ENOENT, -EALREADY.
long uring_cancel_one(struct uring *u, uint64_t user_data, uint32_t opcode);
int uring_check_cancel(const struct uring_sqe *sqe);
long uring_cancel(struct uring *u, const struct uring_sqe *sqe);
