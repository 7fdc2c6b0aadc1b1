// SPDX-License-Identifier: MIT
// Vnodes and supers: birth, references, identity. How they go: reaper.c.
//
// A vnode is dying from the moment its count is 0: vnode_find does not resurrect it but waits until it is gone.
#include "fs/vnode.h"

#include "fs/file.h"
#include "fs/vnode_impl.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys.h"
#include "page/heap.h"

ASYNC_IFACE_DEFINE(vnode_lookup);
ASYNC_IFACE_DEFINE(vnode_create);
ASYNC_IFACE_DEFINE(vnode_mkdir);
ASYNC_IFACE_DEFINE(vnode_symlink);
ASYNC_IFACE_DEFINE(vnode_link);
ASYNC_IFACE_DEFINE(vnode_unlink);
ASYNC_IFACE_DEFINE(vnode_rmdir);
ASYNC_IFACE_DEFINE(vnode_rename);
ASYNC_IFACE_DEFINE(vnode_readlink);
ASYNC_IFACE_DEFINE(vnode_readdir);
ASYNC_IFACE_DEFINE(vnode_setattr);
ASYNC_IFACE_DEFINE(vnode_reserve);
ASYNC_IFACE_DEFINE(vnode_fsync);
ASYNC_IFACE_DEFINE(vnode_evict);
ASYNC_IFACE_DEFINE(file_open);
ASYNC_IFACE_DEFINE(file_read);
ASYNC_IFACE_DEFINE(file_write);
ASYNC_IFACE_DEFINE(file_ioctl);
ASYNC_IFACE_DEFINE(super_sync);
ASYNC_IFACE_DEFINE(super_unmount);
ASYNC_IFACE_DEFINE(fs_mount);

enum { VNODE_BUCKETS = 256 };

struct spinlock vnode_lock = SPINLOCK_INIT("vnode hash");
static struct list vnode_hash[VNODE_BUCKETS];

// ---- supers

struct list super_list = LIST_INIT(super_list);
struct spinlock super_lock = SPINLOCK_INIT("supers");

struct super *super_new(const struct filesystem *fs, const struct super_ops *ops,
                        struct block_device *bdev, const char *source)
{
    static uint32_t last_minor;
    struct super *super = kzalloc(sizeof *super);
    if (!super || !(super->reaper = reaper_for(bdev))) {
        kfree(super);
        return NULL;
    }
    super->fs = fs;
    super->ops = ops;
    super->bdev = bdev;
    super->dev = MAKEDEV(0, atomic_add32(&last_minor, 1) + 1);
    mutex_init(&super->rename_lock, "rename");
    spin_init(&super->lock, "super");
    list_init(&super->vnodes);
    strncpy(super->source, source ? source : "none", sizeof super->source - 1);
    spin_lock(&super_lock);
    list_push_back(&super_list, &super->all);
    spin_unlock(&super_lock);
    return super;
}

void super_free(struct super *super)
{
    ASSERT(list_empty(&super->vnodes));
    spin_lock(&super_lock);
    list_remove(&super->all);
    spin_unlock(&super_lock);
    reaper_end(super->reaper);
    kfree(super);
}

// ---- birth and attributes

int64_t vnode_now_ns(void)
{
    return (int64_t)clock_realtime_ns();
}

void vnode_touch(struct vnode *v)
{
    int64_t now = vnode_now_ns();
    store_relaxed(&v->mtime_ns, now);
    store_relaxed(&v->ctime_ns, now);
}

static const struct file_ops *device_file_ops(uint64_t dev)
{
    SET_FOREACH(chardevs, struct chardev, c)
        if (c->dev == dev)
            return c->ops;
    return NULL;
}

extern const struct file_ops file_ops_fifo, file_ops_no_device, file_ops_block;

static const struct file_ops *default_file_ops(const struct vnode *v)
{
    switch (v->mode & S_IFMT) {
    case S_IFREG:
        return &file_ops_pagecache;
    case S_IFDIR:
        return &file_ops_directory;
    case S_IFIFO:
        return &file_ops_fifo;
    case S_IFBLK:
        return &file_ops_block;
    default:
        return &file_ops_no_device;
    }
}

void vnode_init(struct vnode *v, struct super *super, const struct vnode_ops *ops, uint64_t ino,
                uint32_t mode)
{
    v->refs = 1;
    v->mode = mode;
    v->ops = ops;
    v->super = super;
    v->ino = ino;
    v->nlink = S_ISDIR(mode) ? 2 : 1;
    v->atime_ns = v->mtime_ns = v->ctime_ns = vnode_now_ns();
    v->file_ops = default_file_ops(v);
    mutex_init(&v->lock, "vnode");
    list_init(&v->hash);
    spin_lock(&super->lock);
    list_push_back(&super->vnodes, &v->in_super);
    spin_unlock(&super->lock);
}

const struct file_ops *vnode_file_ops(struct vnode *v)
{
    if (!S_ISCHR(v->mode))
        return v->file_ops;
    const struct file_ops *ops = device_file_ops(v->rdev);
    return ops ? ops : v->file_ops;
}

static struct timespec_k timespec_of(int64_t ns)
{
    return (struct timespec_k){ns / 1000000000, ns % 1000000000};
}

