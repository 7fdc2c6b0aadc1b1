// SPDX-License-Identifier: MIT
// The mounted FAT32 volume: metadata blocks, cluster chains, directories, files.
//
// Metadata (allocation table, directory clusters, FSInfo) lives in blocks of up to eight sectors, one
// frame each; file data only in the page cache. `fat_mount.lock`, an async mutex, guards all
// metadata: functions below that say "locked" are called with it held. Lock order: vnode.lock ->
// fat_inode.io -> fat_mount.lock -> fat_inode.map_lock (spin). No page cache function is awaited
// with fat_mount.lock held, for a fill takes it.
//
// What reaches the disk, and in which order, so that a crash loses clusters at most, never a file:
//   1. fat_flush writes new directory clusters, then the tables, then directories. So an entry on
//      disk never names a cluster that the table on disk calls free.
//      Where a chain grows, the new part goes to disk before the link to it (fat_inode.link_to).
//   2. A chain is freed only after the entry that let go of it is on disk.
//   3. Rename writes the new entry before it takes the old one away.
//   4. An entry's size grows on disk only after the data (fat_inode_flush).
//   5. A name that is removed and made anew in another sector of its directory is gone from the disk
//      before it comes back, so that no crash leaves it there twice.
#pragma once

#include "async/async.h"
#include "async/wait_async.h"
#include "dev/block.h"
#include "fs/fat32/layout.h"
#include "fs/vnode.h"
#include "lib/list.h"
#include "lib/spinlock.h"
#include "mem/phys.h"

enum {
    FAT_BLOCK_SECTORS = PAGE_SIZE / FAT_SECTOR,
    FAT_BUCKETS = 64,
    FAT_BLOCKS_KEPT = 256, // clean blocks remembered per mount
    FAT_DIRTY_MAX = 64,    // dirty blocks before a long operation writes in between
    FAT_STEPS = 512,       // table entries looked at in one go
    FAT_REMOVED = 8,       // removals remembered until they are on disk
};

// A few sectors of metadata. Bits count sectors from `sector` on.
struct fat_block {
    struct list link; // fat_mount.clean (least recently used first) or .dirty
    struct list hash;
    uint64_t sector;
    uint8_t count; // sectors; fewer than eight at the end of a region
    uint8_t valid, dirty;
    uint8_t fresh; // dirty, in a directory cluster that nothing on disk names yet
    uint8_t *data; // a frame
};

// Where a name is: slots count 32-byte entries from the start of the directory.
struct fat_place {
    uint64_t sector;      // of the short entry, on disk
    uint32_t in_sector;   // its number there, 0 .. 15
    uint32_t first, slot; // first entry of the set; the short one
};

// A short entry that is removed, but perhaps not yet on disk.
struct fat_removed {
    uint64_t dir; // inode number
    uint32_t n;   // sector of the directory, counted from its start
    uint8_t name[11];
};

struct fat_mount {
    struct super *super;
    struct block_device *bdev;
    struct fat_geometry g;
    struct mutex lock;
    struct list bucket[FAT_BUCKETS];
    struct list clean, dirty;
    struct list links; // inodes with a link that is not yet in the table
    uint32_t clean_count, dirty_count;
    uint32_t free_clusters; // exact
    uint32_t next_free;     // where to look first
    bool info_stale;        // FSInfo on disk differs
    bool marked;            // the volume's dirty bit is set on disk
    uint32_t unflushed;     // something was written that may still be in the device's cache
    int error;              // metadata could not be written: the mount is read-only from then on
    uint32_t complaints;    // about corruption, logged so far

    // Removals since directories were last written; those beyond FAT_REMOVED are only counted. Locked.
    struct fat_removed removed[FAT_REMOVED];
    uint32_t removals;

    // The name an operation is about, and where names are put together. Locked.
    uint16_t name[FAT_NAME16];
    size_t name_len;
    struct fat_short basis;
    struct fat_scan scan;
    char utf8[FAT_NAME8];

    // The flusher task writes back what has been dirty for a while.
    struct event work; // something is dirty, or stop
    struct event stop, stopped;
    struct spinlock dirty_lock; // guards the list
    struct list dirty_inodes;
};

struct fat_run {
    uint32_t index, cluster, count; // clusters index .. index+count-1 of the file
};

struct fat_inode {
    struct vnode v; // first
    struct fat_mount *m;
    struct fat_place place; // of the entry; meaningless for the root and once unlinked
    uint64_t parent_ino;
    uint32_t first; // cluster, 0: none
    uint8_t attr;
    bool gone;              // its entry is removed
    struct list dirty_link; // in fat_mount.dirty_inodes: attributes or pages to be written

