// SPDX-License-Identifier: MIT
// Metadata blocks: cached sectors of the table and of directories, and their ordered write-back.
//
// File data never comes here, so a block may cover sectors that are a file's: only those bits that
// are valid mean anything, and only dirty sectors are written. A dirty block stays until written;
// clean ones go least recently used first.
#include "fs/fat32/fat.h"

#include "lib/log.h"
#include "page/frame.h"
#include "page/heap.h"

void fat_complain(struct fat_mount *m, const char *what, uint64_t where)
{
    enum { ENOUGH = 8 };
    if (m->complaints++ < ENOUGH)
        log_error("fat32 %s: %s (%llu)%s", m->bdev->name, what, (unsigned long long)where,
                  m->complaints == ENOUGH ? "; no more of this is logged" : "");
}

// ---- finding

void fat_cache_init(struct fat_mount *m)
{
    for (int i = 0; i < FAT_BUCKETS; i++)
        list_init(&m->bucket[i]);
    list_init(&m->clean);
    list_init(&m->dirty);
    list_init(&m->links);
}

static struct list *bucket_of(struct fat_mount *m, uint64_t block_sector)
{
    return &m->bucket[(uint32_t)(block_sector * 0x9e3779b1u) >> 26];
}
_Static_assert(FAT_BUCKETS == 1 << (32 - 26), "the hash gives 6 bits");

// Blocks start at multiples of eight sectors within each region, so that none spans two.
static uint64_t block_start(const struct fat_mount *m, uint64_t sector, uint32_t *count)
{
    uint64_t table = m->g.fat_start + (uint64_t)m->g.active_fat * m->g.fat_sectors;
    uint64_t lo = 0, hi = m->g.fat_start;
    if (sector >= m->g.data_start) {
        lo = m->g.data_start;
        hi = m->g.total_sectors;
    } else if (sector >= m->g.fat_start) {
        lo = table;
        hi = table + m->g.fat_sectors;
    }
    uint64_t start = sector - (sector - lo) % FAT_BLOCK_SECTORS;
    *count = hi - start < FAT_BLOCK_SECTORS ? (uint32_t)(hi - start) : FAT_BLOCK_SECTORS;
    return start;
}

static struct fat_block *cached_block(struct fat_mount *m, uint64_t sector)
{
    uint32_t count;
    uint64_t start = block_start(m, sector, &count);
    LIST_FOREACH(it, bucket_of(m, start)) {
        struct fat_block *b = list_entry(it, struct fat_block, hash);
        if (b->sector == start)
            return b;
    }
    return NULL;
}

static void block_free(struct fat_mount *m, struct fat_block *b)
{
    list_remove(&b->link);
    list_remove(&b->hash);
    if (b->dirty)
        m->dirty_count--;
    else
        m->clean_count--;
    frame_unref(kva_to_pa(b->data));
    kfree(b);
}

void fat_cache_drop(struct fat_mount *m)
{
    while (!list_empty(&m->clean))
        block_free(m, list_entry(m->clean.next, struct fat_block, link));
    while (!list_empty(&m->dirty))
        block_free(m, list_entry(m->dirty.next, struct fat_block, link));
}

static struct fat_block *block_make(struct fat_mount *m, uint64_t sector)
{
    if (m->clean_count >= FAT_BLOCKS_KEPT)
        block_free(m, list_entry(m->clean.next, struct fat_block, link));
    struct fat_block *b = kzalloc(sizeof *b);
    pa_t pa = b ? frame_alloc(0) : 0;
    if (!pa) {
        kfree(b);
        return NULL;
    }
    uint32_t count;
    b->sector = block_start(m, sector, &count);
    b->count = (uint8_t)count;
    b->data = pa_to_kva(pa);
    list_push_back(bucket_of(m, b->sector), &b->hash);
    list_push_back(&m->clean, &b->link);
    m->clean_count++;
    return b;
}

