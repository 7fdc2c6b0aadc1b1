// SPDX-License-Identifier: MIT
// Directories: finding a name, making room for one, taking one away, listing.
//
// A directory is scanned sector by sector; within a cached sector everything is plain C. Changes load
// every sector they touch first, then act on all of them without waiting in between. Slots of
// removed names are used again; the directory never shrinks, so a slot's place on disk is fixed.
#include "fs/fat32/fat.h"

#include "lib/log.h"

enum { SECTORS_MAX = FAT_MAX_DIR / FAT_PER_SECTOR, YIELD_EVERY = 32 };

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

static struct fat_dirent *entry_at(struct fat_mount *m, uint64_t sector, uint32_t in_sector)
{
    return (struct fat_dirent *)fat_sector(m, sector) + in_sector;
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
        const struct fat_dirent *e = entry_at(m, sector, i);
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
            *f->entry = *entry_at(f->dir->m, f->place->sector, f->place->in_sector);
            ASYNC_RETURN(1);
        }
        if (f->n % YIELD_EVERY == YIELD_EVERY - 1)
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
                fat_scan_feed(&f->dir->m->scan, entry_at(f->dir->m, (uint64_t)f->r, i), i);
            if (step == FAT_SCAN_END)
                ASYNC_RETURN(0);
            if (step == FAT_SCAN_NAME && !is_dots(&f->dir->m->scan))
                ASYNC_RETURN(-ENOTEMPTY);
        }
        if (f->n % YIELD_EVERY == YIELD_EVERY - 1)
            YIELD();
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- planning: room for a set of entries, and a short name nobody has

struct plan {
    uint32_t slots;               // entries needed
    uint32_t at;                  // first slot, valid when `room`
    bool room;                    // enough adjacent free slots seen
    uint32_t free_from, free_run; // the run of free slots being looked at
    uint32_t end;                 // slots below have been used at some time
    bool ended;
    uint32_t total; // slots the directory has
    bool basis_taken;
    uint32_t family; // of ~N names being tried
    uint16_t digits_taken;
    uint8_t one[11]; // the family's first
};

static void plan_slot(struct plan *p, uint32_t slot, bool is_free)
{
    if (!is_free) {
        p->free_run = 0;
        return;
    }
    if (p->free_run++ == 0)
        p->free_from = slot;
    if (p->free_run >= p->slots && !p->room) {
        p->room = true;
        p->at = p->free_from;
    }
}

static void plan_sector(struct fat_mount *m, struct plan *p, uint64_t sector, uint32_t n)
{
    for (uint32_t i = 0; i < FAT_PER_SECTOR; i++) {
        uint32_t slot = n * FAT_PER_SECTOR + i;
        const struct fat_dirent *e = entry_at(m, sector, i);
        enum fat_scan_step step = p->ended ? FAT_SCAN_END : fat_scan_feed(&m->scan, e, slot);
        if (step == FAT_SCAN_END && !p->ended) {
            p->ended = true;
            p->end = slot;
        }
        plan_slot(p, slot, step == FAT_SCAN_END || step == FAT_SCAN_FREE);
        if (step != FAT_SCAN_NAME && step != FAT_SCAN_PART)
            continue;
        if ((e->attr & FAT_LFN_MASK) == FAT_LFN)
            continue;
        p->basis_taken |= !memcmp(e->name, m->basis.name, 11);
        p->digits_taken |= (uint16_t)(1u << fat_short_tail_digit(p->one, e->name));
    }
    p->total = (n + 1) * FAT_PER_SECTOR;
}

