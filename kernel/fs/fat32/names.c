// SPDX-License-Identifier: MIT
// Operations on names: lookup, create, mkdir, unlink, rmdir; rename is in rename.c.
//
// Each change is a transaction: shielded from cancellation, with the mount locked, validated before
// the first change, and written in the order fat.h promises. The VFS holds the locks of the directories.
#include "fs/fat32/fat.h"

#include "page/heap.h"

#define MOUNT(v) fat_mount_of(v)

// ---- lookup

ASYNC_DECL(fat_find_locking, struct vnode *dir; const char *name; size_t len; struct fat_place *place;
           struct fat_dirent *entry;);
ASYNC(fat_find_locking, long r;)
{
    ASYNC_BEGIN(fat_find_locking);
    AWAIT(f->r, mutex_lock, &MOUNT(f->dir)->lock, true);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->r = fat_name_set(MOUNT(f->dir), f->name, f->len);
    if (f->r < 0)
        ASYNC_RETURN(f->r == -EINVAL ? -ENOENT : f->r);
    AWAIT(f->r, fat_dir_find, fat_inode_of(f->dir), f->place, f->entry);
    ASYNC_RETURN(f->r == 0 ? -ENOENT : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&MOUNT(f->dir)->lock, t))
        mutex_unlock(&MOUNT(f->dir)->lock, t);
    ASYNC_END;
}

ASYNC_DECL(fat_reread_locking, struct fat_mount *m; const struct fat_place *place;
           struct fat_dirent *entry;);
ASYNC(fat_reread_locking, long r;)
{
    ASYNC_BEGIN(fat_reread_locking);
    AWAIT(f->r, mutex_lock, &f->m->lock, true);
    if (f->r == 0)
        AWAIT(f->r, fat_load, f->m, f->place->sector);
    if (f->r == 0)
        *f->entry = ((struct fat_dirent *)fat_sector(f->m, f->place->sector))[f->place->in_sector];
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->m->lock, t))
        mutex_unlock(&f->m->lock, t);
    ASYNC_END;
}

// A directory must have clusters, and neither be the root nor the directory it is in.
static bool entry_sane(const struct fat_inode *dir, const struct fat_dirent *e)
{
    uint32_t cluster = fat_dirent_cluster(e);
    if (!(e->attr & FAT_DIR))
        return true;
    return fat_cluster_ok(&dir->m->g, cluster) && cluster != dir->m->g.root_cluster &&
           cluster != dir->first;
}

static long adopt(struct vnode *dir, const struct fat_place *place, const struct fat_dirent *entry,
                  struct vnode **out)
{
    if (!entry_sane(fat_inode_of(dir), entry)) {
        fat_complain(MOUNT(dir), "directory entry with an impossible cluster",
                     fat_dirent_cluster(entry));
        return -EIO;
    }
    struct fat_inode *ip = fat_inode_alloc();
    if (!ip)
        return -ENOMEM;
    fat_inode_init(ip, MOUNT(dir), place, entry, dir->ino);
    vnode_hash_insert(&ip->v);
    *out = &ip->v;
    return 0;
}

ASYNC_IMPL(fat_lookup, vnode_lookup, struct fat_place place; struct fat_dirent entry; long r;)
{
    ASYNC_BEGIN(fat_lookup);
    if (f->dir->nlink == 0)
        ASYNC_RETURN(-ENOENT);
    AWAIT(f->r, fat_find_locking, f->dir, f->name, f->len, &f->place, &f->entry);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, vnode_find, f->dir->super, fat_ino(&f->place), f->out);
    if (f->r < 0 || *f->out)
        ASYNC_RETURN(f->r < 0 ? f->r : 0);
    // Another vnode of this file may have been written back while we waited for it to go.
    AWAIT(f->r, fat_reread_locking, MOUNT(f->dir), &f->place, &f->entry);
    if (f->r == 0)
        f->r = adopt(f->dir, &f->place, &f->entry, f->out);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- create and mkdir

static void entry_new(struct fat_dirent *e, uint8_t attr, uint32_t cluster)
{
    uint8_t unused[2];
    int64_t now = vnode_now_ns();
    memset(e, 0, sizeof *e);
    e->attr = attr;
    fat_dirent_set_cluster(e, cluster);
    fat_time_from_ns(now, e->create_date, e->create_time, &e->create_cs);
    fat_time_from_ns(now, e->write_date, e->write_time, NULL);
    fat_time_from_ns(now, e->access_date, unused, NULL);
}