static uint8_t sector_bit(const struct fat_block *b, uint64_t sector)
{
    return (uint8_t)(1u << (sector - b->sector));
}

uint8_t *fat_sector(struct fat_mount *m, uint64_t sector)
{
    struct fat_block *b = cached_block(m, sector);
    if (!b || !(b->valid & sector_bit(b, sector)))
        return NULL;
    if (!b->dirty && m->clean.prev != &b->link) {
        list_remove(&b->link);
        list_push_back(&m->clean, &b->link);
    }
    return b->data + (sector - b->sector) * FAT_SECTOR;
}

// Read elsewhere and copied: who is killed leaves nothing that the device still writes into.
ASYNC(fat_load, struct fat_block *b; uint32_t lo; uint32_t hi; long r;)
{
    ASYNC_BEGIN(fat_load);
    f->b = cached_block(f->m, f->sector);
    if (!f->b)
        f->b = block_make(f->m, f->sector);
    if (!f->b)
        ASYNC_RETURN(-ENOMEM);
    // As much around the sector as is missing in one piece.
    f->lo = (uint32_t)(f->sector - f->b->sector);
    f->hi = f->lo + 1;
    if (f->b->valid & 1u << f->lo)
        ASYNC_RETURN(0);
    while (f->lo && !(f->b->valid & 1u << (f->lo - 1)))
        f->lo--;
    while (f->hi < f->b->count && !(f->b->valid & 1u << f->hi))
        f->hi++;
    AWAIT(f->r, block_read_small, f->m->bdev, f->b->sector + f->lo, f->b->data + f->lo * FAT_SECTOR,
          (f->hi - f->lo) * FAT_SECTOR);
    if (f->r < 0) {
        fat_complain(f->m, "cannot read sector", f->sector);
        ASYNC_RETURN(f->r);
    }
    f->b->valid |= (uint8_t)((1u << f->hi) - (1u << f->lo));
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- changing

static void block_set_dirty(struct fat_mount *m, struct fat_block *b, uint8_t bits)
{
    if (!b->dirty) {
        list_remove(&b->link);
        list_push_back(&m->dirty, &b->link);
        m->clean_count--;
        if (m->dirty_count++ == 0)
            event_set(&m->work);
    }
    b->dirty |= bits;
}

static void block_set_clean(struct fat_mount *m, struct fat_block *b, uint8_t bits)
{
    if (!b->dirty)
        return;
    b->dirty &= (uint8_t)~bits;
    b->fresh &= b->dirty;
    if (b->dirty)
        return;
    list_remove(&b->link);
    list_push_back(&m->clean, &b->link);
    m->dirty_count--;
    m->clean_count++;
}

void fat_dirty(struct fat_mount *m, uint64_t sector)
{
    struct fat_block *b = cached_block(m, sector);
    ASSERT(b && (b->valid & sector_bit(b, sector)));
    block_set_dirty(m, b, sector_bit(b, sector));
}

int fat_fresh(struct fat_mount *m, uint64_t sector, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct fat_block *b = cached_block(m, sector + i);
        if (!b)
            b = block_make(m, sector + i);
        if (!b) {
            fat_forget(m, sector, i);
            return -ENOMEM;
        }
        memset(b->data + (sector + i - b->sector) * FAT_SECTOR, 0, FAT_SECTOR);
        uint8_t bit = sector_bit(b, sector + i);
        b->valid |= bit;
        block_set_dirty(m, b, bit);
        b->fresh |= bit;
    }
    return 0;
}

void fat_forget(struct fat_mount *m, uint64_t sector, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct fat_block *b = cached_block(m, sector + i);
        if (!b)
            continue;
        b->valid &= (uint8_t)~sector_bit(b, sector + i);
        block_set_clean(m, b, sector_bit(b, sector + i));
    }
}

// ---- writing

enum phase { WRITE_RESERVED, WRITE_FRESH, WRITE_TABLE, WRITE_DIRECTORY };

