// SPDX-License-Identifier: MIT
// Files in memory without a name: nodes of a tmpfs of their own that no directory has.
#include "fs/memfd.h"
#include "fs/dentry.h"
#include "fs/tmpfs.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys.h"

#include <stdio.h>

static struct super *memfd_super;

struct file *memfd_new(const char *name, uint32_t flags)
{
    struct vnode *v = tmpfs_add_unnamed(memfd_super, S_IFREG | 0777, name);
    if (!v)
        return NULL;
    if (flags & MFD_NOEXEC_SEAL) {
        v->mode &= ~0111u;
        v->seals = F_SEAL_EXEC;
    } else if (flags & MFD_ALLOW_SEALING) {
        v->seals = 0;
    }
    struct file *file = file_new(v, NULL, O_RDWR | O_LARGEFILE);
    if (!file)
        vnode_put(v);
    return file;
}

char *memfd_place(const struct vnode *v, char *buf, size_t size)
{
    if (v->super != memfd_super)
        return NULL;
    int n = snprintf(buf, size, "/memfd:%s (deleted)", tmpfs_unnamed(v));
    return n >= 0 && (size_t)n < size ? buf : NULL;
}

long memfd_seals(const struct file *file)
{
    const struct vnode *v = file->data;
    return v->seals || v->super == memfd_super ? (long)load_relaxed(&v->seals) : -EINVAL;
}

// vnode.lock held, so no writer is in the middle. Seal first, then look for mappings: who maps later
// sees the seal.
static long seal(struct vnode *v, uint32_t seals)
{
    uint32_t old = v->seals;
    if (old & F_SEAL_SEAL)
        return -EPERM;
    if (seals & F_SEAL_EXEC && v->mode & 0111)
        seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
    store_relaxed(&v->seals, old | seals);
    fence_full();
    if (seals & F_SEAL_WRITE && load_relaxed(&v->pages->shared_writable)) {
        store_relaxed(&v->seals, old);
        return -EBUSY;
    }
    return 0;
}

ASYNC(memfd_seal, long r;)
{
    ASYNC_BEGIN(memfd_seal);
    f->r = memfd_seals(f->file);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!f->file->writable)
        ASYNC_RETURN(-EPERM);
    if (f->seals & ~(uint32_t)F_SEALS)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, mutex_lock, &f->file->data->lock, true);
    if (f->r < 0)
        ASYNC_RETURN(-ERESTARTSYS);
    ASYNC_RETURN(seal(f->file->data, f->seals));
    ASYNC_FINALLY;
    if (mutex_held(&f->file->data->lock, t))
        mutex_unlock(&f->file->data->lock, t);
    ASYNC_END;
}

static void memfd_init(void)
{
    memfd_super = tmpfs_super(filesystem_find("tmpfs"), "memfd", 0700, 0);
    if (!memfd_super)
        panic("no memory for the files without a name");
}
INIT(INIT_FS, memfd_init);