// A zeroed cluster with "." and "..", named by nothing yet: its number.
ASYNC_DECL(fat_new_directory, struct fat_mount *m; uint32_t parent;);
ASYNC(fat_new_directory, uint32_t cluster; long r; long error;)
{
    ASYNC_BEGIN(fat_new_directory);
    AWAIT(f->r, fat_allocate, f->m, 0, 1, NULL);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->cluster = (uint32_t)f->r;
    f->error = fat_fresh(f->m, fat_cluster_sector(&f->m->g, f->cluster), f->m->g.cluster_sectors);
    if (f->error) {
        AWAIT(f->r, fat_free_chain, f->m, f->cluster, true);
        ASYNC_RETURN(f->error);
    }
    {
        struct fat_dirent *e = (void *)fat_sector(f->m, fat_cluster_sector(&f->m->g, f->cluster));
        entry_new(&e[0], FAT_DIR, f->cluster);
        entry_new(&e[1], FAT_DIR, f->parent);
        memcpy(e[0].name, ".          ", 11);
        memcpy(e[1].name, "..         ", 11);
    }
    ASYNC_RETURN(f->cluster);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(fat_add_name, struct vnode *dir; const char *name; size_t len; uint8_t attr;
           struct fat_place *place; struct fat_dirent *entry;);
ASYNC(fat_add_name, uint32_t cluster; long r; long error;)
{
    ASYNC_BEGIN(fat_add_name);
    AWAIT(f->r, mutex_lock, &MOUNT(f->dir)->lock, false);
    if (f->r == 0)
        f->r = fat_writable(MOUNT(f->dir));
    if (f->r == 0 && f->dir->nlink == 0)
        f->r = -ENOENT;
    if (f->r == 0)
        f->r = fat_name_set(MOUNT(f->dir), f->name, f->len);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->cluster = 0;
    if (f->attr & FAT_DIR) {
        AWAIT(f->r, fat_new_directory, MOUNT(f->dir), fat_dotdot_cluster(fat_inode_of(f->dir)));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->cluster = (uint32_t)f->r;
    }
    entry_new(f->entry, f->attr, f->cluster);
    AWAIT(f->error, fat_dir_add, fat_inode_of(f->dir), f->entry, f->place);
    if (f->error < 0 && f->cluster)
        AWAIT(f->r, fat_free_chain, MOUNT(f->dir), f->cluster, true);
    if (f->error == 0)
        fat_dir_changed(f->dir);
    ASYNC_RETURN(f->error);
    ASYNC_FINALLY;
    if (mutex_held(&MOUNT(f->dir)->lock, t))
        mutex_unlock(&MOUNT(f->dir)->lock, t);
    ASYNC_END;
}

ASYNC_DECL(fat_make, struct vnode *dir; const char *name; size_t len; uint8_t attr;
           struct vnode **out;);
ASYNC(fat_make, struct fat_place place; struct fat_dirent entry; struct fat_inode *ip; long r;)
{
    ASYNC_BEGIN(fat_make);
    f->ip = fat_inode_alloc();
    if (!f->ip)
        ASYNC_RETURN(-ENOMEM);
    SHIELD_BEGIN();
    AWAIT(f->r, fat_add_name, f->dir, f->name, f->len, f->attr, &f->place, &f->entry);
    if (f->r == 0) {
        fat_inode_init(f->ip, MOUNT(f->dir), &f->place, &f->entry, f->dir->ino);
        vnode_hash_insert(&f->ip->v);
        *f->out = &f->ip->v;
    }
    SHIELD_END();
    if (f->r < 0)
        kfree(f->ip);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(fat_create, vnode_create, long r;)
{
    ASYNC_BEGIN(fat_create);
    if (!S_ISREG(f->mode))
        ASYNC_RETURN(-EPERM);
    AWAIT(f->r, fat_make, f->dir, f->name, f->len, FAT_ARCHIVE | (f->mode & 0222 ? 0 : FAT_RDONLY),
          f->out);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(fat_mkdir, vnode_mkdir, long r;)
{
    ASYNC_BEGIN(fat_mkdir);
    AWAIT(f->r, fat_make, f->dir, f->name, f->len, FAT_DIR, f->out);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- unlink and rmdir

void fat_vnode_gone(struct vnode *v)
{
    fat_inode_of(v)->gone = true;
    v->nlink = 0;
    v->ctime_ns = vnode_now_ns();
    vnode_hash_remove(v);
}

ASYNC_DECL(fat_remove_name, struct vnode *dir; struct vnode *v;);
ASYNC(fat_remove_name, long r;)
{
    ASYNC_BEGIN(fat_remove_name);
    AWAIT(f->r, mutex_lock, &MOUNT(f->dir)->lock, false);
    if (f->r == 0)
        f->r = fat_writable(MOUNT(f->dir));
    if (f->r == 0 && fat_inode_of(f->v)->gone)
        f->r = -ENOENT;
    if (f->r == 0 && S_ISDIR(f->v->mode))
        AWAIT(f->r, fat_dir_empty, fat_inode_of(f->v));
    if (f->r == 0)
        AWAIT(f->r, fat_dir_remove, fat_inode_of(f->dir), &fat_inode_of(f->v)->place);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    fat_vnode_gone(f->v);
    fat_dir_changed(f->dir);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (mutex_held(&MOUNT(f->dir)->lock, t))
        mutex_unlock(&MOUNT(f->dir)->lock, t);
    ASYNC_END;
}

ASYNC_IMPL(fat_unlink, vnode_unlink, long r;)
{
    ASYNC_BEGIN(fat_unlink);
    SHIELD_BEGIN();
    AWAIT(f->r, fat_remove_name, f->dir, f->v);
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(fat_rmdir, vnode_rmdir, long r;)
{
    ASYNC_BEGIN(fat_rmdir);
    SHIELD_BEGIN();
    AWAIT(f->r, fat_remove_name, f->dir, f->v);
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
