// SPDX-License-Identifier: MIT
// Linux error numbers (asm-generic), as every system call returns them, negated.
// picolibc's own <errno.h> has other values and is not used in the kernel.
#pragma once

enum {
    EPERM = 1,
    ENOENT = 2,
    ESRCH = 3,
    EINTR = 4,
    EIO = 5,
    ENXIO = 6,
    E2BIG = 7,
    ENOEXEC = 8,
    EBADF = 9,
    ECHILD = 10,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EFAULT = 14,
    ENOTBLK = 15,
    EBUSY = 16,
    EEXIST = 17,
    EXDEV = 18,
    ENODEV = 19,
    ENOTDIR = 20,
    EISDIR = 21,
    EINVAL = 22,
    ENFILE = 23,
    EMFILE = 24,
    ENOTTY = 25,
    ETXTBSY = 26,
    EFBIG = 27,
    ENOSPC = 28,
    ESPIPE = 29,
    EROFS = 30,
    EMLINK = 31,
    EPIPE = 32,
    EDOM = 33,
    ERANGE = 34,
    EDEADLK = 35,
    ENAMETOOLONG = 36,
    ENOLCK = 37,
    ENOSYS = 38,
    ENOTEMPTY = 39,
    ELOOP = 40,
    ETIME = 62,
    EBADFD = 77,
    ELIBBAD = 80,
    EILSEQ = 84,
    EOVERFLOW = 75,
    ENOTSOCK = 88,
    EOPNOTSUPP = 95,
    ENOBUFS = 105,
    ETIMEDOUT = 110,
    EALREADY = 114,
    ECANCELED = 125,
    ECONNRESET = 104,
    ENOTCONN = 107,

    // Never reach a user program.
    ERESTARTSYS = 512,    // interrupted: restart if the action has SA_RESTART, else EINTR
    ERESTARTNOINTR = 513, // interrupted before anything was done: restart in any case
    ERESTARTNOHAND = 514, // interrupted: restart only if no handler runs
    EPROBE_DEFER = 517,   // a driver waits for another one
    ECOMMIT = 600,        // a user page is absent: commit it, then run the handler again
    ERETRY = 601,         // not this way: the caller knows another (pipes, light waits)
};
