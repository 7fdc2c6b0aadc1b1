// SPDX-License-Identifier: MIT
// A ring of io_uring, and nonsense submitted to it, for fuzz: what waits is left to the end of the ring, or of the process.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>

enum { SUBMISSIONS = 8, OPCODES = 60 };

// Mostly what some operation may take; the kinds of arguments are those of calls.
static void make_submission(struct io_uring_sqe *s)
{
    for (unsigned i = 0; i < sizeof *s / 8; i++)
        ((uint64_t *)s)[i] = below(4) ? 0 : next();
    s->opcode = (uint8_t)below(OPCODES);
    s->flags = below(3) ? 0 : (uint8_t)(1u << below(8));
    s->ioprio = below(8) ? 0 : (uint16_t)next();
    s->fd = (int32_t)argument("fD"[below(2)]);
    s->off = argument("oqzbt"[below(5)]);
    s->addr = argument("bsvta"[below(5)]);
    s->len = (uint32_t)argument("nqw"[below(3)]);
    s->rw_flags = (int)(below(2) ? 0 : argument("gqO"[below(3)]));
    s->user_data = below(4);
    if (below(8))
        s->buf_index = s->personality = 0, s->splice_fd_in = 0;
}

static void submit_nonsense(void)
{
    struct io_uring_params p = {.flags = below(4) ? 0 : 1u << below(17)};
    long fd = syscall(SYS_io_uring_setup, SUBMISSIONS, &p);
    if (fd < 0)
        return;
    size_t len = p.sq_off.array + SUBMISSIONS * sizeof(uint32_t);
    char *rings = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqes = mmap(NULL, SUBMISSIONS * sizeof *sqes, PROT_READ | PROT_WRITE,
                                     MAP_SHARED, (int)fd, IORING_OFF_SQES);
    if (rings != MAP_FAILED && sqes != MAP_FAILED) {
        for (uint32_t i = 0; i < SUBMISSIONS; i++) {
            make_submission(&sqes[i]);
            ((uint32_t *)(rings + p.sq_off.array))[i] = below(16) ? i : (uint32_t)next();
        }
        *(uint32_t *)(rings + p.sq_off.tail) = below(16) ? SUBMISSIONS : (uint32_t)next();
        syscall(SYS_io_uring_enter, fd, SUBMISSIONS, below(3), below(2), 0, 8);
        *(uint32_t *)(rings + p.cq_off.head) += (uint32_t)below(4);
    }
    if (rings != MAP_FAILED)
        munmap(rings, len);
    if (sqes != MAP_FAILED)
        munmap(sqes, SUBMISSIONS * sizeof *sqes);
    if (below(4))
        close((int)fd);
}
