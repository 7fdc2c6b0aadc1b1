// SPDX-License-Identifier: MIT
// A buffer that runs into nothing: files and devices move what fits and say so, and the position and
// the size are those of such a transfer; pipes move whole pages of theirs, and lose nothing.
//
// What fits is a multiple of 64: Linux on RISC-V counts in such steps what a fault cuts short.
// partial DIR: the disk's part in DIR, for recording where there is no such disk.
#include "abi.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

enum {
    SIZE = 20000,
    LONG = 9000,
    LARGE = 70000
}; // a file's; what is asked for; more than goes at once
static const char *place;

static char *before_nothing(size_t len, int flags, int fd)
{
    char *p = mmap(NULL, len + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, fd, 0);

    if (p == MAP_FAILED || munmap(p + len, PAGE) < 0)
        say("harness", "no memory: %s", errno_name(errno));
    return p;
}

// The last n bytes before nothing, all 'b': there, ...
static char *present(size_t n)
{
    char *p = before_nothing(3 * PAGE, MAP_ANONYMOUS, -1);

    memset(p, 'b', 3 * PAGE);
    return p + 3 * PAGE - n;
}

// ... or still to be read from a file.
static char *absent(size_t n)
{
    static char b[3 * PAGE];
    int fd = open("absent", O_RDWR | O_CREAT | O_TRUNC, 0600);

    memset(b, 'b', sizeof b);
    if (fd < 0 || write(fd, b, sizeof b) != sizeof b || fsync(fd) < 0)
        say("harness", "cannot write a file: %s", errno_name(errno));
    char *p = before_nothing(sizeof b, 0, fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return p + sizeof b - n;
}

static const struct buffer {
    char *(*make)(size_t n);
    size_t fit;
    const char *name;
} buffers[] = {
    {present, 0, "none fit"},
    {present, 128, "128 fit"},
    {present, 4160, "4160 fit"},
    {absent, 128, "128 absent ones fit"},
    {absent, 4160, "4160 absent ones fit"},
};

static size_t run_of(const char *p, char c, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] == c)
        i++;
    return i;
}

// `key` of the buffer: what a call returned, and more.
__attribute__((format(printf, 4, 5))) static void tell(const char *key, const struct buffer *b,
                                                       long r, const char *format, ...)
{
    char full[120], result[24], more[200];
    int error = errno;
    va_list args;

    va_start(args, format);
    vsnprintf(more, sizeof more, format, args);
    va_end(args);
    snprintf(full, sizeof full, "%s, %s, %s", place, key, b->name);
    snprintf(result, sizeof result, "%ld", r);
    say(full, "%s%s", r < 0 ? errno_name(error) : result, more);
}

// ---- files

// One of `size` bytes, all 'a', at position pos.
static int file_of(size_t size, long pos)
{
    static char a[2 * LARGE];
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);

    memset(a, 'a', sizeof a);
    if (fd < 0 || write(fd, a, size) != (ssize_t)size || lseek(fd, pos, SEEK_SET) != pos)
        say("harness", "cannot make a file: %s", errno_name(errno));
    return fd;
}

static void read_at(const char *key, const struct buffer *b, long pos, size_t len)
{
    int fd = file_of(len < SIZE ? SIZE : 2 * LARGE, pos);
    char *to = b->make(b->fit);
    long n = read(fd, to, len);
    int error = errno;
    long now = lseek(fd, 0, SEEK_CUR);

    errno = error;
    tell(key, b, n, ", position %ld, right %s", now,
         run_of(to, 'a', b->fit) >= (n < 0 ? 0 : (size_t)n) ? "yes" : "no");
    close(fd);
}

// r is what a write at pos to the file of `size` bytes returned.
static void tell_write(const char *key, const struct buffer *b, int fd, long r, long pos, long size)
{
    static char all[3 * LARGE];
    int error = errno;
    long now = lseek(fd, 0, SEEK_CUR), n = pread(fd, all, sizeof all, 0);
    long in = n > pos ? (long)run_of(all + pos, 'b', (size_t)(n - pos)) : 0;
    long rest = pos + in < size ? size - pos - in : 0;
    int kept = run_of(all, 'a', (size_t)pos) == (size_t)pos &&
               run_of(all + pos + in, 'a', (size_t)rest) == (size_t)rest;
    struct stat st;

    fstat(fd, &st);
    errno = error;
    tell(key, b, r, ", position %ld, size %ld, written %ld, the rest %s", now, (long)st.st_size, in,
         kept && n == st.st_size ? "kept" : "changed");
    close(fd);
}

