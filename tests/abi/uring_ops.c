// SPDX-License-Identifier: MIT
// Operations of io_uring: files, pipes, polls, timeouts, cancellation, and system calls that became operations.
#include "uring.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

static struct ring r;

static void test_files(void)
{
    char in[16] = "", a[4], b[8] = "";
    struct iovec out[2] = {{"hello ", 6}, {"world", 5}}, both[2] = {{a, 4}, {b, 7}};
    int fd = open("ring-file", O_RDWR | O_CREAT | O_TRUNC, 0600);

    prepare_rw(&r, IORING_OP_WRITEV, fd, out, 2, 0, 1);
    say_one(&r, "writev");
    prepare_rw(&r, IORING_OP_READ, fd, in, sizeof in, 6, 1);
    say_one(&r, "read at 6");
    say("what it read", "%s", in);
    prepare_rw(&r, IORING_OP_READV, fd, both, 2, 0, 1);
    say_one(&r, "readv");
    say("what that read", "%.4s|%s", a, b);
    prepare_rw(&r, IORING_OP_WRITE, fd, "HELL", 4, 0, 1);
    say_one(&r, "write");
    prepare_rw(&r, IORING_OP_READ, fd, in, 5, ~0ul, 1);
    say_one(&r, "read where the file is");
    say("that is", "%.5s", in);
    VALUE("where it is then", lseek(fd, 0, SEEK_CUR));
    prepare_rw(&r, IORING_OP_READ, fd, in, 5, 100, 1);
    say_one(&r, "read beyond the end");
    prepare_rw(&r, IORING_OP_READ, fd, in, 5, 1ul << 63, 1);
    say_one(&r, "read before the start");
    prepare_rw(&r, IORING_OP_READ, fd, (void *)8, 5, 0, 1);
    say_one(&r, "read into nowhere");
    prepare_rw(&r, IORING_OP_READV, fd, (void *)8, 2, 0, 1);
    say_one(&r, "a vector nowhere");
    prepare_rw(&r, IORING_OP_READV, fd, both, 2000, 0, 1);
    say_one(&r, "a vector too long");
    prepare_rw(&r, IORING_OP_READ, 999, in, 5, 0, 1);
    say_one(&r, "read no file");
    prepare(&r, IORING_OP_FSYNC, fd, 1);
    say_one(&r, "fsync");
    prepare(&r, IORING_OP_FSYNC, fd, 1)->fsync_flags = 1u << 7;
    say_one(&r, "fsync with unknown flags");
    close(fd);
    fd = open("ring-file", O_RDONLY);
    prepare_rw(&r, IORING_OP_WRITE, fd, "x", 1, 0, 1);
    say_one(&r, "write what is only read");
    close(fd);
    fd = open(".", O_PATH);
    prepare_rw(&r, IORING_OP_READ, fd, in, 5, 0, 1);
    say_one(&r, "read a mere path");
    close(fd);
}

// Ready for some, but not for this value.
static void test_full_eventfd(void)
{
    uint64_t most = UINT64_MAX - 1, five = 5;
    int fd = eventfd(3, EFD_NONBLOCK);

    prepare_rw(&r, IORING_OP_WRITE, fd, &most, 8, 0, 1);
    VALUE("a value that does not fit", submit(&r, 0));
    write(fd, &five, 8);
    say("it does not yet", "%u", ready(&r));
    VALUE("the count", get_count(fd));
    say_next(&r, "now it does");
    close(fd);
}

static void test_pipes(void)
{
    char in[16] = "";
    int p[2];

    VALUE("pipe", pipe(p));
    prepare_rw(&r, IORING_OP_READ, p[0], in, sizeof in, 0, 1);
    VALUE("a read that waits", submit(&r, 0));
    say("nothing yet", "%u", ready(&r));
    prepare_rw(&r, IORING_OP_WRITE, p[1], "abc", 3, 0, 2);
    submit(&r, 2);
    say_all(&r, "read and write", 2);
    say("what came", "%s", in);
    prepare_rw(&r, IORING_OP_READ, p[0], in, sizeof in, 0, 1);
    submit(&r, 0);
    VALUE("a plain write ends it", write(p[1], "de", 2));
    say_next(&r, "that read");
    prepare_rw(&r, IORING_OP_READ, p[0], in, sizeof in, 0, 1);
    submit(&r, 0);
    close(p[1]);
    say_next(&r, "nobody writes any more");
    close(p[0]);
    pipe(p);
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    prepare_rw(&r, IORING_OP_WRITE, p[1], "abc", 3, 0, 2);
    say_one(&r, "nobody reads");
    signal(SIGPIPE, SIG_DFL);
    close(p[1]);
    pipe(p);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    prepare_rw(&r, IORING_OP_READ, p[0], in, sizeof in, 0, 1);
    VALUE("a descriptor that may not wait", submit(&r, 0));
    say("still nothing", "%u", ready(&r));
    write(p[1], "fg", 2);
    say_next(&r, "its operation does");
    test_full_eventfd();
    prepare_rw(&r, IORING_OP_READ, p[1], in, sizeof in, 0, 1);
    say_one(&r, "read the end that is written");
    fcntl(p[0], F_SETFL, 0);
    prepare_rw(&r, IORING_OP_READ, p[0], in, sizeof in, 0, 1);
    submit(&r, 0);
    close(p[0]); // the read keeps it
    VALUE("write to who reads still", write(p[1], "late", 4));
    say_next(&r, "the descriptor was closed");
    close(p[1]);
}

