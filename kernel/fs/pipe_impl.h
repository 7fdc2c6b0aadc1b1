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
    if (unlikely(!waitq_empty(&p->pollers)))
        waitq_wake_all(&p->pollers);
}

static inline void pipe_wake_writers(struct pipe *p)
{
    if (!waitq_empty(&p->writable))
        waitq_wake_one(&p->writable);
    if (unlikely(!waitq_empty(&p->pollers)))
        waitq_wake_all(&p->pollers);
}

long pipe_try_read(struct file *file, va_t va, size_t len, uint64_t pos);
long pipe_try_write(struct file *file, va_t va, size_t len, uint64_t pos);
ASYNC_IMPL_DECL(pipe_read);
ASYNC_IMPL_DECL(pipe_write);