static uint8_t phase_bits(const struct fat_mount *m, const struct fat_block *b, enum phase phase)
{
    enum phase region = b->sector < m->g.fat_start    ? WRITE_RESERVED
                        : b->sector < m->g.data_start ? WRITE_TABLE
                                                      : WRITE_DIRECTORY;
    if (region == WRITE_DIRECTORY && phase == WRITE_FRESH)
        return b->fresh;
    return region == phase ? b->dirty & (uint8_t)~b->fresh : 0;
}

// Where the writes of one phase have got to.
struct write_cursor {
    struct list *at; // block
    uint32_t bit, copy;
};

// The next run of sectors to write, as a request; NULL at the end, and when memory is short (then
// *error is set).
static struct block_request *next_write(struct fat_mount *m, enum phase phase,
                                        struct write_cursor *c, long *error)
{
    for (; c->at != &m->dirty; c->at = c->at->next, c->bit = c->copy = 0) {
        struct fat_block *b = list_entry(c->at, struct fat_block, link);
        uint8_t bits = phase_bits(m, b, phase);
        while (c->bit < b->count && !(bits & 1u << c->bit))
            c->bit++;
        if (c->bit == b->count)
            continue;
        uint32_t end = c->bit;
        while (end < b->count && (bits & 1u << end))
            end++;
        uint64_t sector = b->sector + c->bit;
        if (phase == WRITE_TABLE && m->g.mirrored)
            sector += (uint64_t)c->copy * m->g.fat_sectors;
        struct block_request *req = block_request_new(m->bdev, BLOCK_WRITE, sector);
        if (!req) {
            *error = -ENOMEM;
            return NULL;
        }
        *error = block_request_add(req, kva_to_pa(b->data) + c->bit * FAT_SECTOR,
                                   (end - c->bit) * FAT_SECTOR);
        if (phase == WRITE_TABLE && m->g.mirrored && c->copy + 1 < m->g.fat_count) {
            c->copy++;
        } else {
            c->copy = 0;
            c->bit = end;
        }
        return req;
    }
    return NULL;
}

static void phase_done(struct fat_mount *m, enum phase phase)
{
    LIST_FOREACH_SAFE(it, next, &m->dirty) {
        struct fat_block *b = list_entry(it, struct fat_block, link);
        uint8_t bits = phase_bits(m, b, phase);
        if (bits)
            block_set_clean(m, b, bits);
        if (phase == WRITE_FRESH)
            b->fresh = 0;
    }
}

// Submits the next few writes: how many; *error as from next_write or block_submit.
enum { BATCH = 16 };
static uint32_t submit_batch(struct fat_mount *m, enum phase phase, struct write_cursor *c,
                             struct block_request **req, long *error)
{
    uint32_t n = 0;
    while (n < BATCH && (req[n] = next_write(m, phase, c, error))) {
        if (!*error)
            *error = block_submit(req[n]);
        if (*error) {
            block_request_put(req[n]);
            break;
        }
        n++;
    }
    store_relaxed(&m->unflushed, 1);
    return n;
}

// Writes the dirty sectors of one phase, a batch at a time, and waits for all of them. A transaction
// is half done by now, so a shortage of memory is waited out for a while before it is an error.
ASYNC_DECL(fat_write_phase, struct fat_mount *m; uint32_t phase;);
ASYNC(fat_write_phase, struct write_cursor c; struct block_request *req[BATCH]; uint32_t n;
      uint32_t i; uint32_t pauses; long r; long error;)
{
    ASYNC_BEGIN(fat_write_phase);
    enum { PAUSES = 500, PAUSE_NS = 20000000 };
    f->pauses = 0;
    f->c = (struct write_cursor){.at = f->m->dirty.next};
    do {
        f->error = 0;
        f->n = submit_batch(f->m, f->phase, &f->c, f->req, &f->error);
        if (f->error == -ENOMEM && (f->n || f->pauses++ < PAUSES)) {
            f->error = 0;
            if (!f->n)
                AWAIT(f->r, sleep_ns, PAUSE_NS, false);
        }
        for (f->i = 0; f->i < f->n; f->i++) {
            AWAIT(f->r, block_wait, f->req[f->i]);
            if (f->r < 0 && !f->error)
                f->error = f->r;
        }
        while (f->n)
            block_request_put(f->req[--f->n]);
    } while (f->c.at != &f->m->dirty && !f->error);
    if (!f->error)
        phase_done(f->m, f->phase);
    ASYNC_RETURN(f->error);
    ASYNC_FINALLY;
    while (f->n)
        block_request_put(f->req[--f->n]);
    ASYNC_END;
}

