// SPDX-License-Identifier: MIT
// The allocation table: walking, growing, cutting and freeing cluster chains.
//
// Every number from the disk is checked before it is followed, and no walk is longer than the volume
// has clusters, so a damaged or circular chain ends in -EIO. A file's walk is remembered as runs of
// adjacent clusters. Loops over the table work on cached sectors in plain C, FAT_STEPS entries at a
// time, and await only to load a sector or to let others run.
#include "fs/fat32/fat.h"

#include "lib/log.h"
#include "page/heap.h"

enum { PER_SECTOR = FAT_SECTOR / 4 };

long fat_entry(struct fat_mount *m, uint32_t cluster)
{
    const uint8_t *p = fat_sector(m, fat_entry_sector(m, cluster));
    return p ? (long)(fat_get32(p + cluster % PER_SECTOR * 4) & FAT_ENTRY_MASK) : -EAGAIN;
}

// The entry's sector is cached.
static void entry_set(struct fat_mount *m, uint32_t cluster, uint32_t value)
{
    uint8_t *p = fat_sector(m, fat_entry_sector(m, cluster));
    ASSERT(p);
    p += cluster % PER_SECTOR * 4;
    fat_put32(p, (fat_get32(p) & ~(uint32_t)FAT_ENTRY_MASK) | value);
    fat_dirty(m, fat_entry_sector(m, cluster));
}

// ---- the map of a file: runs

// Called with map_lock held or nobody else looking. The run that holds index, or NULL.
static struct fat_run *run_of(struct fat_inode *ip, uint32_t index)
{
    uint32_t lo = 0, hi = ip->runs;
    if (index >= ip->mapped)
        return NULL;
    while (hi - lo > 1) {
        uint32_t mid = (lo + hi) / 2;
        if (ip->run[mid].index <= index)
            lo = mid;
        else
            hi = mid;
    }
    return &ip->run[lo];
}

bool fat_map_find(struct fat_inode *ip, uint32_t index, uint32_t *cluster, uint32_t *count)
{
    spin_lock(&ip->map_lock);
    const struct fat_run *r = run_of(ip, index);
    if (r) {
        *cluster = r->cluster + (index - r->index);
        *count = r->count - (index - r->index);
    }
    spin_unlock(&ip->map_lock);
    return r != NULL;
}

static int map_append(struct fat_inode *ip, uint32_t cluster)
{
    struct fat_run *tail = ip->runs ? &ip->run[ip->runs - 1] : NULL, *old = NULL;
    bool joins = tail && tail->cluster + tail->count == cluster;
    if (!joins && ip->runs == ip->run_room) {
        uint32_t room = ip->run_room ? ip->run_room * 2 : 4;
        struct fat_run *run = kmalloc(room * sizeof *run);
        if (!run)
            return -ENOMEM;
        if (ip->runs)
            memcpy(run, ip->run, ip->runs * sizeof *run);
        spin_lock(&ip->map_lock);
        old = ip->run;
        ip->run = run;
        ip->run_room = room;
        spin_unlock(&ip->map_lock);
        kfree(old);
        tail = ip->runs ? &ip->run[ip->runs - 1] : NULL;
    }
    spin_lock(&ip->map_lock);
    if (joins)
        tail->count++;
    else
        ip->run[ip->runs++] = (struct fat_run){ip->mapped, cluster, 1};
    ip->mapped++;
    spin_unlock(&ip->map_lock);
    return 0;
}

static void map_trim(struct fat_inode *ip, uint32_t keep)
{
    spin_lock(&ip->map_lock);
    while (ip->runs && ip->run[ip->runs - 1].index >= keep)
        ip->runs--;
    if (ip->mapped > keep) {
        ip->mapped = keep;
        if (keep)
            ip->run[ip->runs - 1].count = keep - ip->run[ip->runs - 1].index;
    }
    spin_unlock(&ip->map_lock);
}

void fat_map_reset(struct fat_inode *ip, uint32_t first)
{
    map_trim(ip, 0);
    ip->first = first;
    ip->whole = false;
    ip->length = UINT32_MAX;
    ip->last = 0;
}

