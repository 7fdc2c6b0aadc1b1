// SPDX-License-Identifier: MIT
// The mount table, mount(2) and umount(2), and the text of a path (which crosses mounts upwards).
//
// The table is short and changes under dentry_lock; walks that hold no lock cross a mount point within
// an epoch. A dentry that carries a mount has `mounted` set, so walks look into the table only there.
// An attached mount holds one reference on itself; an unmount needs that to be the last but the
// caller's, and takes both at once: whoever finds the mount just then finds no reference to take.
#include "dev/block.h"
#include "fs/dentry.h"
#include "fs/devfs.h"
#include "fs/fsctx.h"
#include "lib/log.h"
#include "page/heap.h"

struct path root_path;
static struct list mounts = LIST_INIT(mounts);
static struct mount *mount_chain; // the same; read with load_acquire, changed under dentry_lock
struct mutex super_mutex = {.lock = SPINLOCK_INIT("supers"),
                            .name = "supers",
                            .waiters = {LIST_INIT(super_mutex.waiters.head)}};
static uint32_t last_mount_id;

struct mount *mount_on(const struct mount *parent, const struct dentry *point)
{
    struct mount *m = load_acquire(&mount_chain);
    while (m && (m->parent != parent || m->point != point))
        m = load_acquire(&m->next);
    return m;
}

static void chain_remove_locked(struct mount *m)
{
    struct mount **at = &mount_chain;
    while (*at != m)
        at = &(*at)->next;
    store_release(at, m->next);
}

struct mount *mount_of_super(const struct super *super)
{
    struct mount *found = NULL;
    spin_lock(&dentry_lock);
    LIST_FOREACH(it, &mounts) {
        struct mount *m = list_entry(it, struct mount, all);
        if (m->super == super) {
            atomic_add32(&m->refs, 1);
            found = m;
            break;
        }
    }
    spin_unlock(&dentry_lock);
    return found;
}

void mount_foreach(bool (*fn)(const struct mount *m, void *arg), void *arg)
{
    spin_lock(&dentry_lock);
    LIST_FOREACH(it, &mounts)
        if (!fn(list_entry(it, struct mount, all), arg))
            break;
    spin_unlock(&dentry_lock);
}

static void free_retired(struct epoch_item *item)
{
    kfree(container_of(item, struct mount, epoch));
}

void mount_free(struct mount *m)
{
    ASSERT(!m->attached);
    dentry_put(m->root);
    if (m->point)
        dentry_put(m->point);
    epoch_retire(&m->epoch, free_retired);
}

// Attaches a super at `at` (taken over on success; NULL: as the root of the tree).
static struct mount *mount_attach(struct super *super, const struct path *at, uint32_t flags)
{
    struct mount *m = kzalloc(sizeof *m);
    struct dentry *root = dentry_new_root(super->root, super);
    if (!m || !root) {
        kfree(m);
        if (root)
            dentry_put(root);
        return NULL;
    }
    m->refs = 1;
    m->flags = flags;
    m->super = super;
    m->root = root;
    super->root_dentry = root;
    super->refs++;
    spin_lock(&dentry_lock);
    m->id = ++last_mount_id;
    m->attached = true;
    if (at) {
        m->parent = at->mount;
        m->point = at->dentry;
        at->dentry->mounted = 1;
    }
    list_push_back(&mounts, &m->all);
    m->next = mount_chain;
    store_release(&mount_chain, m);
    spin_unlock(&dentry_lock);
    return m;
}

int mount_root(struct super *super)
{
    struct mount *m = mount_attach(super, NULL, 0);
    if (!m)
        return -ENOMEM;
    root_path = (struct path){m, dentry_get(m->root)};
    atomic_add32(&m->refs, 1);
    return 0;
}

const struct filesystem *filesystem_find(const char *name)
{
    SET_FOREACH(filesystems, struct filesystem, fs)
        if (strcmp(fs->name, name) == 0)
            return fs;
    return NULL;
}