static void give_up(struct fat_mount *m, long error)
{
    if (m->error)
        return;
    m->error = (int)error;
    m->super->flags |= SUPER_RDONLY;
    log_error("fat32 %s: cannot write metadata (error %ld): read-only from now on", m->bdev->name,
              -error);
}

// The dirty bit in the boot sector.
ASYNC_DECL(fat_mark_volume, struct fat_mount *m; bool dirty;);
ASYNC(fat_mark_volume, long r;)
{
    ASYNC_BEGIN(fat_mark_volume);
    AWAIT(f->r, fat_load, f->m, 0);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    fat_boot_set_dirty(fat_sector(f->m, 0), f->dirty);
    fat_dirty(f->m, 0);
    AWAIT(f->r, fat_write_phase, f->m, WRITE_RESERVED);
    if (f->r == 0)
        f->m->marked = f->dirty;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(fat_flush_phases, struct fat_mount *m;);
ASYNC(fat_flush_phases, long r;)
{
    ASYNC_BEGIN(fat_flush_phases);
    if (!f->m->marked) {
        AWAIT(f->r, fat_mark_volume, f->m, true);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, fat_write_phase, f->m, WRITE_FRESH);
    if (f->r == 0)
        AWAIT(f->r, fat_write_phase, f->m, WRITE_TABLE);
    if (f->r == 0 && !list_empty(&f->m->links)) {
        AWAIT(f->r, fat_set_links, f->m);
        if (f->r == 0)
            AWAIT(f->r, fat_write_phase, f->m, WRITE_TABLE);
    }
    if (f->r == 0)
        AWAIT(f->r, fat_write_phase, f->m, WRITE_DIRECTORY);
    if (f->r == 0)
        f->m->removals = 0;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(fat_flush, long r;)
{
    ASYNC_BEGIN(fat_flush);
    if (f->m->error)
        ASYNC_RETURN(f->m->error);
    if (list_empty(&f->m->dirty) && list_empty(&f->m->links))
        ASYNC_RETURN(0);
    AWAIT(f->r, fat_flush_phases, f->m);
    // Out of memory passes: everything stays dirty for another try.
    if (f->r < 0 && f->r != -ENOMEM)
        give_up(f->m, f->r);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void store_info(struct fat_mount *m)
{
    uint8_t *p = fat_sector(m, m->g.fsinfo_sector);
    struct fat_info info;
    if (!fat_info_parse(p, m->g.clusters, &info))
        return;
    fat_info_store(p, &(struct fat_info){m->free_clusters, m->next_free});
    fat_dirty(m, m->g.fsinfo_sector);
}

ASYNC(fat_mark_clean, long r;)
{
    ASYNC_BEGIN(fat_mark_clean);
    if (f->m->error || !f->m->marked)
        ASYNC_RETURN(f->m->error);
    if (f->m->info_stale && f->m->g.fsinfo_sector) {
        AWAIT(f->r, fat_load, f->m, f->m->g.fsinfo_sector);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        store_info(f->m);
    }
    f->m->info_stale = false;
    AWAIT(f->r, fat_mark_volume, f->m, false);
    if (f->r < 0 && f->r != -ENOMEM)
        give_up(f->m, f->r);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
