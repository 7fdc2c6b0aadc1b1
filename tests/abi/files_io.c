// SPDX-License-Identifier: MIT
// Reading and writing: positions, vectors, holes, truncation, sendfile, devices.
#include "abi.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static int file_with(const char *name, const char *text)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        say("harness", "cannot write %s", name);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void test_seek(void)
{
    int fd = file_with("seek", "0123456789");
    char text[16] = "";

    VALUE("SEEK_SET", lseek(fd, 4, SEEK_SET));
    VALUE("SEEK_CUR", lseek(fd, 2, SEEK_CUR));
    VALUE("SEEK_END", lseek(fd, -1, SEEK_END));
    VALUE("read the last", read(fd, text, 5));
    VALUE("read at the end", read(fd, text, 5));
    VALUE("before the start", lseek(fd, -1, SEEK_SET));
    VALUE("odd whence", lseek(fd, 0, 77));
    VALUE("behind the end", lseek(fd, 100, SEEK_SET));
    VALUE("read there", read(fd, text, 5));
    VALUE("write there", write(fd, "x", 1));
    VALUE("size", lseek(fd, 0, SEEK_END));
    VALUE("the hole", pread(fd, text, 4, 50));
    say("is zero", "%d %d", text[0], text[3]);
    VALUE("pread leaves the position", lseek(fd, 0, SEEK_CUR));
    VALUE("pread before the start", pread(fd, text, 1, -1));
    VALUE("pwrite before the start", pwrite(fd, text, 1, -1));
    VALUE("pread behind the end", pread(fd, text, 1, 1000));
    VALUE("SEEK_CUR below zero", lseek(fd, -1000, SEEK_CUR));
    fd = file_with("data", "0123456789");
    VALUE("data", lseek(fd, 3, SEEK_DATA));
    VALUE("a hole", lseek(fd, 3, SEEK_HOLE));
    VALUE("data at the end", lseek(fd, 10, SEEK_DATA));
    VALUE("a hole at the end", lseek(fd, 10, SEEK_HOLE));
    VALUE("data behind it", lseek(fd, 11, SEEK_DATA));
    VALUE("data before the start", lseek(fd, -1, SEEK_DATA));
    VALUE("a hole before the start", lseek(fd, -1, SEEK_HOLE));
    VALUE("it has not moved", lseek(fd, 0, SEEK_CUR));
    VALUE("seek on an eventfd", lseek(eventfd(0, 0), 3, SEEK_SET));
    VALUE("on an epoll", lseek(epoll_create1(0), 3, SEEK_END));
    VALUE("on a timerfd", lseek(timerfd_create(CLOCK_MONOTONIC, 0), 3, SEEK_DATA));
    int fds[2];
    if (pipe(fds) == 0) {
        VALUE("seek on a pipe", lseek(fds[0], 0, SEEK_CUR));
        VALUE("data of a pipe", lseek(fds[0], 0, SEEK_DATA));
        VALUE("odd whence on a pipe", lseek(fds[0], 0, 77));
        VALUE("pread on a pipe", pread(fds[0], text, 1, 0));
    }
}

static void test_vectors(void)
{
    int fd = file_with("vec", "");
    char a[4] = "", b[4] = "", c[8] = "";
    struct iovec out[] = {{"one", 3}, {NULL, 0}, {"two!", 4}};
    struct iovec in[] = {{a, 2}, {b, 3}, {c, 7}};
    struct iovec negative = {a, (size_t)-1};

    VALUE("writev", writev(fd, out, 3));
    lseek(fd, 0, SEEK_SET);
    VALUE("readv", readv(fd, in, 3));
    say("readv gives", "<%.2s> <%.3s> <%s>", a, b, c);
    VALUE("readv nothing", readv(fd, in, 0));
    VALUE("readv too many", syscall(SYS_readv, fd, in, 1025));
    VALUE("readv -1", syscall(SYS_readv, fd, in, -1));
    VALUE("writev of a negative length", writev(fd, &negative, 1));
    VALUE("preadv", preadv(fd, in, 2, 1));
    say("preadv gives", "<%.2s> <%.3s>", a, b);
    VALUE("pwritev", pwritev(fd, out, 3, 2));
    VALUE("size after", lseek(fd, 0, SEEK_END));
}

static void test_truncate(void)
{
    int fd = file_with("trunc", "0123456789");
    char text[16] = "";
    struct stat st;

    OK("ftruncate shorter", ftruncate(fd, 4));
    OK("and longer", ftruncate(fd, 8));
    VALUE("read", pread(fd, text, 16, 0));
    say("old bytes do not come back", "%s %d %d", text, text[4], text[7]);
    OK("truncate by name", truncate("trunc", 2));
    OK("a file of /proc to no size", truncate("/proc/self/oom_score_adj", 0));
    OK("and to some", truncate("/proc/self/oom_score_adj", 5000));
    OK("fstat", fstat(fd, &st));
    say("size by name", "%ld", (long)st.st_size);
    VALUE("negative", ftruncate(fd, -1));
    VALUE("truncate absent", truncate("absent", 0));
    VALUE("truncate a directory", truncate(".", 0));
    int fds[2];
    if (pipe(fds) == 0)
        VALUE("ftruncate a pipe", ftruncate(fds[1], 0));
    OK("fsync", fsync(fd));
    OK("fdatasync", fdatasync(fd));
    VALUE("fsync of nothing", fsync(99));
}