static void write_at(const char *key, const struct buffer *b, long size, long pos, size_t len)
{
    char *from = b->make(b->fit);
    int fd = file_of((size_t)size, pos);

    tell_write(key, b, fd, write(fd, from, len), pos, size);
}

static void other_calls(const struct buffer *b)
{
    char *p = b->make(b->fit), *good = present(64);
    struct iovec vec[] = {{good, 64}, {p, LONG}};
    int fd = file_of(SIZE, 0);

    fcntl(fd, F_SETFL, O_APPEND);
    tell_write("O_APPEND", b, fd, write(fd, p, LONG), SIZE, SIZE);
    fd = file_of(SIZE, 0);
    tell_write("pwrite", b, fd, pwrite(fd, p, LONG, 64), 64, SIZE);
    fd = file_of(SIZE, 0);
    tell_write("writev", b, fd, writev(fd, vec, 2), 0, SIZE);
    fd = file_of(SIZE, 0);
    long n = pread(fd, p, LONG, 64);
    tell("pread", b, n, ", right %s", run_of(p, 'a', b->fit) == b->fit ? "yes" : "no");
    n = readv(fd, vec, 2);
    tell("readv", b, n, ", position %ld", (long)lseek(fd, 0, SEEK_CUR));
    close(fd);
}

static void test_files(void)
{
    for (const struct buffer *b = buffers; b < buffers + COUNT(buffers); b++) {
        read_at("read", b, 0, LONG);
        read_at("read at 4032", b, 4032, LONG);
        read_at("read much", b, 0, LARGE);
        write_at("write", b, SIZE, 0, LONG);
        write_at("write at 4032", b, SIZE, 4032, LONG);
        write_at("write into an empty file", b, 0, 0, 4224);
        write_at("write at the end", b, SIZE, SIZE, LONG);
        write_at("write across the end", b, SIZE, SIZE - 64, LONG);
        write_at("write much", b, SIZE, 0, LARGE);
        other_calls(b);
    }
}

// ---- devices

static void test_devices(void)
{
    int zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR);
    int urandom = open("/dev/urandom", O_RDONLY);

    for (const struct buffer *b = buffers; b < buffers + COUNT(buffers); b++) {
        char *p = b->make(b->fit);
        long n = read(zero, p, LONG);
        tell("/dev/zero", b, n, ", right %s", run_of(p, 0, b->fit) == b->fit ? "yes" : "no");
        tell("much of /dev/zero", b, read(zero, b->make(b->fit), LARGE), "%s", "");
        tell("/dev/full", b, read(full, b->make(b->fit), LONG), "%s", "");
        tell("into /dev/zero", b, write(zero, b->make(b->fit), LONG), "%s", "");
        tell("/dev/urandom", b, read(urandom, b->make(b->fit), LONG), "%s", "");
        tell("getrandom", b, syscall(SYS_getrandom, b->make(b->fit), LONG, 0), "%s", "");
        tell("little from getrandom", b, syscall(SYS_getrandom, b->make(b->fit), 256, 0), "%s", "");
    }
}

// ---- pipes

static char pattern[2 * PAGE + 1808], back[3 * PAGE];

// r is what a read to p returned, of a pipe that held `size` bytes: what is left follows right behind it.
static void tell_pipe_read(const char *key, const struct buffer *b, int fds[2], long r,
                           const char *p, size_t size)
{
    size_t n = r < 0 ? 0 : (size_t)r;
    int error = errno;
    long left = n < size ? read(fds[0], back, sizeof back) : 0;

    errno = error;
    tell(key, b, r, ", left %ld, lost %s", left,
         n <= size && left == (long)(size - n) && !memcmp(p, pattern, n) &&
                 !memcmp(back, pattern + n, size - n)
             ? "nothing"
             : "something");
}

