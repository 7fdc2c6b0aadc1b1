// SPDX-License-Identifier: MIT
// Files and directories in memory: made from an entry, written back to it, let go.
//
// An entry on disk is brought up to date lazily: by fsync, sync, evict and the flusher, always after
// the file's data. Until then the disk shows the file as it was, which is what a crash leaves.
#include "fs/fat32/fat.h"

#include "lib/log.h"
#include "page/heap.h"

struct fat_inode *fat_inode_alloc(void)
{
    return kzalloc(sizeof(struct fat_inode));
}

static uint32_t mode_of(uint8_t attr)
{
    uint32_t kind = attr & FAT_DIR ? S_IFDIR : S_IFREG;
    return kind | (attr & FAT_RDONLY && !(attr & FAT_DIR) ? 0555 : 0755);
}

void fat_inode_init(struct fat_inode *ip, struct fat_mount *m, const struct fat_place *place,
                    const struct fat_dirent *entry, uint64_t parent_ino)
{
    bool dir = entry->attr & FAT_DIR;
    struct vnode *v = &ip->v;
    vnode_init(v, m->super, dir ? &fat_dir_ops : &fat_file_ops,
               place ? fat_ino(place) : FAT_ROOT_INO, mode_of(entry->attr));
    v->nlink = 1; // also of directories: "not counted", as programs that walk trees know it
    ip->m = m;
    ip->attr = entry->attr;
    ip->parent_ino = parent_ino;
    if (place) {
        ip->place = *place;
        v->mtime_ns = v->ctime_ns =
            fat_time_ns(fat_get16(entry->write_date), fat_get16(entry->write_time), 0);
        v->atime_ns = fat_time_ns(fat_get16(entry->access_date), 0, 0);
    }
    spin_init(&ip->map_lock, "fat map");
    mutex_init(&ip->io, "fat io");
    list_init(&ip->dirty_link);
    list_init(&ip->link_entry);
    fat_map_reset(ip, fat_dirent_cluster(entry));
    if (dir) {
        v->size = 1u << m->g.cluster_shift;
        return;
    }
    v->size = fat_get32(entry->size);
    ip->shown = v->size;
    ip->valid = (v->size + FAT_SECTOR - 1) & ~(uint64_t)(FAT_SECTOR - 1);
    phys_init(&ip->pages, PHYS_FILE, &fat_phys_ops, v, v->size);
    ip->pages.reading_ahead = &m->bdev->reading_ahead;
    v->pages = &ip->pages;
}

static void free_inode(struct vnode *v)
{
    struct fat_inode *ip = fat_inode_of(v);
    kfree(ip->run);
    kfree(ip);
}

void fat_getattr(struct vnode *v, struct stat_k *st)
{
    uint64_t cluster = 1ul << fat_mount_of(v)->g.cluster_shift;
    vnode_getattr_default(v, st);
    st->blksize = (int32_t)(cluster < PAGE_SIZE ? PAGE_SIZE : cluster);
    st->blocks = (int64_t)((v->size + cluster - 1) / cluster * (cluster / FAT_SECTOR));
}

bool fat_try_get(struct fat_inode *ip)
{
    for (uint32_t refs = load_relaxed(&ip->v.refs); refs;) {
        uint32_t was = atomic_cas32(&ip->v.refs, refs, refs + 1);
        if (was == refs)
            return true;
        refs = was;
    }
    return false;
}

void fat_inode_dirty(struct fat_inode *ip)
{
    if (ip->v.super->flags & SUPER_RDONLY)
        return;
    spin_lock(&ip->m->dirty_lock);
    bool first = list_empty(&ip->m->dirty_inodes);
    if (list_empty(&ip->dirty_link) && !ip->gone)
        list_push_back(&ip->m->dirty_inodes, &ip->dirty_link);
    spin_unlock(&ip->m->dirty_lock);
    if (first)
        event_set(&ip->m->work);
}

static void not_dirty(struct fat_inode *ip)
{
    spin_lock(&ip->m->dirty_lock);
    list_remove(&ip->dirty_link);
    spin_unlock(&ip->m->dirty_lock);
}

// ---- the entry

static void store(struct fat_inode *ip)
{
    struct fat_mount *m = ip->m;
    struct fat_dirent *e =
        (struct fat_dirent *)fat_sector(m, ip->place.sector) + ip->place.in_sector;
    struct fat_dirent old = *e;
    uint8_t unused[2];
    e->attr = ip->attr;
    fat_dirent_set_cluster(e, ip->first);
    if (!(ip->attr & FAT_DIR))
        fat_put32(e->size, (uint32_t)ip->shown);
    fat_time_from_ns(ip->v.mtime_ns, e->write_date, e->write_time, NULL);
    fat_time_from_ns(ip->v.atime_ns, e->access_date, unused, NULL);
    if (memcmp(&old, e, sizeof old))
        fat_dirty(m, ip->place.sector);
}

