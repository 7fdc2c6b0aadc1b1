// SPDX-License-Identifier: MIT
// Advisory locks: a list per vnode, one spinlock and one wait queue for all of them.
//
// Ranges of one owner never overlap: setting one cuts what was there. All memory is allocated
// before the list changes (two spare records are enough for any cut).
#include "fs/lock.h"

#include "async/wait_look.h"
#include "mem/user.h"
#include "page/heap.h"
#include "task/thread.h"

enum { F_RDLCK, F_WRLCK, F_UNLCK };
enum { LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8 };

struct flock_k {
    int16_t type, whence;
    int32_t pad;
    int64_t start, len;
    int32_t pid, pad2;
};
_Static_assert(sizeof(struct flock_k) == 32, "struct flock of riscv64");

struct file_lock {
    struct file_lock *next;
    const void *owner;
    uint64_t start, end; // inclusive
    uint32_t pid;
    uint8_t type, flock;
};

static struct spinlock lock_lock = SPINLOCK_INIT("file locks");
static struct waitq lock_waiters = {LIST_INIT(lock_waiters.head)};

static bool conflicts(const struct file_lock *a, const struct file_lock *b)
{
    return a->flock == b->flock && a->owner != b->owner && a->start <= b->end &&
           b->start <= a->end && (a->type == F_WRLCK || b->type == F_WRLCK);
}

static const struct file_lock *blocker(const struct vnode *v, const struct file_lock *want)
{
    for (const struct file_lock *l = v->locks; l; l = l->next)
        if (conflicts(l, want))
            return l;
    return NULL;
}

// Cuts [start, end] out of the owner's ranges. A range cut in the middle takes *spare.
static void cut(struct vnode *v, const struct file_lock *what, struct file_lock **spare)
{
    for (struct file_lock **at = &v->locks; *at;) {
        struct file_lock *l = *at;
        if (l->flock != what->flock || l->owner != what->owner || l->end < what->start ||
            what->end < l->start) {
            at = &l->next;
            continue;
        }
        if (l->start < what->start && l->end > what->end) {
            struct file_lock *tail = *spare;
            *spare = NULL;
            *tail = *l;
            tail->start = what->end + 1;
            l->end = what->start - 1;
            l->next = tail;
            return;
        }
        if (l->start < what->start) {
            l->end = what->start - 1;
        } else if (l->end > what->end) {
            l->start = what->end + 1;
        } else {
            *at = l->next;
            kfree(l);
            continue;
        }
        at = &l->next;
    }
}

void locks_release_slow(struct vnode *v, const void *owner)
{
    spin_lock(&lock_lock);
    for (struct file_lock **at = &v->locks; *at;) {
        struct file_lock *l = *at;
        if (l->owner == owner) {
            *at = l->next;
            kfree(l);
        } else {
            at = &l->next;
        }
    }
    waitq_wake_all(&lock_waiters);
    spin_unlock(&lock_lock);
}

// Lock held. The record is the first of its vnode. A descriptor that was closed meanwhile has taken the locks of its table
// along, and this one came too late for that: then it is taken back.
static bool stays(struct fd_table *table, int32_t fd, struct file *file,
                  const struct file_lock *record)
{
    fence_full(); // with the one in locks_release
    if (record->flock || fd_is(table, fd, file))
        return true;
    file->vnode->locks = record->next;
    return false;
}

// Sets or clears (type F_UNLCK) *want; waits when asked to. fd: of file, unless want->flock. 0, -EAGAIN, -EBADF, -ENOMEM,
// -ERESTARTSYS.
ASYNC_DECL(lock_set, struct file *file; int32_t fd; const struct file_lock *want; bool wait;);
ASYNC(lock_set, struct waiter w; struct vnode *v; struct file_lock *record; struct file_lock *spare;
      long r;)
{
    ASYNC_BEGIN(lock_set);
    f->v = f->file->vnode;
    waiter_init(&f->w);
    f->record = kmalloc(sizeof *f->record);
    f->spare = kmalloc(sizeof *f->spare);
    f->r = f->record && f->spare ? 0 : -ENOMEM;
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    spin_lock(&lock_lock);
    while (f->want->type != F_UNLCK && blocker(f->v, f->want)) {
        if (!f->wait || task_interrupted(t)) {
            spin_unlock(&lock_lock);
            ASYNC_RETURN(f->wait ? -ERESTARTSYS : -EAGAIN);
        }
        waitq_add(&lock_waiters, &f->w, t);
        spin_unlock(&lock_lock);
        SUSPEND("a file lock");
        spin_lock(&lock_lock);
        waitq_remove(&lock_waiters, &f->w);
    }
    cut(f->v, f->want, &f->spare);
    if (f->want->type != F_UNLCK) {
        *f->record = *f->want;
        f->record->next = f->v->locks;
        f->v->locks = f->record;
        if (stays(t->thread->files, f->fd, f->file, f->record))
            f->record = NULL;
        else
            f->r = -EBADF;
    }
    waitq_wake_all(&lock_waiters);
    spin_unlock(&lock_lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&lock_lock, &lock_waiters, &f->w);
    kfree(f->record);
    kfree(f->spare);
    ASYNC_END;
}

