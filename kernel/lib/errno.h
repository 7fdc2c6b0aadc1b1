// SPDX-License-Identifier: MIT
// Linux error numbers (asm-generic), as every system call returns them, negated.
// picolibc's own <errno.h> has other values and is not used in the kernel.
#pragma once

// In the order of their numbers. The last ones never reach a user program:
// - ERESTARTSYS: interrupted: restart if the action has SA_RESTART, else EINTR
// - ERESTARTNOINTR: interrupted before anything was done: restart in any case
// - ERESTARTNOHAND: interrupted: restart only if no handler runs
// - EPROBE_DEFER: a driver waits for another one
// - ECOMMIT: a user page is absent: commit it, then run the handler again
// - ERETRY: not this way: the caller knows another (pipes, light waits)
#define ERRNOS(E)                                                                                  \
    E(EPERM, 1)                                                                                    \
    E(ENOENT, 2)                                                                                   \
    E(ESRCH, 3)                                                                                    \
    E(EINTR, 4)                                                                                    \
    E(EIO, 5)                                                                                      \
    E(ENXIO, 6)                                                                                    \
    E(E2BIG, 7)                                                                                    \
    E(ENOEXEC, 8)                                                                                  \
    E(EBADF, 9)                                                                                    \
    E(ECHILD, 10)                                                                                  \
    E(EAGAIN, 11)                                                                                  \
    E(ENOMEM, 12)                                                                                  \
    E(EACCES, 13)                                                                                  \
    E(EFAULT, 14)                                                                                  \
    E(ENOTBLK, 15)                                                                                 \
    E(EBUSY, 16)                                                                                   \
    E(EEXIST, 17)                                                                                  \
    E(EXDEV, 18)                                                                                   \
    E(ENODEV, 19)                                                                                  \
    E(ENOTDIR, 20)                                                                                 \
    E(EISDIR, 21)                                                                                  \
    E(EINVAL, 22)                                                                                  \
    E(ENFILE, 23)                                                                                  \
    E(EMFILE, 24)                                                                                  \
    E(ENOTTY, 25)                                                                                  \
    E(ETXTBSY, 26)                                                                                 \
    E(EFBIG, 27)                                                                                   \
    E(ENOSPC, 28)                                                                                  \
    E(ESPIPE, 29)                                                                                  \
    E(EROFS, 30)                                                                                   \
    E(EMLINK, 31)                                                                                  \
    E(EPIPE, 32)                                                                                   \
    E(EDOM, 33)                                                                                    \
    E(ERANGE, 34)                                                                                  \
    E(EDEADLK, 35)                                                                                 \
    E(ENAMETOOLONG, 36)                                                                            \
    E(ENOLCK, 37)                                                                                  \
    E(ENOSYS, 38)                                                                                  \
    E(ENOTEMPTY, 39)                                                                               \
    E(ELOOP, 40)                                                                                   \
    E(ETIME, 62)                                                                                   \
    E(EOVERFLOW, 75)                                                                               \
    E(EBADFD, 77)                                                                                  \
    E(ELIBBAD, 80)                                                                                 \
    E(EILSEQ, 84)                                                                                  \
    E(ENOTSOCK, 88)                                                                                \
    E(EOPNOTSUPP, 95)                                                                              \
    E(ECONNRESET, 104)                                                                             \
    E(ENOBUFS, 105)                                                                                \
    E(ENOTCONN, 107)                                                                               \
    E(ETIMEDOUT, 110)                                                                              \
    E(EALREADY, 114)                                                                               \
    E(ECANCELED, 125)                                                                              \
    E(ERESTARTSYS, 512)                                                                            \
    E(ERESTARTNOINTR, 513)                                                                         \
    E(ERESTARTNOHAND, 514)                                                                         \
    E(EPROBE_DEFER, 517)                                                                           \
    E(ECOMMIT, 600)                                                                                \
    E(ERETRY, 601)

#define ERRNO_ENUM_(name, number) name = number,
enum { ERRNOS(ERRNO_ENUM_) };