// Scans all of the directory once for one family of short names.
ASYNC_DECL(fat_dir_plan_scan, struct fat_inode *dir; struct plan *p;);
ASYNC(fat_dir_plan_scan, uint32_t n; long r;)
{
    ASYNC_BEGIN(fat_dir_plan_scan);
    fat_short_tail(&f->dir->m->basis, f->dir->m->name, f->dir->m->name_len,
                   f->p->family * FAT_TAIL_DIGITS + 1, f->p->one);
    fat_scan_start(&f->dir->m->scan);
    f->p->ended = f->p->room = false;
    f->p->free_run = f->p->total = 0;
    f->p->digits_taken = 1;
    f->p->end = UINT32_MAX;
    for (f->n = 0; !(f->p->ended && f->p->room); f->n++) {
        AWAIT(f->r, fat_dir_sector, f->dir, f->n);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        if (f->r == 0)
            break;
        plan_sector(f->dir->m, f->p, (uint64_t)f->r, f->n);
        if (f->n % YIELD_EVERY == YIELD_EVERY - 1)
            YIELD();
    }
    if (!f->p->room)
        f->p->at = f->p->free_run ? f->p->free_from : f->p->total;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// The short name of the new set, once plan_scan has looked: false when the family is used up.
static bool plan_short_name(struct fat_mount *m, struct plan *p, uint8_t name[11])
{
    if (m->basis.fits && !p->basis_taken) {
        memcpy(name, m->basis.name, 11);
        return true;
    }
    for (uint32_t digit = 1; digit <= FAT_TAIL_DIGITS; digit++) {
        if (p->digits_taken & 1u << digit)
            continue;
        fat_short_tail(&m->basis, m->name, m->name_len, p->family * FAT_TAIL_DIGITS + digit, name);
        return true;
    }
    return false;
}

ASYNC_DECL(fat_dir_plan, struct fat_inode *dir; struct plan *p; uint8_t *name;);
ASYNC(fat_dir_plan, long r;)
{
    ASYNC_BEGIN(fat_dir_plan);
    enum { FAMILIES_TRIED = 2000 };
    *f->p = (struct plan){.slots = fat_slots(f->dir->m->name_len, f->dir->m->basis.exact)};
    for (; f->p->family < FAMILIES_TRIED; f->p->family++) {
        AWAIT(f->r, fat_dir_plan_scan, f->dir, f->p);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        if (f->dir->m->basis.exact && f->p->basis_taken)
            ASYNC_RETURN(-EEXIST);
        if (plan_short_name(f->dir->m, f->p, f->name))
            ASYNC_RETURN(0);
    }
    ASYNC_RETURN(-ENOSPC);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- adding

// Appends `add` zeroed clusters to the directory.
ASYNC_DECL(fat_dir_grow, struct fat_inode *dir; uint32_t add;);
ASYNC(fat_dir_grow, uint32_t old; uint32_t i; uint32_t cluster; uint32_t count; long r; long error;)
{
    ASYNC_BEGIN(fat_dir_grow);
    AWAIT(f->r, fat_measure, f->dir);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->old = f->dir->length;
    AWAIT(f->r, fat_extend, f->dir, f->add);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    for (f->i = 0; f->i < f->add; f->i++) {
        AWAIT(f->r, fat_map_to, f->dir, f->old + f->i);
        if (f->r)
            break;
        fat_map_find(f->dir, f->old + f->i, &f->cluster, &f->count);
        f->r = fat_fresh(f->dir->m, fat_cluster_sector(&f->dir->m->g, f->cluster),
                         f->dir->m->g.cluster_sectors);
        if (f->r < 0)
            break;
    }
    if (f->r == 0) {
        f->dir->v.size = (uint64_t)f->dir->length << f->dir->m->g.cluster_shift;
        ASYNC_RETURN(0);
    }
    f->error = f->r < 0 ? f->r : -EIO;
    AWAIT(f->r, fat_shorten, f->dir, f->old);
    ASYNC_RETURN(f->error);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Writes slot `slot` of a set that starts at p->at; its sector is cached.
static void write_slot(struct fat_mount *m, const struct plan *p, uint32_t slot, uint64_t sector,
                       const struct fat_dirent *entry)
{
    struct fat_dirent *e = entry_at(m, sector, slot % FAT_PER_SECTOR);
    uint32_t order = p->at + p->slots - 1 - slot;
    if (order)
        fat_lfn_encode((struct fat_lfn *)e, m->name, m->name_len, order,
                       fat_short_checksum(entry->name));
    else
        *e = *entry;
    fat_dirty(m, sector);
}

ASYNC(fat_dir_add, struct plan p; struct fat_dirent new; uint64_t sector[FAT_SET_SECTORS];
      uint32_t n; uint32_t from; uint32_t to; uint32_t per; long r;)
{
    ASYNC_BEGIN(fat_dir_add);
    f->new = *f->entry;
    AWAIT(f->r, fat_dir_plan, f->dir, &f->p, f->new.name);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->new.lower = f->dir->m->basis.exact ? f->dir->m->basis.lower : 0;
    if (f->p.at + f->p.slots > FAT_MAX_DIR)
        ASYNC_RETURN(-ENOSPC);
    if (f->p.at + f->p.slots > f->p.total) {
        f->per = f->dir->m->g.cluster_sectors * FAT_PER_SECTOR;
        AWAIT(f->r, fat_dir_grow, f->dir,
              (f->p.at + f->p.slots - f->p.total + f->per - 1) / f->per);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    // One slot more than the set: behind a set that reaches into never used slots, an end mark.
    f->from = f->p.at / FAT_PER_SECTOR;
    f->to = (f->p.at + f->p.slots) / FAT_PER_SECTOR;
    for (f->n = f->from; f->n <= f->to; f->n++) {
        AWAIT(f->r, fat_dir_sector, f->dir, f->n);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->sector[f->n - f->from] = (uint64_t)f->r;
    }
    for (uint32_t slot = f->p.at; slot < f->p.at + f->p.slots; slot++)
        write_slot(f->dir->m, &f->p, slot, f->sector[slot / FAT_PER_SECTOR - f->from], &f->new);
    {
        uint32_t next = f->p.at + f->p.slots, last = next - 1;
        uint64_t sector = f->sector[next / FAT_PER_SECTOR - f->from];
        if (next > f->p.end && sector) {
            entry_at(f->dir->m, sector, next % FAT_PER_SECTOR)->name[0] = 0;
            fat_dirty(f->dir->m, sector);
        }
        *f->place = (struct fat_place){f->sector[last / FAT_PER_SECTOR - f->from],
                                       last % FAT_PER_SECTOR, f->p.at, last};
    }
    ASYNC_RETURN(0);
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

ASYNC(fat_dir_remove, uint64_t sector[FAT_SET_SECTORS]; long r;)
{
    ASYNC_BEGIN(fat_dir_remove);
    AWAIT(f->r, fat_dir_load, f->dir, f->place, f->sector);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    for (uint32_t slot = f->place->first; slot <= f->place->slot; slot++) {
        uint64_t sector = f->sector[slot / FAT_PER_SECTOR - first_sector(f->place)];
        entry_at(f->dir->m, sector, slot % FAT_PER_SECTOR)->name[0] = FAT_DELETED;
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
        const struct fat_dirent *e = entry_at(m, sector, i);
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