static uint32_t map_tail(const struct fat_inode *ip)
{
    const struct fat_run *r = &ip->run[ip->runs - 1];
    return r->cluster + r->count - 1;
}

static void map_ends(struct fat_inode *ip)
{
    ip->whole = true;
    ip->length = ip->mapped;
    ip->last = ip->mapped ? map_tail(ip) : 0;
}

// Walks on until cluster `index` is known: 0, 1 (the chain ends before), -EIO, -ENOMEM; -EAGAIN: the
// table sector of *need must be loaded, or, with *need 0, it is time to let others run.
static int map_walk(struct fat_inode *ip, uint32_t index, uint32_t *need)
{
    struct fat_mount *m = ip->m;
    for (int budget = FAT_STEPS; ip->mapped <= index; budget--) {
        long next = ip->first;
        if (ip->whole)
            return 1;
        *need = 0;
        if (!budget)
            return -EAGAIN;
        if (ip->mapped) {
            *need = map_tail(ip);
            next = ip->link_to && *need == ip->link_from ? ip->link_to : fat_entry(m, *need);
            if (next == -EAGAIN)
                return -EAGAIN;
        }
        if (ip->mapped ? fat_is_end((uint32_t)next) : next == 0) {
            map_ends(ip);
            continue;
        }
        if (!fat_cluster_ok(&m->g, (uint32_t)next) || ip->mapped >= m->g.clusters) {
            fat_complain(m, "damaged cluster chain, file at cluster", ip->first);
            return -EIO;
        }
        int e = map_append(ip, (uint32_t)next);
        if (e)
            return e;
    }
    return 0;
}

