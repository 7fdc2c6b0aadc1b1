// SPDX-License-Identifier: MIT
// Inside of pipes: the ring (pipe.c) and its ends (pipe_end.c).
#pragma once

#include "fs/pipe.h"
#include "fs/poll.h"

enum { PIPE_PAGES = 16, PIPE_BYTES = PIPE_PAGES * 4096 };

struct pipe {
    struct spinlock lock;
    uint64_t head, tail;       // next byte to write, to read; head - tail <= PIPE_BYTES
    uint32_t readers, writers; // open ends
    struct waitq readable, writable, pollers;
    struct waitq opened;                 // FIFO opens that wait for the other end
    uint32_t reader_opens, writer_opens; // how many there have been
    char *page[PIPE_PAGES];
    struct vnode vnode; // of an anonymous pipe; a FIFO's is the file system's
};

static inline struct pipe *pipe_of(const struct file *file)
{
    return file->priv;
}

static inline uint64_t fill_of(const struct pipe *p)
{
    return p->head - p->tail;
}

// Lock held.
static inline void pipe_wake_readers(struct pipe *p)
{
    if (!waitq_empty(&p->readable))
        waitq_wake_one(&p->readable);
    poll_wake(&p->pollers, POLLIN | POLLRDNORM);
}

static inline bool pipe_has_room(uint64_t fill) // for any small write
{
    return fill <= PIPE_BYTES - PIPE_BUF;
}

// n bytes have been read. Pollers hear only of room where there was none: by edge all else is no news.
static inline void pipe_wake_writers(struct pipe *p, uint64_t n)
{
    if (!waitq_empty(&p->writable))
        waitq_wake_one(&p->writable);
    if (unlikely(!pipe_has_room(fill_of(p) + n) && pipe_has_room(fill_of(p))))
        poll_wake(&p->pollers, POLLOUT | POLLWRNORM);
}

long pipe_try_read(struct file *file, va_t va, size_t len, uint64_t pos);
long pipe_try_write(struct file *file, va_t va, size_t len, uint64_t pos);
ASYNC_IMPL_DECL(pipe_read);
ASYNC_IMPL_DECL(pipe_write);
