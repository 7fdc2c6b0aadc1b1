// SPDX-License-Identifier: MIT
// io_uring: submissions that are linked, that wait for those before them, and timeouts of links.
#include "uring.h"

static struct ring r;
static struct __kernel_timespec soon = {0, 2000000}, late = {1000, 0};

static void nop(unsigned flags, unsigned long data)
{
    prepare(&r, IORING_OP_NOP, -1, data)->flags = (unsigned char)flags;
}

static void pipe_read(int fd, void *to, unsigned flags, unsigned long data)
{
    prepare_rw(&r, IORING_OP_READ, fd, to, 4, 0, data)->flags = (unsigned char)flags;
}

static void link_timeout(struct __kernel_timespec *ts, unsigned flags, unsigned long data)
{
    prepare_rw(&r, IORING_OP_LINK_TIMEOUT, -1, ts, 1, 0, data)->flags = (unsigned char)flags;
}

static void test_links(const int p[2])
{
    char in[5] = "";

    prepare_rw(&r, IORING_OP_WRITE, p[1], "abcd", 4, 0, 1)->flags = IOSQE_IO_LINK;
    pipe_read(p[0], in, 0, 2);
    VALUE("a write and then a read", submit(&r, 2));
    say_all(&r, "in a chain", 2);
    say("what went through", "%s", in);
    pipe_read(999, in, IOSQE_IO_LINK, 1);
    nop(IOSQE_IO_LINK, 2);
    nop(0, 3);
    nop(0, 4);
    VALUE("the first fails", submit(&r, 4));
    say_all(&r, "a failure cuts", 4);
    pipe_read(999, in, IOSQE_IO_HARDLINK, 1);
    nop(0, 2);
    submit(&r, 2);
    say_all(&r, "a hard link holds", 2);
    write(p[1], "ab", 2);
    pipe_read(p[0], in, IOSQE_IO_LINK, 1);
    nop(0, 2);
    submit(&r, 2);
    say_all(&r, "a part is a failure", 2);
    nop(IOSQE_IO_LINK, 1);
    prepare(&r, 255, -1, 2)->flags = IOSQE_IO_LINK;
    nop(0, 3);
    VALUE("one of them is refused", submit(&r, 0));
    say_all(&r, "refused", 3);
    nop(IOSQE_IO_LINK, 1);
    VALUE("a link to nothing", submit(&r, 1));
    say_all(&r, "to nothing", 1);
    nop(IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS, 1);
    nop(0, 2);
    submit(&r, 1);
    say_all(&r, "the last is told only", 1);
}

static void test_waiting_links(const int p[2])
{
    char in[5] = "";

    pipe_read(p[0], in, IOSQE_IO_LINK, 1);
    nop(0, 2);
    nop(0, 3);
    submit(&r, 1);
    say_all(&r, "who is not linked does not wait", 1);
    write(p[1], "abcd", 4);
    say_all(&r, "who is does", 2);
    pipe_read(p[0], in, IOSQE_IO_LINK, 1);
    nop(0, 2);
    submit(&r, 0);
    prepare(&r, IORING_OP_ASYNC_CANCEL, -1, 3)->addr = 1;
    submit(&r, 3);
    say_all(&r, "a chain is cancelled", 3);
}

static void test_link_timeouts(const int p[2])
{
    char in[5] = "";

    pipe_read(p[0], in, IOSQE_IO_LINK, 1);
    link_timeout(&soon, 0, 2);
    submit(&r, 2);
    say_all(&r, "a read that takes too long", 2);
    write(p[1], "abcd", 4);
    pipe_read(p[0], in, IOSQE_IO_LINK, 1);
    link_timeout(&late, 0, 2);
    submit(&r, 2);
    say_all(&r, "a read in time", 2);
    pipe_read(p[0], in, IOSQE_IO_LINK, 1);
    link_timeout(&soon, IOSQE_IO_LINK, 2);
    nop(0, 3);
    submit(&r, 3);
    say_all(&r, "a chain that takes too long", 3);
}

static void test_drain(const int p[2])
{
    char in[5] = "";

    nop(IOSQE_IO_DRAIN, 1);
    submit(&r, 1);
    say_all(&r, "a ring that kept a success to itself", 1);
    ring_close(&r);
    ring_open(&r, 8, 0, 0);
    pipe_read(p[0], in, 0, 1);
    nop(IOSQE_IO_DRAIN, 2);
    nop(0, 3);
    VALUE("all wait for the first", submit(&r, 0));
    say("none is complete", "%u", ready(&r));
    write(p[1], "abcd", 4);
    for (int i = 1; i < 4; i++)
        say_next(&r, "in turn");
    nop(IOSQE_IO_DRAIN, 1);
    submit(&r, 1);
    say_all(&r, "nothing to wait for", 1);
}

int main(void)
{
    int p[2];

    OK("pipe", pipe(p));
    ring_open(&r, 8, 0, 0);
    test_links(p);
    test_waiting_links(p);
    test_link_timeouts(p);
    test_drain(p);
    ring_close(&r);
    return 0;
}
