// SPDX-License-Identifier: MIT
// Mounting FAT32, statfs, sync, unmount, and the task that writes back what has been dirty a while.
#include "fs/fat32/fat.h"

#include "lib/log.h"
#include "page/heap.h"

enum { WRITE_BACK_AFTER_NS = 2000000000 };

static void statfs(struct super *super, struct statfs_k *st)
{
    struct fat_mount *m = super->priv;
    st->type = (int64_t)super->magic;
    st->bsize = st->frsize = 1 << m->g.cluster_shift;
    st->blocks = m->g.clusters;
    st->bfree = st->bavail = load_relaxed(&m->free_clusters);
    st->namelen = FAT_NAME16;
}

// ---- writing everything back

// The first inode of the list, referenced, and out of the list; NULL at the end. One whose last
// reference has gone is left to evict.
static struct fat_inode *take_dirty(struct fat_mount *m)
{
    struct fat_inode *found = NULL;
    spin_lock(&m->dirty_lock);
    LIST_FOREACH(it, &m->dirty_inodes) {
        found = list_entry(it, struct fat_inode, dirty_link);
        if (fat_try_get(found)) {
            list_remove(&found->dirty_link);
            break;
        }
        found = NULL;
    }
    spin_unlock(&m->dirty_lock);
    return found;
}

// Pages are dirtied behind our back, by mappings and by writes that do not grow the file.
static void find_dirty_pages(struct super *super)
{
    spin_lock(&super->lock);
    LIST_FOREACH(it, &super->vnodes) {
        struct vnode *v = list_entry(it, struct vnode, in_super);
        if (v->pages && load_relaxed(&v->pages->dirty))
            fat_inode_dirty(fat_inode_of(v));
    }
    spin_unlock(&super->lock);
}

ASYNC_DECL(fat_flush_inodes, struct fat_mount *m; bool all;);
ASYNC(fat_flush_inodes, struct fat_inode *ip; uint32_t left; long r; long error;)
{
    ASYNC_BEGIN(fat_flush_inodes);
    f->error = 0;
    f->ip = NULL;
    if (f->all)
        find_dirty_pages(f->m->super);
    // A file that others write to all the time does not keep us here for ever.
    for (f->left = 100000; f->left && (f->ip = take_dirty(f->m)); f->left--) {
        AWAIT(f->r, fat_inode_flush, f->ip, f->all);
        f->error = f->error ? f->error : f->r;
        vnode_put(&f->ip->v);
        f->ip = NULL;
    }
    ASYNC_RETURN(f->error);
    ASYNC_FINALLY;
    if (f->ip)
        vnode_put(&f->ip->v);
    ASYNC_END;
}

ASYNC_DECL(fat_sync_metadata, struct fat_mount *m;);
ASYNC(fat_sync_metadata, long r;)
{
    ASYNC_BEGIN(fat_sync_metadata);
    AWAIT(f->r, mutex_lock, &f->m->lock, false);
    if (f->r == 0)
        AWAIT(f->r, fat_flush, f->m);
    if (f->r == 0)
        AWAIT(f->r, fat_mark_clean, f->m);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->m->lock, t))
        mutex_unlock(&f->m->lock, t);
    ASYNC_END;
}

