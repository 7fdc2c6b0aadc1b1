// SPDX-License-Identifier: MIT
// Reading and writing regular files through their page cache (mem/phys.h).
//
// Plain tries serve what is cached, from the trap path. The async ones wait for pages and for the
// user's memory, never for both while holding a page. A writer holds vnode.lock, so what one call writes is never between
// parts of what another does: a try that would have to wait has written nothing. A reader holds nothing, so a read beside a
// write may see part of it, as on Linux. Size grows after each part that was copied: an interrupted write is a short write.
#include "fs/file.h"
#include "mem/phys.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/thread.h"

enum { TRY_MAX = 65536, YIELD_PAGES = 16 };

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

// The largest size the calling task may make a file: its RLIMIT_FSIZE.
static uint64_t file_limit(const struct task *t)
{
    return t->thread ? t->thread->process->rlimit[RLIMIT_FSIZE].cur : UINT64_MAX;
}

// Pages that [pos, pos + len) touches.
static uint64_t pages_of(uint64_t pos, size_t len)
{
    return ((pos & PAGE_MASK) + len + PAGE_MASK) >> PAGE_SHIFT;
}

// ---- plain

// [pos, pos + n) has been read. If that touched the trigger, the next window is to be on its way
// before the program computes on with what it has read.
static inline void has_read(struct file *file, uint64_t pos, size_t n)
{
    uint64_t trigger = load_relaxed(&file->ahead.trigger);
    store_relaxed(&file->ahead.next, (pos + n) >> PAGE_SHIFT);
    if (unlikely(trigger != AHEAD_NOWHERE) && trigger - (pos >> PAGE_SHIFT) < pages_of(pos, n) &&
        phys_read_ahead(file->data->pages, &file->ahead, trigger, PHYS_READ))
        current_task()->local |= LOCAL_YIELD;
}

static long pagecache_try_read(struct file *file, va_t va, size_t len, uint64_t pos)
{
    struct vnode *v = file->data;
    struct space *space = thread_current()->space;
    uint64_t size = load_relaxed(&v->size);
    if (pos >= size)
        return 0;
    size_t n = min_size(len, size - pos), done = 0;
    if (n > TRY_MAX)
        return syscall_go_async();
    while (done < n) {
        size_t off = (pos + done) & PAGE_MASK, part = min_size(PAGE_SIZE - off, n - done);
        struct page *pg = phys_page_try(v->pages, (pos + done) >> PAGE_SHIFT);
        if (!pg)
            return syscall_go_async();
        long r = user_copy_out(space, va + done, (char *)page_kva(pg) + off, part);
        page_put(pg);
        if (r < 0)
            return syscall_cut_short(r);
        done += part;
    }
    has_read(file, pos, n);
    file_accessed(file);
    return (long)n;
}

// vnode.lock held: bytes up to `end` of the file were written to the page.
static void wrote(struct vnode *v, struct page *pg, uint64_t end)
{
    phys_wrote(v->pages, pg, end);
    if (end > v->size)
        store_relaxed(&v->size, end);
}

// vnode.lock held. From one page of the program to one of the file. 0, -EFAULT, -ECOMMIT.
static long write_page(struct vnode *v, struct space *space, va_t va, size_t n, uint64_t pos)
{
    struct page *pg = phys_page_now(v->pages, pos >> PAGE_SHIFT);
    if (unlikely(!pg))
        return syscall_go_async();
    long r = user_copy_in(space, (char *)page_kva(pg) + (pos & PAGE_MASK), va, n);
    if (likely(r == 0))
        wrote(v, pg, pos + n);
    page_put(pg);
    return r;
}

// The same for several, of which each is there before anything is written.
static long write_pages(struct vnode *v, struct space *space, va_t va, size_t n, uint64_t pos)
{
    struct page *page[PAGES_AT_ONCE];
    uint64_t first = pos >> PAGE_SHIFT, count = pages_of(pos, n), got = 0;
    while (got < count && (page[got] = phys_page_now(v->pages, first + got)))
        got++;
    long r =
        got < count ? syscall_go_async() : user_copy_in_pages(space, page, pos & PAGE_MASK, va, n);
    for (uint64_t i = 0; i < got; i++) {
        uint64_t end = (first + i + 1) << PAGE_SHIFT;
        if (got == count && r == 0)
            wrote(v, page[i], end < pos + n ? end : pos + n);
        page_put(page[i]);
    }
    return r;
}

// vnode.lock held. n, and all of it is written; or it is to be waited for, and nothing is.
static long try_write_locked(struct vnode *v, struct space *space, va_t va, size_t n, uint64_t pos)
{
    if (unlikely(pos > v->size))
        phys_zero_tail(v->pages);
    bool one = (va & PAGE_MASK) + n <= PAGE_SIZE && (pos & PAGE_MASK) + n <= PAGE_SIZE;
    long r = (one ? write_page : write_pages)(v, space, va, n, pos);
    if (unlikely(r < 0))
        return syscall_cut_short(r);
    if (unlikely(current_task()->local & LOCAL_ASYNC))
        return 0;
    vnode_touch(v);
    return (long)n;
}

