// SPDX-License-Identifier: MIT
// Directories: finding a name, taking one away, listing. Adding one is in dir_add.c.
//
// A directory is scanned sector by sector; within a cached sector everything is plain C. Changes load
// every sector they touch first, then act on all of them without waiting in between. Slots of
// removed names are used again; the directory never shrinks, so a slot's place on disk is fixed.
#include "fs/fat32/fat.h"
enum { SECTORS_MAX = FAT_MAX_DIR / FAT_PER_SECTOR };

int fat_name_set(struct fat_mount *m, const char *name, size_t len)
{
    int n = fat_name_from_utf8(name, len, m->name);
    if (n < 0)
        return n;
    m->name_len = (size_t)n;
    fat_short_basis(m->name, m->name_len, &m->basis);
    return 0;
}

// ---- sectors of a directory

// Its disk sector if known and cached, else 0.
static uint64_t sector_now(struct fat_inode *dir, uint32_t n)
{
    uint32_t cluster, count, per = dir->m->g.cluster_sectors;
    if (!fat_map_find(dir, n / per, &cluster, &count))
        return 0;
    uint64_t sector = fat_cluster_sector(&dir->m->g, cluster) + n % per;
    return fat_sector(dir->m, sector) ? sector : 0;
}

ASYNC(fat_dir_sector, uint32_t cluster; uint32_t count; uint64_t sector; long r;)
{
    ASYNC_BEGIN(fat_dir_sector);
    f->sector = sector_now(f->dir, f->n);
    if (f->sector)
        ASYNC_RETURN((long)f->sector);
    if (f->n >= SECTORS_MAX)
        ASYNC_RETURN(0);
    AWAIT(f->r, fat_map_to, f->dir, f->n / f->dir->m->g.cluster_sectors);
    if (f->r)
        ASYNC_RETURN(f->r < 0 ? f->r : 0);
    fat_map_find(f->dir, f->n / f->dir->m->g.cluster_sectors, &f->cluster, &f->count);
    f->sector = fat_cluster_sector(&f->dir->m->g, f->cluster) + f->n % f->dir->m->g.cluster_sectors;
    AWAIT(f->r, fat_load, f->dir->m, f->sector);
    ASYNC_RETURN(f->r < 0 ? f->r : (long)f->sector);
    ASYNC_FINALLY;
    ASYNC_END;
}

// "." and ".." carry no name of ours.
static bool is_dots(const struct fat_scan *s)
{
    return s->name[0] == '.' && (s->len == 1 || (s->len == 2 && s->name[1] == '.'));
}

// ---- finding

static bool name_matches(struct fat_mount *m, const struct fat_dirent *e)
{
    uint16_t shorter[12];
    if (fat_name_equal(m->scan.name, m->scan.len, m->name, m->name_len))
        return true;
    size_t n = fat_short_display(e, shorter);
    return fat_name_equal(shorter, n, m->name, m->name_len);
}

// One sector: 1 found, 0 not here, -1 the directory ends here.
static int find_in_sector(struct fat_mount *m, uint64_t sector, uint32_t n, struct fat_place *place)
{
    for (uint32_t i = 0; i < FAT_PER_SECTOR; i++) {
        const struct fat_dirent *e = fat_entry_at(m, sector, i);
        switch (fat_scan_feed(&m->scan, e, n * FAT_PER_SECTOR + i)) {
        case FAT_SCAN_END:
            return -1;
        case FAT_SCAN_NAME:
            if (is_dots(&m->scan) || !name_matches(m, e))
                break;
            *place = (struct fat_place){sector, i, m->scan.first, n * FAT_PER_SECTOR + i};
            return 1;
        default:
            break;
        }
    }
    return 0;
}

