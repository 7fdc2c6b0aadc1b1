// SPDX-License-Identifier: MIT
// Memory calls about what is mapped already: madvise, mlock, msync, mincore.
#include "fs/path.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/thread.h"

// ---- madvise

enum {
    MADV_WILLNEED = 3,
    MADV_DONTNEED = 4,
    MADV_FREE = 8,
    MADV_REMOVE = 9,
    MADV_POPULATE_READ = 22,
    MADV_POPULATE_WRITE = 23,
    MADV_DONTNEED_LOCKED = 24,
};

// Advice by number: who may not get it, and which flags it sets and clears.
static const struct advice {
    bool known, no_object, no_lock;
    uint32_t set, clear;
} advices[] = {
    [0] = {.known = true, .clear = MAPPING_RANDOM | MAPPING_SEQUENTIAL},       // NORMAL
    [1] = {.known = true, .set = MAPPING_RANDOM, .clear = MAPPING_SEQUENTIAL}, // RANDOM
    [2] = {.known = true, .set = MAPPING_SEQUENTIAL, .clear = MAPPING_RANDOM}, // SEQUENTIAL
    [MADV_WILLNEED] = {.known = true},
    [MADV_DONTNEED] = {.known = true, .no_lock = true},
    [MADV_FREE] = {.known = true, .no_object = true},
    [MADV_REMOVE] = {.known = true, .no_lock = true},
    [10] = {.known = true, .set = MAPPING_NOFORK},                        // DONTFORK
    [11] = {.known = true, .clear = MAPPING_NOFORK},                      // DOFORK
    [12 ... 13] = {.known = true},                                        // MERGEABLE, UNMERGEABLE
    [14] = {.known = true, .set = MAPPING_HUGE, .clear = MAPPING_NOHUGE}, // HUGEPAGE
    [15] = {.known = true, .set = MAPPING_NOHUGE, .clear = MAPPING_HUGE}, // NOHUGEPAGE
    [16 ... 17] = {.known = true},                                        // DONTDUMP, DODUMP
    [18] = {.known = true, .no_object = true, .set = MAPPING_WIPE},       // WIPEONFORK
    [19] = {.known = true, .clear = MAPPING_WIPE},                        // KEEPONFORK
    [20 ... 21] = {.known = true, .no_lock = true},                       // COLD, PAGEOUT
    [MADV_POPULATE_READ] = {.known = true},
    [MADV_POPULATE_WRITE] = {.known = true},
    [MADV_DONTNEED_LOCKED] = {.known = true},
};

// Validates against what is mapped: 0 or an error.
static long check_advice(const struct advice *a, uint64_t nr, const struct space_survey *s)
{
    if ((a->no_object && s->object) || (a->no_lock && s->any & MAPPING_LOCKED))
        return -EINVAL;
    if (nr == MADV_REMOVE && !s->object)
        return -EINVAL;
    if (nr == MADV_REMOVE && (!(s->all & MAPPING_SHARED) || s->no_write))
        return -EACCES;
    return 0;
}