static void test_polls(void)
{
    int p[2];
    char c;

    pipe(p);
    prepare(&r, IORING_OP_POLL_ADD, p[1], 1)->poll32_events = POLLOUT;
    say_one(&r, "poll what is ready");
    prepare(&r, IORING_OP_POLL_ADD, p[0], 1)->poll32_events = POLLIN;
    VALUE("poll what is not", submit(&r, 0));
    say("not ready", "%u", ready(&r));
    write(p[1], "a", 1);
    say_next(&r, "it is");
    read(p[0], &c, 1);
    prepare(&r, IORING_OP_POLL_ADD, p[0], 1)->poll32_events = POLLIN;
    prepare(&r, IORING_OP_POLL_REMOVE, -1, 2)->addr = 1;
    submit(&r, 2);
    say_all(&r, "poll and remove", 2);
    prepare(&r, IORING_OP_POLL_REMOVE, -1, 2)->addr = 99;
    say_one(&r, "remove no poll");
    prepare(&r, IORING_OP_POLL_ADD, 999, 1)->poll32_events = POLLIN;
    say_one(&r, "poll no file");
    prepare(&r, IORING_OP_POLL_ADD, p[0], 3)->poll32_events = POLLIN;
    r.sqes[(r.tail - 1) & (r.p.sq_entries - 1)].len = IORING_POLL_ADD_MULTI;
    submit(&r, 0);
    for (int i = 0; i < 2; i++) {
        struct completion done;
        write(p[1], "a", 1);
        done = reap(&r);
        say(i ? "again" : "one of many", "0x%x, more %s", done.res,
            done.flags & IORING_CQE_F_MORE ? "yes" : "no");
        read(p[0], &c, 1);
    }
    prepare(&r, IORING_OP_POLL_REMOVE, -1, 2)->addr = 3;
    submit(&r, 2);
    say_all(&r, "no more of them", 2);
    prepare(&r, IORING_OP_POLL_ADD, p[0], 1)->poll32_events = POLLIN;
    submit(&r, 0);
    close(p[1]);
    say_next(&r, "a hang-up is always told");
    close(p[0]);
}

static struct io_uring_sqe *prepare_timeout(const struct __kernel_timespec *ts, unsigned count,
                                            unsigned flags, unsigned long data)
{
    struct io_uring_sqe *s = prepare_rw(&r, IORING_OP_TIMEOUT, -1, ts, 1, count, data);

    s->timeout_flags = flags;
    return s;
}

static void test_timeouts(void)
{
    struct __kernel_timespec soon = {0, 2000000}, late = {1000, 0}, never = {-1, 0}, now;
    struct timespec t;

    prepare_timeout(&soon, 0, 0, 1);
    say_one(&r, "a timeout");
    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (struct __kernel_timespec){t.tv_sec, t.tv_nsec};
    prepare_timeout(&now, 0, IORING_TIMEOUT_ABS, 1);
    say_one(&r, "until now");
    clock_gettime(CLOCK_REALTIME, &t);
    now = (struct __kernel_timespec){t.tv_sec, t.tv_nsec};
    prepare_timeout(&now, 0, IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME, 1);
    say_one(&r, "until now by the other clock");
    prepare_timeout(&late, 2, 0, 1);
    prepare(&r, IORING_OP_NOP, -1, 2);
    submit(&r, 1);
    say_all(&r, "one of two", 1);
    prepare(&r, IORING_OP_NOP, -1, 2);
    submit(&r, 2);
    say_all(&r, "both", 2);
    prepare_timeout(&late, 0, 0, 1);
    prepare(&r, IORING_OP_TIMEOUT_REMOVE, -1, 2)->addr = 1;
    submit(&r, 2);
    say_all(&r, "removed", 2);
    prepare(&r, IORING_OP_TIMEOUT_REMOVE, -1, 2)->addr = 1;
    say_one(&r, "remove no timeout");
    prepare_timeout(&never, 0, 0, 1);
    say_one(&r, "a time before");
    prepare_timeout((void *)8, 0, 0, 1);
    say_one(&r, "a time nowhere");
    prepare_timeout(&soon, 0, 1u << 20, 1);
    say_one(&r, "unknown timeout flags");
    prepare_timeout(&soon, 0, IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_REALTIME, 1);
    say_one(&r, "two clocks");
    prepare_timeout(&soon, 0, 0, 1)->len = 2;
    say_one(&r, "two times");
    prepare_timeout(&soon, 0, 0, 1)->opcode = IORING_OP_LINK_TIMEOUT;
    say_one(&r, "a link's timeout without a link");
}

