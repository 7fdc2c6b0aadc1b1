// SPDX-License-Identifier: MIT
// A ring for the tests of io_uring, without a library: one mapping for both rings, one for submissions.
#pragma once
#include "abi.h"
#include <linux/io_uring.h>
#include <sys/mman.h>

struct ring {
    int fd;
    struct io_uring_params p;
    char *base;
    size_t len;
    struct io_uring_sqe *sqes;
    unsigned tail; // of what was prepared, published by submit()
};

static inline int uring_setup(unsigned entries, struct io_uring_params *p)
{
    return (int)syscall(SYS_io_uring_setup, entries, p);
}

static inline int uring_enter(int fd, unsigned submit, unsigned wait, unsigned flags, void *arg,
                              size_t size)
{
    return (int)syscall(SYS_io_uring_enter, fd, submit, wait, flags, arg, size);
}

static inline int uring_register(int fd, unsigned what, void *arg, unsigned n)
{
    return (int)syscall(SYS_io_uring_register, fd, what, arg, n);
}

static inline unsigned *ring_word(struct ring *r, unsigned offset)
{
    return (unsigned *)(r->base + offset);
}

static inline void ring_open(struct ring *r, unsigned entries, unsigned flags, unsigned cq)
{
    memset(r, 0, sizeof *r);
    r->p.flags = flags | (cq ? IORING_SETUP_CQSIZE : 0);
    r->p.cq_entries = cq;
    r->fd = uring_setup(entries, &r->p);
    if (r->fd < 0) {
        say("no ring", "%s", errno_name(errno));
        exit(1);
    }
    r->len = r->p.sq_off.array + r->p.sq_entries * sizeof(unsigned);
    r->base = mmap(NULL, r->len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
    r->sqes = mmap(NULL, r->p.sq_entries * sizeof *r->sqes, PROT_READ | PROT_WRITE, MAP_SHARED,
                   r->fd, IORING_OFF_SQES);
    if (r->base == MAP_FAILED || (void *)r->sqes == MAP_FAILED) {
        say("no mapping", "%s", errno_name(errno));
        exit(1);
    }
}

static inline void ring_close(struct ring *r)
{
    munmap(r->base, r->len);
    munmap(r->sqes, r->p.sq_entries * sizeof *r->sqes);
    close(r->fd);
}

// The next submission, zeroed.
static inline struct io_uring_sqe *prepare(struct ring *r, int opcode, int fd, unsigned long data)
{
    unsigned i = r->tail++ & (r->p.sq_entries - 1);
    struct io_uring_sqe *s = &r->sqes[i];

    memset(s, 0, sizeof *s);
    s->opcode = (unsigned char)opcode;
    s->fd = fd;
    s->user_data = data;
    ring_word(r, r->p.sq_off.array)[i] = i;
    return s;
}

static inline struct io_uring_sqe *prepare_rw(struct ring *r, int opcode, int fd, const void *p,
                                              unsigned len, unsigned long off, unsigned long data)
{
    struct io_uring_sqe *s = prepare(r, opcode, fd, data);

    s->addr = (unsigned long)p;
    s->len = len;
    s->off = off;
    return s;
}

// Submits all that was prepared and waits for `wait` completions.
static inline int submit(struct ring *r, unsigned wait)
{
    unsigned *tail = ring_word(r, r->p.sq_off.tail);
    unsigned n = r->tail - *tail;

    __atomic_store_n(tail, r->tail, __ATOMIC_RELEASE);
    return uring_enter(r->fd, n, wait, wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
}

static inline unsigned ready(struct ring *r)
{
    return __atomic_load_n(ring_word(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE) -
           *ring_word(r, r->p.cq_off.head);
}

struct completion { // struct io_uring_cqe without its flexible end
    uint64_t user_data;
    int res;
    unsigned flags;
};

// The oldest completion, taken. Waits for it.
static inline struct completion reap(struct ring *r)
{
    unsigned *head = ring_word(r, r->p.cq_off.head);
    struct completion c = {.user_data = ~0ul};

    while (!ready(r))
        if (uring_enter(r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 && errno != EINTR)
            return c;
    memcpy(&c, r->base + r->p.cq_off.cqes + (*head & (r->p.cq_entries - 1)) * sizeof c, sizeof c);
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return c;
}

static inline void say_res(const char *key, int res)
{
    if (res < 0)
        say(key, "%s", errno_name(-res));
    else
        say(key, "%d", res);
}

// The result of the next completion, whose user_data is below 16: the key's digit.
static inline void say_next(struct ring *r, const char *key)
{
    struct completion c = reap(r);
    char text[128];

    snprintf(text, sizeof text, "%s, %lu", key, (unsigned long)c.user_data);
    say_res(text, c.res);
}

// Takes n completions, in whatever order they came, and shows them by their user_data, which is below 16.
static inline void say_all(struct ring *r, const char *key, int n)
{
    struct completion by_data[16];
    int seen[16] = {0};
    char text[128];

    for (int i = 0; i < n; i++) {
        struct completion c = reap(r);
        if (c.user_data < 16 && seen[c.user_data]++ == 0)
            by_data[c.user_data] = c;
        else
            say(key, "strange completion");
    }
    for (int i = 0; i < 16; i++) {
        snprintf(text, sizeof text, "%s, %d", key, i);
        if (seen[i])
            say_res(text, by_data[i].res);
    }
}

// One submission, and its result.
static inline void say_one(struct ring *r, const char *key)
{
    submit(r, 1);
    say_res(key, reap(r).res);
}
