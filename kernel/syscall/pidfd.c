// SPDX-License-Identifier: MIT
// pidfd_open(2), pidfd_send_signal(2) and pidfd_getfd(2).
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

// To whom, as pidfd_send_signal(2) says; 0: to the process.
enum { TO_THREAD = 1, TO_PROCESS = 2, TO_GROUP = 4 };

// Its number is another process's by now.
static bool is_anothers(const struct process *p)
{
    struct process *now = process_find(p->pid);
    if (now)
        process_put(now);
    return now && now != p;
}

static long send(struct process *p, int32_t sig, const struct siginfo_k *info, uint32_t to)
{
    if (to == TO_GROUP && p->pid && !is_anothers(p))
        return kill_group(p->pid, sig, info); // which may outlive it
    if (load_relaxed(&p->reaped) || !p->pid)
        return -ESRCH;
    long r = check_signal(p, sig);
    if (r || !sig || to != TO_THREAD)
        return r || !sig ? r : signal_send_process(p, sig, info);
    struct thread *leader = thread_find(p->pid);
    if (!leader) // it has ended, its process has not
        return 0;
    r = signal_send_thread(leader, sig, info);
    thread_put(leader);
    return r;
}

static long info_given(struct process *p, int32_t sig, va_t va, uint32_t to, struct siginfo_k *info)
{
    int32_t signo;
    long e = user_copy_in(thread_current()->space, &signo, va, sizeof signo);
    if (!e && signo != sig)
        e = -EINVAL;
    int32_t self = to == TO_GROUP ? 0 : (int32_t)p->pid; // to a group nothing is forged
    return e ? e : queued_info(va, self, info);
}

long sys_pidfd_send_signal(int32_t fd, int32_t sig, va_t info_va, uint32_t to)
{
    uint32_t file_flags;
    if (to != 0 && to != TO_THREAD && to != TO_PROCESS && to != TO_GROUP)
        return -EINVAL;
    struct process *p = pidfd_process(fd, &file_flags);
    if (!p)
        return -EBADF;
    struct siginfo_k info = info_of_caller(to == TO_THREAD ? SI_TKILL : SI_USER);
    long r = info_va ? info_given(p, sig, info_va, to, &info) : 0;
    if (!r)
        r = send(p, sig, &info, to);
    process_put(p);
    return r;
}
SYSCALL(424, pidfd_send_signal, 4);

long sys_pidfd_getfd(int32_t pidfd, int32_t fd, uint32_t flags)
{
    uint32_t file_flags;
    if (flags)
        return -EINVAL;
    struct process *p = pidfd_process(pidfd, &file_flags);
    if (!p)
        return -EBADF;
    struct file *file = NULL;
    struct fd_table *files = NULL;
    long r = -ESRCH;
    if (!load_relaxed(&p->reaped) && !process_may_look_into(p))
        r = -EPERM;
    else if ((files = process_files(p)) && !(file = fd_get(files, fd)))
        r = -EBADF;
    if (file)
        r = fd_install(thread_current()->files, file, 0,
                       process_current()->rlimit[RLIMIT_NOFILE].cur, true);
    if (file && r < 0)
        file_put(file);
    if (files)
        fd_table_put(files);
    process_put(p);
    return r;
}
SYSCALL(438, pidfd_getfd, 3);
