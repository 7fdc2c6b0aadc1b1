// SPDX-License-Identifier: MIT
// The ends of pipes: pipe2, opening FIFOs, polling, closing.
//
// An anonymous pipe lives in one block with its vnode. A FIFO's pipe exists while somebody has it
// open; fifo_lock guards vnode.pipe and the number of its users.
#include "fs/pipe_impl.h"

#include "lib/init.h"
#include "lib/log.h"
#include "mem/user.h"
#include "page/frame.h"
#include "page/heap.h"
#include "task/thread.h"

enum { PIPEFS_MAGIC = 0x50495045, FIONREAD = 0x541b };

static struct super *pipe_super;
static uint64_t last_ino;
static struct spinlock fifo_lock = SPINLOCK_INIT("fifo");

static void pipe_init(struct pipe *p)
{
    spin_init(&p->lock, "pipe");
    waitq_init(&p->readable);
    waitq_init(&p->writable);
    waitq_init(&p->pollers);
    waitq_init(&p->opened);
}

static void free_pages(struct pipe *p)
{
    for (int i = 0; i < PIPE_PAGES; i++)
        if (p->page[i])
            frame_unref(kva_to_pa(p->page[i]));
}

static void pipe_free_vnode(struct vnode *v)
{
    struct pipe *p = container_of(v, struct pipe, vnode);
    free_pages(p);
    kfree(p);
}

static const struct vnode_ops pipe_vnode_ops = {.free_vnode = pipe_free_vnode};

static uint32_t pipe_poll(struct file *file, struct poll_list *pl)
{
    struct pipe *p = pipe_of(file);
    uint32_t mask = 0;
    spin_lock(&p->lock);
    if (pl)
        poll_add(pl, &p->lock, &p->pollers,
                 (file->readable ? POLLIN | POLLRDNORM | POLLHUP : 0) |
                     (file->writable ? POLLOUT | POLLWRNORM | POLLERR : 0));
    if (file->readable && fill_of(p))
        mask |= POLLIN | POLLRDNORM;
    if (file->readable && p->writers == 0 && p->writer_opens)
        mask |= POLLHUP;
    if (file->writable && pipe_has_room(fill_of(p)))
        mask |= POLLOUT | POLLWRNORM;
    if (file->writable && p->readers == 0)
        mask |= POLLERR;
    spin_unlock(&p->lock);
    return mask;
}

static void end_opened(struct pipe *p, const struct file *file)
{
    spin_lock(&p->lock);
    p->readers += file->readable;
    p->reader_opens += file->readable;
    p->writers += file->writable;
    p->writer_opens += file->writable;
    waitq_wake_all(&p->opened);
    spin_unlock(&p->lock);
}

// True when it was the last end.
static bool end_closed(struct pipe *p, const struct file *file)
{
    spin_lock(&p->lock);
    p->readers -= file->readable;
    p->writers -= file->writable;
    bool last = p->readers + p->writers == 0;
    if (p->readers == 0)
        waitq_wake_all(&p->writable);
    if (p->writers == 0)
        waitq_wake_all(&p->readable);
    poll_wake(&p->pollers, POLL_ANY);
    spin_unlock(&p->lock);
    return last;
}

static void pipe_release(struct file *file)
{
    if (pipe_of(file))
        end_closed(pipe_of(file), file);
}

