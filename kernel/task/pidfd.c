// SPDX-License-Identifier: MIT
// pidfds: files that stand for a process. They are polled and waited for, and signals go through
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

static uint32_t pidfd_poll(struct file *file, struct poll_list *pl)
{
    struct process *p = file->priv;
    spin_lock(&process_tree_lock);
    if (pl)
        poll_add(pl, &process_tree_lock, &p->ended, POLL_ANY);
    uint32_t mask = (p->zombie ? POLLIN | POLLRDNORM : 0) | (p->reaped ? POLLHUP : 0);
    spin_unlock(&process_tree_lock);
    return mask;
}

static void pidfd_release(struct file *file)
{
    if (file->priv)
        process_put(file->priv);
}

static const struct vnode_ops pidfd_vnode_ops = {0};
static void pidfd_show(struct file *file, struct text *out)
{
    const struct process *p = file->priv;
    int pid = p->reaped ? -1 : (int)p->pid;
    text_printf(out, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static const struct file_ops pidfd_ops = {
    .poll = pidfd_poll,
    .release = pidfd_release,
    .show = pidfd_show,
    .flags = FILE_OPS_STREAM,
    .name = "[pidfd]",
};

static struct file *file_of_process(struct process *p, uint32_t flags)
{
    struct vnode *v = kzalloc(sizeof *v);
    if (!v)
        return NULL;
    vnode_init(v, pidfd_super, &pidfd_vnode_ops, atomic_add64(&last_ino, 1) + 1, 0600);
    v->file_ops = &pidfd_ops;
    struct file *file = file_new(v, NULL, O_RDWR | flags);
    if (!file) {
        vnode_put(v);
        return NULL;
    }
    process_get(p);
    file->priv = p;
    return file;
}

long pidfd_new(struct process *p, uint32_t flags)
{
    struct file *file = file_of_process(p, flags);
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

struct process *pidfd_process(int32_t fd, uint32_t *flags)
{
    struct process *p = NULL;
    struct file *file = fd_get(thread_current()->files, fd);
    if (file && file->ops == &pidfd_ops) {
        p = file->priv;
        process_get(p);
        *flags = file->flags & O_NONBLOCK;
    }
    if (file)
        file_put(file);
    return p;
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
