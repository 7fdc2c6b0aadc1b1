// SPDX-License-Identifier: MIT
// rename: a name for a file in the place of another, or two files that exchange theirs.
//
// As for the other operations on names (names.c); the VFS holds the locks of both directories. On the disk no
// file is ever without a name: a second one is there before the first goes.
#include "fs/fat32/fat.h"

#include <stdio.h>

#define MOUNT(v) fat_mount_of(v)

static struct fat_dirent *entry_of(struct fat_mount *m, const struct fat_place *place)
{
    return fat_entry_at(m, place->sector, place->in_sector);
}

// The target's entry becomes v's, under the target's name: one sector, so there is no moment without
// either. The target lives on without a name until its last user is gone.
ASYNC_DECL(fat_replace_target, struct vnode *v; struct vnode *target; struct fat_place *place;);
ASYNC(fat_replace_target, struct fat_dirent entry; long r;)
{
    ASYNC_BEGIN(fat_replace_target);
    if (S_ISDIR(f->target->mode)) {
        AWAIT(f->r, fat_dir_empty, fat_inode_of(f->target));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, fat_load, MOUNT(f->v), fat_inode_of(f->v)->place.sector);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->entry = *entry_of(MOUNT(f->v), &fat_inode_of(f->v)->place);
    *f->place = fat_inode_of(f->target)->place;
    AWAIT(f->r, fat_load, MOUNT(f->v), f->place->sector);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    {
        struct fat_dirent *e = entry_of(MOUNT(f->v), f->place);
        memcpy(f->entry.name, e->name, sizeof e->name);
        f->entry.lower = e->lower;
        *e = f->entry;
        fat_dirty(MOUNT(f->v), f->place->sector);
    }
    fat_vnode_gone(f->target);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// A second entry for v under the new name.
ASYNC_DECL(fat_add_second_name, struct vnode *v; struct vnode *new_dir; struct fat_place *place;);
ASYNC(fat_add_second_name, struct fat_dirent entry; long r;)
{
    ASYNC_BEGIN(fat_add_second_name);
    AWAIT(f->r, fat_load, MOUNT(f->v), fat_inode_of(f->v)->place.sector);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->entry = *entry_of(MOUNT(f->v), &fat_inode_of(f->v)->place);
    AWAIT(f->r, fat_dir_add, fat_inode_of(f->new_dir), &f->entry, f->place);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ".." of a directory that moved.
ASYNC_DECL(fat_set_dotdot, struct fat_inode *ip; uint32_t parent;);
ASYNC(fat_set_dotdot, uint64_t sector; long r;)
{
    ASYNC_BEGIN(fat_set_dotdot);
    f->sector = fat_cluster_sector(&f->ip->m->g, f->ip->first);
    AWAIT(f->r, fat_load, f->ip->m, f->sector);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    {
        struct fat_dirent *e = (struct fat_dirent *)fat_sector(f->ip->m, f->sector) + 1;
        if (!memcmp(e->name, "..         ", 11)) {
            fat_dirent_set_cluster(e, f->parent);
            fat_dirty(f->ip->m, f->sector);
        }
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(fat_move, struct vnode *dir; struct vnode *v; struct vnode *new_dir; const char *name;
           size_t len; struct vnode *target;);
ASYNC(fat_move, struct fat_place place; uint64_t sector[FAT_SET_SECTORS]; long r; long error;)
{
    ASYNC_BEGIN(fat_move);
    AWAIT(f->r, mutex_lock, &MOUNT(f->v)->lock, false);
    if (f->r == 0)
        f->r = fat_writable(MOUNT(f->v));
    if (f->r == 0 && (f->new_dir->nlink == 0 || fat_inode_of(f->v)->gone))
        f->r = -ENOENT;
    if (f->r == 0)
        f->r = fat_name_set(MOUNT(f->v), f->name, f->len);
    if (f->r == 0) // what is changed last is loaded first
        AWAIT(f->r, fat_dir_load, fat_inode_of(f->dir), &fat_inode_of(f->v)->place, f->sector);
    if (f->r == 0 && S_ISDIR(f->v->mode))
        AWAIT(f->r, fat_load, MOUNT(f->v),
              fat_cluster_sector(&MOUNT(f->v)->g, fat_inode_of(f->v)->first));
    if (f->r == 0 && f->target)
        AWAIT(f->r, fat_replace_target, f->v, f->target, &f->place);
    else if (f->r == 0)
        AWAIT(f->r, fat_add_second_name, f->v, f->new_dir, &f->place);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->error = 0;
    if (S_ISDIR(f->v->mode) && f->dir != f->new_dir)
        AWAIT(f->error, fat_set_dotdot, fat_inode_of(f->v),
              fat_dotdot_cluster(fat_inode_of(f->new_dir)));
    if (f->place.sector != fat_inode_of(f->v)->place.sector) {
        AWAIT(f->r, fat_flush, MOUNT(f->v));
        f->error = f->error ? f->error : f->r;
    }
    AWAIT(f->r, fat_dir_remove, fat_inode_of(f->dir), &fat_inode_of(f->v)->place);
    f->error = f->error ? f->error : f->r;
    fat_inode_of(f->v)->place = f->place;
    fat_inode_of(f->v)->parent_ino = f->new_dir->ino;
    vnode_rehash(f->v, fat_ino(&f->place));
    fat_dir_changed(f->dir);
    if (f->new_dir != f->dir)
        fat_dir_changed(f->new_dir);
    fat_inode_dirty(fat_inode_of(f->v));
    ASYNC_RETURN(f->error);
    ASYNC_FINALLY;
    if (mutex_held(&MOUNT(f->v)->lock, t))
        mutex_unlock(&MOUNT(f->v)->lock, t);
    ASYNC_END;
}

// ---- exchange

// Both sectors are cached. The entry at `to` shows what `from` does, under its own name.
static void show_at(struct fat_mount *m, const struct fat_place *to, const struct fat_dirent *from)
{
    struct fat_dirent *e = entry_of(m, to), was = *e;
    *e = *from;
    memcpy(e->name, was.name, sizeof e->name);
    e->lower = was.lower;
    fat_dirty(m, to->sector);
}

// A second name for v in its directory, on disk, while its own shows the other file.
ASYNC_DECL(fat_spare_name, struct vnode *dir; struct vnode *v; struct fat_place *spare;);
ASYNC(fat_spare_name, struct fat_dirent entry; char name[32]; long r; long error;)
{
    ASYNC_BEGIN(fat_spare_name);
    snprintf(f->name, sizeof f->name, "%lx.exchange", (unsigned long)f->v->ino);
    f->r = fat_name_set(MOUNT(f->v), f->name, strlen(f->name));
    if (f->r == 0)
        AWAIT(f->r, fat_dir_find, fat_inode_of(f->dir), f->spare, &f->entry);
    if (f->r)
        ASYNC_RETURN(f->r < 0 ? f->r : -EEXIST);
    AWAIT(f->r, fat_add_second_name, f->v, f->dir, f->spare);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->error, fat_flush, MOUNT(f->v));
    if (f->error < 0)
        AWAIT(f->r, fat_dir_remove, fat_inode_of(f->dir), f->spare);
    ASYNC_RETURN(f->error);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Each entry shows the other's file. In one sector that is one write; else v has a spare name meanwhile. An error when
// they are exchanged already goes to *error.
ASYNC_DECL(fat_swap_entries, struct vnode *dir; struct vnode *v; struct vnode *target; long *error;);
ASYNC(fat_swap_entries, struct fat_place mine; struct fat_place its; struct fat_place spare;
      struct fat_dirent my_entry; struct fat_dirent its_entry; bool apart; long r;)
{
    ASYNC_BEGIN(fat_swap_entries);
    *f->error = 0;
    f->mine = fat_inode_of(f->v)->place;
    f->its = fat_inode_of(f->target)->place;
    f->apart = f->mine.sector != f->its.sector;
    AWAIT(f->r, fat_load, MOUNT(f->v), f->mine.sector);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->my_entry = *entry_of(MOUNT(f->v), &f->mine);
    if (f->apart)
        AWAIT(f->r, fat_spare_name, f->dir, f->v, &f->spare);
    if (f->r == 0)
        AWAIT(f->r, fat_load, MOUNT(f->v), f->its.sector);
    if (f->r == 0) {
        f->its_entry = *entry_of(MOUNT(f->v), &f->its);
        AWAIT(f->r, fat_load, MOUNT(f->v), f->mine.sector);
    }
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    show_at(MOUNT(f->v), &f->mine, &f->its_entry);
    if (f->apart) {
        AWAIT(*f->error, fat_flush, MOUNT(f->v));
        AWAIT(f->r, fat_load, MOUNT(f->v), f->its.sector); // it is cached
    }
    if (f->r == 0)
        show_at(MOUNT(f->v), &f->its, &f->my_entry);
    if (f->apart && f->r == 0 && *f->error == 0)
        AWAIT(*f->error, fat_flush, MOUNT(f->v));
    if (f->apart && f->r == 0)
        AWAIT(f->r, fat_dir_remove, fat_inode_of(f->dir), &f->spare);
    if (*f->error == 0)
        *f->error = f->r;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// In memory, once the entries are exchanged.
static void swap_places(struct vnode *dir, struct vnode *v, struct vnode *new_dir,
                        struct vnode *target)
{
    struct fat_inode *a = fat_inode_of(v), *b = fat_inode_of(target);
    struct fat_place place = a->place;
    a->place = b->place;
    b->place = place;
    a->parent_ino = new_dir->ino;
    b->parent_ino = dir->ino;
    vnode_rehash(v, fat_ino(&a->place));
    vnode_rehash(target, fat_ino(&b->place));
    v->ctime_ns = target->ctime_ns = vnode_now_ns();
    fat_dir_changed(dir);
    if (new_dir != dir)
        fat_dir_changed(new_dir);
    fat_inode_dirty(a);
    fat_inode_dirty(b);
}

ASYNC_DECL(fat_exchange, struct vnode *dir; struct vnode *v; struct vnode *new_dir; struct vnode *target;);
ASYNC(fat_exchange, long r; long error;)
{
    ASYNC_BEGIN(fat_exchange);
    AWAIT(f->r, mutex_lock, &MOUNT(f->v)->lock, false);
    if (f->r == 0)
        f->r = fat_writable(MOUNT(f->v));
    if (f->r == 0 && (fat_inode_of(f->v)->gone || fat_inode_of(f->target)->gone))
        f->r = -ENOENT;
    if (f->r == 0)
        AWAIT(f->r, fat_swap_entries, f->dir, f->v, f->target, &f->error);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    swap_places(f->dir, f->v, f->new_dir, f->target);
    if (f->dir != f->new_dir && S_ISDIR(f->v->mode))
        AWAIT(f->r, fat_set_dotdot, fat_inode_of(f->v),
              fat_dotdot_cluster(fat_inode_of(f->new_dir)));
    f->error = f->error ? f->error : f->r;
    if (f->dir != f->new_dir && S_ISDIR(f->target->mode))
        AWAIT(f->r, fat_set_dotdot, fat_inode_of(f->target),
              fat_dotdot_cluster(fat_inode_of(f->dir)));
    ASYNC_RETURN(f->error ? f->error : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&MOUNT(f->v)->lock, t))
        mutex_unlock(&MOUNT(f->v)->lock, t);
    ASYNC_END;
}

ASYNC_IMPL(fat_rename, vnode_rename, long r;)
{
    ASYNC_BEGIN(fat_rename);
    if (f->flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        ASYNC_RETURN(-EINVAL);
    SHIELD_BEGIN();
    if (f->flags & RENAME_EXCHANGE)
        AWAIT(f->r, fat_exchange, f->dir, f->v, f->new_dir, f->target);
    else
        AWAIT(f->r, fat_move, f->dir, f->v, f->new_dir, f->new_name, f->new_len, f->target);
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
