// SPDX-License-Identifier: MIT
// io_uring: a ring of submissions and one of completions, in frames that kernel and program share.
//
// The frames are those of two memory objects, which mmap maps; the ring has a reference on each frame, and looks at them through
// the linear map. A program can write anything there at any time. So nothing in them is trusted: the kernel's own head and tail
// are in struct uring, every index is masked or checked, and a submission is copied before it is looked at.
//
// An operation that may wait is a task of its own (syscall/uring_op.h), a worker of the thread that submitted it
// (task/worker.h). The submitter polls it first, at once: what need not wait is complete before enter returns. Links are the
// same task, one operation after the other.
//
// References: the open file has one, and each operation under way. When the file goes, the ring is closed: its operations are
// cancelled, some at once, the others by those that end; the last one frees it. Operations end before their submitter gives up
// its memory and files, at its exit and at exec.
//
// Locks: uring.submit is held by who takes submissions and may wait in between; uring.lock guards everything else that
// changes, and by itself suffices to take submissions in one go while nobody holds submit. uring.lock is taken before those of
// wait queues behind `pollers`, and never together with process.lock.
#pragma once

#include "async/wait_async.h"
#include "fs/file.h"
#include "fs/uring_abi.h"
#include "lib/list.h"

struct phys;

enum { URING_SQ_MAX = 32768, URING_CQ_MAX = 2 * URING_SQ_MAX };
// Completions kept for want of room, from which on nothing more is submitted.
enum { URING_KEPT_MOST = 1024 };

// Frames shared with programs: an object, and where the kernel sees its pages.
struct uring_memory {
    struct phys *phys; // referenced
    char **page;       // [pages], each referenced
    uint32_t pages;
};

struct uring {
    uint32_t refs;           // atomic
    uint32_t id;             // for who looks
    struct uring_user *user; // to whom it is charged
    uint64_t charged;        // for itself
    struct spinlock lock;
    struct mutex submit;
    uint32_t flags;              // SETUP_*
    uint32_t sq_mask, cq_mask;   // entries - 1
    uint32_t sq_head, cq_tail;   // the true ones
    uint64_t array;              // byte offset of the array of indices in ring
    struct uring_header *header; // the first bytes of ring
    struct uring_memory ring, sqes;
    const void *issuer;   // SETUP_SINGLE_ISSUER: the thread that may submit, never followed
    uint32_t posted;      // completions, but for those of timeouts
    struct list overflow; // struct overflow: completions that found no room, in order
    uint32_t kept;        // how many
    struct waitq waiters; // in enter, and timeouts that count: woken by each completion
    struct waitq pollers;
    struct list ops;     // of struct uring_flight: under way, by seq
    uint32_t under_way;  // how many, those in `ending` included
    struct list ending;  // the same, cancelled because the ring is closed
    struct waitq drains; // operations that wait for earlier ones
    uint64_t seq;        // of the operation submitted last
    uint64_t drain;      // seq of the last one that later ones wait for
    bool
        no_drain; // as under Linux: a submission that may keep its success to itself has come; submit
    bool closed;
    struct file *eventfd; // told of completions, NULL: none
    bool eventfd_async;   // only of those that did not come at once
    struct file **files;  // registered; referenced; an entry may be NULL
    uint32_t nfiles;
    struct uring_buffer *buffers; // registered
    uint32_t nbuffers;
};

struct uring_buffer {
    uint64_t va, len;
};

// An operation under way, first in its struct uring_op. It is in a list of the ring's until it has completed.
struct uring_flight {
    struct list in_ring; // uring.lock
    struct task *task;   // alive as long as it is there
    uint64_t seq;
};

// The file of a new ring, without a descriptor yet. p says what is wanted, and is completed. -EINVAL, -ENOMEM.
long uring_new(struct uring_params *p, struct file **out);
extern const struct file_ops uring_file_ops;
static inline struct uring *uring_of(const struct file *file)
{
    return file->priv;
}
void uring_get(struct uring *u);
void uring_put(struct uring *u);

// ---- u->lock held

static inline void *uring_at_(const struct uring_memory *m, uint64_t offset)
{
    return m->page[offset >> PAGE_SHIFT] + (offset & PAGE_MASK);
}
// How many submissions there are; the program says so.
static inline uint32_t uring_submitted(const struct uring *u)
{
    uint32_t n = load_acquire(&u->header->sq_tail) - u->sq_head;
    return n <= u->sq_mask + 1 ? n : u->sq_mask + 1;
}
// The submission at `head`, in memory that the program may be writing; NULL: its index is none. uring_sq_taken tells the program.
static inline const struct uring_sqe *uring_sqe_at(const struct uring *u, uint64_t head)
{
    uint64_t i = head & u->sq_mask;
    if (likely(!(u->flags & SETUP_NO_SQARRAY))) {
        i = load_relaxed((uint32_t *)uring_at_(&u->ring, u->array + 4 * i));
        if (unlikely(i > u->sq_mask))
            return NULL;
    }
    return uring_at_(&u->sqes, i * sizeof(struct uring_sqe));
}
static inline void uring_sq_taken(struct uring *u, uint32_t head)
{
    u->sq_head = head;
    store_release(&u->header->sq_head, head);
}
// Completions that the program has not taken, by its own account.
static inline uint32_t uring_ready(const struct uring *u)
{
    return u->cq_tail - load_acquire(&u->header->cq_head);
}
// Where the completion at `tail` goes. uring_cq_written tells the program.
static inline struct uring_cqe *uring_cqe_at(const struct uring *u, uint64_t tail)
{
    uint64_t i = tail & u->cq_mask;
    return uring_at_(&u->ring, sizeof(struct uring_header) + i * sizeof(struct uring_cqe));
}
static inline void uring_cq_written(struct uring *u, uint32_t tail)
{
    u->cq_tail = tail;
    store_release(&u->header->cq_tail, tail);
}
// Room for n more, and none waits for room.
static inline bool uring_has_room(const struct uring *u, uint32_t n)
{
    uint32_t used = uring_ready(u);
    return used <= u->cq_mask + 1 && n <= u->cq_mask + 1 - used && list_empty(&u->overflow);
}
// Nobody takes submissions, and none of those under way holds up others.
static inline bool uring_is_plain(const struct uring *u)
{
    return !u->submit.holder && !u->drain && !u->eventfd &&
           !(u->flags & (SETUP_R_DISABLED | SETUP_SINGLE_ISSUER));
}
// Completions were written: tells who waits for them.
void uring_tell_slow(struct uring *u);
static inline void uring_tell(struct uring *u)
{
    if (unlikely(!waitq_empty(&u->waiters) || !waitq_empty(&u->pollers)))
        uring_tell_slow(u);
}

// ---- no lock held

// One completion; it waits in the kernel if the ring is full. at_once: by the submitter.
void uring_complete(struct uring *u, const struct uring_cqe *c, bool timeout, bool at_once);
// Some completions that waited for room go into the ring. False: there are none, or there is no room.
bool uring_flush(struct uring *u);
// f is under way no more. Others may begin for it, or end when the ring is closed.
void uring_landed(struct uring *u, struct uring_flight *f);

// ---- whose it is (fs/uring_user.c); any context

struct uring_user *uring_user_get(uint32_t uid);         // referenced; NULL: no memory
void uring_user_put(struct uring_user *u);               // nothing is charged by who put it
bool uring_charge(struct uring_user *u, uint64_t bytes); // false: it has its share
void uring_uncharge(struct uring_user *u, uint64_t bytes);