ASYNC(fat_inode_store, long r;)
{
    ASYNC_BEGIN(fat_inode_store);
    if (f->ip->gone || f->ip->v.ino == FAT_ROOT_INO)
        ASYNC_RETURN(0);
    AWAIT(f->r, fat_load, f->ip->m, f->ip->place.sector);
    if (f->r == 0)
        store(f->ip);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Data below `size` is on disk, unless the file was cut since `shrinks` was read.
ASYNC_DECL(fat_store_locking, struct fat_inode *ip; uint64_t size; uint32_t shrinks;);
ASYNC(fat_store_locking, long r;)
{
    ASYNC_BEGIN(fat_store_locking);
    AWAIT(f->r, mutex_lock, &f->ip->m->lock, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->shrinks == f->ip->shrinks && f->ip->shown < f->size)
        f->ip->shown = f->size;
    AWAIT(f->r, fat_inode_store, f->ip);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->ip->m->lock, t))
        mutex_unlock(&f->ip->m->lock, t);
    ASYNC_END;
}

// Gives back clusters that a write set aside and then did not use, unless a writer is at work.
ASYNC_DECL(fat_trim, struct fat_inode *ip;);
ASYNC(fat_trim, bool locked; uint64_t keep; long r;)
{
    ASYNC_BEGIN(fat_trim);
    f->locked = mutex_trylock(&f->ip->v.lock, t);
    if (!f->locked)
        ASYNC_RETURN(0);
    AWAIT(f->r, mutex_lock, &f->ip->m->lock, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->keep = (f->ip->v.size + (1ul << f->ip->m->g.cluster_shift) - 1) >> f->ip->m->g.cluster_shift;
    if (f->ip->length != UINT32_MAX)
        AWAIT(f->r, fat_shorten, f->ip, (uint32_t)f->keep);
    ASYNC_RETURN(f->r < 0 ? f->r : 0);
    ASYNC_FINALLY;
    if (mutex_held(&f->ip->m->lock, t))
        mutex_unlock(&f->ip->m->lock, t);
    if (f->locked)
        mutex_unlock(&f->ip->v.lock, t);
    ASYNC_END;
}

// Data below `size`, and zeros where nothing was written.
ASYNC_DECL(fat_flush_data, struct fat_inode *ip; uint64_t size;);
ASYNC(fat_flush_data, long r;)
{
    ASYNC_BEGIN(fat_flush_data);
    AWAIT(f->r, vnode_write_back, &f->ip->v);
    if (f->r < 0 || f->ip->valid >= f->size)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mutex_lock, &f->ip->io, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->size > f->ip->v.size)
        f->size = f->ip->v.size; // truncated meanwhile
    AWAIT(f->r, fat_zero_to, f->ip, f->size);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->ip->io, t))
        mutex_unlock(&f->ip->io, t);
    ASYNC_END;
}

ASYNC(fat_inode_flush, uint64_t size; uint32_t shrinks; long r;)
{
    ASYNC_BEGIN(fat_inode_flush);
    if (f->ip->gone)
        ASYNC_RETURN(0);
    not_dirty(f->ip); // whatever changes from here on, our own writes too, makes it dirty again
    f->shrinks = load_relaxed(&f->ip->shrinks);
    f->size = load_relaxed(&f->ip->v.size);
    f->r = 0;
    if (f->ip->v.pages && (f->all || f->size > load_relaxed(&f->ip->shown)))
        AWAIT(f->r, fat_flush_data, f->ip, f->size);
    if (f->ip->v.pages && f->r == 0)
        AWAIT(f->r, fat_trim, f->ip);
    if (f->r == 0)
        AWAIT(f->r, fat_store_locking, f->ip, f->size, f->shrinks);
    if (f->r < 0)
        fat_inode_dirty(f->ip);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- durable, and gone

ASYNC_DECL(fat_flush_locking, struct fat_mount *m;);
ASYNC(fat_flush_locking, long r;)
{
    ASYNC_BEGIN(fat_flush_locking);
    AWAIT(f->r, mutex_lock, &f->m->lock, false);
    if (f->r == 0)
        AWAIT(f->r, fat_flush, f->m);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->m->lock, t))
        mutex_unlock(&f->m->lock, t);
    ASYNC_END;
}