void vnode_getattr_default(struct vnode *v, struct stat_k *st)
{
    uint64_t size = v->size;
    *st = (struct stat_k){
        .dev = v->super->dev,
        .ino = v->ino,
        .mode = v->mode,
        .nlink = v->nlink,
        .uid = v->uid,
        .gid = v->gid,
        .rdev = v->rdev,
        .size = (int64_t)size,
        .blksize = PAGE_SIZE,
        .blocks = (int64_t)(v->blocks ? v->blocks : (size + 511) / 512),
        .atime = timespec_of(v->atime_ns),
        .mtime = timespec_of(v->mtime_ns),
        .ctime = timespec_of(v->ctime_ns),
    };
}

// One more reference unless there is none left.
static bool try_get(struct vnode *v)
{
    uint32_t n = load_relaxed(&v->refs);
    while (n) {
        uint32_t seen = atomic_cas32(&v->refs, n, n + 1);
        if (seen == n)
            return true;
        n = seen;
    }
    return false;
}

bool vnode_phys_try_get(struct phys *ph)
{
    return try_get(ph->owner);
}

// ---- writing or running

// step: 1 or -1. False: the others are in.
static bool count_in(struct vnode *v, int32_t step)
{
    uint32_t *word = (uint32_t *)&v->writers, now = load_relaxed(word), was;
    do {
        was = now;
        if ((int32_t)was * step < 0)
            return false;
    } while ((now = atomic_cas32(word, was, was + (uint32_t)step)) != was);
    return true;
}

int vnode_write_begin(struct vnode *v)
{
    return count_in(v, 1) ? 0 : -ETXTBSY;
}

void vnode_write_end(struct vnode *v)
{
    atomic_add32((uint32_t *)&v->writers, -1u);
}

// Count first, then look for mappings: none can come any more but from one that is there.
int vnode_run_begin(struct vnode *v)
{
    if (!count_in(v, -1))
        return -ETXTBSY;
    if (!v->pages || !load_acquire(&v->pages->writers))
        return 0;
    vnode_run_end(v);
    return -ETXTBSY;
}

void vnode_run_again(struct vnode *v)
{
    atomic_add32((uint32_t *)&v->writers, -1u);
}

void vnode_run_end(struct vnode *v)
{
    atomic_add32((uint32_t *)&v->writers, 1);
}

void vnode_phys_get(struct phys *ph)
{
    vnode_get(ph->owner);
}

void vnode_phys_put(struct phys *ph)
{
    vnode_put(ph->owner);
}

void vnode_phys_stored(struct phys *ph)
{
    vnode_touch(ph->owner);
}

bool dir_emit_dots(struct dir_sink *sink, struct vnode *dir, uint64_t parent_ino)
{
    if (sink->pos == 0) {
        if (!sink->emit(sink, ".", 1, dir->ino, DT_OF_MODE(S_IFDIR), 1))
            return false;
        sink->pos = 1;
    }
    if (sink->pos == 1) {
        if (!sink->emit(sink, "..", 2, parent_ino, DT_OF_MODE(S_IFDIR), 2))
            return false;
        sink->pos = 2;
    }
    return true;
}

// ---- identity

static struct list *bucket_of(const struct super *super, uint64_t ino)
{
    uint64_t h = (ino ^ (uint64_t)super >> 6) * 0x9e3779b97f4a7c15ull;
    return &vnode_hash[h >> 56 & (VNODE_BUCKETS - 1)];
}

static struct vnode *find_locked(struct super *super, uint64_t ino)
{
    LIST_FOREACH(it, bucket_of(super, ino)) {
        struct vnode *v = list_entry(it, struct vnode, hash);
        if (v->super == super && v->ino == ino)
            return v;
    }
    return NULL;
}

ASYNC(vnode_find, struct waiter w;)
{
    ASYNC_BEGIN(vnode_find);
    waiter_init(&f->w);
    for (;;) {
        spin_lock(&vnode_lock);
        waitq_remove(&f->super->reaper->waiters, &f->w);
        *f->out = find_locked(f->super, f->ino);
        if (*f->out == NULL || try_get(*f->out)) {
            spin_unlock(&vnode_lock);
            ASYNC_RETURN(0);
        }
        *f->out = NULL;
        waitq_add(&f->super->reaper->waiters, &f->w, t);
        spin_unlock(&vnode_lock);
        SUSPEND("a dying vnode of the same number");
    }
    ASYNC_FINALLY;
    waiter_finish(&vnode_lock, &f->super->reaper->waiters, &f->w);
    ASYNC_END;
}

void vnode_hash_insert(struct vnode *v)
{
    spin_lock(&vnode_lock);
    list_push_front(bucket_of(v->super, v->ino), &v->hash);
    v->flags |= VNODE_HASHED;
    spin_unlock(&vnode_lock);
}

void vnode_unhash_locked(struct vnode *v)
{
    if (v->flags & VNODE_HASHED)
        list_remove(&v->hash);
    v->flags &= ~VNODE_HASHED;
}

void vnode_hash_remove(struct vnode *v)
{
    spin_lock(&vnode_lock);
    vnode_unhash_locked(v);
    spin_unlock(&vnode_lock);
}

void vnode_rehash(struct vnode *v, uint64_t ino)
{
    spin_lock(&vnode_lock);
    vnode_unhash_locked(v);
    v->ino = ino;
    list_push_front(bucket_of(v->super, ino), &v->hash);
    v->flags |= VNODE_HASHED;
    spin_unlock(&vnode_lock);
}

void vnodes_init(void)
{
    for (unsigned i = 0; i < VNODE_BUCKETS; i++)
        list_init(&vnode_hash[i]);
}

INIT(INIT_CORE, vnodes_init);