// Nothing is mounted from it any more: names and vnodes go, then what is dirty, then the super.
ASYNC_DECL(super_shutdown, struct super *super;);
ASYNC(super_shutdown, long r;)
{
    ASYNC_BEGIN(super_shutdown);
    while (dentry_forget_super(f->super))
        YIELD();
    if (f->super->ops && f->super->ops->empty)
        AWAIT_VIA(f->r, super_sync, f->super->ops->empty, f->super);
    AWAIT(f->r, vnode_reaper_flush, f->super, false);
    if (f->super->ops && f->super->ops->sync) {
        AWAIT_VIA(f->r, super_sync, f->super->ops->sync, f->super);
        if (f->r < 0)
            log_error("unmounting %s: error %ld, data may be lost", f->super->source, -f->r);
    }
    vnode_put(f->super->root);
    AWAIT(f->r, vnode_reaper_flush, f->super, true);
    if (f->super->ops && f->super->ops->unmount)
        AWAIT_VIA(f->r, super_unmount, f->super->ops->unmount, f->super);
    super_free(f->super);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- mount(2)

enum {
    MOUNT_KEPT = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
                 MS_RELATIME | MS_SYNCHRONOUS,
    MOUNT_KNOWN = MOUNT_KEPT | MS_REMOUNT | MS_SILENT | MS_STRICTATIME,
};

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// The block device that a path such as /dev/vda names.
static struct block_device *device_of(const struct vnode *v)
{
    return S_ISBLK(v->mode) ? devfs_block_device(v->rdev) : NULL;
}

ASYNC_DECL(mount_device, struct fs_context *fs; const char *source; struct block_device **out;);
ASYNC(mount_device, struct walk w; long r;)
{
    ASYNC_BEGIN(mount_device);
    AWAIT(f->r, path_walk, f->fs, NULL, f->source, WALK_FOLLOW, &f->w);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->r = S_ISBLK(f->w.at.dentry->vnode->mode) ? -ENXIO : -ENOTBLK;
    *f->out = device_of(f->w.at.dentry->vnode);
    path_put(&f->w.at);
    walk_finish(&f->w);
    ASYNC_RETURN(*f->out ? 0 : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// The same thing once more at the same place, as a start-up script does that the kernel preceded.
static bool mounted_already(const struct path *at, const struct filesystem *type,
                            const char *source)
{
    const struct super *super = at->mount->super;
    return at->dentry == at->mount->root && super->fs == type &&
           strncmp(super->source, source, sizeof super->source - 1) == 0;
}

static int remount(const struct path *at, uint32_t flags)
{
    if (at->dentry != at->mount->root)
        return -EINVAL;
    at->mount->flags = flags & MOUNT_KEPT;
    return 0;
}

static bool device_mounted(const struct block_device *bdev)
{
    bool found = false;
    spin_lock(&dentry_lock);
    LIST_FOREACH(it, &mounts)
        found |= list_entry(it, struct mount, all)->super->bdev == bdev;
    spin_unlock(&dentry_lock);
    return found;
}

ASYNC(vfs_mount, struct walk w; bool walked; const struct filesystem *type;
      struct block_device *bdev; struct super *super; long r;)
{
    ASYNC_BEGIN(vfs_mount);
    f->walked = false;
    f->bdev = NULL;
    if (f->flags & ~MOUNT_KNOWN)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, path_walk, f->fs, NULL, f->target, WALK_FOLLOW | WALK_DIRECTORY, &f->w);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->walked = true;
    if (f->flags & MS_REMOUNT)
        ASYNC_RETURN(remount(&f->w.at, f->flags));
    f->type = filesystem_find(f->fstype);
    if (!f->type)
        ASYNC_RETURN(-ENODEV);
    if (mounted_already(&f->w.at, f->type, f->source))
        ASYNC_RETURN(-EBUSY);
    if (f->type->flags & FS_NEEDS_DEVICE) {
        AWAIT(f->r, mount_device, f->fs, f->source, &f->bdev);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->super = devfs_disk_files(f->bdev);
        if (f->super) // what was written to the disk as a file is on it
            AWAIT(f->r, vnode_reaper_flush, f->super, false);
    }
    SHIELD_BEGIN();
    AWAIT(f->r, mutex_lock, &super_mutex, false);
    f->r = f->bdev && device_mounted(f->bdev) ? -EBUSY : 0;
    if (f->r == 0)
        AWAIT_VIA(f->r, fs_mount, f->type->mount, f->type, f->bdev,
                  f->bdev ? last_component(f->source) : f->source, f->flags, f->options, &f->super);
    if (f->r >= 0) {
        if (f->type->flags & FS_NEEDS_DEVICE)
            strncpy(f->super->source, f->source, sizeof f->super->source - 1);
        f->r = mount_attach(f->super, &f->w.at, f->flags & MOUNT_KEPT) ? 0 : -ENOMEM;
        if (f->r == 0) {
            f->walked = false; // the mount holds the directory and the mount above it
            walk_finish(&f->w);
        } else {
            AWAIT(f->r, super_shutdown, f->super);
            f->r = -ENOMEM;
        }
    }
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&super_mutex, t))
        mutex_unlock(&super_mutex, t);
    if (f->walked) {
        path_put(&f->w.at);
        walk_finish(&f->w);
    }
    ASYNC_END;
}

