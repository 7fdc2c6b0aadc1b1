// SPDX-License-Identifier: MIT
// Changing what files are: size, mode, owner, times.
#include "async/timer.h"
#include "mem/user.h"
#include "syscall/fs_path.h"
#include "syscall/syscall.h"
#include "task/caps.h"

// ---- size

ASYNC_SYSCALL(sys_truncate, struct target target; struct vnode * v; bool writes; long r;)
{
    ASYNC_BEGIN(sys_truncate);
    f->target = (struct target){.found = false};
    f->writes = false;
    if ((int64_t)f->a[1] < 0)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, target_find, AT_FDCWD, f->a[0], WALK_FOLLOW, &f->target);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->v = f->target.at.dentry->vnode;
    if (S_ISDIR(f->v->mode))
        ASYNC_RETURN(-EISDIR);
    f->r = vnode_permission(f->v, W_OK);
    if (f->r == 0)
        f->r = path_writable(&f->target.at);
    if (f->r == 0)
        f->r = vnode_write_begin(f->v);
    f->writes = f->r == 0;
    if (f->r == 0)
        AWAIT(f->r, vnode_truncate, f->v, f->a[1]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->writes)
        vnode_write_end(f->v);
    target_put(&f->target);
    ASYNC_END;
}
SYSCALL_ASYNC(45, truncate, 2);

ASYNC_SYSCALL(sys_ftruncate, struct file *file; long r;)
{
    ASYNC_BEGIN(sys_ftruncate);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file || (f->file->flags & O_PATH))
        ASYNC_RETURN(-EBADF);
    if ((int64_t)f->a[1] < 0 || !f->file->writable || !S_ISREG(f->file->vnode->mode))
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, vnode_truncate, f->file->vnode, f->a[1]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(46, ftruncate, 2);

enum { FALLOC_FL_KEEP_SIZE = 1 };

