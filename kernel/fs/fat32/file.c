// SPDX-License-Identifier: MIT
// File data: between page cache and clusters, growth without old bytes showing, truncation.
//
// Transfers are cut into runs of adjacent clusters, all submitted before the first is waited for.
// Growth takes clusters at once (so write-back never runs out of room) but writes nothing: bytes from
// `valid` on read as zero and are written as zeros before anything behind them, or the entry's
// size, reaches the disk.
#include "fs/fat32/fat.h"

#include "lib/log.h"
#include "page/frame.h"

static struct fat_inode *inode_of_pages(struct phys *ph)
{
    return container_of(ph, struct fat_inode, pages);
}

static uint64_t sector_up(uint64_t n)
{
    return (n + FAT_SECTOR - 1) & ~(uint64_t)(FAT_SECTOR - 1);
}

ASYNC_DECL(fat_map_locking, struct fat_inode *ip; uint32_t index;);
ASYNC(fat_map_locking, long r;)
{
    ASYNC_BEGIN(fat_map_locking);
    AWAIT(f->r, mutex_lock, &f->ip->m->lock, false);
    if (f->r == 0)
        AWAIT(f->r, fat_map_to, f->ip, f->index);
    if (f->r == 1)
        fat_complain(f->ip->m, "file is longer than its cluster chain, first cluster",
                     f->ip->first);
    ASYNC_RETURN(f->r == 1 ? -EIO : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->ip->m->lock, t))
        mutex_unlock(&f->ip->m->lock, t);
    ASYNC_END;
}

// Bytes [from, to), whole sectors, of pages that start at page number `index`. pages NULL: the frame
// of zeros is written.
struct transfer {
    struct fat_inode *ip;
    uint64_t from, to;
    uint64_t index;
    struct page **pages;
    enum block_op op;
    struct block_request *req;  // being filled
    struct block_request *sent; // submitted, newest first, linked through `arg`
    pa_t tail; // the sector at tail_at is written from this frame, not from its page; 0: none
    uint64_t tail_at;
};

static int transfer_submit(struct transfer *x)
{
    struct block_request *req = x->req;
    if (!req)
        return 0;
    x->req = NULL;
    int e = block_submit(req);
    if (e) {
        block_request_put(req);
        return e;
    }
    req->arg = x->sent;
    x->sent = req;
    return 0;
}

// One piece: within one page, and adjacent on disk.
static int transfer_add(struct transfer *x, uint64_t sector, uint32_t bytes)
{
    struct block_request *req = x->req;
    uint64_t at = x->from;
    pa_t pa = x->pages ? page_pa(x->pages[at / PAGE_SIZE - x->index]) : frame_zero;
    if (unlikely(x->tail && at >= x->tail_at))
        pa = x->tail;
    if (req && (req->sector + req->bytes / SECTOR_SIZE != sector ||
                req->segment_count == req->bdev->max_segments)) {
        int e = transfer_submit(x);
        if (e)
            return e;
    }
    if (!x->req)
        x->req = block_request_new(x->ip->m->bdev, x->op, sector);
    if (!x->req)
        return -ENOMEM;
    x->from += bytes;
    return block_request_add(x->req, pa + at % PAGE_SIZE, bytes);
}

// Goes on while the map is known: 0 done, -EAGAIN: *index must be mapped, else an error.
static int transfer_walk(struct transfer *x, uint32_t *index)
{
    uint32_t shift = x->ip->m->g.cluster_shift;
    while (x->from < x->to) {
        uint32_t cluster, count;
        *index = (uint32_t)(x->from >> shift);
        if (!fat_map_find(x->ip, *index, &cluster, &count))
            return -EAGAIN;
        uint64_t start = (uint64_t)*index << shift, end = start + ((uint64_t)count << shift);
        uint64_t sector = fat_cluster_sector(&x->ip->m->g, cluster);
        end = end < x->to ? end : x->to;
        while (x->from < end) {
            uint64_t page_end = page_round_down(x->from) + PAGE_SIZE;
            uint64_t stop = page_end < end ? page_end : end;
            if (unlikely(x->tail && x->from < x->tail_at && stop > x->tail_at))
                stop = x->tail_at;
            int e = transfer_add(x, sector + (x->from - start) / FAT_SECTOR,
                                 (uint32_t)(stop - x->from));
            if (e)
                return e;
        }
    }
    return transfer_submit(x);
}

