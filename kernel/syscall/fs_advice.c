// SPDX-License-Identifier: MIT
// Advice about a file's pages: fadvise64 (posix_fadvise), readahead.
#include "fs/file.h"
#include "mem/phys.h"
#include "syscall/syscall.h"
#include "task/thread.h"

enum {
    FADV_NORMAL,
    FADV_RANDOM,
    FADV_SEQUENTIAL,
    FADV_WILLNEED,
    FADV_DONTNEED,
    FADV_NOREUSE,
    FADV_END,
    FORGET_STEP = 128,
};

// 0 or an error, in Linux's order. len as the program gave it.
static long check(const struct file *file, int64_t len, uint64_t advice)
{
    if (!file || file->flags & O_PATH)
        return -EBADF;
    if (S_ISFIFO(file->vnode->mode))
        return -ESPIPE;
    return len < 0 || advice >= FADV_END ? -EINVAL : 0;
}

// The pages of [pos, pos + len) in a file of `size` bytes, len 0: to the end. `whole`: only those of
// whose bytes none lies outside of it.
static void page_range(uint64_t size, uint64_t pos, uint64_t len, bool whole, uint64_t *lo,
                       uint64_t *hi)
{
    uint64_t end = len && pos + len > pos && pos + len < size ? pos + len : page_round_up(size);
    *lo = (whole ? page_round_up(pos) : pos) >> PAGE_SHIFT;
    *hi = (whole ? end : page_round_up(end)) >> PAGE_SHIFT;
}

ASYNC_DECL(file_advise, struct file *file; uint64_t pos; uint64_t len; uint32_t advice;);
ASYNC(file_advise, struct phys *ph; uint64_t lo; uint64_t hi;)
{
    ASYNC_BEGIN(file_advise);
    f->ph = f->file->data->pages;
    if (!f->ph || !f->ph->ops->fill)
        ASYNC_RETURN(0); // nothing to read them from
    page_range(load_relaxed(&f->ph->size), f->pos, f->len, f->advice == FADV_DONTNEED, &f->lo,
               &f->hi);
    if (f->advice == FADV_WILLNEED) {
        phys_will_need(f->ph, f->lo, f->hi);
        YIELD(); // under way before the program goes on
    } else if (f->advice == FADV_DONTNEED) {
        while (phys_forget_some(f->ph, &f->lo, f->hi, FORGET_STEP))
            YIELD();
    } else if (f->advice != FADV_NOREUSE) {
        store_relaxed(&f->file->ahead.how, f->advice == FADV_RANDOM       ? PHYS_RANDOM
                                           : f->advice == FADV_SEQUENTIAL ? PHYS_SEQUENTIAL
                                                                          : PHYS_READ);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_SYSCALL(sys_fadvise64, struct file *file; long r;)
{
    ASYNC_BEGIN(sys_fadvise64);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    f->r = check(f->file, (int64_t)f->a[2], (uint32_t)f->a[3]);
    if (f->r == 0)
        AWAIT(f->r, file_advise, f->file, f->a[1], f->a[2], (uint32_t)f->a[3]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(223, fadvise64, 4);

static long check_readahead(const struct file *file, int64_t len)
{
    if (!file || !file->readable)
        return -EBADF;
    return (S_ISREG(file->vnode->mode) || S_ISBLK(file->vnode->mode)) && len >= 0 ? 0 : -EINVAL;
}

ASYNC_SYSCALL(sys_readahead, struct file *file; long r;)
{
    ASYNC_BEGIN(sys_readahead);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    f->r = check_readahead(f->file, (int64_t)f->a[2]);
    if (f->r == 0)
        AWAIT(f->r, file_advise, f->file, f->a[1], f->a[2], FADV_WILLNEED);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(213, readahead, 3);
