// SPDX-License-Identifier: MIT
// A ring of io_uring with operations that wait, links and system calls, for inject.
#pragma once

#include <linux/io_uring.h>

enum { RING_ENTRIES = 8 };

struct made_ring {
    struct io_uring_params p;
    int fd;
    char *rings;
    struct io_uring_sqe *sqes;
    uint32_t n; // submissions
};

static uint32_t *ring_word(const struct made_ring *r, uint32_t offset)
{
    return (uint32_t *)(r->rings + offset);
}

static struct io_uring_sqe *ring_add(struct made_ring *r, int opcode, int fd, const void *p,
                                     uint32_t len, unsigned flags)
{
    struct io_uring_sqe *s = &r->sqes[r->n];

    s->opcode = (uint8_t)opcode;
    s->fd = fd;
    s->addr = (uintptr_t)p;
    s->len = len;
    s->flags = (uint8_t)flags;
    ring_word(r, r->p.sq_off.array)[r->n] = r->n;
    r->n++;
    return s;
}

// Submits all, and takes a completion of each: one that had no memory says so, and what is linked to it is cancelled. Then
// what waits for it is helped on.
static int ring_run(struct made_ring *r, int out)
{
    uint32_t left = r->n, ended = 0;
    int e = 0, refused = 0;

    *ring_word(r, r->p.sq_off.tail) = r->n;
    while (left || ended < r->n) {
        long got =
            syscall(SYS_io_uring_enter, r->fd, left, ended + 1, IORING_ENTER_GETEVENTS, NULL, 0);
        if (got < 0 && errno != EAGAIN && errno != ENOMEM)
            return errno;
        if (got < 0)
            refused = ENOMEM;
        else
            left -= (uint32_t)got;
        for (; ended < *ring_word(r, r->p.cq_off.tail); ended++) {
            const char *cqes = r->rings + r->p.cq_off.cqes;
            int res = ((const int *)(cqes + 16ul * ended))[2];
            if (res < 0 && res != -ETIME && res != -EAGAIN && res != -ENOMEM && res != -ECANCELED)
                return -res;
            if (res < 0 && res != -ETIME && !e && write(out, block, 2) == 2)
                e = ENOMEM;
        }
    }
    return e ? e : refused;
}

static int ring_work(struct made_ring *r, int in, int out)
{
    static struct __kernel_timespec moment = {0, 100000};

    ring_add(r, IORING_OP_READ, in, block, 1, IOSQE_IO_LINK);
    ring_add(r, IORING_OP_NOP, -1, NULL, 0, 0);
    ring_add(r, IORING_OP_TIMEOUT, -1, &moment, 1, 0);
    ring_add(r, IORING_OP_POLL_ADD, out, NULL, 0, 0)->poll32_events = POLLOUT;
    ring_add(r, IORING_OP_STATX, AT_FDCWD, "/tmp", STATX_SIZE, IOSQE_ASYNC)->off =
        (uintptr_t)block + 512;
    ring_add(r, IORING_OP_WRITE, out, block, 2, 0);
    return ring_run(r, out);
}

static int do_ring(void)
{
    struct made_ring r = {0};
    int fds[2], e = 0;

    r.fd = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &r.p);
    TRY(r.fd >= 0);
    size_t len = r.p.sq_off.array + RING_ENTRIES * sizeof(uint32_t);
    r.rings = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_SQ_RING);
    r.sqes = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_SQES);
    if (r.rings == MAP_FAILED || (void *)r.sqes == MAP_FAILED || pipe(fds) < 0) {
        e = errno;
    } else {
        e = ring_work(&r, fds[0], fds[1]);
        close(fds[0]);
        close(fds[1]);
    }
    if (r.rings != MAP_FAILED)
        munmap(r.rings, len);
    if ((void *)r.sqes != MAP_FAILED)
        munmap(r.sqes, PAGE);
    return closing(r.fd, e);
}
