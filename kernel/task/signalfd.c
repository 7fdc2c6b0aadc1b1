// SPDX-License-Identifier: MIT
// signalfd: a file from which the signals of a set are read that are pending for the reading thread, or for whom
// that acts.
//
// Pollers wait at the actions of the process that registered (as in Linux); they keep these.
#include "fs/anon.h"
#include "fs/poll.h"
#include "fs/proc.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/process.h"
#include "task/signal.h"

struct signalfd {
    sigset set; // changed with plain stores
};

struct signalfd_siginfo_k {
    uint32_t signo;
    int32_t error, code;
    uint32_t pid, uid;
    int32_t fd;
    uint32_t tid, band, overrun, trapno;
    int32_t status, sent_int;
    uint64_t sent_ptr, utime, stime, addr;
    uint8_t pad[48];
};
_Static_assert(sizeof(struct signalfd_siginfo_k) == 128, "signalfd_siginfo");

static inline struct signalfd *signalfd_of(const struct file *file)
{
    return file->priv;
}

static bool is_fault(int sig)
{
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP;
}

// What the unions hold is told by who sent it.
static void fill(struct signalfd_siginfo_k *out, const struct siginfo_k *info)
{
    bool by_kernel = info->code > SI_USER && info->code < SI_KERNEL;
    *out = (struct signalfd_siginfo_k){
        .signo = (uint32_t)info->signo, .error = info->error, .code = info->code};
    if (by_kernel && is_fault(info->signo)) {
        out->addr = info->addr;
    } else if (info->code == SI_TIMER) {
        out->tid = (uint32_t)info->pid;
        out->overrun = info->uid;
    } else {
        out->pid = (uint32_t)info->pid;
        out->uid = info->uid;
    }
    if (by_kernel && info->signo == SIGCHLD) {
        out->status = info->status;
        out->utime = info->utime;
        out->stime = info->stime;
    } else if (info->code < 0) {
        out->sent_ptr = info->value;
        out->sent_int = (int32_t)info->value;
    }
}

static void drop(struct poll_entry *e)
{
    sighand_put(container_of(e->lock, struct sighand, lock));
}

static uint32_t signalfd_poll(struct file *file, struct poll_list *pl)
{
    const struct thread *th = thread_served(current_task());
    struct sighand *sh = th->process->sighand;
    spin_lock(&sh->lock);
    struct poll_entry *e = pl ? poll_add(pl, &sh->lock, &sh->pollers, POLL_ANY) : NULL;
    if (e) {
        sighand_get(sh);
        e->drop = drop;
    }
    sigset pending = th->pending.set | th->process->pending.set;
    spin_unlock(&sh->lock);
    return pending & load_relaxed(&signalfd_of(file)->set) ? POLLIN : 0;
}

ASYNC_IMPL(signalfd_read, file_read, struct siginfo_k info; struct signalfd_siginfo_k out;
           struct poll_entry e; struct poll_list pl; long done; long r;)
{
    ASYNC_BEGIN(signalfd_read);
    f->done = 0;
    f->pl = (struct poll_list){.task = t, .max = 1, .entry = &f->e, .events = POLLIN};
    if (f->buf->left < sizeof f->out)
        ASYNC_RETURN(-EINVAL);
    while (f->buf->left >= sizeof f->out) {
        if (signal_take_from(thread_served(t), signalfd_of(f->file)->set, &f->info)) {
            fill(&f->out, &f->info);
            AWAIT(f->r, iobuf_out_all, f->buf, &f->out, sizeof f->out);
            if (f->r < 0)
                ASYNC_RETURN(f->done ? f->done : f->r);
            f->done += f->r;
            continue;
        }
        if (f->done)
            break;
        if (f->file->flags & O_NONBLOCK)
            ASYNC_RETURN(-EAGAIN);
        if (task_interrupted(t))
            ASYNC_RETURN(-ERESTARTSYS);
        if (!signalfd_poll(f->file, &f->pl))
            SUSPEND("a signal to read");
        f->pl.used = 0;
        poll_remove(&f->e);
    }
    ASYNC_RETURN(f->done);
    ASYNC_FINALLY;
    if (f->pl.used)
        poll_remove(&f->e);
    ASYNC_END;
}

static void signalfd_release(struct file *file)
{
    kfree(file->priv);
}

static void signalfd_show(struct file *file, struct text *out)
{
    text_printf(out, "sigmask:\t%016lx\n", (unsigned long)load_relaxed(&signalfd_of(file)->set));
}

static const struct file_ops signalfd_ops = {
    .read = &signalfd_read_fn,
    .poll = signalfd_poll,
    .release = signalfd_release,
    .seek = file_seek_nowhere,
    .show = signalfd_show,
    .flags = FILE_OPS_STREAM,
    .name = "[signalfd]",
};

static long change(int32_t fd, sigset set)
{
    struct sighand *sh = process_current()->sighand;
    bool referenced;
    long r;
    struct file *file =
        anon_borrow(thread_current()->files, (uint32_t)fd, &signalfd_ops, -EINVAL, &r, &referenced);
    if (!file)
        return r;
    store_relaxed(&signalfd_of(file)->set, set);
    spin_lock(&sh->lock);
    poll_wake(&sh->pollers, POLLIN);
    spin_unlock(&sh->lock);
    fd_unborrow(file, referenced);
    return fd;
}

long sys_signalfd4(int32_t fd, va_t mask, uint64_t size, uint32_t flags)
{
    sigset set;
    if (size != sizeof set)
        return -EINVAL;
    long r = user_copy_in(thread_current()->space, &set, mask, sizeof set);
    if (r)
        return r;
    if (flags & ~(uint32_t)(O_NONBLOCK | O_CLOEXEC))
        return -EINVAL;
    set &= ~SIG_UNBLOCKABLE;
    if (fd != -1)
        return change(fd, set);
    struct signalfd *sfd = kmalloc(sizeof *sfd);
    if (!sfd)
        return -ENOMEM;
    sfd->set = set;
    r = anon_open(&signalfd_ops, sfd, flags);
    if (r < 0)
        kfree(sfd);
    return r;
}
SYSCALL(74, signalfd4, 4);
