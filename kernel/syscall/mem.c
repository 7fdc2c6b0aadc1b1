// SPDX-License-Identifier: MIT
// Memory calls: mmap, munmap, mprotect, mremap, brk, madvise, msync, mincore.
//
// What is small is done from the trap path; the async handler is the same call for large ranges, or
// when somebody else is changing the space.
#include "fs/file.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/thread.h"

enum {
    MAP_SHARED = 1,
    MAP_PRIVATE = 2,
    MAP_SHARED_VALIDATE = 3,
    MAP_TYPE = 15,
    MAP_FIXED = 0x10,
    MAP_ANONYMOUS = 0x20,
    MAP_GROWSDOWN = 0x100,
    MAP_DENYWRITE = 0x800,
    MAP_EXECUTABLE = 0x1000,
    MAP_LOCKED = 0x2000,
    MAP_NORESERVE = 0x4000,
    MAP_POPULATE = 0x8000,
    MAP_NONBLOCK = 0x10000,
    MAP_STACK = 0x20000,
    MAP_HUGETLB = 0x40000,
    MAP_FIXED_NOREPLACE = 0x100000,
};
enum {
    MAP_IGNORED = MAP_DENYWRITE | MAP_EXECUTABLE | MAP_NONBLOCK | MAP_STACK,
    MAP_KNOWN = MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE |
                MAP_POPULATE | MAP_FIXED_NOREPLACE | MAP_IGNORED,
};

static struct space *my_space(void)
{
    return thread_current()->space;
}

// ---- mmap

static int map_flags(uint64_t flags, struct space_map *w)
{
    uint64_t type = flags & MAP_TYPE;
    if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (type == MAP_SHARED_VALIDATE && flags & ~(uint64_t)MAP_KNOWN)
        return -EOPNOTSUPP;
    if (flags & MAP_HUGETLB)
        return -EINVAL;
    if (type != MAP_PRIVATE)
        w->flags |= MAPPING_SHARED;
    if (flags & MAP_GROWSDOWN)
        w->flags |= MAPPING_STACK;
    if (flags & MAP_NORESERVE)
        w->flags |= MAPPING_NORESERVE;
    if (flags & MAP_LOCKED)
        w->flags |= MAPPING_LOCKED;
    if (flags & MAP_FIXED_NOREPLACE)
        w->how = SPACE_FIXED_NOREPLACE;
    else if (flags & MAP_FIXED)
        w->how = SPACE_FIXED;
    return 0;
}

static int map_file(struct file *file, uint64_t flags, struct space_map *w)
{
    int e = file_mmap_object(file, w->prot, (uint32_t)flags, &w->phys);
    if (!e && w->flags & MAPPING_SHARED && !file->writable)
        w->flags |= MAPPING_DENY_WRITE;
    return e;
}

// Checks the arguments and finds the object: w->phys is referenced (or NULL) on success.
static int map_request(const uint64_t a[6], struct space_map *w)
{
    uint64_t flags = a[3];
    *w = (struct space_map){.at = a[0], .prot = (uint32_t)a[2], .offset = a[5]};
    if (a[5] & PAGE_MASK)
        return -EINVAL;
    struct file *file = NULL;
    if (!(flags & MAP_ANONYMOUS) && !(file = fd_get(thread_current()->files, (int32_t)a[4])))
        return -EBADF;
    int e = a[1] ? map_flags(flags, w) : -EINVAL;
    if (!e && (a[1] > USER_TOP || a[5] > INT64_MAX - a[1]))
        e = a[1] > USER_TOP ? -ENOMEM : -EOVERFLOW;
    if (!e && a[2] & ~7ul)
        e = -EINVAL;
    w->len = page_round_up(a[1]);
    if (!e && file)
        e = map_file(file, flags, w);
    else if (!e && w->flags & MAPPING_SHARED && !(w->phys = phys_new_shared(w->len)))
        e = -ENOMEM;
    if (!file)
        w->offset = 0;
    if (file)
        file_put(file);
    return e;
}

long try_mmap(uint64_t at, uint64_t len, uint64_t prot, uint64_t flags, uint64_t fd,
              uint64_t offset)
{
    struct space_map w;
    va_t va = 0;
    if (flags & (MAP_POPULATE | MAP_LOCKED))
        return syscall_go_async();
    int e = map_request((const uint64_t[6]){at, len, prot, flags, fd, offset}, &w);
    if (e)
        return e;
    e = space_map_now(my_space(), &w, &va);
    if (w.phys)
        phys_put(w.phys);
    return e == -EAGAIN ? syscall_go_async() : e ? e : (long)va;
}