ASYNC(fat_dir_find, uint32_t n; long r; int found;)
{
    ASYNC_BEGIN(fat_dir_find);
    fat_scan_start(&f->dir->m->scan);
    for (f->n = 0;; f->n++) {
        f->r = (long)sector_now(f->dir, f->n);
        if (!f->r)
            AWAIT(f->r, fat_dir_sector, f->dir, f->n);
        if (f->r <= 0)
            ASYNC_RETURN(f->r);
        f->found = find_in_sector(f->dir->m, (uint64_t)f->r, f->n, f->place);
        if (f->found < 0)
            ASYNC_RETURN(0);
        if (f->found) {
            *f->entry = *fat_entry_at(f->dir->m, f->place->sector, f->place->in_sector);
            ASYNC_RETURN(1);
        }
        if (f->n % FAT_DIR_YIELD == FAT_DIR_YIELD - 1)
            YIELD();
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(fat_dir_empty, uint32_t n; long r;)
{
    ASYNC_BEGIN(fat_dir_empty);
    fat_scan_start(&f->dir->m->scan);
    for (f->n = 0;; f->n++) {
        AWAIT(f->r, fat_dir_sector, f->dir, f->n);
        if (f->r <= 0)
            ASYNC_RETURN(f->r);
        for (uint32_t i = 0; i < FAT_PER_SECTOR; i++) {
            enum fat_scan_step step =
                fat_scan_feed(&f->dir->m->scan, fat_entry_at(f->dir->m, (uint64_t)f->r, i), i);
            if (step == FAT_SCAN_END)
                ASYNC_RETURN(0);
            if (step == FAT_SCAN_NAME && !is_dots(&f->dir->m->scan))
                ASYNC_RETURN(-ENOTEMPTY);
        }
        if (f->n % FAT_DIR_YIELD == FAT_DIR_YIELD - 1)
            YIELD();
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- taking away

static uint32_t first_sector(const struct fat_place *p)
{
    return p->first / FAT_PER_SECTOR;
}

ASYNC(fat_dir_load, uint32_t n; long r;)
{
    ASYNC_BEGIN(fat_dir_load);
    if (f->place->slot / FAT_PER_SECTOR - first_sector(f->place) >= FAT_SET_SECTORS)
        ASYNC_RETURN(-EIO);
    for (f->n = first_sector(f->place); f->n <= f->place->slot / FAT_PER_SECTOR; f->n++) {
        AWAIT(f->r, fat_dir_sector, f->dir, f->n);
        if (f->r <= 0)
            ASYNC_RETURN(f->r < 0 ? f->r : -EIO);
        f->sector[f->n - first_sector(f->place)] = (uint64_t)f->r;
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void note_removal(struct fat_inode *dir, const struct fat_place *place,
                         const struct fat_dirent *e)
{
    struct fat_mount *m = dir->m;
    if (m->removals < FAT_REMOVED) {
        struct fat_removed *r = &m->removed[m->removals];
        *r = (struct fat_removed){.dir = dir->v.ino, .n = place->slot / FAT_PER_SECTOR};
        memcpy(r->name, e->name, sizeof r->name);
    }
    m->removals++;
}

ASYNC(fat_dir_remove, uint64_t sector[FAT_SET_SECTORS]; long r;)
{
    ASYNC_BEGIN(fat_dir_remove);
    AWAIT(f->r, fat_dir_load, f->dir, f->place, f->sector);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    note_removal(f->dir, f->place, fat_entry_at(f->dir->m, f->place->sector, f->place->in_sector));
    for (uint32_t slot = f->place->first; slot <= f->place->slot; slot++) {
        uint64_t sector = f->sector[slot / FAT_PER_SECTOR - first_sector(f->place)];
        fat_entry_at(f->dir->m, sector, slot % FAT_PER_SECTOR)->name[0] = FAT_DELETED;
        fat_dirty(f->dir->m, sector);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- listing

// A name longer than NAME_MAX bytes in UTF-8 is shown by its short one.
static size_t listed_name(struct fat_mount *m, const struct fat_dirent *e)
{
    size_t n = fat_name_to_utf8(m->scan.name, m->scan.len, m->utf8);
    if (n > NAME_MAX) {
        uint16_t shorter[12];
        n = fat_name_to_utf8(shorter, fat_short_display(e, shorter), m->utf8);
    }
    return n;
}

// Emits the names that end in one sector: 0 go on, 1 the reader has had enough, -1 no more names. The
// cookie of a slot is its number plus 2; a set is emitted when its short entry is at or after the
// cookie.
static int list_sector(struct fat_mount *m, struct dir_sink *sink, uint64_t sector, uint32_t n)
{
    for (uint32_t i = 0; i < FAT_PER_SECTOR; i++) {
        const struct fat_dirent *e = fat_entry_at(m, sector, i);
        uint32_t slot = n * FAT_PER_SECTOR + i;
        enum fat_scan_step step = fat_scan_feed(&m->scan, e, slot);
        if (step == FAT_SCAN_END)
            return -1;
        if (step != FAT_SCAN_NAME || is_dots(&m->scan) || slot + 2 < sink->pos)
            continue;
        struct fat_place place = {sector, i, m->scan.first, slot};
        if (!sink->emit(sink, m->utf8, listed_name(m, e), fat_ino(&place),
                        e->attr & FAT_DIR ? DT_OF_MODE(S_IFDIR) : DT_OF_MODE(S_IFREG), slot + 3))
            return 1;
        sink->pos = slot + 3;
    }
    return 0;
}

// Emits from sink->pos on, after the dots.
ASYNC_DECL(fat_dir_list, struct fat_inode *dir; struct dir_sink *sink;);
ASYNC(fat_dir_list, uint32_t n; int how; long r;)
{
    ASYNC_BEGIN(fat_dir_list);
    AWAIT(f->r, mutex_lock, &f->dir->m->lock, true);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    fat_scan_start(&f->dir->m->scan);
    // A set is at most two sectors and a bit long: begin where it can have begun.
    f->n = (uint32_t)(f->sink->pos - 2) / FAT_PER_SECTOR;
    f->n = f->n < 2 ? 0 : f->n - 2;
    for (;; f->n++) {
        AWAIT(f->r, fat_dir_sector, f->dir, f->n);
        if (f->r <= 0)
            ASYNC_RETURN(f->r);
        f->how = list_sector(f->dir->m, f->sink, (uint64_t)f->r, f->n);
        if (f->how)
            ASYNC_RETURN(0);
    }
    ASYNC_FINALLY;
    if (mutex_held(&f->dir->m->lock, t))
        mutex_unlock(&f->dir->m->lock, t);
    ASYNC_END;
}

ASYNC_IMPL(fat_readdir, vnode_readdir, long r;)
{
    ASYNC_BEGIN(fat_readdir);
    if (!dir_emit_dots(f->sink, f->dir, fat_inode_of(f->dir)->parent_ino))
        ASYNC_RETURN(0);
    if (f->dir->nlink == 0 || f->sink->pos > FAT_MAX_DIR + 2)
        ASYNC_RETURN(0);
    AWAIT(f->r, fat_dir_list, fat_inode_of(f->dir), f->sink);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
