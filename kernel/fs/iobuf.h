// SPDX-License-Identifier: MIT
// One side of a transfer: user memory (one range or an iovec), or kernel memory.
//
// File-system code moves bytes with iobuf_out (to the reader's buffer) and iobuf_in (from the
// writer's) and never sees a user pointer. Both are plain, never fault and may be called under a
// spinlock. They stop at a user page that is absent: then they return what was moved, or -ECOMMIT
// when that is nothing. An async caller drops its locks, awaits iobuf_commit, and tries again:
//
//     n = iobuf_out(buf, src, len);
//     if (n == -ECOMMIT) { unlock; AWAIT(f->r, iobuf_commit, f->buf); if (f->r < 0) ...; again }
//
// A plain system call handler returns -ECOMMIT (nothing moved yet) to its dispatcher, which
// commits and runs it again.
#pragma once

#include "arch/types.h"
#include "async/async.h"
#include "fs/abi.h"

#include <stddef.h>
#include <stdint.h>

struct space;

struct iobuf {
    struct space *space;        // NULL: kernel memory
    uint64_t base;              // user address (or kernel address) of the next byte of this range
    size_t range;               // bytes left in this range; 0 only when nothing is left at all
    size_t left;                // bytes left in all
    size_t done;                // bytes moved so far
    const struct iovec_k *next; // ranges after this one, kernel copy
    uint32_t more;              // how many
};

static inline void iobuf_user(struct iobuf *b, struct space *space, va_t va, size_t len)
{
    *b = (struct iobuf){.space = space, .base = va, .range = len, .left = len};
}
static inline void iobuf_kernel(struct iobuf *b, void *p, size_t len)
{
    *b = (struct iobuf){.base = (uint64_t)p, .range = len, .left = len};
}
// iov: kernel memory that outlives the iobuf, count <= IOV_MAX, lengths already checked.
void iobuf_iovec(struct iobuf *b, struct space *space, const struct iovec_k *iov, uint32_t count);

// Moves up to n bytes and advances. Returns bytes moved (0 only when n or left is 0), -ECOMMIT or
// -EFAULT when not even one could be moved.
long iobuf_out(struct iobuf *b, const void *src, size_t n);
long iobuf_in(struct iobuf *b, void *dst, size_t n);
long iobuf_zero(struct iobuf *b, size_t n); // iobuf_out of zeros
void iobuf_skip(struct iobuf *b, size_t n); // advances without moving

// Makes the next page present and accessible: for_write when the kernel is going to write to it
// (the user's buffer of a read). 0 or -EFAULT, -ENOMEM, -EIO, -EINTR.
ASYNC_DECL(iobuf_commit, struct iobuf *buf; bool for_write;);

// Whole transfers for async callers without a lock: move all n bytes, committing as needed.
// Returns bytes moved if any, else the error.
ASYNC_DECL(iobuf_out_all, struct iobuf *buf; const void *src; size_t n;);
ASYNC_DECL(iobuf_in_all, struct iobuf *buf; void *dst; size_t n;);
