// SPDX-License-Identifier: MIT
// Open files: their life, their position, and what they do when a driver says nothing.
#include "fs/file.h"

#include "fs/epoll.h"
#include "fs/lock.h"

#include "fs/poll.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "page/heap.h"

struct file *file_new(struct vnode *v, const struct path *path, uint32_t flags)
{
    struct file *file = kmalloc(sizeof *file);
    if (!file)
        return NULL;
    *file = (struct file){
        .refs = 1,
        .flags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC),
        .ops = flags & O_PATH ? &file_ops_none : vnode_file_ops(v),
        .vnode = v,
        .data = v,
        .readable = !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY,
        .writable = !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY,
        .ahead.trigger = AHEAD_NOWHERE,
    };
    if (path)
        file->path = *path;
    mutex_init(&file->pos_lock, "file position");
    return file;
}

void file_release(struct file *file)
{
    if (unlikely(file->watches != NULL))
        epoll_forget(file); // before anything of it is taken down
    locks_release(file, file);
    if (file->ops->release)
        file->ops->release(file);
    if (file_counts_as_writer(file))
        vnode_write_end(file->vnode);
    if (file->path.dentry)
        path_put(&file->path);
    else
        vnode_put(file->vnode);
    kfree(file);
}

void file_accessed_slow(struct file *file)
{
    const struct mount *m = file->path.mount;
    bool fixed = m && ((m->flags & (MS_NOATIME | MS_RDONLY)) || (m->super->flags & SUPER_RDONLY));
    if (!fixed && !(file->flags & O_NOATIME))
        store_relaxed(&file->vnode->atime_ns, vnode_now_ns());
}

// Of a file with a store all is data, as lseek(2) allows.
static long seek_data(struct file *file, int64_t offset, int64_t size, bool hole)
{
    struct phys *pages = file->data->pages;
    if (offset < 0 || offset >= size)
        return -ENXIO;
    int64_t to = hole ? size : offset;
    if (pages && pages->ops && !pages->ops->fill)
        to = (int64_t)phys_seek(pages, (uint64_t)offset, hole);
    if (!hole && to >= size)
        return -ENXIO;
    return (long)(file->pos = (uint64_t)(to < size ? to : size));
}

long file_seek_default(struct file *file, int64_t offset, int whence)
{
    int64_t size = (int64_t)file->data->size, base;
    switch (whence) {
    case SEEK_SET:
        base = 0;
        break;
    case SEEK_CUR:
        base = (int64_t)file->pos;
        break;
    case SEEK_END:
        base = size;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        return seek_data(file, offset, size, whence == SEEK_HOLE);
    default:
        return -EINVAL;
    }
    int64_t to;
    if (__builtin_add_overflow(base, offset, &to))
        return -EOVERFLOW;
    if (to < 0)
        return -EINVAL;
    return (long)(file->pos = (uint64_t)to);
}

long file_seek_nowhere(struct file *file, int64_t offset, int whence)
{
    (void)file, (void)offset, (void)whence;
    return 0;
}

int file_mmap_object(struct file *file, uint32_t prot, uint32_t flags, struct phys **out)
{
    bool shared_write = (flags & MAPPING_SHARED) && (prot & ACCESS_WRITE);
    *out = NULL;
    if (file->flags & O_PATH)
        return -EBADF;
    if (!file->readable || (shared_write && !file->writable))
        return -EACCES;
    if (file->path.mount && (file->path.mount->flags & MS_NOEXEC) && (prot & ACCESS_EXEC))
        return -EPERM;
    if (file->ops->mmap)
        return file->ops->mmap(file, prot, flags, out);
    if (!file->data->pages)
        return -ENODEV;
    vnode_get(file->data);
    *out = file->data->pages;
    return 0;
}

ASYNC(file_read_kernel, struct iobuf buf; long r;)
{
    ASYNC_BEGIN(file_read_kernel);
    if (!f->file->ops->read)
        ASYNC_RETURN(-EINVAL);
    iobuf_kernel(&f->buf, f->dst, f->n);
    while (f->buf.left) {
        AWAIT_VIA(f->r, file_read, f->file->ops->read, f->file, &f->buf, f->pos + f->buf.done);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        if (f->r == 0)
            break;
    }
    ASYNC_RETURN((long)f->buf.done);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- defaults

const struct file_ops file_ops_none = {.flags = 0};
const struct file_ops file_ops_directory = {.flags = 0};

ASYNC_IMPL(no_device_open, file_open, )
{
    ASYNC_BEGIN(no_device_open);
    ASYNC_RETURN(-ENXIO);
    ASYNC_FINALLY;
    ASYNC_END;
}

const struct file_ops file_ops_no_device = {.open = &no_device_open_fn};

// ---- polling

struct poll_entry *poll_add(struct poll_list *pl, struct spinlock *lock, struct waitq *q,
                            uint32_t can)
{
    if (pl->used == pl->max) {
        pl->overflow = 1;
        return NULL;
    }
    struct poll_entry *e = &pl->entry[pl->used++];
    waiter_init(&e->w);
    e->lock = lock;
    e->q = q;
    e->notify = pl->notify;
    e->drop = NULL;
    e->told = 0;
    e->w.key = pl->events & (can | POLL_EXCLUSIVE);
    waitq_add(q, &e->w, pl->task);
    return e;
}

void poll_remove(struct poll_entry *e)
{
    spin_lock(e->lock);
    waitq_remove(e->q, &e->w);
    spin_unlock(e->lock);
    if (unlikely(e->drop != NULL))
        e->drop(e);
}

void poll_wake_slow(struct waitq *q, uint32_t events)
{
    bool enough = false;
    LIST_FOREACH_SAFE(it, next, &q->head) {
        struct poll_entry *e = list_entry(it, struct poll_entry, w.link);
        bool exclusive = e->w.key & POLL_EXCLUSIVE;
        if (!(e->w.key & events) || (exclusive && enough))
            continue;
        if (e->notify) {
            enough |= e->notify(e, events) && exclusive;
            continue;
        }
        list_remove(&e->w.link);
        store_relaxed(&e->told, 1);
        task_wake(e->w.task); // first: from queued = 0 on it may end without our lock
        store_release(&e->w.queued, 0);
    }
}