static long pagecache_try_write(struct file *file, va_t va, size_t len, uint64_t pos)
{
    struct vnode *v = file->data;
    bool grows = pos + len > load_relaxed(&v->size);
    if (len == 0)
        return 0;
    if (phys_dirty_excess(v->pages))
        return syscall_go_async();
    if (len > TRY_MAX || (file->flags & (O_APPEND | O_SYNC)) || pos > INT64_MAX - len)
        return syscall_go_async();
    if (unlikely(v->seals & ~(uint32_t)F_SEAL_SEAL))
        return syscall_go_async();
    if (grows && (v->ops->reserve || v->super->max_file || S_ISBLK(v->mode)))
        return syscall_go_async();
    if (unlikely(pos + len > file_limit(current_task()))) // even where the file is already
        return syscall_go_async();
    if (!mutex_trylock(&v->lock, current_task()))
        return syscall_go_async();
    long r = try_write_locked(v, thread_current()->space, va, len, pos);
    mutex_unlock(&v->lock, current_task());
    return r;
}

// ---- async

static uint32_t pages_wanted(uint64_t pos, size_t len)
{
    return (uint32_t)min_size(pages_of(pos, len), PHYS_RUN);
}

ASYNC_IMPL(pagecache_read, file_read, struct page *page; uint64_t size; size_t off; size_t part; size_t before;
           uint32_t pages; long r;)
{
    ASYNC_BEGIN(pagecache_read);
    f->r = 0;
    f->pages = 0;
    f->before = f->buf->done;
    while (f->buf->left) {
        f->size = load_relaxed(&f->file->data->size);
        if (f->pos >= f->size)
            break;
        f->off = f->pos & PAGE_MASK;
        AWAIT(f->r, phys_page, f->file->data->pages, f->pos >> PAGE_SHIFT,
              PHYS_READ | PHYS_KILLABLE, &f->file->ahead,
              pages_wanted(f->pos, min_size(f->buf->left, f->size - f->pos)), &f->page);
        if (f->r < 0)
            break;
        f->part = min_size(PAGE_SIZE - f->off, f->size - f->pos);
        f->r = iobuf_out(f->buf, (char *)page_kva(f->page) + f->off, f->part);
        page_put(f->page);
        if (f->r > 0)
            f->pos += f->r;
        store_relaxed(&f->file->ahead.next, f->pos >> PAGE_SHIFT);
        if (f->r == -ECOMMIT)
            AWAIT(f->r, iobuf_commit, f->buf, true);
        if (f->r < 0)
            break;
        if (++f->pages % YIELD_PAGES == 0)
            YIELD();
    }
    if (f->r < 0 && f->buf->done == f->before)
        ASYNC_RETURN(f->r);
    file_accessed(f->file);
    ASYNC_RETURN((long)(f->buf->done - f->before));
    ASYNC_FINALLY;
    ASYNC_END;
}