    // Known prefix of the chain. Grown with the mount locked; map_lock makes it readable without.
    struct spinlock map_lock;
    struct fat_run *run;
    uint32_t runs, run_room;
    uint32_t mapped;       // clusters covered
    bool whole;            // that is all of it
    uint32_t length, last; // of the chain; length UINT32_MAX: not yet walked to its end

    // A link that is not yet in the table: cluster number link_at of the file, `link_from`, is followed
    // by link_to (0: none). fat_flush puts it there once the rest of the chain is on disk.
    uint32_t link_at, link_from, link_to;
    struct list link_entry; // in fat_mount.links

    // The size the entry may show: data below it is on disk. Locked.
    uint64_t shown;
    uint32_t shrinks; // counts truncations, so that a flush under way does not raise `shown`

    // Bytes from here on have never been written on disk and read as zero: what lies there may be
    // someone else's. Only ever a multiple of FAT_SECTOR. Grows and shrinks with `io` held.
    uint64_t valid;
    struct mutex io;
    struct phys pages;
};

static inline struct fat_inode *fat_inode_of(struct vnode *v)
{
    return (struct fat_inode *)v;
}
static inline struct fat_mount *fat_mount_of(struct vnode *v)
{
    return fat_inode_of(v)->m;
}

// ---- cache.c: metadata blocks. All locked.

void fat_cache_init(struct fat_mount *m);
void fat_cache_drop(struct fat_mount *m); // frees all blocks
// The sector's bytes if they are cached, else NULL (fat_load brings them). Valid until the next
// await.
uint8_t *fat_sector(struct fat_mount *m, uint64_t sector);
// 0, -EIO, -ENOMEM.
ASYNC_DECL(fat_load, struct fat_mount *m; uint64_t sector;);
void fat_dirty(struct fat_mount *m, uint64_t sector); // a cached sector was changed
// Sectors of a new directory cluster: zero, dirty and fresh, without reading. 0 or -ENOMEM.
int fat_fresh(struct fat_mount *m, uint64_t sector, uint32_t count);
void fat_forget(struct fat_mount *m, uint64_t sector, uint32_t count); // freed: never write them
// Writes everything dirty, in order. 0 or the error, which makes the mount read-only.
ASYNC_DECL(fat_flush, struct fat_mount *m;);
// Marks the volume clean on disk and brings FSInfo up to date. Nothing is dirty.
ASYNC_DECL(fat_mark_clean, struct fat_mount *m;);
void fat_complain(struct fat_mount *m, const char *what, uint64_t where);

// ---- table.c: cluster chains. All locked, except fat_map_find.

static inline uint64_t fat_entry_sector(const struct fat_mount *m, uint32_t cluster)
{
    return m->g.fat_start + (uint64_t)m->g.active_fat * m->g.fat_sectors +
           cluster / (FAT_SECTOR / 4);
}
long fat_entry(struct fat_mount *m, uint32_t cluster); // its value, or -EAGAIN: fat_load it
// Cluster `index` of the file, if known: true, and how many follow it on disk, itself included.
bool fat_map_find(struct fat_inode *ip, uint32_t index, uint32_t *cluster, uint32_t *count);
// Makes cluster `index` known. 0; 1: the chain is shorter; -EIO: it is damaged; -ENOMEM.
ASYNC_DECL(fat_map_to, struct fat_inode *ip; uint32_t index;);
ASYNC_DECL(fat_measure, struct fat_inode *ip;);              // makes `length` and `last` known
ASYNC_DECL(fat_extend, struct fat_inode *ip; uint32_t add;); // measured; -ENOSPC: nothing done
// Cuts the chain to its first `keep` clusters and frees the rest, in the order that rule 2 asks for.
ASYNC_DECL(fat_shorten, struct fat_inode *ip; uint32_t keep;);
// Puts all waiting links into the table.
ASYNC_DECL(fat_set_links, struct fat_mount *m;);
void fat_forget_link(struct fat_inode *ip);
ASYNC_DECL(fat_free_chain, struct fat_mount *m; uint32_t first; bool directory;);
// A chain of `count` clusters that belongs to nobody: its first cluster. *last may be NULL.
ASYNC_DECL(fat_allocate, struct fat_mount *m; uint32_t near; uint32_t count; uint32_t *last;);
ASYNC_DECL(fat_count_free, struct fat_mount *m;);
void fat_map_reset(struct fat_inode *ip, uint32_t first);