static void test_cancel(void)
{
    char in[4];
    int p[2];

    pipe(p);
    prepare_rw(&r, IORING_OP_READ, p[0], in, 4, 0, 1);
    submit(&r, 0);
    prepare(&r, IORING_OP_ASYNC_CANCEL, -1, 2)->addr = 1;
    submit(&r, 2);
    say_all(&r, "cancel a read", 2);
    prepare(&r, IORING_OP_ASYNC_CANCEL, -1, 2)->addr = 1;
    say_one(&r, "cancel nothing");
    for (unsigned long i = 1; i < 4; i++)
        prepare_rw(&r, IORING_OP_READ, p[0], in, 4, 0, i);
    submit(&r, 0);
    prepare(&r, IORING_OP_ASYNC_CANCEL, p[0], 4)->cancel_flags =
        IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
    submit(&r, 4);
    say_all(&r, "cancel all of a file", 4);
    prepare(&r, IORING_OP_ASYNC_CANCEL, -1, 4)->cancel_flags = IORING_ASYNC_CANCEL_ANY;
    say_one(&r, "cancel any where there are none");
    prepare(&r, IORING_OP_ASYNC_CANCEL, 999, 4)->cancel_flags = IORING_ASYNC_CANCEL_FD;
    say_one(&r, "cancel of no file");
    prepare(&r, IORING_OP_ASYNC_CANCEL, -1, 4)->cancel_flags = 1u << 20;
    say_one(&r, "unknown cancel flags");
    write(p[1], "left", 4);
    VALUE("what was written later is there", read(p[0], in, 4));
    close(p[0]);
    close(p[1]);
}

static struct io_uring_sqe *prepare_path(int opcode, const char *path, unsigned flags, unsigned len)
{
    struct io_uring_sqe *s = prepare_rw(&r, opcode, AT_FDCWD, path, len, 0, 1);

    s->open_flags = flags;
    return s;
}

static void test_calls(void)
{
    struct statx st;
    struct stat plain;
    int fd;

    prepare_path(IORING_OP_OPENAT, "made", O_CREAT | O_RDWR | O_EXCL, 0640);
    submit(&r, 1);
    fd = reap(&r).res;
    OK("fstat of what openat opened", fstat(fd, &plain));
    say("its mode", "0%o", plain.st_mode & 07777);
    prepare_path(IORING_OP_OPENAT, "made", O_CREAT | O_RDWR | O_EXCL, 0640);
    say_one(&r, "openat of what is there");
    prepare(&r, IORING_OP_CLOSE, fd, 1);
    say_one(&r, "close");
    prepare(&r, IORING_OP_CLOSE, fd, 1);
    say_one(&r, "close it again");
    prepare_path(IORING_OP_STATX, "made", 0, STATX_SIZE)->off = (unsigned long)&st;
    say_one(&r, "statx");
    say("the size", "%lu", (unsigned long)st.stx_size);
    prepare_path(IORING_OP_STATX, "missing", 0, STATX_SIZE)->off = (unsigned long)&st;
    say_one(&r, "statx of nothing");
    prepare_path(IORING_OP_MKDIRAT, "folder", 0, 0700);
    say_one(&r, "mkdirat");
    prepare_path(IORING_OP_RENAMEAT, "made", 0, (unsigned)AT_FDCWD)->off = (unsigned long)"moved";
    say_one(&r, "renameat");
    prepare_path(IORING_OP_LINKAT, "moved", 0, (unsigned)AT_FDCWD)->off = (unsigned long)"linked";
    say_one(&r, "linkat");
    prepare_path(IORING_OP_SYMLINKAT, "moved", 0, 0)->off = (unsigned long)"soft";
    say_one(&r, "symlinkat");
    OK("the link", stat("soft", &plain));
    say("names of it", "%lu", (unsigned long)plain.st_nlink);
    prepare_path(IORING_OP_UNLINKAT, "folder", AT_REMOVEDIR, 0);
    say_one(&r, "unlinkat");
    prepare_path(IORING_OP_UNLINKAT, (void *)8, 0, 0);
    say_one(&r, "unlinkat of nowhere");
    fd = open("moved", O_RDWR);
    prepare_rw(&r, IORING_OP_FALLOCATE, fd, (void *)5000, 0, 0, 1);
    say_one(&r, "fallocate");
    fstat(fd, &plain);
    say("the size then", "%ld", (long)plain.st_size);
    prepare_rw(&r, IORING_OP_READ, fd, &st, 1, 0, 1)->flags = IOSQE_ASYNC;
    say_one(&r, "read by another");
    close(fd);
    // Else the next run's renameat leaves this file to its other name alone, and makes another: one file more than now.
    prepare_path(IORING_OP_UNLINKAT, "moved", 0, 0);
    say_one(&r, "unlinkat of a file");
    OK("its other names", unlink("linked") | unlink("soft"));
}