// Through /proc/PID/fd: one more end of the same pipe.
ASYNC_IMPL(pipe_reopen, file_open, )
{
    ASYNC_BEGIN(pipe_reopen);
    f->file->priv = container_of(f->file->vnode, struct pipe, vnode);
    end_opened(f->file->priv, f->file);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// FIONREAD: how many bytes wait to be read.
ASYNC_IMPL(pipe_ioctl, file_ioctl, int32_t waiting; long r;)
{
    ASYNC_BEGIN(pipe_ioctl);
    if (f->cmd != FIONREAD)
        ASYNC_RETURN(-ENOTTY);
    spin_lock(&pipe_of(f->file)->lock);
    f->waiting = (int32_t)fill_of(pipe_of(f->file));
    spin_unlock(&pipe_of(f->file)->lock);
    AWAIT(f->r, user_write, t->thread->space, f->arg, &f->waiting, sizeof f->waiting);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct file_ops pipe_file_ops = {
    .open = &pipe_reopen_fn,
    .read = &pipe_read_fn,
    .write = &pipe_write_fn,
    .try_read = pipe_try_read,
    .try_write = pipe_try_write,
    .poll = pipe_poll,
    .ioctl = &pipe_ioctl_fn,
    .release = pipe_release,
    .flags = FILE_OPS_STREAM,
};

int pipe_new(uint32_t flags, struct file *end[2])
{
    struct pipe *p = kzalloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    pipe_init(p);
    vnode_init(&p->vnode, pipe_super, &pipe_vnode_ops, atomic_add64(&last_ino, 1) + 1,
               S_IFIFO | 0600);
    p->vnode.file_ops = &pipe_file_ops;
    for (int i = 0; i < 2; i++) {
        end[i] = file_new(vnode_get(&p->vnode), NULL, flags | (i ? O_WRONLY : O_RDONLY));
        if (!end[i]) {
            vnode_put(&p->vnode);
            break;
        }
        end[i]->priv = p;
        end_opened(p, end[i]);
    }
    bool failed = !end[0] || !end[1];
    if (failed && end[0])
        file_put(end[0]);
    if (failed)
        end[0] = end[1] = NULL;
    vnode_put(&p->vnode);
    return failed ? -ENOMEM : 0;
}

long pipe_fcntl(struct file *file, uint32_t cmd, uint64_t arg)
{
    if (file->ops->poll != pipe_poll)
        return -EBADF;
    if (cmd == F_SETPIPE_SZ && arg > PIPE_BYTES)
        return -EPERM; // the size is fixed: asking for no more than there is succeeds
    return PIPE_BYTES;
}

// ---- FIFOs

static struct pipe *fifo_attach(struct file *file)
{
    struct vnode *v = file->vnode;
    struct pipe *spare = kzalloc(sizeof *spare);
    spin_lock(&fifo_lock);
    if (!v->pipe && spare) {
        pipe_init(spare);
        v->pipe = spare;
        spare = NULL;
    }
    file->priv = v->pipe;
    if (v->pipe)
        end_opened(v->pipe, file);
    spin_unlock(&fifo_lock);
    kfree(spare);
    return file->priv;
}

static void fifo_release(struct file *file)
{
    struct pipe *p = pipe_of(file);
    if (!p)
        return; // never attached
    spin_lock(&fifo_lock);
    bool last = end_closed(p, file);
    if (last)
        file->vnode->pipe = NULL;
    spin_unlock(&fifo_lock);
    if (last) {
        free_pages(p);
        kfree(p);
    }
}

// The other side has been opened since `before`, or is open now.
static bool peer_came(const struct pipe *p, const struct file *file, uint32_t before)
{
    if (file->readable)
        return p->writers || p->writer_opens != before;
    return p->readers || p->reader_opens != before;
}

ASYNC_IMPL(fifo_open, file_open, struct waiter w; struct pipe *p; uint32_t before; long r;)
{
    ASYNC_BEGIN(fifo_open);
    waiter_init(&f->w);
    f->p = fifo_attach(f->file);
    if (!f->p)
        ASYNC_RETURN(-ENOMEM);
    if (f->file->readable && f->file->writable)
        ASYNC_RETURN(0);
    spin_lock(&f->p->lock);
    f->before = f->file->readable ? f->p->writer_opens : f->p->reader_opens;
    f->r = 0;
    while (!peer_came(f->p, f->file, f->before)) {
        if (f->file->flags & O_NONBLOCK) {
            f->r = f->file->readable ? 0 : -ENXIO;
            break;
        }
        if (task_interrupted(t)) {
            f->r = -ERESTARTSYS;
            break;
        }
        waitq_add(&f->p->opened, &f->w, t);
        spin_unlock(&f->p->lock);
        SUSPEND("the other end of a FIFO");
        spin_lock(&f->p->lock);
        waitq_remove(&f->p->opened, &f->w);
    }
    spin_unlock(&f->p->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->p)
        waiter_finish(&f->p->lock, &f->p->opened, &f->w);
    ASYNC_END;
}

const struct file_ops file_ops_fifo = {
    .open = &fifo_open_fn,
    .read = &pipe_read_fn,
    .write = &pipe_write_fn,
    .try_read = pipe_try_read,
    .try_write = pipe_try_write,
    .poll = pipe_poll,
    .ioctl = &pipe_ioctl_fn,
    .release = fifo_release,
    .flags = FILE_OPS_STREAM,
};

// ---- looking

static uint32_t count_waiters(const struct waitq *q, uint32_t *first)
{
    uint32_t n = 0;
    *first = 0;
    LIST_FOREACH(it, &q->head)
        if (n++ == 0)
            *first = list_entry(it, struct waiter, link)->task->id;
    return n;
}

static void look(struct pipe *p, struct pipe_info *out)
{
    spin_lock(&p->lock);
    *out = (struct pipe_info){
        .bytes = fill_of(p),
        .passed = p->head,
        .readers = p->readers,
        .writers = p->writers,
    };
    out->reading = count_waiters(&p->readable, &out->first_reader);
    out->writing = count_waiters(&p->writable, &out->first_writer);
    for (int i = 0; i < PIPE_PAGES; i++)
        out->pages += p->page[i] != NULL;
    spin_unlock(&p->lock);
}

bool pipe_look(struct vnode *v, struct pipe_info *out)
{
    if (v->ops == &pipe_vnode_ops) {
        look(container_of(v, struct pipe, vnode), out);
        out->anonymous = true;
        return true;
    }
    if (!S_ISFIFO(v->mode))
        return false;
    spin_lock(&fifo_lock); // keeps the pipe
    bool is = v->pipe != NULL;
    if (is)
        look(v->pipe, out);
    spin_unlock(&fifo_lock);
    return is;
}

static const struct filesystem pipefs = {.name = "pipefs"};

static void pipefs_statfs(struct super *super, struct statfs_k *st)
{
    (void)super;
    st->bsize = st->frsize = PAGE_SIZE;
    st->namelen = NAME_MAX;
}

static const struct super_ops pipe_super_ops = {.statfs = pipefs_statfs};

void pipes_init(void)
{
    pipe_super = super_new(&pipefs, &pipe_super_ops, NULL, "pipe");
    if (!pipe_super)
        panic("no memory for pipes");
    pipe_super->magic = PIPEFS_MAGIC;
}
INIT(INIT_CORE, pipes_init);