// ---- dir.c, dir_add.c: entries of directories. All locked; the name is the one fat_name_set left in m.

int fat_name_set(struct fat_mount *m, const char *name, size_t len);
// 1 and *place, *entry; 0: no such name; negative errno.
ASYNC_DECL(fat_dir_find, struct fat_inode *dir; struct fat_place *place; struct fat_dirent *entry;);
ASYNC_DECL(fat_dir_add, struct fat_inode *dir; const struct fat_dirent *entry;
           struct fat_place *place;);
// Loads the sectors of a set, so that fat_dir_remove cannot fail right after; their disk numbers.
enum { FAT_SET_SECTORS = 3 }; // that 21 slots and an end mark lie in, at most
ASYNC_DECL(fat_dir_load, struct fat_inode *dir; const struct fat_place *place; uint64_t *sector;);
ASYNC_DECL(fat_dir_remove, struct fat_inode *dir; const struct fat_place *place;);
ASYNC_DECL(fat_dir_empty, struct fat_inode *dir;); // 0, -ENOTEMPTY
// Disk sector of sector n of the directory, cached; 0: beyond its end.
ASYNC_DECL(fat_dir_sector, struct fat_inode *dir; uint32_t n;);
ASYNC_IMPL_DECL(fat_readdir);
enum { FAT_DIR_YIELD = 32 }; // sectors scanned in one go
// Of a cached sector.
static inline struct fat_dirent *fat_entry_at(struct fat_mount *m, uint64_t sector,
                                              uint32_t in_sector)
{
    return (struct fat_dirent *)fat_sector(m, sector) + in_sector;
}
static inline uint64_t fat_ino(const struct fat_place *place)
{
    return place->sector * FAT_PER_SECTOR + place->in_sector;
}
enum { FAT_ROOT_INO = 1 };

// ---- inode.c

// A vnode of an entry, with one reference and not yet hashed; NULL: no memory. `memory`: from
// fat_inode_alloc.
struct fat_inode *fat_inode_alloc(void);
void fat_inode_init(struct fat_inode *memory, struct fat_mount *m, const struct fat_place *place,
                    const struct fat_dirent *entry, uint64_t parent_ino);
bool fat_try_get(struct fat_inode *ip);     // false: the last reference has gone
void fat_inode_dirty(struct fat_inode *ip); // write its entry some time
// Locked: brings the entry in its block up to date. The size shown is not raised.
ASYNC_DECL(fat_inode_store, struct fat_inode *ip;);
// Not locked: data, then the entry into its buffer. Not durable before fat_flush. all: data, too, that the entry on disk shows
// already.
ASYNC_DECL(fat_inode_flush, struct fat_inode *ip; bool all;);
extern const struct vnode_ops fat_dir_ops, fat_file_ops;
ASYNC_IMPL_DECL(fat_fsync);
ASYNC_IMPL_DECL(fat_evict);
void fat_getattr(struct vnode *v, struct stat_k *st);

// ---- file.c

extern const struct phys_ops fat_phys_ops;
ASYNC_IMPL_DECL(fat_setattr);
ASYNC_IMPL_DECL(fat_reserve);
// Not locked, ip->io held: writes zeros up to `to`, so that all bytes below are valid.
ASYNC_DECL(fat_zero_to, struct fat_inode *ip; uint64_t to;);

// ---- mount.c

ASYNC_IMPL_DECL(fat_mount);
ASYNC_IMPL_DECL(fat_sync);
ASYNC_IMPL_DECL(fat_unmount);

// ---- names.c

ASYNC_IMPL_DECL(fat_lookup);
ASYNC_IMPL_DECL(fat_create);
ASYNC_IMPL_DECL(fat_mkdir);
ASYNC_IMPL_DECL(fat_unlink);
ASYNC_IMPL_DECL(fat_rmdir);

// Its entry is no longer on the way to disk; storage goes at evict.
void fat_vnode_gone(struct vnode *v);

static inline void fat_dir_changed(struct vnode *dir)
{
    vnode_touch(dir);
    fat_inode_dirty(fat_inode_of(dir));
}

// What ".." says in a directory below dir.
static inline uint32_t fat_dotdot_cluster(const struct fat_inode *dir)
{
    return dir->first == dir->m->g.root_cluster ? 0 : dir->first;
}

// ---- rename.c

ASYNC_IMPL_DECL(fat_rename);

static inline int fat_writable(const struct fat_mount *m)
{
    return m->error || (m->super->flags & SUPER_RDONLY) ? -EROFS : 0;
}