ASYNC_DECL(fat_transfer, struct transfer *x;);
ASYNC(fat_transfer, uint32_t index; long r; long error; bool again; struct block_request *done;)
{
    ASYNC_BEGIN(fat_transfer);
    f->x->req = f->x->sent = NULL;
    do {
        while ((f->error = transfer_walk(f->x, &f->index)) == -EAGAIN) {
            AWAIT(f->error, fat_map_locking, f->x->ip, f->index);
            if (f->error < 0)
                break;
        }
        // Short of memory for a request: those under way give theirs back when they are done.
        f->again = f->error == -ENOMEM && f->x->sent;
        while ((f->done = f->x->sent)) {
            AWAIT(f->r, block_wait, f->done);
            if (f->r < 0) {
                f->error = f->r;
                f->again = false;
            }
            f->x->sent = f->done->arg;
            block_request_put(f->done);
        }
    } while (f->again);
    ASYNC_RETURN(f->error);
    ASYNC_FINALLY;
    if (f->x->req)
        block_request_put(f->x->req);
    while ((f->done = f->x->sent)) {
        f->x->sent = f->done->arg;
        block_request_put(f->done);
    }
    ASYNC_END;
}

// ---- the page cache's side

// Zeroes the bytes of the pages from file offset `from` on.
static void zero_from(uint64_t index, struct page **pages, uint32_t count, uint64_t from)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t start = (index + i) * PAGE_SIZE;
        uint64_t skip = from > start ? from - start : 0;
        if (skip < PAGE_SIZE)
            memset((char *)page_kva(pages[i]) + skip, 0, PAGE_SIZE - skip);
    }
}

ASYNC_IMPL(fat_fill, phys_fill, struct transfer x; uint64_t limit; long r;)
{
    ASYNC_BEGIN(fat_fill);
    {
        struct fat_inode *ip = inode_of_pages(f->ph);
        uint64_t start = f->index * PAGE_SIZE, end = start + f->count * PAGE_SIZE;
        uint64_t size = load_relaxed(&f->ph->size), valid = load_relaxed(&ip->valid);
        f->limit = size < valid ? size : valid;
        end = sector_up(f->limit) < end ? sector_up(f->limit) : end;
        f->x = (struct transfer){.ip = ip,
                                 .from = start,
                                 .to = end < start ? start : end,
                                 .index = f->index,
                                 .pages = f->pages,
                                 .op = BLOCK_READ};
    }
    f->r = 0;
    if (f->x.from < f->x.to)
        AWAIT(f->r, fat_transfer, &f->x);
    if (f->r == 0)
        zero_from(f->index, f->pages, f->count, f->limit);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(fat_zero_to, struct transfer x; long r;)
{
    ASYNC_BEGIN(fat_zero_to);
    f->x = (struct transfer){
        .ip = f->ip, .from = f->ip->valid, .to = sector_up(f->to), .op = BLOCK_WRITE};
    if (f->x.from >= f->x.to)
        ASYNC_RETURN(0);
    AWAIT(f->r, fat_transfer, &f->x);
    if (f->r == 0)
        store_relaxed(&f->ip->valid, sector_up(f->to));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Writes that reach beyond `valid` go one at a time, the gap before them first.
ASYNC_DECL(fat_write_beyond, struct transfer *x;);
ASYNC(fat_write_beyond, uint64_t from; uint64_t to; long r;)
{
    ASYNC_BEGIN(fat_write_beyond);
    f->from = f->x->from;
    f->to = f->x->to;
    AWAIT(f->r, mutex_lock, &f->x->ip->io, false);
    if (f->r == 0)
        AWAIT(f->r, fat_zero_to, f->x->ip, f->from);
    if (f->r == 0)
        AWAIT(f->r, fat_transfer, f->x);
    if (f->r == 0 && f->x->ip->valid < f->to)
        store_relaxed(&f->x->ip->valid, f->to);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->x->ip->io, t))
        mutex_unlock(&f->x->ip->io, t);
    ASYNC_END;
}

// What a mapping stored behind the end is not to reach the disk (POSIX, mmap), where another system, or this one, would find
// it in the last sector. It cannot be zeroed in the page: a write may have put its bytes there that do not count yet. So
// that sector is written from a copy. False: no memory for it.
static bool hide_behind(struct transfer *x, uint64_t size)
{
    uint64_t rest = size % FAT_SECTOR, at = size - rest;
    if (!rest || at < x->from || at >= x->to)
        return true;
    const char *page = page_kva(x->pages[at / PAGE_SIZE - x->index]),
               *sector = page + at % PAGE_SIZE;
    if (likely(!memcmp(sector + rest, pa_to_kva(frame_zero), FAT_SECTOR - rest)))
        return true;
    pa_t tail = frame_alloc(0);
    if (!tail)
        return false;
    char *copy = (char *)pa_to_kva(tail) + at % PAGE_SIZE;
    memcpy(copy, sector, rest);
    memset(copy + rest, 0, FAT_SECTOR - rest);
    x->tail = tail;
    x->tail_at = at;
    return true;
}