// Larger than a page and odd sizes, checked byte by byte.
static void test_large(void)
{
    static uint8_t block[9000];
    int fd = file_with("large", ""), wrong = 0;
    long total = 0;

    for (int i = 0; i < 40; i++) {
        for (size_t j = 0; j < sizeof block; j++)
            block[j] = (uint8_t)((total + j) % 251);
        if (write(fd, block, sizeof block) != sizeof block)
            wrong++;
        total += sizeof block;
    }
    VALUE("large file", lseek(fd, 0, SEEK_END));
    lseek(fd, 0, SEEK_SET);
    long at = 0;
    for (ssize_t n; (n = read(fd, block, 7777)) > 0; at += n)
        for (ssize_t j = 0; j < n; j++)
            wrong += block[j] != (at + j) % 251;
    say("read back", "%ld bytes, %d wrong", at, wrong);
}

// In a file in memory what was never written is a hole, to the page.
static void test_holes(void)
{
    static char page[PAGE];
    int fd = memfd_create("holes", 0);

    VALUE("data of an empty file", lseek(fd, 0, SEEK_DATA));
    VALUE("a byte", pwrite(fd, "x", 1, 3 * PAGE + 10));
    for (int i = 300; i < 900; i++)
        pwrite(fd, page, PAGE, i * PAGE);
    VALUE("and a hole at the end", ftruncate(fd, 1000 * PAGE + 5));
    VALUE("data from the start", lseek(fd, 0, SEEK_DATA));
    VALUE("the position", lseek(fd, 0, SEEK_CUR));
    VALUE("data from amid it", lseek(fd, 3 * PAGE + 100, SEEK_DATA));
    VALUE("a hole from the start", lseek(fd, 0, SEEK_HOLE));
    VALUE("a hole behind the byte", lseek(fd, 3 * PAGE, SEEK_HOLE));
    VALUE("data behind the byte", lseek(fd, 4 * PAGE, SEEK_DATA));
    VALUE("a hole behind many", lseek(fd, 300 * PAGE + 7, SEEK_HOLE));
    VALUE("a hole from amid it", lseek(fd, 950 * PAGE + 7, SEEK_HOLE));
    VALUE("no data behind them", lseek(fd, 900 * PAGE, SEEK_DATA));
    VALUE("data from the end", lseek(fd, 1000 * PAGE + 5, SEEK_DATA));
    VALUE("a hole from the end", lseek(fd, 1000 * PAGE + 5, SEEK_HOLE));
    VALUE("in memory, data at -1", lseek(fd, -1, SEEK_DATA));
    VALUE("in memory, a hole at -1", lseek(fd, -1, SEEK_HOLE));
    VALUE("end it amid data", ftruncate(fd, 800 * PAGE));
    VALUE("a hole behind all", lseek(fd, 600 * PAGE, SEEK_HOLE));
    close(fd);
}

static void test_sendfile(void)
{
    int in = file_with("from", "0123456789"), out = file_with("to", "");
    char text[16] = "";
    off_t offset = 3;

    VALUE("sendfile", sendfile(out, in, NULL, 4));
    VALUE("moves its position", lseek(in, 0, SEEK_CUR));
    VALUE("sendfile from an offset", sendfile(out, in, &offset, 100));
    say("offset afterwards", "%ld", (long)offset);
    VALUE("position stays", lseek(in, 0, SEEK_CUR));
    VALUE("arrived", pread(out, text, 15, 0));
    say("as", "%s", text);
    VALUE("sendfile at the end", sendfile(out, in, &offset, 5));
    VALUE("sendfile to nothing", sendfile(99, in, NULL, 5));
    int fds[2];
    if (pipe(fds) == 0) {
        lseek(in, 0, SEEK_SET);
        VALUE("sendfile to a pipe", sendfile(fds[1], in, NULL, 5));
        VALUE("sendfile from a pipe", sendfile(out, fds[0], NULL, 5));
    }
    VALUE("copy_file_range", copy_file_range(in, &(off_t){2}, out, &(off_t){0}, 4, 0));
    VALUE("pread", pread(out, text, 4, 0));
    say("copied", "%.4s", text);
}

static void test_devices(void)
{
    uint8_t bytes[64], sum = 0;
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR);
    int full = open("/dev/full", O_RDWR), random = open("/dev/urandom", O_RDONLY);

    VALUE("write /dev/null", write(null, bytes, 64));
    VALUE("read /dev/null", read(null, bytes, 64));
    memset(bytes, 1, 64);
    VALUE("read /dev/zero", read(zero, bytes, 64));
    for (int i = 0; i < 64; i++)
        sum |= bytes[i];
    say("zero is", "%d", sum);
    VALUE("write /dev/zero", write(zero, bytes, 64));
    VALUE("write /dev/full", write(full, bytes, 64));
    VALUE("read /dev/full", read(full, bytes, 64));
    VALUE("read /dev/urandom", read(random, bytes, 64));
    for (int i = 0; i < 64; i++)
        sum |= bytes[i];
    YES("random is not zero", sum != 0);
    VALUE("seek /dev/zero", lseek(zero, 100, SEEK_SET));
}

int main(void)
{
    test_seek();
    test_vectors();
    test_truncate();
    test_large();
    test_holes();
    test_sendfile();
    test_devices();
    return 0;
}