// MADV_POPULATE_*: what the rights forbid is -EINVAL.
ASYNC_DECL(populate_for, struct space *s; va_t va; uint64_t len; uint32_t access;);
ASYNC(populate_for, long r;)
{
    ASYNC_BEGIN(populate_for);
    if (!space_allows(f->s, f->va, f->va + f->len, f->access))
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, space_commit, f->s, f->va, f->len, f->access);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_SYSCALL(sys_madvise, long r; const struct advice *advice; struct space_survey survey;
              uint64_t len;)
{
    ASYNC_BEGIN(sys_madvise);
    f->advice = f->a[2] < sizeof advices / sizeof *advices ? &advices[f->a[2]] : NULL;
    if (f->a[0] & PAGE_MASK || !f->advice || !f->advice->known)
        ASYNC_RETURN(-EINVAL);
    f->len = page_round_up(f->a[1]);
    if (f->len < f->a[1] || f->a[0] + f->len < f->a[0])
        ASYNC_RETURN(-EINVAL);
    if (!f->len)
        ASYNC_RETURN(0);
    if (!user_range_ok(f->a[0], f->len))
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, space_survey, t->thread->space, f->a[0], f->a[0] + f->len, &f->survey);
    f->r = check_advice(f->advice, f->a[2], &f->survey);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->a[2] == MADV_DONTNEED || f->a[2] == MADV_DONTNEED_LOCKED || f->a[2] == MADV_FREE) {
        AWAIT(f->r, space_discard, t->thread->space, f->a[0], f->len);
    } else if (f->a[2] == MADV_WILLNEED) {
        AWAIT(f->r, space_will_need, t->thread->space, f->a[0], f->len);
    } else if (f->a[2] == MADV_REMOVE) {
        AWAIT(f->r, space_wipe_objects, t->thread->space, f->a[0], f->len);
    } else if (f->a[2] == MADV_POPULATE_READ || f->a[2] == MADV_POPULATE_WRITE) {
        AWAIT(f->r, populate_for, t->thread->space, f->a[0], f->survey.until - f->a[0],
              f->a[2] == MADV_POPULATE_READ ? ACCESS_READ : ACCESS_WRITE);
    } else if (f->advice->set || f->advice->clear) {
        AWAIT(f->r, space_set_flags, t->thread->space, f->a[0], f->len, f->advice->set,
              f->advice->clear);
    }
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    ASYNC_RETURN(f->survey.until < f->a[0] + f->len ? -ENOMEM : 0);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(233, madvise, 3);

// ---- mlock

// How much of [lo, lo + len) may be locked: 0, or an error.
static long may_lock(struct space *s, va_t lo, uint64_t len)
{
    const struct process *p = process_current();
    uint64_t limit = p->rlimit[RLIMIT_MEMLOCK].cur;
    if (caller_can(CAP_IPC_LOCK))
        return 0;
    if (!limit)
        return -EPERM;
    uint64_t locked = space_flagged(s, 0, USER_TOP, MAPPING_LOCKED) -
                      space_flagged(s, lo, lo + len, MAPPING_LOCKED);
    return len > limit || locked > limit - len ? -ENOMEM : 0;
}

enum { MLOCK_ONFAULT = 1 };

// The pages that hold [a0, a0 + a1), a page multiple; -EINVAL, -ENOMEM.
static long lock_range(const uint64_t a[2], va_t *va, uint64_t *len)
{
    *va = page_round_down(a[0]);
    *len = page_round_up(a[1] + (a[0] & PAGE_MASK));
    if (*va + *len < *va || *len < a[1])
        return -EINVAL;
    return user_range_ok(*va, *len) ? 0 : -ENOMEM;
}