ASYNC_IMPL(fat_write, phys_write, struct transfer x; long r;)
{
    ASYNC_BEGIN(fat_write);
    {
        struct fat_inode *ip = inode_of_pages(f->ph);
        uint64_t start = f->index * PAGE_SIZE, end = start + f->count * PAGE_SIZE;
        uint64_t bytes = load_relaxed(&f->ph->size), size = sector_up(bytes);
        end = size < end ? size : end;
        f->x = (struct transfer){.ip = ip,
                                 .from = start,
                                 .to = end,
                                 .index = f->index,
                                 .pages = f->pages,
                                 .op = BLOCK_WRITE};
        if (!hide_behind(&f->x, bytes))
            ASYNC_RETURN(-ENOMEM);
    }
    if (f->x.from >= f->x.to)
        ASYNC_RETURN(0); // truncated meanwhile
    store_relaxed(&f->x.ip->m->unflushed, 1);
    SHIELD_BEGIN();
    if (f->x.to > f->x.ip->valid)
        AWAIT(f->r, fat_write_beyond, &f->x);
    else
        AWAIT(f->r, fat_transfer, &f->x);
    SHIELD_END();
    fat_inode_dirty(f->x.ip);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->x.tail)
        frame_unref(f->x.tail);
    ASYNC_END;
}

static void pages_get(struct phys *ph)
{
    vnode_get(ph->owner);
}

static bool pages_try_get(struct phys *ph)
{
    return fat_try_get(inode_of_pages(ph));
}

static void pages_put(struct phys *ph)
{
    vnode_put(ph->owner);
}

const struct phys_ops fat_phys_ops = {&fat_fill_fn, &fat_write_fn, pages_get,
                                      pages_put,    pages_try_get, vnode_phys_stored};

// ---- growing

ASYNC_DECL(fat_grow_chain, struct fat_inode *ip; uint64_t end;);
ASYNC(fat_grow_chain, uint32_t want; long r;)
{
    ASYNC_BEGIN(fat_grow_chain);
    f->want =
        (uint32_t)((f->end + (1ul << f->ip->m->g.cluster_shift) - 1) >> f->ip->m->g.cluster_shift);
    AWAIT(f->r, mutex_lock, &f->ip->m->lock, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->r = fat_writable(f->ip->m);
    if (f->r == 0)
        AWAIT(f->r, fat_measure, f->ip);
    if (f->r == 0 && f->want > f->ip->length)
        AWAIT(f->r, fat_extend, f->ip, f->want - f->ip->length);
    if (f->r == 0 && f->ip->m->dirty_count > FAT_DIRTY_MAX)
        AWAIT(f->r, fat_flush, f->ip->m);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->ip->m->lock, t))
        mutex_unlock(&f->ip->m->lock, t);
    ASYNC_END;
}

// The last sector of the file holds bytes behind the end that are none of its: they are made zero in the
// page, which becomes dirty, so they will be on disk before anything behind them counts.
ASYNC_DECL(fat_clean_tail, struct vnode *v;);
ASYNC(fat_clean_tail, struct page *page; long r;)
{
    ASYNC_BEGIN(fat_clean_tail);
    f->page = NULL;
    AWAIT(f->r, phys_page, f->v->pages, f->v->size / PAGE_SIZE, PHYS_READ, NULL, 1, &f->page);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    phys_zero_tail(f->v->pages);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->page)
        page_put(f->page);
    ASYNC_END;
}

static bool has_room(struct fat_inode *ip, uint64_t end)
{
    return ip->length != UINT32_MAX && !ip->m->error &&
           end <= (uint64_t)ip->length << ip->m->g.cluster_shift;
}

