// SPDX-License-Identifier: MIT
// Memory calls that change what is mapped: mmap, munmap, mprotect, mremap, brk.
//
// What is small is done from the trap path; the async handler is the same call for large ranges, or
// when somebody else is changing the space.
#include "fs/file.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
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
    PROT_RWX = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC,
    PROT_SEM = 8, // is taken, and means nothing
    PROT_GROWSDOWN = 0x1000000,
    PROT_GROWSUP = 0x2000000,
    PROT_GROWS = PROT_GROWSDOWN | PROT_GROWSUP,
};
enum {
    MAP_IGNORED = MAP_DENYWRITE | MAP_EXECUTABLE | MAP_NONBLOCK,
    MAP_KNOWN = MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE |
                MAP_POPULATE | MAP_STACK | MAP_FIXED_NOREPLACE | MAP_IGNORED,
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
        return -ENOMEM; // no page is set aside for that
    if (type != MAP_PRIVATE)
        w->flags |= MAPPING_SHARED;
    if (flags & MAP_GROWSDOWN)
        w->flags |= MAPPING_STACK;
    if (flags & MAP_NORESERVE)
        w->flags |= MAPPING_NORESERVE;
    if (flags & MAP_STACK) // of a thread, which touches little of it
        w->flags |= MAPPING_NOHUGE;
    if (flags & MAP_LOCKED)
        w->flags |= MAPPING_LOCKED;
    if (flags & MAP_FIXED_NOREPLACE)
        w->how = SPACE_FIXED_NOREPLACE;
    else if (flags & MAP_FIXED)
        w->how = SPACE_FIXED;
    return 0;
}

// How many bytes the caller may have locked.
static uint64_t lock_limit(void)
{
    uint64_t limit = process_current()->rlimit[RLIMIT_MEMLOCK].cur;
    return limit == UINT64_MAX || caller_can(CAP_IPC_LOCK) ? UINT64_MAX : limit;
}

// RLIMIT_MEMLOCK: -EPERM when nothing may be locked, -EAGAIN when that much more may not.
static int may_lock(struct space *s, uint64_t flags, uint64_t len)
{
    if (!(flags & MAP_LOCKED || s->lock_future))
        return 0;
    uint64_t limit = lock_limit();
    if (limit == UINT64_MAX)
        return 0;
    if (!limit && flags & MAP_LOCKED)
        return -EPERM;
    return space_flagged(s, 0, USER_TOP, MAPPING_LOCKED) + len > limit ? -EAGAIN : 0;
}

static int map_file(struct file *file, uint64_t flags, struct space_map *w)
{
    bool writes = w->flags & MAPPING_SHARED && w->prot & ACCESS_WRITE;
    bool sealed = load_relaxed(&file->data->seals) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
    if (writes && file->writable && sealed)
        return -EPERM;
    if (file->ops->mmap_part)
        return file->ops->mmap_part(file, &w->offset, &w->phys);
    int e = file_mmap_object(file, w->prot, (uint32_t)flags, &w->phys);
    if (!e && w->flags & MAPPING_SHARED && (!file->writable || sealed))
        w->flags |= MAPPING_DENY_WRITE;
    if (!e && w->phys && file_counts_as_writer(file)) {
        atomic_add32(&w->phys->writers, 1); // until it is mapped: the file may be closed meanwhile
        w->flags |= MAPPING_WRITER;
    }
    return e;
}

static void request_done(struct space_map *w)
{
    if (!w->phys)
        return;
    if (w->flags & MAPPING_WRITER)
        atomic_add32(&w->phys->writers, -1u);
    phys_put(w->phys);
}

