// SPDX-License-Identifier: MIT
// Arguments of calls that wait for files.
#include "syscall/fs_wait.h"

#include "fs/abi.h"
#include "mem/user.h"

ASYNC(timeout_arg, struct timespec_k ts; long r;)
{
    ASYNC_BEGIN(timeout_arg);
    *f->ns = -1;
    if (!f->va)
        ASYNC_RETURN(0);
    AWAIT(f->r, user_read, t->thread->space, &f->ts, f->va, sizeof f->ts);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->ts.sec < 0 || f->ts.nsec < 0 || f->ts.nsec >= 1000000000)
        ASYNC_RETURN(-EINVAL);
    *f->ns = f->ts.sec >= INT64_MAX / 1000000000 - 1 ? -1 : f->ts.sec * 1000000000 + f->ts.nsec;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(mask_arg, long r;)
{
    ASYNC_BEGIN(mask_arg);
    *f->given = f->va != 0;
    if (!f->va)
        ASYNC_RETURN(0);
    if (f->size != sizeof(sigset))
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, user_read, t->thread->space, f->mask, f->va, sizeof(sigset));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
