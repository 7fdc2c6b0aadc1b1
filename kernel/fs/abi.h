// SPDX-License-Identifier: MIT
// Numbers and layouts of the Linux riscv64 file interface (uapi asm-generic): what user programs
// pass and get back. Nothing here is the kernel's own choice.
#pragma once

#include <stdint.h>

enum {
    O_RDONLY = 0,
    O_WRONLY = 1,
    O_RDWR = 2,
    O_ACCMODE = 3,
    O_CREAT = 0100,
    O_EXCL = 0200,
    O_NOCTTY = 0400,
    O_TRUNC = 01000,
    O_APPEND = 02000,
    O_NONBLOCK = 04000,
    O_DSYNC = 010000,
    O_ASYNC = 020000,
    O_DIRECT = 040000,
    O_LARGEFILE = 0100000,
    O_DIRECTORY = 0200000,
    O_NOFOLLOW = 0400000,
    O_NOATIME = 01000000,
    O_CLOEXEC = 02000000,
    O_SYNC_BIT = 04000000,
    O_SYNC = 04010000,
    O_PATH = 010000000,
    O_TMPFILE_BIT = 020000000,
};

enum {
    S_IFMT = 0170000,
    S_IFSOCK = 0140000,
    S_IFLNK = 0120000,
    S_IFREG = 0100000,
    S_IFBLK = 0060000,
    S_IFDIR = 0040000,
    S_IFCHR = 0020000,
    S_IFIFO = 0010000,
    S_ISUID = 04000,
    S_ISGID = 02000,
    S_ISVTX = 01000,
    S_IALLUGO = 07777,
};
#define S_ISREG(m)    (((m)&S_IFMT) == S_IFREG)
#define S_ISDIR(m)    (((m)&S_IFMT) == S_IFDIR)
#define S_ISLNK(m)    (((m)&S_IFMT) == S_IFLNK)
#define S_ISCHR(m)    (((m)&S_IFMT) == S_IFCHR)
#define S_ISBLK(m)    (((m)&S_IFMT) == S_IFBLK)
#define S_ISSOCK(m)   (((m)&S_IFMT) == S_IFSOCK)
#define S_ISFIFO(m)   (((m)&S_IFMT) == S_IFIFO)
#define DT_OF_MODE(m) (((m)&S_IFMT) >> 12) // d_type of a mode

enum {
    AT_FDCWD = -100,
    AT_SYMLINK_NOFOLLOW = 0x100,
    AT_EACCESS = 0x200,
    AT_REMOVEDIR = 0x200,
    AT_SYMLINK_FOLLOW = 0x400,
    AT_NO_AUTOMOUNT = 0x800,
    AT_EMPTY_PATH = 0x1000,
    AT_STATX_FORCE_SYNC = 0x2000,
    AT_STATX_DONT_SYNC = 0x4000,
};
// The C library's <limits.h>, which Lua's headers bring in, has some of these as macros.
#undef NAME_MAX
#undef PATH_MAX
#undef IOV_MAX
#undef PIPE_BUF
enum { NAME_MAX = 255, PATH_MAX = 4096, SYMLINKS_MAX = 40, IOV_MAX = 1024, PIPE_BUF = 4096 };
enum { F_OK = 0, X_OK = 1, W_OK = 2, R_OK = 4 };
enum { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE };
enum { RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2, RENAME_WHITEOUT = 4 };
enum {
    POLLIN = 1,
    POLLPRI = 2,
    POLLOUT = 4,
    POLLERR = 8,
    POLLHUP = 16,
    POLLNVAL = 32,
    POLLRDNORM = 64,
    POLLRDBAND = 128,
    POLLWRNORM = 256,
    POLLRDHUP = 0x2000,
};
enum {
    F_DUPFD = 0,
    F_GETFD = 1,
    F_SETFD = 2,
    F_GETFL = 3,
    F_SETFL = 4,
    F_GETLK = 5,
    F_SETLK = 6,
    F_SETLKW = 7,
    F_SETOWN = 8,
    F_GETOWN = 9,
    F_SETPIPE_SZ = 1031,
    F_GETPIPE_SZ = 1032,
    F_DUPFD_CLOEXEC = 1030,
    F_ADD_SEALS = 1033,
    F_GET_SEALS = 1034,
    FD_CLOEXEC = 1,
};
enum {
    F_SEAL_SEAL = 1,
    F_SEAL_SHRINK = 2,
    F_SEAL_GROW = 4,
    F_SEAL_WRITE = 8,
    F_SEAL_FUTURE_WRITE = 16,
    F_SEAL_EXEC = 32,
    F_SEALS = 63,
};
enum {
    MS_RDONLY = 1,
    MS_NOSUID = 2,
    MS_NODEV = 4,
    MS_NOEXEC = 8,
    MS_SYNCHRONOUS = 16,
    MS_REMOUNT = 32,
    MS_NOATIME = 1024,
    MS_NODIRATIME = 2048,
    MS_BIND = 4096,
    MS_MOVE = 8192,
    MS_REC = 16384,
    MS_SILENT = 32768,
    MS_RELATIME = 1 << 21,
    MS_STRICTATIME = 1 << 24,
};
enum { MNT_FORCE = 1, MNT_DETACH = 2, MNT_EXPIRE = 4, UMOUNT_NOFOLLOW = 8 };
#define UTIME_NOW  0x3fffffffl
#define UTIME_OMIT 0x3ffffffel

struct timespec_k {
    int64_t sec, nsec;
};

struct stat_k {
    uint64_t dev, ino;
    uint32_t mode, nlink, uid, gid;
    uint64_t rdev, pad1;
    int64_t size;
    int32_t blksize, pad2;
    int64_t blocks;
    struct timespec_k atime, mtime, ctime;
    uint32_t unused[2];
};
_Static_assert(sizeof(struct stat_k) == 128, "struct stat of riscv64");

struct statfs_k {
    int64_t type, bsize, blocks, bfree, bavail, files, ffree;
    int32_t fsid[2];
    int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct statfs_k) == 120, "struct statfs64 of riscv64");

struct statx_timestamp_k {
    int64_t sec;
    uint32_t nsec;
    int32_t pad;
};
struct statx_k {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad0;
    uint64_t ino, size, blocks, attributes_mask;
    struct statx_timestamp_k atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mnt_id, spare[13];
};
_Static_assert(sizeof(struct statx_k) == 256, "struct statx");

struct dirent64_k { // followed by the name and a NUL, padded to 8
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

struct iovec_k {
    uint64_t base, len;
};
struct pollfd_k {
    int32_t fd;
    int16_t events, revents;
};

// Device numbers as user space has them: minor 7..0 and 31..20, major 19..8.
#define MAKEDEV(major, minor)                                                                      \
    ((uint64_t)(((major)&0xfff) << 8 | ((minor)&0xff) | ((uint64_t)((minor) & ~0xff) << 12)))
#define DEV_MAJOR(d) ((uint32_t)((d) >> 8 & 0xfff))
#define DEV_MINOR(d) ((uint32_t)(((d)&0xff) | ((d) >> 12 & 0xfff00)))