ASYNC_DECL(lock_pages, const uint64_t *a; bool on; bool populate;);
ASYNC(lock_pages, struct space_survey survey; va_t va; uint64_t len; long r;)
{
    ASYNC_BEGIN(lock_pages);
    f->r = lock_range(f->a, &f->va, &f->len);
    if (!f->r && f->on)
        f->r = may_lock(t->thread->space, f->va, f->len);
    if (f->r < 0 || !f->len)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, space_survey, t->thread->space, f->va, f->va + f->len, &f->survey);
    AWAIT(f->r, space_set_flags, t->thread->space, f->va, f->survey.until - f->va,
          f->on ? MAPPING_LOCKED : 0, f->on ? 0 : MAPPING_LOCKED);
    if (f->r < 0 || f->survey.until < f->va + f->len)
        ASYNC_RETURN(-ENOMEM);
    if (f->populate)
        AWAIT(f->r, space_populate, t->thread->space, f->va, f->len);
    ASYNC_RETURN(f->r == -EFAULT ? -ENOMEM : f->r == -ENOMEM ? -EAGAIN : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_SYSCALL(sys_mlock, long r;)
{
    ASYNC_BEGIN(sys_mlock);
    AWAIT(f->r, lock_pages, f->a, true, true);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(228, mlock, 2);

ASYNC_SYSCALL(sys_mlock2, long r;)
{
    ASYNC_BEGIN(sys_mlock2);
    if ((uint32_t)f->a[2] & ~(uint32_t)MLOCK_ONFAULT)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, lock_pages, f->a, true, !(f->a[2] & MLOCK_ONFAULT));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(284, mlock2, 3);

ASYNC_SYSCALL(sys_munlock, long r;)
{
    ASYNC_BEGIN(sys_munlock);
    AWAIT(f->r, lock_pages, f->a, false, false);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(229, munlock, 2);

enum { MCL_CURRENT = 1, MCL_FUTURE = 2, MCL_ONFAULT = 4 };

static long check_lock_all(struct space *s, uint64_t how)
{
    const struct process *p = process_current();
    uint64_t limit = p->rlimit[RLIMIT_MEMLOCK].cur;
    if (!how || how & ~7ul || how == MCL_ONFAULT)
        return -EINVAL;
    if (caller_can(CAP_IPC_LOCK))
        return 0;
    if (!limit)
        return -EPERM;
    return how & MCL_CURRENT && load_relaxed(&s->mapped) > limit ? -ENOMEM : 0;
}

ASYNC_SYSCALL(sys_mlockall, long r;)
{
    ASYNC_BEGIN(sys_mlockall);
    f->r = check_lock_all(t->thread->space, f->a[0]);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    store_relaxed(&t->thread->space->lock_future, f->a[0] & MCL_FUTURE);
    if (f->a[0] & MCL_CURRENT) {
        AWAIT(f->r, space_set_flags, t->thread->space, 0, USER_TOP, MAPPING_LOCKED, 0);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        if (!(f->a[0] & MCL_ONFAULT)) // an aid: its failure is no error
            AWAIT(f->r, space_populate, t->thread->space, 0, USER_TOP);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(230, mlockall, 1);

ASYNC_SYSCALL(sys_munlockall, long r;)
{
    ASYNC_BEGIN(sys_munlockall);
    store_relaxed(&t->thread->space->lock_future, false);
    AWAIT(f->r, space_set_flags, t->thread->space, 0, USER_TOP, 0, MAPPING_LOCKED);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(231, munlockall, 0);

// ---- msync, mincore

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
    if (f->a[2] & MS_INVALIDATE && user_range_ok(f->a[0], f->a[1]) &&
        space_flagged(t->thread->space, f->a[0], f->a[0] + f->a[1], MAPPING_LOCKED))
        ASYNC_RETURN(-EBUSY);
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

// Who neither owns a file nor may write it does not learn what others have read of it.
static bool told_of(const struct phys *ph)
{
    const struct vnode *v = ph->kind == PHYS_FILE ? ph->owner : NULL;
    return !v || vnode_owner(v) ||
           (!vnode_permission(v, W_OK) && !(v->super->flags & SUPER_RDONLY));
}

// One byte per page, 1: in memory.
enum { MINCORE_STEP = 32, MINCORE_TURN = 16 * MINCORE_STEP * 4096 };

static void residency(struct space *s, va_t va, size_t pages, uint8_t out[MINCORE_STEP])
{
    for (size_t i = 0; i < pages; i++)
        out[i] = space_in_memory(s, va + i * PAGE_SIZE, told_of);
}

ASYNC_SYSCALL(sys_mincore, long r; va_t at; va_t hi; size_t n; struct space_survey survey;
              uint8_t out[MINCORE_STEP];)
{
    ASYNC_BEGIN(sys_mincore);
    if (f->a[0] & PAGE_MASK)
        ASYNC_RETURN(-EINVAL);
    f->hi = f->a[0] + page_round_up(f->a[1]);
    if (!user_range_ok(f->a[0], page_round_up(f->a[1])))
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, space_survey, t->thread->space, f->a[0], f->hi, &f->survey);
    if (f->survey.until < f->hi)
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
        if (((f->at - f->a[0]) & (MINCORE_TURN - 1)) == 0)
            YIELD();
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(232, mincore, 3);