ASYNC(fat_map_to, uint32_t need; long r;)
{
    ASYNC_BEGIN(fat_map_to);
    while ((f->r = map_walk(f->ip, f->index, &f->need)) == -EAGAIN) {
        if (!f->need) {
            YIELD();
            continue;
        }
        AWAIT(f->r, fat_load, f->ip->m, fat_entry_sector(f->ip->m, f->need));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(fat_measure, long r;)
{
    ASYNC_BEGIN(fat_measure);
    if (f->ip->length != UINT32_MAX)
        ASYNC_RETURN(0);
    AWAIT(f->r, fat_map_to, f->ip, UINT32_MAX - 1);
    ASYNC_RETURN(f->r < 0 ? f->r : 0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- taking clusters

struct search {
    uint32_t at, tried; // next entry to look at; looked at so far
    uint32_t first, last, got, want;
};

// Takes free clusters and links them: 1 when all are found, 0 when there are no more; -EAGAIN as in
// map_walk.
static int search_walk(struct fat_mount *m, struct search *s, uint32_t *need)
{
    for (int budget = FAT_STEPS; s->got < s->want; s->tried++, budget--) {
        if (s->tried == m->g.clusters)
            return 0;
        *need = 0;
        if (!budget)
            return -EAGAIN;
        if (!fat_cluster_ok(&m->g, s->at))
            s->at = FAT_FIRST_CLUSTER;
        *need = s->at;
        long e = fat_entry(m, s->at);
        if (e == 0 && s->last) {
            *need = s->last;
            e = fat_entry(m, s->last) == -EAGAIN ? -EAGAIN : 0;
        }
        if (e == -EAGAIN)
            return -EAGAIN;
        if (e == 0) {
            entry_set(m, s->at, FAT_END);
            if (s->last)
                entry_set(m, s->last, s->at);
            else
                s->first = s->at;
            s->last = s->at;
            s->got++;
            m->free_clusters--;
        }
        s->at++;
    }
    return 1;
}

ASYNC(fat_allocate, struct search s; uint32_t need; long r;)
{
    ASYNC_BEGIN(fat_allocate);
    if (f->count > f->m->free_clusters)
        ASYNC_RETURN(-ENOSPC);
    f->s = (struct search){.at = f->near ? f->near + 1 : f->m->next_free, .want = f->count};
    while ((f->r = search_walk(f->m, &f->s, &f->need)) == -EAGAIN) {
        if (!f->need) {
            YIELD();
            continue;
        }
        AWAIT(f->r, fat_load, f->m, fat_entry_sector(f->m, f->need));
        if (f->r < 0)
            break;
    }
    if (f->r == 1) {
        f->m->next_free = f->s.last + 1;
        f->m->info_stale = true;
        if (f->last)
            *f->last = f->s.last;
        ASYNC_RETURN(f->s.first);
    }
    if (f->r == 0) {
        fat_complain(f->m, "fewer free clusters than counted", f->m->free_clusters);
        f->m->free_clusters = 0;
    }
    f->r = f->r ? f->r : -ENOSPC;
    if (f->s.first)
        AWAIT(f->need, fat_free_chain, f->m, f->s.first, false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Within a part that is not yet linked on disk links can be set at once; the one that leads from what
// the disk knows into the new part waits.
ASYNC(fat_extend, uint32_t first; uint32_t last; long r;)
{
    ASYNC_BEGIN(fat_extend);
    AWAIT(f->r, fat_allocate, f->ip->m, f->ip->last, f->add, &f->last);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->first = (uint32_t)f->r;
    if (f->ip->length && f->ip->link_to) {
        AWAIT(f->r, fat_load, f->ip->m, fat_entry_sector(f->ip->m, f->ip->last));
        if (f->r < 0) {
            AWAIT(f->last, fat_free_chain, f->ip->m, f->first, false);
            ASYNC_RETURN(f->r);
        }
        entry_set(f->ip->m, f->ip->last, f->first);
    } else if (f->ip->length) {
        f->ip->link_at = f->ip->length - 1;
        f->ip->link_from = f->ip->last;
        f->ip->link_to = f->first;
        list_push_back(&f->ip->m->links, &f->ip->link_entry);
    } else {
        f->ip->first = f->first;
    }
    f->ip->whole = false;
    f->ip->length += f->add;
    f->ip->last = f->last;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

void fat_forget_link(struct fat_inode *ip)
{
    ip->link_to = 0;
    list_remove(&ip->link_entry);
}

ASYNC(fat_set_links, struct fat_inode *ip; long r;)
{
    ASYNC_BEGIN(fat_set_links);
    while (!list_empty(&f->m->links)) {
        f->ip = list_entry(f->m->links.next, struct fat_inode, link_entry);
        AWAIT(f->r, fat_load, f->m, fat_entry_sector(f->m, f->ip->link_from));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        entry_set(f->m, f->ip->link_from, f->ip->link_to);
        fat_forget_link(f->ip);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- giving clusters back

// Frees from *at on: 0 at the end of the chain, -EIO where it is damaged, -EAGAIN as in map_walk.
static int free_walk(struct fat_mount *m, uint32_t *at, bool directory, bool *load)
{
    for (int budget = FAT_STEPS; budget; budget--) {
        if (!fat_cluster_ok(&m->g, *at)) {
            if (fat_is_end(*at))
                return 0;
            fat_complain(m, "damaged cluster chain while freeing, next is", *at);
            return -EIO;
        }
        long next = fat_entry(m, *at);
        *load = next == -EAGAIN;
        if (*load)
            return -EAGAIN;
        if (next == FAT_FREE) {
            fat_complain(m, "cluster is free already", *at);
            return -EIO;
        }
        entry_set(m, *at, FAT_FREE);
        m->free_clusters++;
        if (directory)
            fat_forget(m, fat_cluster_sector(&m->g, *at), m->g.cluster_sectors);
        *at = (uint32_t)next;
    }
    *load = false;
    return -EAGAIN;
}

ASYNC(fat_free_chain, uint32_t at; bool load; long r;)
{
    ASYNC_BEGIN(fat_free_chain);
    f->at = f->first;
    f->m->info_stale = true;
    while ((f->r = free_walk(f->m, &f->at, f->directory, &f->load)) == -EAGAIN) {
        if (f->load) {
            AWAIT(f->r, fat_load, f->m, fat_entry_sector(f->m, f->at));
            if (f->r < 0)
                ASYNC_RETURN(f->r);
        } else if (f->m->dirty_count > FAT_DIRTY_MAX) {
            AWAIT(f->r, fat_flush, f->m);
        } else {
            YIELD();
        }
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Cuts the chain in the table and in the map: the first cluster cut off, not yet free.
ASYNC_DECL(fat_cut, struct fat_inode *ip; uint32_t keep;);
ASYNC(fat_cut, uint32_t last; uint32_t first; uint32_t count; long r;)
{
    ASYNC_BEGIN(fat_cut);
    AWAIT(f->r, fat_map_to, f->ip, f->keep);
    if (f->r)
        ASYNC_RETURN(f->r < 0 ? f->r : -EIO);
    fat_map_find(f->ip, f->keep, &f->first, &f->count);
    f->last = 0;
    if (f->ip->link_to && f->ip->link_at >= f->keep) {
        // The link lies in the part cut off, which is to be found whole when it is freed.
        AWAIT(f->r, fat_load, f->ip->m, fat_entry_sector(f->ip->m, f->ip->link_from));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        entry_set(f->ip->m, f->ip->link_from, f->ip->link_to);
        fat_forget_link(f->ip);
    }
    if (f->ip->link_to && f->ip->link_at == f->keep - 1) {
        fat_forget_link(f->ip);
    } else if (f->keep) {
        fat_map_find(f->ip, f->keep - 1, &f->last, &f->count);
        AWAIT(f->r, fat_load, f->ip->m, fat_entry_sector(f->ip->m, f->last));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        entry_set(f->ip->m, f->last, FAT_END);
    } else {
        f->ip->first = 0;
    }
    map_trim(f->ip, f->keep);
    map_ends(f->ip);
    ASYNC_RETURN(f->first);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(fat_shorten, uint32_t first; uint32_t cut; long r;)
{
    ASYNC_BEGIN(fat_shorten);
    AWAIT(f->r, fat_measure, f->ip);
    if (f->r < 0 || f->keep >= f->ip->length)
        ASYNC_RETURN(f->r);
    // The entry names a shorter file, or none, before the chain is cut.
    f->first = f->ip->first;
    if (!f->keep)
        f->ip->first = 0;
    AWAIT(f->r, fat_inode_store, f->ip);
    if (f->r == 0)
        AWAIT(f->r, fat_flush, f->ip->m);
    f->ip->first = f->first;
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, fat_cut, f->ip, f->keep);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->cut = (uint32_t)f->r;
    f->r = 0;
    if (f->keep)
        AWAIT(f->r, fat_flush, f->ip->m);
    if (f->r == 0)
        AWAIT(f->r, fat_free_chain, f->ip->m, f->cut, S_ISDIR(f->ip->v.mode));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- counting

// Free entries in the cached sector of `at`, from there to its end; *at moves on.
static uint32_t count_sector(struct fat_mount *m, uint32_t *at)
{
    const uint8_t *p = fat_sector(m, fat_entry_sector(m, *at));
    uint32_t free = 0;
    do {
        free += !(fat_get32(p + *at % PER_SECTOR * 4) & FAT_ENTRY_MASK);
        ++*at;
    } while (*at % PER_SECTOR && fat_cluster_ok(&m->g, *at));
    return free;
}

ASYNC(fat_count_free, uint32_t at; uint32_t free; long r;)
{
    ASYNC_BEGIN(fat_count_free);
    f->free = 0;
    f->at = FAT_FIRST_CLUSTER;
    while (fat_cluster_ok(&f->m->g, f->at)) {
        AWAIT(f->r, fat_load, f->m, fat_entry_sector(f->m, f->at));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->free += count_sector(f->m, &f->at);
        if (f->at / PER_SECTOR % FAT_BLOCK_SECTORS == 0)
            YIELD();
    }
    f->m->free_clusters = f->free;
    f->m->info_stale = true;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
