// SPDX-License-Identifier: MIT
// Files without a place, and the vnode they share.
#include "fs/anon.h"

#include "lib/init.h"
#include "lib/log.h"
#include "page/heap.h"
#include "task/thread.h"

enum { ANON_MAGIC = 0x09041934 };

static struct vnode *anon_vnode;

struct file *anon_new(const struct file_ops *ops, void *priv, uint32_t flags)
{
    struct file *file = file_new(vnode_get(anon_vnode), NULL, O_RDWR | (flags & O_NONBLOCK));
    if (!file) {
        vnode_put(anon_vnode);
        return NULL;
    }
    file->ops = ops;
    file->priv = priv;
    return file;
}

long anon_open(const struct file_ops *ops, void *priv, uint32_t flags)
{
    struct file *file = anon_new(ops, priv, flags);
    if (!file)
        return -ENOMEM;
    long fd = fd_install(thread_current()->files, file, 0,
                         process_current()->rlimit[RLIMIT_NOFILE].cur, flags & O_CLOEXEC);
    if (fd < 0) {
        file->priv = NULL;
        file_put(file);
    }
    return fd;
}

static const struct filesystem anonfs = {.name = "anon_inodefs"};

static void anonfs_statfs(struct super *super, struct statfs_k *st)
{
    (void)super;
    st->bsize = st->frsize = PAGE_SIZE;
    st->namelen = NAME_MAX;
}

static const struct super_ops anon_super_ops = {.statfs = anonfs_statfs};
static const struct vnode_ops anon_vnode_ops = {0};

static void anon_init(void)
{
    struct super *super = super_new(&anonfs, &anon_super_ops, NULL, "anon_inode");
    anon_vnode = kzalloc(sizeof *anon_vnode);
    if (!super || !anon_vnode)
        panic("no memory for the files without a place");
    super->magic = ANON_MAGIC;
    vnode_init(anon_vnode, super, &anon_vnode_ops, 1,
               0600); // of no type: it cannot be opened again
}
INIT(INIT_CORE, anon_init);