// The absolute range of a user's request. -EINVAL, -EOVERFLOW.
static int range_of(const struct flock_k *u, const struct file *file, struct file_lock *out)
{
    int64_t base = 0, start, end;
    if (u->whence == SEEK_CUR)
        base = (int64_t)file->pos;
    else if (u->whence == SEEK_END)
        base = (int64_t)file->vnode->size;
    else if (u->whence != SEEK_SET)
        return -EINVAL;
    if (__builtin_add_overflow(base, u->start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    if (u->len < 0) {
        end = start - 1;
        start += u->len;
    } else if (u->len == 0) {
        end = INT64_MAX;
    } else if (__builtin_add_overflow(start, u->len - 1, &end)) {
        return -EOVERFLOW;
    }
    if (start < 0 || u->type < F_RDLCK || u->type > F_UNLCK)
        return -EINVAL;
    out->start = (uint64_t)start;
    out->end = (uint64_t)end;
    out->type = (uint8_t)u->type;
    return 0;
}

static void describe(struct vnode *v, const struct file_lock *want, struct flock_k *u)
{
    spin_lock(&lock_lock);
    const struct file_lock *l = blocker(v, want);
    if (l) {
        u->type = l->type;
        u->whence = SEEK_SET;
        u->start = (int64_t)l->start;
        u->len = l->end == INT64_MAX ? 0 : (int64_t)(l->end - l->start + 1);
        u->pid = (int32_t)l->pid;
    } else {
        u->type = F_UNLCK;
    }
    spin_unlock(&lock_lock);
}

ASYNC(lock_fcntl, struct flock_k user; struct file_lock want; long r;)
{
    ASYNC_BEGIN(lock_fcntl);
    AWAIT(f->r, user_read, t->thread->space, &f->user, f->arg, sizeof f->user);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->want = (struct file_lock){.owner = t->thread->files, .pid = t->thread->process->pid};
    f->r = range_of(&f->user, f->file, &f->want);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->cmd == F_GETLK) {
        if (f->want.type == F_UNLCK)
            ASYNC_RETURN(-EINVAL);
        describe(f->file->vnode, &f->want, &f->user);
        AWAIT(f->r, user_write, t->thread->space, f->arg, &f->user, sizeof f->user);
        ASYNC_RETURN(f->r);
    }
    if ((f->want.type == F_RDLCK && !f->file->readable) ||
        (f->want.type == F_WRLCK && !f->file->writable) || (f->file->flags & O_PATH))
        ASYNC_RETURN(-EBADF);
    AWAIT(f->r, lock_set, f->file, f->fd, &f->want, f->cmd == F_SETLKW);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(lock_flock, struct file_lock want; long r;)
{
    ASYNC_BEGIN(lock_flock);
    f->want = (struct file_lock){.owner = f->file, .end = INT64_MAX, .flock = 1};
    if (f->file->flags & O_PATH)
        ASYNC_RETURN(-EBADF);
    switch (f->operation & ~(uint32_t)LOCK_NB) {
    case LOCK_SH:
        f->want.type = F_RDLCK;
        break;
    case LOCK_EX:
        f->want.type = F_WRLCK;
        break;
    case LOCK_UN:
        f->want.type = F_UNLCK;
        break;
    default:
        ASYNC_RETURN(-EINVAL);
    }
    AWAIT(f->r, lock_set, f->file, -1, &f->want, !(f->operation & LOCK_NB));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

WAIT_LOOK(lock_set)
{
    const struct lock_set_frame *f = frame;
    v->kind = "file lock";
    v->object = f->v;
    spin_lock(&lock_lock);
    const struct file_lock *l = blocker(f->v, f->want);
    if (l && !l->flock)
        v->holder_pid = l->pid; // that of an open file may have gone to children
    wait_view_all(v, &f->w, !l);
    spin_unlock(&lock_lock);
}