// Checks the arguments and finds the object: w->phys is referenced (or NULL) on success.
static int map_request(const uint64_t a[6], struct space_map *w)
{
    uint64_t flags = a[3];
    *w = (struct space_map){.at = a[0], .prot = a[2] & PROT_RWX, .offset = a[5]};
    if (a[5] & PAGE_MASK)
        return -EINVAL;
    struct file *file = NULL;
    if (!(flags & MAP_ANONYMOUS) && !(file = fd_get(thread_current()->files, (int32_t)a[4])))
        return -EBADF;
    int e = a[1] ? map_flags(flags, w) : -EINVAL;
    if (!e && (a[1] > USER_TOP || (file && a[5] > INT64_MAX - a[1])))
        e = a[1] > USER_TOP ? -ENOMEM : -EOVERFLOW;
    w->len = page_round_up(a[1]);
    if (!e)
        e = may_lock(my_space(), flags, w->len);
    if (my_space()->lock_future)
        w->flags |= MAPPING_LOCKED;
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
    if (flags & (MAP_POPULATE | MAP_LOCKED) || my_space()->lock_future)
        return syscall_go_async();
    int e = map_request((const uint64_t[6]){at, len, prot, flags, fd, offset}, &w);
    if (e)
        return e;
    e = space_map_now(my_space(), &w, &va);
    request_done(&w);
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
    if (f->a[3] & MAP_POPULATE || f->w.flags & MAPPING_LOCKED) // an aid: its failure is no error
        AWAIT(f->r, space_populate, t->thread->space, f->va, f->w.len);
    ASYNC_RETURN((long)f->va);
    ASYNC_FINALLY;
    request_done(&f->w);
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
    if (va & PAGE_MASK || (prot & PROT_GROWS) == PROT_GROWS)
        return -EINVAL;
    if (!len)
        return 1;
    if (va >= USER_TOP || len > USER_TOP - va)
        return -ENOMEM;
    return prot & ~(uint64_t)(PROT_RWX | PROT_SEM | PROT_GROWS) ? -EINVAL : 0;
}

// PROT_GROWSDOWN: from where the stack begins that ends in the range. Nothing grows up here.
static int stretch(uint64_t *va, uint64_t *len, uint64_t prot)
{
    struct mapping_info m;
    if (likely(!(prot & PROT_GROWS)))
        return 0;
    if (!space_mappings(my_space(), *va, &m, 1, false) ||
        m.lo >= (prot & PROT_GROWSDOWN ? *va + *len : *va + 1))
        return -ENOMEM;
    if (prot & PROT_GROWSUP || !(m.flags & MAPPING_STACK))
        return -EINVAL;
    *len += *va - m.lo;
    *va = m.lo;
    return 0;
}

long try_mprotect(uint64_t va, uint64_t len, uint64_t prot)
{
    int e = check_protect(va, len, prot);
    if (e)
        return e > 0 ? 0 : e;
    e = stretch(&va, &len, prot);
    if (!e)
        e = space_protect_now(my_space(), va, page_round_up(len), prot & PROT_RWX);
    return e == -EAGAIN ? syscall_go_async() : e;
}

ASYNC_SYSCALL(sys_mprotect, long r;)
{
    ASYNC_BEGIN(sys_mprotect);
    f->r = stretch(&f->a[0], &f->a[1], f->a[2]);
    if (!f->r)
        AWAIT(f->r, space_protect, t->thread->space, f->a[0], page_round_up(f->a[1]),
              f->a[2] & PROT_RWX);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(226, mprotect, 3);

// ---- brk, mremap

static uint64_t brk_lock_limit(void)
{
    return unlikely(my_space()->lock_future) ? lock_limit() : UINT64_MAX;
}

long try_brk(va_t to)
{
    va_t now;
    int e = space_brk_now(my_space(), to, brk_lock_limit(), &now);
    return e == -EAGAIN ? syscall_go_async() : (long)now;
}

ASYNC_SYSCALL(sys_brk, va_t now; long r;)
{
    ASYNC_BEGIN(sys_brk);
    AWAIT(f->r, space_brk, t->thread->space, f->a[0], brk_lock_limit(), &f->now);
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
          f->a[4], lock_limit(), &f->va);
    ASYNC_RETURN(f->r < 0 ? f->r : (long)f->va);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(216, mremap, 5);
