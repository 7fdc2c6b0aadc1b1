// SPDX-License-Identifier: MIT
// Directories: a name is added. First a plan, then room, then the entries, without waiting in between.
#include "fs/fat32/fat.h"

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
        const struct fat_dirent *e = fat_entry_at(m, sector, i);
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
        if (f->n % FAT_DIR_YIELD == FAT_DIR_YIELD - 1)
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
    struct fat_dirent *e = fat_entry_at(m, sector, slot % FAT_PER_SECTOR);
    uint32_t order = p->at + p->slots - 1 - slot;
    if (order)
        fat_lfn_encode((struct fat_lfn *)e, m->name, m->name_len, order,
                       fat_short_checksum(entry->name));
    else
        *e = *entry;
    fat_dirty(m, sector);
}

// Whether the disk may still have this name in a sector of `dir` other than its n-th (rule 5 in fat.h).
static bool removed_elsewhere(const struct fat_inode *dir, const uint8_t name[11], uint32_t n)
{
    const struct fat_mount *m = dir->m;
    for (uint32_t i = 0; i < m->removals && i < FAT_REMOVED; i++) {
        const struct fat_removed *r = &m->removed[i];
        if (r->dir == dir->v.ino && r->n != n && !memcmp(r->name, name, sizeof r->name))
            return true;
    }
    return m->removals > FAT_REMOVED;
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
    if (removed_elsewhere(f->dir, f->new.name, (f->p.at + f->p.slots - 1) / FAT_PER_SECTOR)) {
        AWAIT(f->r, fat_flush, f->dir->m);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
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
            fat_entry_at(f->dir->m, sector, next % FAT_PER_SECTOR)->name[0] = 0;
            fat_dirty(f->dir->m, sector);
        }
        *f->place = (struct fat_place){f->sector[last / FAT_PER_SECTOR - f->from],
                                       last % FAT_PER_SECTOR, f->p.at, last};
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