// ---- umount(2)

// Takes m out of the tree if nobody uses it: two references are its own and the caller's, and both go.
static int detach(struct mount *m)
{
    int r = 0;
    spin_lock(&dentry_lock);
    LIST_FOREACH(it, &mounts)
        if (list_entry(it, struct mount, all)->parent == m)
            r = -EBUSY;
    if (r == 0 && atomic_cas32(&m->refs, 2, 0) != 2)
        r = -EBUSY;
    if (r == 0) {
        list_remove(&m->all);
        chain_remove_locked(m);
        m->attached = false;
        m->point->mounted = 0;
        LIST_FOREACH(it, &mounts) // something else may be mounted on the same name elsewhere
            if (list_entry(it, struct mount, all)->point == m->point)
                m->point->mounted = 1;
    }
    spin_unlock(&dentry_lock);
    return r;
}

ASYNC(vfs_umount, struct walk w; bool walked; struct mount *m; struct super *super; long r;)
{
    ASYNC_BEGIN(vfs_umount);
    f->walked = false;
    if (f->flags & ~(MNT_FORCE | UMOUNT_NOFOLLOW))
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, path_walk, f->fs, NULL, f->target, f->flags & UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW,
          &f->w);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->walked = true;
    f->m = f->w.at.mount;
    if (f->w.at.dentry != f->m->root)
        ASYNC_RETURN(-EINVAL);
    if (!f->m->parent)
        ASYNC_RETURN(-EBUSY);
    SHIELD_BEGIN();
    AWAIT(f->r, mutex_lock, &super_mutex, false); // nobody mounts its disk before all is written
    f->r = detach(f->m);
    if (f->r == 0) {
        f->super = f->m->super;
        dentry_put(f->w.at.dentry);
        walk_finish(&f->w);
        f->walked = false;
        if (atomic_add32(&f->m->parent->refs, -1u) == 1)
            mount_free(f->m->parent);
        mount_free(f->m);
        if (--f->super->refs == 0)
            AWAIT(f->r, super_shutdown, f->super);
        f->r = 0;
    }
    SHIELD_END();
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&super_mutex, t))
        mutex_unlock(&super_mutex, t);
    if (f->walked) {
        path_put(&f->w.at);
        walk_finish(&f->w);
    }
    ASYNC_END;
}

// ---- sync(2)

// The super after `prev` in the list; super_mutex keeps both. NULL: that was the last.
static struct super *super_next(struct super *prev)
{
    struct super *next = NULL;
    spin_lock(&super_lock);
    struct list *it = prev ? prev->all.next : super_list.next;
    if (it != &super_list)
        next = list_entry(it, struct super, all);
    spin_unlock(&super_lock);
    return next;
}

ASYNC(vfs_sync, struct super *super; long r; long first;)
{
    ASYNC_BEGIN(vfs_sync);
    f->first = 0;
    f->super = NULL;
    AWAIT(f->r, mutex_lock, &super_mutex, false);
    while ((f->super = super_next(f->super)) != NULL) {
        f->r = 0;
        if (f->super->ops && f->super->ops->sync)
            AWAIT_VIA(f->r, super_sync, f->super->ops->sync, f->super);
        if (f->r < 0 && f->first == 0)
            f->first = f->r;
    }
    ASYNC_RETURN(f->first);
    ASYNC_FINALLY;
    if (mutex_held(&super_mutex, t))
        mutex_unlock(&super_mutex, t);
    ASYNC_END;
}

// ---- the text of a path

char *path_text(const struct path *path, struct fs_context *fs, char *buf, size_t size,
                bool *unreachable)
{
    struct path root = fs ? fs->root : root_path;
    const char *suffix = path->dentry->gone ? " (deleted)" : "";
    char *at = buf + size - 1 - strlen(suffix);
    bool lost = false;
    if (size < 16)
        return NULL;
    strcpy(at, suffix);
    char *end = at;
    spin_lock(&dentry_lock);
    struct dentry *d = path->dentry;
    struct mount *m = path->mount;
    while (d != root.dentry || m != root.mount) {
        if (d == m->root || d->parent == d) {
            if (!m->parent || d != m->root) {
                lost = d != root.dentry;
                break;
            }
            d = m->point;
            m = m->parent;
            continue;
        }
        if (at - buf < d->len + 1) {
            spin_unlock(&dentry_lock);
            return NULL;
        }
        at -= d->len;
        memcpy(at, d->name, d->len);
        *--at = '/';
        d = d->parent;
    }
    spin_unlock(&dentry_lock);
    if (at == end)
        *--at = '/';
    if (unreachable)
        *unreachable = lost;
    return at;
}
