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
    if (pid <= 0 || (flags & ~(uint32_t)(O_NONBLOCK | PIDFD_THREAD)))
        return -EINVAL;
    struct pidfd of = {.process = process_find((uint32_t)pid), .flags = flags};
    struct thread *th = of.process ? NULL : thread_find((uint32_t)pid);
    if (!of.process && !th)
        return -ESRCH;
    if (th && !(flags & PIDFD_THREAD)) {
        thread_put(th);
        return -EINVAL;
    }
    if (th) {
        of.process = th->process;
        of.thread = th->task.id;
        process_get(of.process);
        thread_put(th);
    }
    long fd = pidfd_new(&of);
    process_put(of.process);
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

// Referenced; NULL: it has ended.
static struct thread *thread_of(const struct pidfd *of)
{
    spin_lock(&of->process->lock);
    struct thread *th = pidfd_thread_locked(of);
    if (th)
        task_get(&th->task);
    spin_unlock(&of->process->lock);
    return th;
}

// th: the thread that it names, or the first one; NULL: it has ended.
static long send(const struct pidfd *of, struct thread *th, int32_t sig,
                 const struct siginfo_k *info, uint32_t to)
{
    struct process *p = of->process;
    if (to == TO_GROUP && !of->thread && p->pid && !is_anothers(p))
        return kill_group(p->pid, sig, info); // which may outlive it
    if (load_relaxed(&p->reaped) || !p->pid || (of->thread && (!th || to == TO_GROUP)))
        return -ESRCH;
    long r = check_signal(p, sig);
    if (r || !sig)
        return r;
    if (to != TO_THREAD)
        return signal_send_process(p, sig, info);
    return th ? signal_send_thread(th, sig, info) : 0; // a first one has ended, its process has not
}

static long info_given(uint32_t self, int32_t sig, va_t va, uint32_t to, struct siginfo_k *info)
{
    int32_t signo;
    long e = user_copy_in(thread_current()->space, &signo, va, sizeof signo);
    if (!e && signo != sig)
        e = -EINVAL;
    // To a group nothing is forged.
    return e ? e : queued_info(va, to == TO_GROUP ? 0 : (int32_t)self, info);
}

long sys_pidfd_send_signal(int32_t fd, int32_t sig, va_t info_va, uint32_t to)
{
    struct pidfd of;
    if (to != 0 && to != TO_THREAD && to != TO_PROCESS && to != TO_GROUP)
        return -EINVAL;
    if (!pidfd_get(fd, &of))
        return -EBADF;
    if (!to)
        to = of.flags & PIDFD_THREAD ? TO_THREAD : TO_PROCESS;
    struct thread *th = thread_of(&of);
    uint32_t self = !of.thread ? of.process->pid : th ? th->tid : 0;
    struct siginfo_k info = info_of_caller(to == TO_THREAD ? SI_TKILL : SI_USER);
    long r = info_va ? info_given(self, sig, info_va, to, &info) : 0;
    if (!r)
        r = send(&of, th, sig, &info, to);
    if (th)
        thread_put(th);
    process_put(of.process);
    return r;
}
SYSCALL(424, pidfd_send_signal, 4);

// The descriptors of whom it stands for, referenced. NULL: there are none any more.
static struct fd_table *files_of(const struct pidfd *of)
{
    if (!of->thread)
        return process_files(of->process);
    spin_lock(&of->process->lock);
    const struct thread *th = pidfd_thread_locked(of);
    struct fd_table *files = th ? th->files : NULL;
    if (files)
        fd_table_get(files);
    spin_unlock(&of->process->lock);
    return files;
}

long sys_pidfd_getfd(int32_t pidfd, int32_t fd, uint32_t flags)
{
    struct pidfd of;
    if (flags)
        return -EINVAL;
    if (!pidfd_get(pidfd, &of))
        return -EBADF;
    struct file *file = NULL;
    struct fd_table *files = NULL;
    long r = -ESRCH;
    if (!load_relaxed(&of.process->reaped) && !process_may_look_into(of.process))
        r = -EPERM;
    else if ((files = files_of(&of)) && !(file = fd_get(files, fd)))
        r = -EBADF;
    if (file)
        r = fd_install(thread_current()->files, file, 0,
                       process_current()->rlimit[RLIMIT_NOFILE].cur, true);
    if (file && r < 0)
        file_put(file);
    if (files)
        fd_table_put(files);
    process_put(of.process);
    return r;
}
SYSCALL(438, pidfd_getfd, 3);