ASYNC_IMPL(fat_fsync, vnode_fsync, long r;)
{
    ASYNC_BEGIN(fat_fsync);
    if (f->v->super->flags & SUPER_RDONLY)
        ASYNC_RETURN(fat_mount_of(f->v)->error);
    SHIELD_BEGIN();
    AWAIT(f->r, fat_inode_flush, fat_inode_of(f->v), true);
    if (f->r == 0)
        AWAIT(f->r, fat_flush_locking, fat_mount_of(f->v));
    if (f->r == 0)
        AWAIT(f->r, block_flush, fat_mount_of(f->v)->bdev);
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// An unlinked file: its entry's removal goes to disk, then its clusters are free.
ASYNC_DECL(fat_free_storage, struct fat_inode *ip;);
ASYNC(fat_free_storage, long r;)
{
    ASYNC_BEGIN(fat_free_storage);
    AWAIT(f->r, mutex_lock, &f->ip->m->lock, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, fat_flush, f->ip->m);
    if (f->r < 0 || !f->ip->first)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, fat_free_chain, f->ip->m, f->ip->first, f->ip->attr & FAT_DIR);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->ip->m->lock, t))
        mutex_unlock(&f->ip->m->lock, t);
    ASYNC_END;
}

// The link must be in the table before the inode, which knows better, is forgotten.
ASYNC_DECL(fat_settle_link, struct fat_inode *ip;);
ASYNC(fat_settle_link, long r;)
{
    ASYNC_BEGIN(fat_settle_link);
    AWAIT(f->r, mutex_lock, &f->ip->m->lock, false);
    if (f->r == 0)
        AWAIT(f->r, fat_flush, f->ip->m);
    if (f->ip->link_to)
        fat_forget_link(f->ip); // the mount is broken
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->ip->m->lock, t))
        mutex_unlock(&f->ip->m->lock, t);
    ASYNC_END;
}

static bool needs_flush(struct fat_inode *ip)
{
    return !ip->gone && (!list_empty(&ip->dirty_link) || (ip->v.pages && ip->pages.dirty));
}

// Nobody is left to hear of an error, so a shortage of memory is waited out for a while.
ASYNC_DECL(fat_last_flush, struct fat_inode *ip;);
ASYNC(fat_last_flush, uint32_t tries; long r; long slept;)
{
    ASYNC_BEGIN(fat_last_flush);
    enum { TRIES = 200, PAUSE_NS = 50000000 };
    f->tries = 0;
    for (;;) {
        AWAIT(f->r, fat_inode_flush, f->ip, true);
        if (f->r != -ENOMEM || ++f->tries == TRIES)
            break;
        AWAIT(f->slept, sleep_ns, PAUSE_NS, false);
    }
    if (f->r < 0)
        log_error("fat32 %s: a file's last changes are lost (error %ld)", f->ip->m->bdev->name,
                  -f->r);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(fat_evict, vnode_evict, struct fat_inode *ip; long r;)
{
    ASYNC_BEGIN(fat_evict);
    SHIELD_BEGIN();
    f->ip = fat_inode_of(f->v);
    f->r = 0;
    if (!(f->v->super->flags & SUPER_RDONLY) && needs_flush(f->ip))
        AWAIT(f->r, fat_last_flush, f->ip);
    if (f->v->pages)
        AWAIT(f->r, phys_destroy, f->v->pages);
    if (f->ip->gone && !f->ip->m->error)
        AWAIT(f->r, fat_free_storage, f->ip);
    if (f->ip->link_to)
        AWAIT(f->r, fat_settle_link, f->ip);
    not_dirty(f->ip);
    SHIELD_END();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

const struct vnode_ops fat_dir_ops = {
    .lookup = &fat_lookup_fn,
    .create = &fat_create_fn,
    .mkdir = &fat_mkdir_fn,
    .unlink = &fat_unlink_fn,
    .rmdir = &fat_rmdir_fn,
    .rename = &fat_rename_fn,
    .readdir = &fat_readdir_fn,
    .setattr = &fat_setattr_fn,
    .fsync = &fat_fsync_fn,
    .evict = &fat_evict_fn,
    .getattr = fat_getattr,
    .free_vnode = free_inode,
};

const struct vnode_ops fat_file_ops = {
    .setattr = &fat_setattr_fn,
    .reserve = &fat_reserve_fn,
    .fsync = &fat_fsync_fn,
    .evict = &fat_evict_fn,
    .getattr = fat_getattr,
    .free_vnode = free_inode,
};