// Storage is set aside where a file system can; elsewhere growing the size is all there is to do.
ASYNC_DECL(file_allocate, struct file *file; uint32_t mode; uint64_t end;);
ASYNC(file_allocate, struct vnode *v; long r;)
{
    ASYNC_BEGIN(file_allocate);
    f->v = f->file->vnode;
    if (f->mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE)
        ASYNC_RETURN(-EOPNOTSUPP);
    if (!f->file->writable)
        ASYNC_RETURN(-EBADF);
    if (!S_ISREG(f->v->mode))
        ASYNC_RETURN(S_ISFIFO(f->v->mode) ? -ESPIPE : S_ISDIR(f->v->mode) ? -EISDIR : -ENODEV);
    if (f->v->super->max_file && f->end > f->v->super->max_file)
        ASYNC_RETURN(-EFBIG);
    f->r = 0;
    if (f->end > f->v->size && !(f->mode & FALLOC_FL_KEEP_SIZE))
        AWAIT(f->r, vnode_truncate, f->v, f->end);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_SYSCALL(sys_fallocate, struct file *file; int64_t end; long r;)
{
    ASYNC_BEGIN(sys_fallocate);
    f->file = fd_get(t->thread->files, (int32_t)f->a[0]);
    if (!f->file)
        ASYNC_RETURN(-EBADF);
    if ((int64_t)f->a[2] < 0 || (int64_t)f->a[3] <= 0)
        ASYNC_RETURN(-EINVAL);
    if (__builtin_add_overflow((int64_t)f->a[2], (int64_t)f->a[3], &f->end))
        ASYNC_RETURN(-EFBIG);
    AWAIT(f->r, file_allocate, f->file, (uint32_t)f->a[1], (uint64_t)f->end);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}
SYSCALL_ASYNC(47, fallocate, 4);

// ---- mode and owner

static int may_chmod(const struct vnode *v, struct vattr *attr)
{
    if (!vnode_owner(v))
        return -EPERM;
    // Somebody else's group: the setgid bit would hand out its rights.
    if (!fs_can(CAP_FSETID) && !fs_has_group(v->gid) && !S_ISDIR(v->mode))
        attr->mode &= ~(uint32_t)S_ISGID;
    return 0;
}

static int may_chown(const struct vnode *v, struct vattr *attr)
{
    bool gives_away = (attr->mask & ATTR_UID) && attr->uid != v->uid;
    bool foreign = (attr->mask & ATTR_GID) && !fs_has_group(attr->gid);
    if (!fs_can(CAP_CHOWN) && (!vnode_owner(v) || gives_away || foreign))
        return -EPERM;
    if (S_ISREG(v->mode) && (v->mode & 0111) && (v->mode & (S_ISUID | S_ISGID))) {
        attr->mask |= ATTR_MODE; // a program that changes hands loses its privileges
        attr->mode = v->mode & (S_IALLUGO & ~S_ISUID);
        if (v->mode & 010)
            attr->mode &= ~(uint32_t)S_ISGID;
    }
    return 0;
}

static struct vattr owner_attr(uint64_t uid, uint64_t gid)
{
    return (struct vattr){
        .mask = ((uint32_t)uid != -1u ? ATTR_UID : 0) | ((uint32_t)gid != -1u ? ATTR_GID : 0),
        .uid = (uint32_t)uid,
        .gid = (uint32_t)gid,
    };
}

// The checks that all share, and the change.
ASYNC_DECL(change_attr, struct vnode *v; const struct path *at; struct vattr *attr;
           int (*check)(const struct vnode *, struct vattr *););
ASYNC(change_attr, long r;)
{
    ASYNC_BEGIN(change_attr);
    f->r = f->at && f->at->dentry ? path_writable(f->at) : 0;
    if (f->r == 0)
        f->r = f->check(f->v, f->attr);
    if (f->r == 0)
        AWAIT(f->r, vnode_change, f->v, f->attr);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(change_fd, int32_t fd; struct vattr *attr;
           int (*check)(const struct vnode *, struct vattr *););
ASYNC(change_fd, struct file *file; long r;)
{
    ASYNC_BEGIN(change_fd);
    f->file = fd_get(t->thread->files, f->fd);
    if (!f->file || (f->file->flags & O_PATH))
        ASYNC_RETURN(-EBADF);
    AWAIT(f->r, change_attr, f->file->vnode, &f->file->path, f->attr, f->check);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}

ASYNC_DECL(change_at, int32_t dirfd; va_t path; uint32_t walk; struct vattr *attr;
           int (*check)(const struct vnode *, struct vattr *););
ASYNC(change_at, struct target target; struct vnode *v; bool nameless; long r;)
{
    ASYNC_BEGIN(change_at);
    f->target = (struct target){.found = false};
    AWAIT(f->r, target_find, f->dirfd, f->path, f->walk, &f->target);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->nameless = f->target.arg.dir && !f->target.arg.start;
    f->v = f->nameless ? f->target.arg.dir->vnode : f->target.at.dentry->vnode;
    AWAIT(f->r, change_attr, f->v, f->nameless ? NULL : &f->target.at, f->attr, f->check);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    target_put(&f->target);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_fchmod, struct vattr attr; long r;)
{
    ASYNC_BEGIN(sys_fchmod);
    f->attr = (struct vattr){.mask = ATTR_MODE, .mode = (uint32_t)f->a[1] & S_IALLUGO};
    AWAIT(f->r, change_fd, (int32_t)f->a[0], &f->attr, may_chmod);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(52, fchmod, 2);

ASYNC_SYSCALL(sys_fchmodat, struct vattr attr; long r;)
{
    ASYNC_BEGIN(sys_fchmodat);
    f->attr = (struct vattr){.mask = ATTR_MODE, .mode = (uint32_t)f->a[2] & S_IALLUGO};
    AWAIT(f->r, change_at, (int32_t)f->a[0], f->a[1], WALK_FOLLOW, &f->attr, may_chmod);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(53, fchmodat, 3);

ASYNC_SYSCALL(sys_fchownat, struct vattr attr; long r;)
{
    ASYNC_BEGIN(sys_fchownat);
    if ((uint32_t)f->a[4] & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        ASYNC_RETURN(-EINVAL);
    f->attr = owner_attr(f->a[2], f->a[3]);
    AWAIT(f->r, change_at, (int32_t)f->a[0], f->a[1],
          (f->a[4] & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
              (f->a[4] & AT_EMPTY_PATH ? WALK_EMPTY : 0),
          &f->attr, may_chown);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(54, fchownat, 5);

ASYNC_SYSCALL(sys_fchown, struct vattr attr; long r;)
{
    ASYNC_BEGIN(sys_fchown);
    f->attr = owner_attr(f->a[1], f->a[2]);
    AWAIT(f->r, change_fd, (int32_t)f->a[0], &f->attr, may_chown);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(55, fchown, 3);

// ---- times

static int may_set_times(const struct vnode *v, struct vattr *attr)
{
    if (vnode_owner(v))
        return 0;
    bool both_now = attr->mask == (ATTR_ATIME | ATTR_MTIME | ATTR_CTIME); // see times_attr
    return both_now ? vnode_permission(v, W_OK) : -EPERM;
}

static bool valid_time(const struct timespec_k *ts)
{
    return ts->nsec == UTIME_NOW || ts->nsec == UTIME_OMIT ||
           (ts->nsec >= 0 && ts->nsec < 1000000000);
}

// Times are nanoseconds in 64 bits: what lies outside of the years 1678 to 2262 becomes the nearest
// that does not, as Linux does with times a file system cannot hold.
static int64_t time_of(const struct timespec_k *ts, int64_t now)
{
    const int64_t most = INT64_MAX / 1000000000 - 1;
    if (ts->nsec == UTIME_NOW)
        return now;
    if (ts->sec > most || ts->sec < -most)
        return ts->sec > 0 ? most * 1000000000 : -most * 1000000000;
    return ts->sec * 1000000000 + ts->nsec;
}

// ctime is named in the mask only when both times are "now": that needs write permission only.
static int times_attr(const struct timespec_k ts[2], struct vattr *attr)
{
    int64_t now = vnode_now_ns();
    if (!valid_time(&ts[0]) || !valid_time(&ts[1]))
        return -EINVAL;
    attr->mask =
        (ts[0].nsec != UTIME_OMIT ? ATTR_ATIME : 0) | (ts[1].nsec != UTIME_OMIT ? ATTR_MTIME : 0);
    if (ts[0].nsec == UTIME_NOW && ts[1].nsec == UTIME_NOW)
        attr->mask |= ATTR_CTIME;
    attr->atime_ns = time_of(&ts[0], now);
    attr->mtime_ns = time_of(&ts[1], now);
    attr->ctime_ns = now;
    return 0;
}

ASYNC_SYSCALL(sys_utimensat, struct timespec_k ts[2]; struct vattr attr; long r;)
{
    ASYNC_BEGIN(sys_utimensat);
    if ((uint32_t)f->a[3] & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        ASYNC_RETURN(-EINVAL);
    f->ts[0].nsec = f->ts[1].nsec = UTIME_NOW;
    if (f->a[2]) {
        AWAIT(f->r, user_read, t->thread->space, f->ts, f->a[2], sizeof f->ts);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    f->attr = (struct vattr){.mask = 0};
    f->r = times_attr(f->ts, &f->attr);
    if (f->r < 0 || f->attr.mask == 0)
        ASYNC_RETURN(f->r);
    if (!f->a[1]) {
        AWAIT(f->r, change_fd, (int32_t)f->a[0], &f->attr, may_set_times);
        ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, change_at, (int32_t)f->a[0], f->a[1],
          (f->a[3] & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
              (f->a[3] & AT_EMPTY_PATH ? WALK_EMPTY : 0),
          &f->attr, may_set_times);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(88, utimensat, 4);
