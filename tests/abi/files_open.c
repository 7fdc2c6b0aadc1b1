// SPDX-License-Identifier: MIT
// Opening files: every flag, every refusal, what a descriptor shares with its copies.
#include "abi.h"
#include <sys/stat.h>
#include <sys/uio.h>

static long size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        say("harness", "cannot write %s", path);
    close(fd);
}

static void test_flags(void)
{
    char text[16] = "";
    int fd;

    VALUE("open absent", open("absent", O_RDONLY));
    OK("create", fd = open("a", O_RDWR | O_CREAT, 0644));
    close(fd);
    VALUE("exclusive over a file", open("a", O_RDWR | O_CREAT | O_EXCL, 0644));
    OK("exclusive new", fd = open("b", O_RDWR | O_CREAT | O_EXCL, 0644));
    close(fd);
    put("a", "0123456789");
    say("size", "%ld", size_of("a"));
    OK("create over a file", fd = open("a", O_RDWR | O_CREAT, 0644));
    say("keeps its size", "%ld", size_of("a"));
    VALUE("read", read(fd, text, 3));
    VALUE("write", write(fd, "xyz", 3));
    VALUE("pread", pread(fd, text, 10, 0));
    say("contents", "%s", text);
    close(fd);
    OK("truncate", fd = open("a", O_WRONLY | O_TRUNC));
    say("to", "%ld", size_of("a"));
    VALUE("read from write-only", read(fd, text, 1));
    close(fd);
    fd = open("a", O_RDONLY);
    VALUE("write to read-only", write(fd, "x", 1));
    VALUE("ftruncate of read-only", ftruncate(fd, 5));
    close(fd);
    VALUE("below a file", open("a/b", O_RDONLY));
    VALUE("a file with a slash", open("a/", O_RDONLY));
    VALUE("create with a slash", open("new/", O_RDWR | O_CREAT, 0644));
    VALUE("create below nothing", open("no/file", O_RDWR | O_CREAT, 0644));
    VALUE("empty name", open("", O_RDONLY));
}

static void test_append(void)
{
    char text[16] = "";

    put("log", "one");
    int fd = open("log", O_RDWR | O_APPEND), other = open("log", O_RDWR);
    VALUE("append", write(fd, "two", 3));
    VALUE("by another", pwrite(other, "three", 5, 6));
    VALUE("seek of no use", lseek(fd, 0, SEEK_SET));
    VALUE("append again", write(fd, "!", 1));
    VALUE("position", lseek(fd, 0, SEEK_CUR));
    VALUE("all", pread(fd, text, 15, 0));
    say("log", "%s", text);
    VALUE("F_GETFL", fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
    VALUE("F_SETFL", fcntl(fd, F_SETFL, O_NONBLOCK));
    VALUE("F_GETFL after", fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
}

static void test_directories(void)
{
    char byte;
    int fd;

    OK("mkdir", mkdir("dir", 0755));
    VALUE("directory for writing", open("dir", O_RDWR));
    VALUE("create over a directory", open("dir", O_RDONLY | O_CREAT, 0644));
    OK("directory", fd = open("dir", O_RDONLY | O_DIRECTORY));
    VALUE("read a directory", read(fd, &byte, 1));
    VALUE("write a directory", write(fd, "x", 1));
    OK("openat", openat(fd, "inside", O_RDWR | O_CREAT, 0644));
    say("it is inside", "%ld", size_of("dir/inside"));
    OK("openat upwards", openat(fd, "../a", O_RDONLY));
    put("plain", "x");
    VALUE("a file as directory", open("plain", O_RDONLY | O_DIRECTORY));
    VALUE("openat relative to a file", openat(open("plain", O_RDONLY), "x", O_RDONLY));
    VALUE("openat relative to nothing", openat(99, "x", O_RDONLY));
    OK("openat absolute needs no directory", openat(99, "/", O_RDONLY));
    OK("fchdir", fchdir(fd));
    say("now here", "%ld", size_of("inside"));
    OK("back", chdir(".."));
    VALUE("fchdir to a file", fchdir(open("plain", O_RDONLY)));
    VALUE("O_PATH reads nothing", read(open("plain", O_PATH), &byte, 1));
}

static void test_copies(void)
{
    char text[8] = "";
    int fd = (put("shared", "abcdef"), open("shared", O_RDWR)), copy;

    OK("dup", copy = dup(fd));
    VALUE("read 2", read(fd, text, 2));
    VALUE("the copy's position", lseek(copy, 0, SEEK_CUR));
    VALUE("dup3 onto itself", dup3(fd, fd, 0));
    YES("dup2 onto itself", dup2(fd, fd) == fd);
    VALUE("dup3 to 40", dup3(fd, 40, O_CLOEXEC));
    VALUE("its flag", fcntl(40, F_GETFD));
    VALUE("flag of the copy", fcntl(copy, F_GETFD));
    VALUE("F_SETFD", fcntl(copy, F_SETFD, FD_CLOEXEC));
    VALUE("F_GETFD", fcntl(copy, F_GETFD));
    VALUE("F_DUPFD from 50", fcntl(fd, F_DUPFD, 50));
    VALUE("F_DUPFD_CLOEXEC from 50", fcntl(fd, F_DUPFD_CLOEXEC, 50));
    VALUE("F_DUPFD from -1", fcntl(fd, F_DUPFD, -1));
    VALUE("dup of nothing", dup(99));
    VALUE("dup3 to -1", dup3(fd, -1, 0));
    VALUE("dup3 with odd flags", dup3(fd, 41, 1));
    VALUE("fcntl unknown", fcntl(fd, 9999));
    OK("close", close(fd));
    VALUE("close twice", close(fd));
    VALUE("the copy reads on", read(copy, text, 2));
    say("it read", "%.2s", text);
    CHILD("a child moves the position", VALUE("child reads", read(copy, text, 1)));
    VALUE("of its parent", lseek(copy, 0, SEEK_CUR));
    YES("the lowest free number", (close(40), close(1 + dup2(copy, 39)), open("a", O_RDONLY)) < 39);
}

static void test_limits(void)
{
    char name[260], path[4200];
    int last = -1, n = 0;

    memset(name, 'n', sizeof name);
    name[255] = 0;
    OK("a name of 255", open(name, O_RDWR | O_CREAT, 0644));
    name[255] = 'n';
    name[256] = 0;
    VALUE("a name of 256", open(name, O_RDWR | O_CREAT, 0644));
    memset(path, '/', sizeof path);
    path[4095] = 0;
    OK("a path of 4095", open(path, O_RDONLY));
    path[4095] = '/';
    path[4096] = 0;
    VALUE("a path of 4096", open(path, O_RDONLY));
    for (int fd; (fd = open("a", O_RDONLY)) >= 0; n++)
        last = fd;
    say("after the last descriptor", "%s", errno_name(errno));
    say("the last", "%d", last);
    VALUE("dup then", dup(0));
    int fds[2];
    VALUE("pipe then", pipe(fds));
}

int main(void)
{
    umask(022);
    test_flags();
    test_append();
    test_directories();
    test_copies();
    CHILD(
        "limits", struct { uint64_t soft, hard; } most = {64, 64};
        syscall(SYS_prlimit64, 0, 7, &most, NULL); test_limits());
    return 0;
}