// The entries of what has changed, with the data that they tell of; all: and data that changed where it was.
ASYNC_DECL(fat_sync_all, struct fat_mount *m; bool all;);
ASYNC(fat_sync_all, long r; long error;)
{
    ASYNC_BEGIN(fat_sync_all);
    if (f->m->super->flags & SUPER_RDONLY)
        ASYNC_RETURN(f->m->error);
    AWAIT(f->error, fat_flush_inodes, f->m, f->all);
    AWAIT(f->r, fat_sync_metadata, f->m);
    f->error = f->error ? f->error : f->r;
    if (!load_relaxed(&f->m->unflushed))
        ASYNC_RETURN(f->error);
    store_relaxed(&f->m->unflushed, 0);
    AWAIT(f->r, block_flush, f->m->bdev);
    ASYNC_RETURN(f->error ? f->error : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(fat_sync, super_sync, long r;)
{
    ASYNC_BEGIN(fat_sync);
    SHIELD_BEGIN();
    AWAIT(f->r, vnode_reaper_flush, f->super, false); // files just closed are on their way
    AWAIT(f->r, fat_sync_all, f->super->priv, true);
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Sleeps until something is dirty, lets more gather for a while, writes it back. Pages whose data changed where it was are left
// to the flusher of pages, until they are old.
ASYNC_DECL(fat_flusher, struct fat_mount *m;);
ASYNC(fat_flusher, struct deadline d; long r;)
{
    ASYNC_BEGIN(fat_flusher);
    for (;;) {
        AWAIT(f->r, event_wait, &f->m->work, false);
        AWAIT_WITHIN(f->r, &f->d, WRITE_BACK_AFTER_NS, event_wait, &f->m->stop, false);
        if (f->r != -ETIMEDOUT)
            break;
        event_clear(&f->m->work);
        AWAIT(f->r, fat_sync_all, f->m, false);
    }
    event_set(&f->m->stopped);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- mount and unmount

static void mount_free_memory(struct fat_mount *m)
{
    fat_cache_drop(m);
    kfree(m);
}

ASYNC_IMPL(fat_unmount, super_unmount, struct fat_mount *m; long r;)
{
    ASYNC_BEGIN(fat_unmount);
    SHIELD_BEGIN();
    f->m = f->super->priv;
    event_set(&f->m->stop);
    event_set(&f->m->work);
    AWAIT(f->r, event_wait, &f->m->stopped, false);
    AWAIT(f->r, fat_sync_all, f->m, true);
    mount_free_memory(f->m);
    f->super->priv = NULL;
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct super_ops fat_super_ops = {
    .statfs = statfs, .sync = &fat_sync_fn, .unmount = &fat_unmount_fn};

static struct fat_mount *mount_new(struct block_device *bdev)
{
    struct fat_mount *m = kzalloc(sizeof *m);
    if (!m)
        return NULL;
    m->bdev = bdev;
    mutex_init(&m->lock, "fat mount");
    fat_cache_init(m);
    spin_init(&m->dirty_lock, "fat dirty");
    list_init(&m->dirty_inodes);
    event_init(&m->work);
    event_init(&m->stop);
    event_init(&m->stopped);
    return m;
}

// How many clusters are free: FSInfo's word when the volume was left in order, else counted.
ASYNC_DECL(fat_learn_free, struct fat_mount *m;);
ASYNC(fat_learn_free, struct fat_info info; long r;)
{
    ASYNC_BEGIN(fat_learn_free);
    f->info = (struct fat_info){UINT32_MAX, UINT32_MAX};
    if (f->m->g.fsinfo_sector) {
        AWAIT(f->r, fat_load, f->m, f->m->g.fsinfo_sector);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        fat_info_parse(fat_sector(f->m, f->m->g.fsinfo_sector), f->m->g.clusters, &f->info);
    }
    f->m->next_free = f->info.next_free == UINT32_MAX ? FAT_FIRST_CLUSTER : f->info.next_free;
    f->m->free_clusters = f->info.free_clusters;
    if (f->m->g.dirty)
        log_warn("fat32 %s: was not unmounted; counting free clusters", f->m->bdev->name);
    if (f->m->g.dirty || f->info.free_clusters == UINT32_MAX)
        AWAIT(f->r, fat_count_free, f->m);
    else
        f->r = 0;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Reads and checks the volume: everything that can be refused is refused here.
ASYNC_DECL(fat_read_volume, struct fat_mount *m; uint8_t *boot;);
ASYNC(fat_read_volume, const char *why; long r;)
{
    ASYNC_BEGIN(fat_read_volume);
    AWAIT(f->r, block_read_small, f->m->bdev, 0, f->boot, FAT_SECTOR);
    if (f->r < 0) {
        log_error("fat32 %s: cannot read the boot sector (error %ld)", f->m->bdev->name, -f->r);
        ASYNC_RETURN(f->r);
    }
    f->r = fat_geometry_parse(f->boot, f->m->bdev->capacity, &f->m->g, &f->why);
    if (f->r < 0) {
        log_error("fat32 %s: %s", f->m->bdev->name, f->why);
        ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, fat_load, f->m, fat_entry_sector(f->m, 0));
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->m->g.dirty |= !(fat_entry(f->m, 1) & FAT_CLEAN_SHUTDOWN);
    AWAIT(f->r, fat_learn_free, f->m);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static struct fat_inode *root_new(struct fat_mount *m)
{
    struct fat_inode *ip = fat_inode_alloc();
    if (!ip)
        return NULL;
    struct fat_dirent entry = {.attr = FAT_DIR};
    fat_dirent_set_cluster(&entry, m->g.root_cluster);
    fat_inode_init(ip, m, NULL, &entry, FAT_ROOT_INO);
    vnode_hash_insert(&ip->v);
    return ip;
}

ASYNC_IMPL(fat_mount, fs_mount, struct fat_mount *m; struct super *super; struct fat_inode *root;
           uint8_t *boot; long r;)
{
    ASYNC_BEGIN(fat_mount);
    f->super = NULL;
    f->boot = NULL;
    f->m = mount_new(f->bdev);
    if (f->m)
        f->boot = kmalloc(FAT_SECTOR);
    if (f->boot)
        f->super = super_new(f->fs, &fat_super_ops, f->bdev, f->source);
    if (!f->super)
        ASYNC_RETURN(-ENOMEM);
    f->m->super = f->super;
    f->super->priv = f->m;
    f->super->magic = 0x4d44;
    f->super->max_file = FAT_MAX_FILE;
    f->super->flags |=
        SUPER_ALIASES | (f->bdev->read_only || (f->flags & MS_RDONLY) ? SUPER_RDONLY : 0);
    AWAIT(f->r, fat_read_volume, f->m, f->boot);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->root = root_new(f->m);
    if (!f->root)
        ASYNC_RETURN(-ENOMEM);
    if (!SPAWN("fat32 flusher", fat_flusher, f->m)) {
        vnode_hash_remove(&f->root->v);
        kfree(f->root);
        ASYNC_RETURN(-ENOMEM);
    }
    log_info("fat32 %s: \"%s\", %u clusters of %u bytes, %u free", f->bdev->name, f->m->g.label,
             f->m->g.clusters, 1u << f->m->g.cluster_shift, f->m->free_clusters);
    f->super->root = &f->root->v;
    *f->out = f->super;
    f->m = NULL;
    f->super = NULL;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    kfree(f->boot);
    if (f->super)
        super_free(f->super);
    if (f->m)
        mount_free_memory(f->m);
    ASYNC_END;
}

FILESYSTEM(vfat, fat_mount, FS_NEEDS_DEVICE);
FILESYSTEM(fat32, fat_mount, FS_NEEDS_DEVICE);