// vnode.lock held, storage reserved.
ASYNC_DECL(pagecache_fill, struct vnode *v; struct iobuf *buf; uint64_t pos;);
ASYNC(pagecache_fill, struct page *page; size_t off; size_t part; uint32_t pages; long r;)
{
    ASYNC_BEGIN(pagecache_fill);
    f->pages = 0;
    if (f->pos > f->v->size)
        phys_zero_tail(f->v->pages);
    while (f->buf->left) {
        if (phys_dirty_excess(f->v->pages))
            AWAIT(f->r, phys_throttle, 0);
        f->off = f->pos & PAGE_MASK;
        f->part = min_size(PAGE_SIZE - f->off, f->buf->left);
        AWAIT(f->r, phys_page, f->v->pages, f->pos >> PAGE_SHIFT, PHYS_READ | PHYS_KILLABLE, NULL,
              1, &f->page);
        if (f->r < 0)
            break;
        f->r = iobuf_in(f->buf, (char *)page_kva(f->page) + f->off, f->part);
        if (f->r > 0) {
            f->pos += f->r;
            wrote(f->v, f->page, f->pos);
        }
        page_put(f->page);
        if (f->r == -ECOMMIT)
            AWAIT(f->r, iobuf_commit, f->buf, false);
        if (f->r < 0)
            break;
        if (++f->pages % YIELD_PAGES == 0)
            YIELD();
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

int vnode_size_allowed(const struct vnode *v, uint64_t size)
{
    struct task *t = current_task();
    if (size > (v->super->max_file ? v->super->max_file : INT64_MAX))
        return -EFBIG;
    if (size <= file_limit(t))
        return 0;
    signal_send_thread(t->thread, SIGXFSZ, NULL);
    return -EFBIG;
}

// How much of [pos, pos + len) the file may have; or -EFBIG, for a disk, which does not grow, -ENOSPC.
static int64_t allowed(const struct vnode *v, uint64_t pos, uint64_t len)
{
    if (unlikely(v->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
        return -EPERM;
    if (unlikely(v->seals & F_SEAL_GROW && pos + len > v->size))
        return -EPERM;
    if (S_ISBLK(v->mode))
        return pos < v->size ? (int64_t)min_size(len, v->size - pos) : -ENOSPC;
    uint64_t max = v->super->max_file ? v->super->max_file : INT64_MAX;
    uint64_t limit = file_limit(current_task());
    if (pos >= max || pos >= limit)
        return vnode_size_allowed(v, pos + 1);
    return (int64_t)min_size(len, (max < limit ? max : limit) - pos);
}

// Storage for a write of *n bytes at pos; *n becomes smaller when there is room for a part only.
ASYNC_DECL(pagecache_reserve, struct vnode *v; uint64_t pos; uint64_t *n;);
ASYNC(pagecache_reserve, long r;)
{
    ASYNC_BEGIN(pagecache_reserve);
    f->r = 0;
    while (f->v->ops->reserve && f->pos + *f->n > f->v->size) {
        SHIELD_BEGIN();
        AWAIT_VIA(f->r, vnode_reserve, f->v->ops->reserve, f->v, f->pos + *f->n);
        SHIELD_END();
        if (f->r != -ENOSPC || *f->n <= PAGE_SIZE)
            break;
        *f->n /= 2;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(pagecache_write, file_write, struct vnode *v; uint64_t n; size_t before; long r;)
{
    ASYNC_BEGIN(pagecache_write);
    f->v = f->file->data;
    if (!f->buf->left)
        ASYNC_RETURN(0);
    AWAIT(f->r, mutex_lock, &f->v->lock, true);
    if (f->r < 0)
        ASYNC_RETURN(-ERESTARTSYS);
    if (f->file->flags & O_APPEND)
        f->pos = f->v->size;
    f->before = f->buf->done;
    f->r = allowed(f->v, f->pos, f->buf->left);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->n = (uint64_t)f->r;
    AWAIT(f->r, pagecache_reserve, f->v, f->pos, &f->n);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->n < f->buf->left)
        f->buf->left = f->n;
    AWAIT(f->r, pagecache_fill, f->v, f->buf, f->pos);
    f->n = f->buf->done - f->before;
    if (f->n)
        vnode_touch(f->v);
    if (f->n && (f->file->flags & O_SYNC) && f->v->ops->fsync) {
        AWAIT_VIA(f->r, vnode_fsync, f->v->ops->fsync, f->v, true);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_RETURN(f->n ? (long)f->n : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->v->lock, t))
        mutex_unlock(&f->v->lock, t);
    ASYNC_END;
}

const struct file_ops file_ops_pagecache = {
    .read = &pagecache_read_fn,
    .write = &pagecache_write_fn,
    .try_read = pagecache_try_read,
    .try_write = pagecache_try_write,
};

// ---- size, write-back, attributes

ASYNC(vnode_set_size, long r;)
{
    ASYNC_BEGIN(vnode_set_size);
    f->r = 0;
    if (!f->v->pages) // made of text when it is read, as in /proc: its size is none
        ASYNC_RETURN(0);
    if ((f->v->seals & F_SEAL_GROW && f->size > f->v->size) ||
        (f->v->seals & F_SEAL_SHRINK && f->size < f->v->size))
        ASYNC_RETURN(-EPERM);
    if (f->size > f->v->size)
        phys_grow(f->v->pages, f->size);
    else if (f->size < f->v->size)
        AWAIT(f->r, phys_truncate, f->v->pages, f->size);
    if (f->r >= 0) {
        store_relaxed(&f->v->size, f->size);
        vnode_touch(f->v);
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(vnode_write_back, long r;)
{
    ASYNC_BEGIN(vnode_write_back);
    f->r = 0;
    if (f->v->pages)
        AWAIT(f->r, phys_sync, f->v->pages, 0, UINT64_MAX);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

void vnode_set_fields(struct vnode *v, const struct vattr *a)
{
    if (a->mask & ATTR_MODE)
        v->mode = (v->mode & S_IFMT) | (a->mode & S_IALLUGO);
    if (a->mask & ATTR_UID)
        v->uid = a->uid;
    if (a->mask & ATTR_GID)
        v->gid = a->gid;
    if (a->mask & ATTR_ATIME)
        v->atime_ns = a->atime_ns;
    if (a->mask & ATTR_MTIME)
        v->mtime_ns = a->mtime_ns;
    v->ctime_ns = a->mask & ATTR_CTIME ? a->ctime_ns : vnode_now_ns();
}

ASYNC_IMPL(vnode_setattr_memory, vnode_setattr, long r;)
{
    ASYNC_BEGIN(vnode_setattr_memory);
    if (f->v->seals & F_SEAL_EXEC && f->attr->mask & ATTR_MODE &&
        (f->attr->mode ^ f->v->mode) & 0111)
        ASYNC_RETURN(-EPERM);
    if (f->attr->mask & ATTR_SIZE) {
        AWAIT(f->r, vnode_set_size, f->v, f->attr->size);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    vnode_set_fields(f->v, f->attr);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
