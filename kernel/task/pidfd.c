// SPDX-License-Identifier: MIT
// pidfds: files that stand for a process or a thread. They are polled and waited for, and signals go through
// them; they are neither read nor written.
#include "task/pidfd.h"

#include "fs/file.h"
#include "fs/poll.h"
#include "fs/proc.h"
#include "lib/init.h"
#include "lib/log.h"
#include "page/heap.h"
#include "task/process.h"

enum { PIDFS_MAGIC = 0x50494446 };

static struct super *pidfd_super;
static uint64_t last_ino;

struct thread *pidfd_thread_locked(const struct pidfd *of)
{
    const struct process *p = of->process;
    PROCESS_THREADS(it, p)
    {
        struct thread *th = thread_entry(it);
        if (of->thread ? th->task.id == of->thread && th->tid != p->pid : th->tid == p->pid)
            return th;
    }
    return NULL;
}

// The number of the thread that is no first one; 0: it has ended.
static uint32_t thread_number(const struct pidfd *of)
{
    spin_lock(&of->process->lock);
    const struct thread *th = pidfd_thread_locked(of);
    uint32_t tid = th ? th->tid : 0;
    spin_unlock(&of->process->lock);
    return tid;
}

// process_tree_lock held. A thread that is no first one is reaped when it ends; the end of a first one is its process's.
static uint32_t events_locked(const struct pidfd *of)
{
    const struct process *p = of->process;
    if (of->thread)
        return thread_number(of) ? 0 : POLLIN | POLLRDNORM | POLLHUP;
    return (p->zombie ? POLLIN | POLLRDNORM : 0) | (p->reaped ? POLLHUP : 0);
}

static uint32_t pidfd_poll(struct file *file, struct poll_list *pl)
{
    struct pidfd *of = file->priv;
    spin_lock(&process_tree_lock);
    if (pl)
        poll_add(pl, &process_tree_lock, &of->process->ended, POLL_ANY);
    uint32_t mask = events_locked(of);
    spin_unlock(&process_tree_lock);
    return mask;
}

static void pidfd_release(struct file *file)
{
    struct pidfd *of = file->priv;
    if (of)
        process_put(of->process);
    kfree(of);
}

static const struct vnode_ops pidfd_vnode_ops = {0};
static void pidfd_show(struct file *file, struct text *out)
{
    const struct pidfd *of = file->priv;
    const struct process *p = of->process;
    uint32_t number = of->thread ? thread_number(of) : p->reaped ? 0 : p->pid;
    int pid = number ? (int)number : -1;
    text_printf(out, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static const struct file_ops pidfd_ops = {
    .poll = pidfd_poll,
    .release = pidfd_release,
    .show = pidfd_show,
    .flags = FILE_OPS_STREAM,
    .name = "[pidfd]",
};

static struct file *pidfd_file(const struct pidfd *of)
{
    struct vnode *v = kzalloc(sizeof *v);
    struct pidfd *copy = v ? kmalloc(sizeof *copy) : NULL;
    if (!copy) {
        kfree(v);
        return NULL;
    }
    vnode_init(v, pidfd_super, &pidfd_vnode_ops, atomic_add64(&last_ino, 1) + 1, 0600);
    v->file_ops = &pidfd_ops;
    struct file *file = file_new(v, NULL, O_RDWR | of->flags);
    if (!file) {
        kfree(copy);
        vnode_put(v);
        return NULL;
    }
    file->flags |= of->flags & PIDFD_THREAD; // F_GETFL shows it
    *copy = *of;
    process_get(copy->process);
    file->priv = copy;
    return file;
}

long pidfd_new(const struct pidfd *of)
{
    struct file *file = pidfd_file(of);
    if (!file)
        return -ENOMEM;
    long fd = fd_install(thread_current()->files, file, 0,
                         process_current()->rlimit[RLIMIT_NOFILE].cur, true);
    if (fd < 0)
        file_put(file);
    return fd;
}

void pidfd_withdraw(int32_t fd)
{
    struct file *file = fd_remove(thread_current()->files, fd);
    if (file)
        file_put(file);
}

bool pidfd_get(int32_t fd, struct pidfd *out)
{
    struct file *file = fd_get(thread_current()->files, fd);
    bool is = file && file->ops == &pidfd_ops;
    if (is) {
        *out = *(const struct pidfd *)file->priv;
        out->flags = file->flags & (O_NONBLOCK | PIDFD_THREAD);
        process_get(out->process);
    }
    if (file)
        file_put(file);
    return is;
}

static const struct filesystem pidfs = {.name = "pidfs"};

static void pidfs_statfs(struct super *super, struct statfs_k *st)
{
    (void)super;
    st->bsize = st->frsize = PAGE_SIZE;
    st->namelen = NAME_MAX;
}

static const struct super_ops pidfd_super_ops = {.statfs = pidfs_statfs};

static void pidfds_init(void)
{
    pidfd_super = super_new(&pidfs, &pidfd_super_ops, NULL, "pidfd");
    if (!pidfd_super)
        panic("no memory for pidfds");
    pidfd_super->magic = PIDFS_MAGIC;
}
INIT(INIT_CORE, pidfds_init);
