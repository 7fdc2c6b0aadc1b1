// SPDX-License-Identifier: MIT
// Advice about files: posix_fadvise and readahead, and what neither of them takes.
#include "abi.h"
#include <sys/mman.h>
#include <sys/syscall.h>

static long fadvise(int fd, long pos, long len, int advice)
{
    return syscall(SYS_fadvise64, fd, pos, len, advice);
}

static long ahead(int fd, long pos, size_t n)
{
    return syscall(SYS_readahead, fd, pos, n);
}

int main(void)
{
    static const char *const names[] = {"normal",    "random",   "sequential", "will need",
                                        "dont need", "no reuse", "six",        "seven"};
    char text[16] = "";
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644), ends[2];

    write(fd, "0123456789", 10);
    for (int advice = 0; advice < 8; advice++)
        VALUE(names[advice], fadvise(fd, 0, 0, advice));
    VALUE("minus one", fadvise(fd, 0, 0, -1));
    VALUE("a length below zero", fadvise(fd, 0, -1, POSIX_FADV_NORMAL));
    VALUE("a place below zero", fadvise(fd, -1, 1, POSIX_FADV_WILLNEED));
    VALUE("both odd", fadvise(fd, -1, -1, 77));
    VALUE("behind the end", fadvise(fd, 1 << 20, 1 << 20, POSIX_FADV_WILLNEED));
    VALUE("as far as can be", fadvise(fd, 4096, INT64_MAX, POSIX_FADV_DONTNEED));
    VALUE("not open", fadvise(77, 0, 0, POSIX_FADV_NORMAL));
    VALUE("not open, odd", fadvise(-1, 0, -1, 77));
    VALUE("what was written stays", fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    VALUE("and can be read", pread(fd, text, 10, 0));
    say("as", "%s", text);

    VALUE("readahead", ahead(fd, 0, 100));
    VALUE("readahead of nothing", ahead(fd, 0, 0));
    VALUE("readahead behind the end", ahead(fd, 1 << 20, 100));
    VALUE("readahead of too much", ahead(fd, 0, (size_t)INT64_MAX + 1));
    VALUE("readahead, not open", ahead(77, 0, 100));
    VALUE("readahead, odd and not open", ahead(-1, 0, (size_t)-1));

    int out = open("f", O_WRONLY), path = open("f", O_PATH), here = open(".", O_RDONLY);
    int null = open("/dev/null", O_RDWR);
    VALUE("for writing only", fadvise(out, 0, 0, POSIX_FADV_WILLNEED));
    VALUE("readahead for writing only", ahead(out, 0, 100));
    VALUE("a path", fadvise(path, 0, 0, POSIX_FADV_NORMAL));
    VALUE("readahead of a path", ahead(path, 0, 100));
    VALUE("a directory", fadvise(here, 0, 0, POSIX_FADV_WILLNEED));
    VALUE("readahead of a directory", ahead(here, 0, 100));
    VALUE("a device", fadvise(null, 0, 0, POSIX_FADV_WILLNEED));
    VALUE("a device, odd", fadvise(null, 0, 0, 77));
    VALUE("readahead of a device", ahead(null, 0, 100));

    pipe(ends);
    VALUE("a pipe", fadvise(ends[0], 0, 0, POSIX_FADV_NORMAL));
    VALUE("a pipe, odd", fadvise(ends[1], 0, -1, 77));
    VALUE("readahead of a pipe", ahead(ends[0], 0, 100));
    VALUE("readahead of a pipe's other end", ahead(ends[1], 0, 100));

    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    VALUE("a mapping is random", madvise(p, 4096, MADV_RANDOM));
    VALUE("and sequential", madvise(p, 8192, MADV_SEQUENTIAL));
    VALUE("and neither", madvise(p, 8192, MADV_NORMAL));
    VALUE("will be needed", madvise(p, 8192, MADV_WILLNEED));
    say("the mapping's first byte", "%c", p[0]);
    p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    VALUE("without a file", madvise(p, 8192, MADV_WILLNEED));
    return 0;
}