static void pipe_read(const char *key, const struct buffer *b, size_t size, size_t len)
{
    int fds[2];
    char *p = b->make(b->fit);

    if (pipe2(fds, O_NONBLOCK) < 0 || write(fds[1], pattern, size) != (ssize_t)size)
        say("harness", "no pipe: %s", errno_name(errno));
    long n = read(fds[0], p, len);
    tell_pipe_read(key, b, fds, n, p, size);
    close(fds[0]);
    close(fds[1]);
}

static void tell_pipe_write(const char *key, const struct buffer *b, int fds[2], long r)
{
    int left = 0, error = errno;

    ioctl(fds[0], FIONREAD, &left);
    long n = left ? read(fds[0], back, sizeof back) : 0;
    errno = error;
    tell(key, b, r, ", in it %d, right %s", left,
         n == left && run_of(back, 'b', (size_t)n) == (size_t)n ? "yes" : "no");
}

static void pipe_write(const char *key, const struct buffer *b, size_t len)
{
    int fds[2];

    if (pipe2(fds, O_NONBLOCK) < 0)
        say("harness", "no pipe: %s", errno_name(errno));
    tell_pipe_write(key, b, fds, write(fds[1], b->make(b->fit), len));
    close(fds[0]);
    close(fds[1]);
}

static void pipe_vectors(const struct buffer *b)
{
    char *good = present(64), *p = b->make(b->fit);
    struct iovec vec[] = {{good, 64}, {p, LONG}};
    int fds[2];

    if (pipe2(fds, O_NONBLOCK) < 0)
        say("harness", "no pipe: %s", errno_name(errno));
    tell_pipe_write("writev", b, fds, writev(fds[1], vec, 2));
    if (write(fds[1], pattern, sizeof pattern) != sizeof pattern)
        say("harness", "no room: %s", errno_name(errno));
    long n = readv(fds[0], vec, 2);
    tell("readv", b, n, ", left %ld", (long)read(fds[0], back, sizeof back));
    close(fds[0]);
    close(fds[1]);
}

// Who waits for the bytes has looked at none of its memory before.
static void pipe_read_waiting(const struct buffer *b)
{
    char *p = b->make(b->fit);
    int fds[2], status = 0, left = -1;

    if (pipe(fds) < 0)
        say("harness", "no pipe: %s", errno_name(errno));
    pid_t pid = fork();
    if (pid == 0) {
        long n = read(fds[0], p, LONG);
        _exit(n < 0 ? errno : (int)n);
    }
    usleep(50000);
    write(fds[1], pattern, 192);
    waitpid(pid, &status, 0);
    ioctl(fds[0], FIONREAD, &left);
    tell("read that waits", b, 0, ", it ends with %d, left %d", WEXITSTATUS(status), left);
    close(fds[0]);
    close(fds[1]);
}

static void test_pipes(void)
{
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i * 7 % 251);
    for (const struct buffer *b = buffers; b < buffers + COUNT(buffers); b++) {
        pipe_read("read", b, sizeof pattern, LONG);
        pipe_read("read of a page and more", b, sizeof pattern, PAGE + 128);
        pipe_read("read of what little there is", b, 192, LONG);
        pipe_read("read of little", b, sizeof pattern, 192);
        pipe_write("write", b, LONG);
        pipe_write("write of a page and more", b, PAGE + 128);
        pipe_write("write of a page", b, PAGE);
        pipe_write("write of little", b, 192);
        pipe_write("write of much", b, LARGE);
        pipe_vectors(b);
        pipe_read_waiting(b);
    }
}

static void go(const char *dir)
{
    char name[64];

    snprintf(name, sizeof name, "%s/abi-XXXXXX", dir);
    if (!mkdtemp(name) || chdir(name) < 0)
        say("harness", "no folder in %s: %s", dir, errno_name(errno));
}

int main(int argc, char **argv)
{
    struct statfs fs;

    place = "memory";
    go("/tmp");
    test_files();
    if (argc < 2 &&
        (statfs("/mnt", &fs) < 0 || fs.f_type != 0x4d44)) // what Linux calls MSDOS_SUPER_MAGIC
        if (mount("/dev/vda", "/mnt", "vfat", 0, NULL) < 0)
            say("harness", "cannot mount the disk: %s", errno_name(errno));
    place = "disk";
    go(argc < 2 ? "/mnt" : argv[1]);
    test_files();
    place = "device"; // with buffers that are the disk's
    test_devices();
    place = "pipe";
    test_pipes();
    return 0;
}
