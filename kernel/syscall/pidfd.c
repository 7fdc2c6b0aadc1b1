// SPDX-License-Identifier: MIT
// pidfd_open(2) and pidfd_send_signal(2).
#include "task/pidfd.h"

#include "fs/file.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/process.h"
#include "task/signal.h"

long sys_pidfd_open(int32_t pid, uint32_t flags)
{
    if (pid <= 0 || (flags & ~(uint32_t)O_NONBLOCK))
        return -EINVAL;
    struct process *p = process_find((uint32_t)pid);
    if (!p) {
        struct thread *th = thread_find((uint32_t)pid);
        if (th)
            thread_put(th);
        return th ? -EINVAL : -ESRCH; // threads that lead nothing have none
    }
    long fd = pidfd_new(p, flags);
    process_put(p);
    return fd;
}
SYSCALL(434, pidfd_open, 2);

static long send(struct process *p, int32_t sig, va_t info_va)
{
    struct siginfo_k info = info_of_caller(SI_USER);
    int32_t signo = sig;
    long e = info_va ? user_copy_in(thread_current()->space, &signo, info_va, sizeof signo) : 0;
    if (!e && signo != sig)
        e = -EINVAL;
    if (!e && info_va)
        e = queued_info(info_va, (int32_t)p->pid, &info);
    if (e)
        return e;
    if (sig < 0 || sig > NSIG)
        return -EINVAL;
    if (load_relaxed(&p->reaped) || !p->pid)
        return -ESRCH;
    if (!may_signal(p, sig))
        return -EPERM;
    return sig ? signal_send_process(p, sig, &info) : 0;
}

long sys_pidfd_send_signal(int32_t fd, int32_t sig, va_t info, uint32_t flags)
{
    uint32_t file_flags;
    if (flags)
        return -EINVAL;
    struct process *p = pidfd_process(fd, &file_flags);
    if (!p)
        return -EBADF;
    long r = send(p, sig, info);
    process_put(p);
    return r;
}
SYSCALL(424, pidfd_send_signal, 4);
