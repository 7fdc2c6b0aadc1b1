// SPDX-License-Identifier: MIT
// What files are: stat in its forms, access, readlink, statfs.
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/fs_path.h"
#include "syscall/syscall.h"

static void attributes(struct vnode *v, struct stat_k *st)
{
    if (v->ops->getattr)
        v->ops->getattr(v, st);
    else
        vnode_getattr_default(v, st);
}

// ---- stat

static long sys_fstat(uint64_t fd, va_t out)
{
    bool referenced;
    struct file *file = fd_borrow(thread_current()->files, fd, &referenced);
    struct stat_k st;
    if (!file)
        return -EBADF;
    attributes(file->vnode, &st);
    fd_unborrow(file, referenced);
    return user_copy_out(thread_current()->space, out, &st, sizeof st);
}

SYSCALL(80, fstat, 2);

enum { STAT_FLAGS = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH };

static uint32_t walk_of(uint64_t at_flags)
{
    return (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
           (at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
}

static long try_newfstatat(int32_t dirfd, va_t path, va_t out, uint32_t flags)
{
    struct short_path p;
    struct walk w;
    struct stat_k st;
    if (flags & ~STAT_FLAGS)
        return -EINVAL;
    long r = short_path_get(&p, dirfd, path);
    if (r == 0 && p.text[0] == '\0')
        r = -EAGAIN;
    if (r == 0)
        r = path_walk_fast(thread_current()->fs, p.start, p.text, walk_of(flags), &w);
    short_path_put(&p);
    if (r == -EAGAIN)
        return syscall_go_async();
    if (r < 0)
        return r;
    attributes(w.at.dentry->vnode, &st);
    path_put(&w.at);
    return user_copy_out(thread_current()->space, out, &st, sizeof st);
}

// The vnode that dirfd, path and AT_* flags name, referenced. Also of descriptors without a name.
ASYNC_DECL(vnode_at, int32_t dirfd; va_t path; uint32_t flags; struct vnode **out;);
ASYNC(vnode_at, struct target target; long r;)
{
    ASYNC_BEGIN(vnode_at);
    f->target = (struct target){.found = false};
    AWAIT(f->r, target_find, f->dirfd, f->path, walk_of(f->flags), &f->target);
    if (f->r == 0) {
        struct file *dir = f->target.arg.dir;
        bool nameless = dir && !f->target.arg.start && f->target.arg.text[0] == '\0';
        *f->out = vnode_get(nameless ? dir->vnode : f->target.at.dentry->vnode);
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    target_put(&f->target);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_newfstatat, struct vnode *v; struct stat_k st; long r;)
{
    ASYNC_BEGIN(sys_newfstatat);
    if ((uint32_t)f->a[3] & ~(uint32_t)STAT_FLAGS)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, vnode_at, (int32_t)f->a[0], f->a[1], (uint32_t)f->a[3], &f->v);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    attributes(f->v, &f->st);
    vnode_put(f->v);
    AWAIT(f->r, user_write, t->thread->space, f->a[2], &f->st, sizeof f->st);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_TRY(79, newfstatat, 4);

enum { STATX_BASIC_STATS = 0x7ff, STATX_RESERVED = 1u << 31 };

static struct statx_timestamp_k statx_time(struct timespec_k ts)
{
    return (struct statx_timestamp_k){.sec = ts.sec, .nsec = (uint32_t)ts.nsec};
}

static void to_statx(const struct stat_k *st, struct statx_k *sx)
{
    *sx = (struct statx_k){
        .mask = STATX_BASIC_STATS,
        .blksize = (uint32_t)st->blksize,
        .nlink = st->nlink,
        .uid = st->uid,
        .gid = st->gid,
        .mode = (uint16_t)st->mode,
        .ino = st->ino,
        .size = (uint64_t)st->size,
        .blocks = (uint64_t)st->blocks,
        .atime = statx_time(st->atime),
        .ctime = statx_time(st->ctime),
        .mtime = statx_time(st->mtime),
        .rdev_major = DEV_MAJOR(st->rdev),
        .rdev_minor = DEV_MINOR(st->rdev),
        .dev_major = DEV_MAJOR(st->dev),
        .dev_minor = DEV_MINOR(st->dev),
    };
}

ASYNC_SYSCALL(sys_statx, struct vnode *v; struct stat_k st; struct statx_k sx; long r;)
{
    ASYNC_BEGIN(sys_statx);
    if (((uint32_t)f->a[2] & ~(uint32_t)(STAT_FLAGS | AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC)) ||
        (f->a[3] & STATX_RESERVED) ||
        (f->a[2] & (AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC)) ==
            (AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC))
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, vnode_at, (int32_t)f->a[0], f->a[1], (uint32_t)f->a[2], &f->v);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    attributes(f->v, &f->st);
    vnode_put(f->v);
    to_statx(&f->st, &f->sx);
    AWAIT(f->r, user_write, t->thread->space, f->a[4], &f->sx, sizeof f->sx);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(291, statx, 5);

// ---- access: by the real ids, unless AT_EACCESS

static int access_by_real_ids(const struct vnode *v, uint32_t mode)
{
    struct credentials cred = *cred_current();
    cred.fsuid = cred.uid;
    cred.fsgid = cred.gid;
    cred.effective = cred.uid ? 0 : cred.permitted;
    return vnode_permission_of(v, mode, &cred);
}

ASYNC_DECL(access_at, int32_t dirfd; va_t path; uint32_t mode; uint32_t flags;);
ASYNC(access_at, struct target target; struct vnode *v; long r;)
{
    ASYNC_BEGIN(access_at);
    f->target = (struct target){.found = false};
    if ((f->mode & ~7u) || (f->flags & ~(uint32_t)(STAT_FLAGS | AT_EACCESS)))
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, target_find, f->dirfd, f->path, walk_of(f->flags), &f->target);
    if (f->r < 0 || f->mode == F_OK)
        ASYNC_RETURN(f->r);
    f->v = f->target.at.dentry->vnode;
    f->r =
        f->flags & AT_EACCESS ? vnode_permission(f->v, f->mode) : access_by_real_ids(f->v, f->mode);
    bool stored = S_ISREG(f->v->mode) || S_ISDIR(f->v->mode) || S_ISLNK(f->v->mode);
    if (f->r == 0 && (f->mode & W_OK) && stored)
        f->r = path_writable(&f->target.at);
    if (f->r == 0 && (f->mode & X_OK) && S_ISREG(f->v->mode) &&
        (f->target.at.mount->flags & MS_NOEXEC))
        f->r = -EACCES;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    target_put(&f->target);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_faccessat, long r;)
{
    ASYNC_BEGIN(sys_faccessat);
    AWAIT(f->r, access_at, (int32_t)f->a[0], f->a[1], (uint32_t)f->a[2], 0);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(48, faccessat, 3);

ASYNC_SYSCALL(sys_faccessat2, long r;)
{
    ASYNC_BEGIN(sys_faccessat2);
    AWAIT(f->r, access_at, (int32_t)f->a[0], f->a[1], (uint32_t)f->a[2], (uint32_t)f->a[3]);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(439, faccessat2, 4);

// ---- readlink

ASYNC_SYSCALL(sys_readlinkat, struct target target; struct vnode * v; char *text; long r; long w;)
{
    ASYNC_BEGIN(sys_readlinkat);
    f->text = NULL;
    f->target = (struct target){.found = false};
    if ((int32_t)f->a[3] <= 0)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, target_find, (int32_t)f->a[0], f->a[1], WALK_EMPTY, &f->target);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->v = f->target.at.dentry->vnode;
    if (!S_ISLNK(f->v->mode) || !f->v->ops->readlink)
        ASYNC_RETURN(f->target.arg.text[0] ? -EINVAL : -ENOENT);
    f->text = kmalloc(PATH_MAX);
    if (!f->text)
        ASYNC_RETURN(-ENOMEM);
    AWAIT_VIA(f->r, vnode_readlink, f->v->ops->readlink, f->v, f->text, PATH_MAX);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->r > (int32_t)f->a[3])
        f->r = (int32_t)f->a[3];
    AWAIT(f->w, user_write, t->thread->space, f->a[2], f->text, (size_t)f->r);
    ASYNC_RETURN(f->w < 0 ? f->w : f->r);
    ASYNC_FINALLY;
    kfree(f->text);
    target_put(&f->target);
    ASYNC_END;
}
SYSCALL_ASYNC(78, readlinkat, 4);

// ---- statfs

enum { ST_RDONLY = 1, ST_NOSUID = 2, ST_NODEV = 4, ST_NOEXEC = 8, ST_VALID = 0x20 };

static void describe_super(struct super *super, const struct mount *mount, struct statfs_k *st)
{
    *st = (struct statfs_k){.type = (int64_t)super->magic, .namelen = NAME_MAX};
    if (super->ops && super->ops->statfs)
        super->ops->statfs(super, st);
    st->fsid[0] = (int32_t)super->dev;
    if (!st->frsize)
        st->frsize = st->bsize;
    uint32_t flags = mount ? mount->flags : 0;
    st->flags = ST_VALID | (flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC));
    if (super->flags & SUPER_RDONLY)
        st->flags |= ST_RDONLY;
}

ASYNC_SYSCALL(sys_statfs, struct target target; struct statfs_k st; long r;)
{
    ASYNC_BEGIN(sys_statfs);
    f->target = (struct target){.found = false};
    AWAIT(f->r, target_find, AT_FDCWD, f->a[0], WALK_FOLLOW, &f->target);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    describe_super(f->target.at.mount->super, f->target.at.mount, &f->st);
    AWAIT(f->r, user_write, t->thread->space, f->a[1], &f->st, sizeof f->st);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    target_put(&f->target);
    ASYNC_END;
}
SYSCALL_ASYNC(43, statfs, 2);

static long sys_fstatfs(int32_t fd, va_t out)
{
    struct statfs_k st;
    struct file *file = fd_get(thread_current()->files, fd);
    if (!file)
        return -EBADF;
    describe_super(file->vnode->super, file->path.mount, &st);
    file_put(file);
    return user_copy_out(thread_current()->space, out, &st, sizeof st);
}
SYSCALL(44, fstatfs, 2);