ASYNC_DECL(fat_set_aside, struct vnode *v; uint64_t end;);
ASYNC(fat_set_aside, long r;)
{
    ASYNC_BEGIN(fat_set_aside);
    if (f->end > FAT_MAX_FILE)
        ASYNC_RETURN(-EFBIG);
    f->r = 0;
    if (!has_room(fat_inode_of(f->v), f->end)) {
        SHIELD_BEGIN();
        AWAIT(f->r, fat_grow_chain, fat_inode_of(f->v), f->end);
        SHIELD_END();
    }
    fat_inode_dirty(fat_inode_of(f->v));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// A write that begins in the page of the end has that page, as it was filled for the old size.
ASYNC_IMPL(fat_reserve, vnode_reserve, long r;)
{
    ASYNC_BEGIN(fat_reserve);
    AWAIT(f->r, fat_set_aside, f->v, f->end);
    if (f->r == 0 && f->v->size % FAT_SECTOR && f->end > page_round_up(f->v->size))
        AWAIT(f->r, fat_clean_tail, f->v);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- shrinking, and the other attributes

ASYNC_DECL(fat_release_tail, struct fat_inode *ip; uint32_t keep;);
ASYNC(fat_release_tail, long r;)
{
    ASYNC_BEGIN(fat_release_tail);
    AWAIT(f->r, mutex_lock, &f->ip->m->lock, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->ip->shrinks++;
    if (f->ip->shown > f->ip->v.size)
        f->ip->shown = f->ip->v.size;
    AWAIT(f->r, fat_inode_store, f->ip);
    if (f->r == 0)
        AWAIT(f->r, fat_shorten, f->ip, f->keep);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->ip->m->lock, t))
        mutex_unlock(&f->ip->m->lock, t);
    ASYNC_END;
}

// The pages go first: phys_truncate waits for those that are being written, and a write may wait for
// `io`. With `io` held nothing else writes beyond the new size, so its clusters can go.
ASYNC_DECL(fat_shrink, struct vnode *v; uint64_t size;);
ASYNC(fat_shrink, struct page *page; long r;)
{
    ASYNC_BEGIN(fat_shrink);
    f->page = NULL;
    if (f->size % FAT_SECTOR) {
        AWAIT(f->r, phys_page, f->v->pages, f->size / PAGE_SIZE, PHYS_READ, NULL, 1, &f->page);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, vnode_set_size, f->v, f->size);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, mutex_lock, &fat_inode_of(f->v)->io, false);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (fat_inode_of(f->v)->valid > sector_up(f->size))
        store_relaxed(&fat_inode_of(f->v)->valid, sector_up(f->size));
    AWAIT(f->r, fat_release_tail, fat_inode_of(f->v),
          (uint32_t)((f->size + (1ul << fat_mount_of(f->v)->g.cluster_shift) - 1) >>
                     fat_mount_of(f->v)->g.cluster_shift));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->page)
        page_put(f->page);
    if (mutex_held(&fat_inode_of(f->v)->io, t))
        mutex_unlock(&fat_inode_of(f->v)->io, t);
    ASYNC_END;
}

// Owners and most permissions have no place on FAT: another owner is refused, of the permissions
// only "nobody may write" is kept, the rest passes in silence as on Linux.
static int set_fields(struct vnode *v, const struct vattr *a)
{
    struct fat_inode *ip = fat_inode_of(v);
    if (((a->mask & ATTR_UID) && a->uid != v->uid) || ((a->mask & ATTR_GID) && a->gid != v->gid))
        return -EPERM;
    if ((a->mask & ATTR_MODE) && S_ISREG(v->mode)) {
        ip->attr = (uint8_t)(a->mode & 0222 ? ip->attr & ~FAT_RDONLY : ip->attr | FAT_RDONLY);
        v->mode = S_IFREG | (a->mode & 0222 ? 0755 : 0555);
    }
    if (a->mask & ATTR_ATIME)
        v->atime_ns = a->atime_ns;
    if (a->mask & ATTR_MTIME)
        v->mtime_ns = a->mtime_ns;
    if (a->mask & ATTR_CTIME)
        v->ctime_ns = a->ctime_ns;
    fat_inode_dirty(ip);
    return 0;
}

ASYNC_IMPL(fat_setattr, vnode_setattr, long r;)
{
    ASYNC_BEGIN(fat_setattr);
    if ((f->attr->mask & ATTR_SIZE) && !f->v->pages)
        ASYNC_RETURN(-EISDIR);
    f->r = fat_writable(fat_mount_of(f->v));
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->r = set_fields(f->v, f->attr);
    if (f->r < 0 || !(f->attr->mask & ATTR_SIZE))
        ASYNC_RETURN(f->r);
    SHIELD_BEGIN();
    if (f->attr->size > f->v->size) {
        AWAIT(f->r, fat_set_aside, f->v, f->attr->size);
        if (f->r == 0 && f->v->size % FAT_SECTOR)
            AWAIT(f->r, fat_clean_tail, f->v);
        if (f->r == 0)
            AWAIT(f->r, vnode_set_size, f->v, f->attr->size);
    } else if (f->attr->size < f->v->size) {
        AWAIT(f->r, fat_shrink, f->v, f->attr->size);
    }
    fat_inode_dirty(fat_inode_of(f->v));
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
