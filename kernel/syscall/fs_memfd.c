// SPDX-License-Identifier: MIT
// memfd_create.
#include "fs/memfd.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/thread.h"

enum { MEMFD_NAME_MAX = 250 }; // with its end; "memfd:" stands before it

static long sys_memfd_create(va_t name, uint64_t flags)
{
    char text[MEMFD_NAME_MAX];
    if (flags & ~(uint64_t)MFD_KNOWN ||
        (flags & (MFD_EXEC | MFD_NOEXEC_SEAL)) == (MFD_EXEC | MFD_NOEXEC_SEAL))
        return -EINVAL;
    long r = user_string_in(thread_current()->space, text, name, sizeof text);
    if (r < 0)
        return r == -ENAMETOOLONG ? -EINVAL : r;
    struct file *file = memfd_new(text, (uint32_t)flags);
    if (!file)
        return -ENOMEM;
    r = fd_install(thread_current()->files, file, 0, process_current()->rlimit[RLIMIT_NOFILE].cur,
                   flags & MFD_CLOEXEC);
    if (r < 0)
        file_put(file);
    return r;
}
SYSCALL(279, memfd_create, 2);