static void test_registered(void)
{
    int p[2], fds[3] = {-1, -1, -1}, one;
    char buffer[64] = "";
    struct iovec v = {buffer, sizeof buffer};
    struct io_uring_files_update up = {.offset = 2, .fds = (unsigned long)&one};

    pipe(p);
    fds[0] = p[0];
    VALUE("no files to unregister", uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
    VALUE("register files", uring_register(r.fd, IORING_REGISTER_FILES, fds, 3));
    VALUE("register more", uring_register(r.fd, IORING_REGISTER_FILES, fds, 3));
    one = p[1];
    VALUE("update one", uring_register(r.fd, IORING_REGISTER_FILES_UPDATE, &up, 1));
    up.offset = 3;
    VALUE("update beyond", uring_register(r.fd, IORING_REGISTER_FILES_UPDATE, &up, 1));
    close(p[0]);
    close(p[1]);
    prepare_rw(&r, IORING_OP_WRITE, 2, "xyz", 3, 0, 1)->flags = IOSQE_FIXED_FILE;
    say_one(&r, "write to a registered file");
    prepare_rw(&r, IORING_OP_READ, 1, buffer, 3, 0, 1)->flags = IOSQE_FIXED_FILE;
    say_one(&r, "read an empty place");
    prepare_rw(&r, IORING_OP_READ, 0, buffer, 3, 0, 1)->flags = IOSQE_FIXED_FILE;
    say_one(&r, "read a registered file");
    say("what was read", "%s", buffer);
    VALUE("register a buffer", uring_register(r.fd, IORING_REGISTER_BUFFERS, &v, 1));
    prepare_rw(&r, IORING_OP_WRITE_FIXED, 2, buffer + 1, 2, 0, 1)->flags = IOSQE_FIXED_FILE;
    say_one(&r, "write from a registered buffer");
    prepare_rw(&r, IORING_OP_READ_FIXED, 0, buffer + 60, 5, 0, 1)->flags = IOSQE_FIXED_FILE;
    say_one(&r, "read past its end");
    prepare_rw(&r, IORING_OP_READ_FIXED, 0, buffer, 5, 0, 1)->flags = IOSQE_FIXED_FILE;
    r.sqes[(r.tail - 1) & (r.p.sq_entries - 1)].buf_index = 1;
    say_one(&r, "read into no buffer");
    prepare_rw(&r, IORING_OP_READ_FIXED, 0, buffer, 5, 0, 1)->flags = IOSQE_FIXED_FILE;
    say_one(&r, "read into a registered buffer");
    say("and that was", "%.2s", buffer);
    VALUE("unregister the buffer", uring_register(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
    VALUE("unregister the files", uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
    fds[0] = r.fd;
    VALUE("register a ring", uring_register(r.fd, IORING_REGISTER_FILES, fds, 1));
    fds[0] = 999;
    VALUE("register no file", uring_register(r.fd, IORING_REGISTER_FILES, fds, 1));
    VALUE("register none", uring_register(r.fd, IORING_REGISTER_FILES, fds, 0));
}

// A signal for this thread alone, which whoever does the reading for it must find.
static void test_signals(void)
{
    struct signalfd_siginfo in = {0};
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, 0);
    raise(SIGUSR1);
    prepare(&r, IORING_OP_POLL_ADD, fd, 1)->poll32_events = POLLIN;
    say_one(&r, "poll a signal that is there");
    prepare_rw(&r, IORING_OP_READ, fd, &in, sizeof in, 0, 1)->flags = IOSQE_ASYNC;
    say_one(&r, "read it");
    say("which it was", "%u", in.ssi_signo);
    prepare_rw(&r, IORING_OP_READ, fd, &in, sizeof in, 0, 1);
    submit(&r, 0);
    say("none is left", "%u", ready(&r));
    raise(SIGUSR1);
    say_next(&r, "another comes");
    close(fd);
}

int main(void)
{
    ring_open(&r, 8, 0, 0);
    test_files();
    test_pipes();
    test_polls();
    test_timeouts();
    test_cancel();
    test_calls();
    test_registered();
    test_signals();
    ring_close(&r);
    return 0;
}