ASYNC_SYSCALL(sys_mmap, struct space_map w; va_t va; long r;)
{
    ASYNC_BEGIN(sys_mmap);
    f->w.phys = NULL;
    f->r = map_request(f->a, &f->w);
    if (f->r < 0) {
        f->w.phys = NULL;
        ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, space_map, t->thread->space, f->w, &f->va);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->a[3] & (MAP_POPULATE | MAP_LOCKED) && f->w.prot) // an aid: its failure is no error
        AWAIT(f->r, space_commit, t->thread->space, f->va, f->w.len, f->w.prot);
    ASYNC_RETURN((long)f->va);
    ASYNC_FINALLY;
    if (f->w.phys)
        phys_put(f->w.phys);
    ASYNC_END;
}
SYSCALL_TRY(222, mmap, 6);

// ---- munmap, mprotect

static int check_unmap(uint64_t va, uint64_t len)
{
    return va & PAGE_MASK || !len || va > USER_TOP || len > USER_TOP - va ? -EINVAL : 0;
}

long try_munmap(uint64_t va, uint64_t len)
{
    int e = check_unmap(va, len);
    if (!e)
        e = space_unmap_now(my_space(), va, page_round_up(len));
    return e == -EAGAIN ? syscall_go_async() : e;
}

ASYNC_SYSCALL(sys_munmap, long r;)
{
    ASYNC_BEGIN(sys_munmap);
    AWAIT(f->r, space_unmap, t->thread->space, f->a[0], page_round_up(f->a[1]));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(215, munmap, 2);

// 1: nothing to do.
static int check_protect(uint64_t va, uint64_t len, uint64_t prot)
{
    if (va & PAGE_MASK)
        return -EINVAL;
    if (!len)
        return 1;
    if (va >= USER_TOP || len > USER_TOP - va)
        return -ENOMEM;
    return prot & ~7ul ? -EINVAL : 0;
}

long try_mprotect(uint64_t va, uint64_t len, uint64_t prot)
{
    int e = check_protect(va, len, prot);
    if (e)
        return e > 0 ? 0 : e;
    e = space_protect_now(my_space(), va, page_round_up(len), (uint32_t)prot);
    return e == -EAGAIN ? syscall_go_async() : e;
}

ASYNC_SYSCALL(sys_mprotect, long r;)
{
    ASYNC_BEGIN(sys_mprotect);
    AWAIT(f->r, space_protect, t->thread->space, f->a[0], page_round_up(f->a[1]),
          (uint32_t)f->a[2]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(226, mprotect, 3);

// ---- brk, mremap

long try_brk(va_t to)
{
    va_t now;
    return space_brk_now(my_space(), to, &now) == -EAGAIN ? syscall_go_async() : (long)now;
}

ASYNC_SYSCALL(sys_brk, va_t now; long r;)
{
    ASYNC_BEGIN(sys_brk);
    AWAIT(f->r, space_brk, t->thread->space, f->a[0], &f->now);
    ASYNC_RETURN((long)f->now);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(214, brk, 1);

ASYNC_SYSCALL(sys_mremap, va_t va; long r;)
{
    ASYNC_BEGIN(sys_mremap);
    if (f->a[3] >> 32)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, space_remap, t->thread->space, f->a[0], f->a[1], f->a[2], (uint32_t)f->a[3],
          f->a[4], &f->va);
    ASYNC_RETURN(f->r < 0 ? f->r : (long)f->va);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(216, mremap, 5);

// ---- madvise, msync, mincore

// How far the range is mapped without a hole from va on.
static va_t mapped_until(struct space *s, va_t va, va_t hi)
{
    struct mapping_info m[4];
    for (size_t n = 1; n && va < hi;) {
        n = space_mappings(s, va, m, 4, false);
        for (size_t i = 0; i < n && va < hi; i++) {
            if (m[i].lo > va)
                return va;
            va = m[i].hi;
        }
    }
    return va < hi ? va : hi;
}

enum {
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    MADV_WILLNEED,
    MADV_DONTNEED,
    MADV_FREE = 8,
    MADV_HUGEPAGE = 14,
    MADV_NOHUGEPAGE = 15,
    MADV_DONTDUMP = 16,
    MADV_DODUMP = 17,
    MADV_COLD = 20,
    MADV_PAGEOUT = 21,
    MADV_POPULATE_READ = 22,
    MADV_POPULATE_WRITE = 23,
};

static bool is_advice(uint64_t advice)
{
    return advice <= MADV_DONTNEED || advice == MADV_FREE ||
           (advice >= MADV_HUGEPAGE && advice <= MADV_DODUMP) ||
           (advice >= MADV_COLD && advice <= MADV_POPULATE_WRITE);
}

ASYNC_SYSCALL(sys_madvise, long r; va_t hi; uint64_t len;)
{
    ASYNC_BEGIN(sys_madvise);
    if (f->a[0] & PAGE_MASK || !is_advice(f->a[2]))
        ASYNC_RETURN(-EINVAL);
    f->len = page_round_up(f->a[1]);
    if (f->len < f->a[1])
        ASYNC_RETURN(-EINVAL);
    if (!f->len)
        ASYNC_RETURN(0);
    if (!user_range_ok(f->a[0], f->len))
        ASYNC_RETURN(-ENOMEM);
    f->hi = mapped_until(t->thread->space, f->a[0], f->a[0] + f->len);
    f->r = 0;
    if (f->a[2] == MADV_DONTNEED || f->a[2] == MADV_FREE) {
        AWAIT(f->r, space_discard, t->thread->space, f->a[0], f->len);
    } else if (f->a[2] == MADV_POPULATE_READ || f->a[2] == MADV_POPULATE_WRITE) {
        AWAIT(f->r, space_commit, t->thread->space, f->a[0], f->hi - f->a[0],
              f->a[2] == MADV_POPULATE_READ ? ACCESS_READ : ACCESS_WRITE);
    }
    ASYNC_RETURN(f->r ? f->r : f->hi < f->a[0] + f->len ? -ENOMEM : 0);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(233, madvise, 3);

enum { MS_ASYNC = 1, MS_INVALIDATE = 2, MS_SYNC = 4 };

// The next shared file mapping in [*va, hi): its object, referenced, and the pages of it that lie
// in the range. *va moves behind it; *hole is set when something in between is not mapped.
static struct phys *next_shared(struct space *s, va_t *va, va_t hi, uint64_t *lo_page,
                                uint64_t *hi_page, bool *hole)
{
    struct phys *ph = NULL;
    spin_lock(&s->lock);
    while (*va < hi && !ph) {
        struct range *r = range_map_from(&s->map, *va);
        if (!r || r->lo > *va)
            *hole = true;
        if (!r || r->lo >= hi) {
            *va = hi;
            break;
        }
        const struct mapping *m = mapping_of(r);
        va_t from = r->lo > *va ? r->lo : *va, to = r->hi < hi ? r->hi : hi;
        if (m->flags & MAPPING_SHARED && m->phys && m->phys->kind == PHYS_FILE) {
            ph = m->phys;
            phys_get(ph);
            *lo_page = (m->offset + (from - r->lo)) >> PAGE_SHIFT;
            *hi_page = *lo_page + ((to - from) >> PAGE_SHIFT);
        }
        *va = to;
    }
    spin_unlock(&s->lock);
    return ph;
}

ASYNC_SYSCALL(sys_msync, long r; va_t at; va_t hi; struct phys * ph; uint64_t lo_page;
              uint64_t hi_page; bool hole;)
{
    ASYNC_BEGIN(sys_msync);
    f->ph = NULL;
    if (f->a[0] & PAGE_MASK || f->a[2] & ~7ul ||
        (f->a[2] & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
        ASYNC_RETURN(-EINVAL);
    if (!user_range_ok(f->a[0], page_round_up(f->a[1])))
        ASYNC_RETURN(-ENOMEM);
    f->hole = false;
    f->at = f->a[0];
    f->hi = f->at + page_round_up(f->a[1]);
    while ((f->ph =
                next_shared(t->thread->space, &f->at, f->hi, &f->lo_page, &f->hi_page, &f->hole))) {
        if (f->a[2] & MS_SYNC) {
            AWAIT(f->r, phys_sync, f->ph, f->lo_page, f->hi_page);
            if (f->r < 0)
                ASYNC_RETURN(f->r);
        }
        phys_put(f->ph);
    }
    ASYNC_RETURN(f->hole ? -ENOMEM : 0);
    ASYNC_FINALLY;
    if (f->ph)
        phys_put(f->ph);
    ASYNC_END;
}
SYSCALL_ASYNC(227, msync, 3);

// One byte per page, 1: in memory.
enum { MINCORE_STEP = 32 };

static void residency(struct space *s, va_t va, size_t pages, uint8_t out[MINCORE_STEP])
{
    struct pte_info e[MINCORE_STEP];
    memset(out, 0, MINCORE_STEP);
    size_t n = space_entries(s, va, va + pages * PAGE_SIZE, e, pages);
    for (size_t i = 0; i < n; i++)
        out[(e[i].va - va) >> PAGE_SHIFT] = 1;
}

ASYNC_SYSCALL(sys_mincore, long r; va_t at; va_t hi; size_t n; uint8_t out[MINCORE_STEP];)
{
    ASYNC_BEGIN(sys_mincore);
    if (f->a[0] & PAGE_MASK)
        ASYNC_RETURN(-EINVAL);
    f->hi = f->a[0] + page_round_up(f->a[1]);
    if (!user_range_ok(f->a[0], page_round_up(f->a[1])) ||
        mapped_until(t->thread->space, f->a[0], f->hi) < f->hi)
        ASYNC_RETURN(-ENOMEM);
    for (f->at = f->a[0]; f->at < f->hi; f->at += f->n * PAGE_SIZE) {
        f->n = (f->hi - f->at) >> PAGE_SHIFT;
        if (f->n > MINCORE_STEP)
            f->n = MINCORE_STEP;
        residency(t->thread->space, f->at, f->n, f->out);
        AWAIT(f->r, user_write, t->thread->space, f->a[2] + ((f->at - f->a[0]) >> PAGE_SHIFT),
              f->out, f->n);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(232, mincore, 3);
