// SPDX-License-Identifier: MIT
// What is known about a file: stat, modes, times, access, statx, statfs.
#include "abi.h"
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>

static void show(const char *key, const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        say(key, "%s", errno_name(errno));
        return;
    }
    say(key, "mode %o, links %ld, size %ld", st.st_mode, (long)st.st_nlink,
        S_ISDIR(st.st_mode) ? 0L : (long)st.st_size);
}

static void test_stat(void)
{
    struct stat a, b;
    int fd = open("file", O_RDWR | O_CREAT, 0640);

    if (write(fd, "12345", 5) != 5)
        say("harness", "write");
    show("a file", "file");
    mkdir("dir", 0750);
    show("a directory", "dir");
    mkdir("dir/sub", 0700);
    show("with one in it", "dir");
    (void)!symlink("four", "link");
    show("a link", "link");
    show("absent", "absent");
    stat("file", &a);
    fstat(fd, &b);
    YES("stat and fstat agree",
        a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size);
    YES("it is mine", a.st_uid == geteuid());
    stat("dir", &b);
    YES("inode numbers differ", a.st_ino != b.st_ino);
    stat(".", &b);
    stat("dir/..", &a);
    YES("dir/.. is here", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    stat("/", &a);
    stat("/..", &b);
    YES("/.. is /", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    VALUE("fstat of nothing", fstat(99, &a));
    VALUE("empty path", fstatat(fd, "", &a, 0));
    OK("empty path with its flag", fstatat(fd, "", &a, AT_EMPTY_PATH));
    VALUE("odd flags", fstatat(AT_FDCWD, "file", &a, 0x8000000));
    stat("/dev/null", &a);
    say("/dev/null", "%s %d:%d", S_ISCHR(a.st_mode) ? "chr" : "other", major(a.st_rdev),
        minor(a.st_rdev));
    int fds[2];
    if (pipe(fds) == 0 && fstat(fds[0], &a) == 0)
        say("a pipe", "%s", S_ISFIFO(a.st_mode) ? "fifo" : "other");
}

static void test_modes(void)
{
    OK("chmod", chmod("file", 0604));
    show("after chmod", "file");
    VALUE("chmod absent", chmod("absent", 0600));
    VALUE("chmod of an empty path", chmod("", 0600));
    int fd = open("file", O_RDWR);
    OK("fchmod", fchmod(fd, 0444));
    show("after fchmod", "file");
    VALUE("fchmod of nothing", fchmod(99, 0600));
    YES("umask gives the old", umask(077) == 022);
    close(open("masked", O_RDWR | O_CREAT, 0666));
    show("masked", "masked");
    mkdir("masked_dir", 0777);
    show("masked directory", "masked_dir");
    umask(022);
    OK("chown to myself", chown("file", getuid(), getgid()));
    OK("chown to nobody in particular", chown("file", -1, -1));
    OK("access", access("file", R_OK));
    VALUE("access to execute", access("file", X_OK));
    OK("access directory", access("dir", X_OK));
    VALUE("access absent", access("absent", F_OK));
    VALUE("access odd", access("file", 0x70));
}

static void test_times(void)
{
    struct timespec when[2] = {{1000000, 5000000}, {2000000, 6000000}};
    struct stat a, b;

    OK("utimensat", utimensat(AT_FDCWD, "file", when, 0));
    stat("file", &a);
    say("times", "%ld %ld", (long)a.st_atim.tv_sec, (long)a.st_mtim.tv_sec);
    when[0].tv_nsec = UTIME_OMIT;
    when[1].tv_sec = 3000000;
    OK("omit one", utimensat(AT_FDCWD, "file", when, 0));
    stat("file", &a);
    say("times then", "%ld %ld", (long)a.st_atim.tv_sec, (long)a.st_mtim.tv_sec);
    when[0].tv_nsec = 1234567890;
    VALUE("odd nanoseconds", utimensat(AT_FDCWD, "file", when, 0));
    OK("now", utimensat(AT_FDCWD, "file", NULL, 0));
    stat("file", &a);
    YES("now is later", a.st_mtim.tv_sec > 3000000);
    int fd = open("file2", O_RDWR | O_CREAT, 0600);
    when[0].tv_nsec = when[1].tv_nsec = 0;
    OK("futimens", futimens(fd, when));
    if (write(fd, "x", 1) != 1)
        say("harness", "write");
    fstat(fd, &b);
    YES("writing sets mtime", b.st_mtim.tv_sec > 3000000);
    VALUE("utimensat absent", utimensat(AT_FDCWD, "absent", NULL, 0));
}

static void test_others(void)
{
    struct statx x;
    struct statfs fs;

    OK("statx", statx(AT_FDCWD, "file2", 0, STATX_BASIC_STATS, &x));
    say("statx gives", "mode %o, size %ld, links %u", x.stx_mode, (long)x.stx_size, x.stx_nlink);
    YES("and says so", (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    VALUE("statx absent", statx(AT_FDCWD, "absent", 0, STATX_BASIC_STATS, &x));
    VALUE("statx odd flags", statx(AT_FDCWD, "file2", 0x40000000, STATX_BASIC_STATS, &x));
    OK("statfs", statfs(".", &fs));
    YES("has a block size", fs.f_bsize > 0 && fs.f_namelen == 255);
    VALUE("statfs absent", statfs("absent", &fs));
    VALUE("fstatfs of nothing", fstatfs(99, &fs));
    int fd = open("file2", O_RDWR);
    OK("flock", syscall(SYS_flock, fd, 2));
    int other = open("file2", O_RDWR);
    VALUE("flock by another, not waiting", syscall(SYS_flock, other, 2 | 4));
    OK("unlock", syscall(SYS_flock, fd, 8));
    OK("flock by another", syscall(SYS_flock, other, 2 | 4));
}

// What a range begins at is counted from the position, and must be an offset.
static void test_lock_ranges(void)
{
    int fd = open("file2", O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = INT64_MAX};

    lseek(fd, 10, SEEK_SET);
    VALUE("a lock past the last offset", fcntl(fd, F_SETLK, &l));
    l.l_start = -11;
    VALUE("a lock before the first", fcntl(fd, F_SETLK, &l));
    l.l_start = INT64_MIN;
    VALUE("a lock far before it", fcntl(fd, F_SETLK, &l));
    l.l_start = -10, l.l_len = INT64_MIN;
    VALUE("a lock that ends there", fcntl(fd, F_SETLK, &l));
    l.l_start = 0, l.l_len = -10;
    VALUE("a lock of what was read", fcntl(fd, F_SETLK, &l));
    l.l_start = INT64_MAX - 10, l.l_len = 2;
    VALUE("a lock whose end is past it", fcntl(fd, F_SETLK, &l));
    close(fd);
}

int main(void)
{
    umask(022);
    test_stat();
    test_modes();
    test_times();
    test_others();
    test_lock_ranges();
    return 0;
}
