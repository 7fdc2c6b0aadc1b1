// SPDX-License-Identifier: MIT
// tmpfs directories: their entries, and the operations on names.
//
// Entries are in a small hash table by name, and in a list by cookie (a number that only grows), so
// that readdir goes on correctly after any change. The VFS holds the directory's lock throughout.
#include "fs/dentry.h"
#include "fs/tmpfs_impl.h"
#include "page/heap.h"

static uint32_t hash_of(const char *name, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 16777619u;
    return h;
}

static struct tmpfs_entry **slot_of(struct tmpfs_node *dir, const char *name, size_t len)
{
    uint32_t hash = hash_of(name, len);
    if (!dir->buckets)
        return NULL;
    struct tmpfs_entry **at = &dir->bucket[hash & (dir->buckets - 1)];
    for (; *at; at = &(*at)->hash_next)
        if ((*at)->hash == hash && (*at)->len == len && memcmp((*at)->name, name, len) == 0)
            return at;
    return NULL;
}

static bool dir_grow(struct tmpfs_node *dir)
{
    uint32_t n = dir->buckets ? dir->buckets * 4 : 8;
    struct tmpfs_entry **bucket = kzalloc(n * sizeof *bucket);
    if (!bucket)
        return dir->buckets > 0; // longer chains will do
    LIST_FOREACH(it, &dir->entries) {
        struct tmpfs_entry *e = list_entry(it, struct tmpfs_entry, by_cookie);
        e->hash_next = bucket[e->hash & (n - 1)];
        bucket[e->hash & (n - 1)] = e;
    }
    kfree(dir->bucket);
    dir->bucket = bucket;
    dir->buckets = n;
    return true;
}

static struct tmpfs_entry *entry_new(struct tmpfs_node *dir, const char *name, size_t len)
{
    struct tmpfs_entry *e = NULL;
    if (dir->count < dir->buckets * 2 || dir_grow(dir))
        e = kmalloc(sizeof *e + len);
    if (!e)
        return NULL;
    e->hash = hash_of(name, len);
    e->len = (uint16_t)len;
    memcpy(e->name, name, len);
    return e;
}

// e->node's reference is taken over.
static void entry_insert(struct tmpfs_node *dir, struct tmpfs_entry *e)
{
    struct tmpfs_entry **bucket = &dir->bucket[e->hash & (dir->buckets - 1)];
    e->cookie = dir->next_cookie++;
    e->hash_next = *bucket;
    *bucket = e;
    list_push_back(&dir->entries, &e->by_cookie);
    dir->count++;
    dir->v.size = dir->count * 32ul;
    if (S_ISDIR(e->node->v.mode)) {
        e->node->parent = dir;
        dir->v.nlink++;
    }
    vnode_touch(&dir->v);
}

// The name stays, for `with`, which is no directory.
static struct tmpfs_node *entry_change(struct tmpfs_node *dir, struct tmpfs_entry *e,
                                       struct tmpfs_node *with)
{
    struct tmpfs_node *node = e->node;
    e->node = with;
    if (S_ISDIR(node->v.mode))
        dir->v.nlink--;
    vnode_touch(&dir->v);
    return node;
}

static struct tmpfs_node *entry_remove(struct tmpfs_node *dir, struct tmpfs_entry **at)
{
    struct tmpfs_entry *e = *at;
    struct tmpfs_node *node = e->node;
    *at = e->hash_next;
    list_remove(&e->by_cookie);
    if (dir->hint == e)
        dir->hint = NULL;
    dir->count--;
    dir->v.size = dir->count * 32ul;
    if (S_ISDIR(node->v.mode))
        dir->v.nlink--;
    kfree(e);
    vnode_touch(&dir->v);
    return node;
}

long tmpfs_add_entry(struct vnode *dir, const char *name, size_t len, struct tmpfs_node *node,
                     struct vnode **out)
{
    struct tmpfs_entry *e = node ? entry_new(tmpfs_node_of(dir), name, len) : NULL;
    if (!e) {
        if (node)
            vnode_put(&node->v);
        return -ENOMEM;
    }
    e->node = node;
    entry_insert(tmpfs_node_of(dir), e);
    *out = vnode_get(&node->v);
    return 0;
}

ASYNC_IMPL(tmpfs_lookup, vnode_lookup, )
{
    ASYNC_BEGIN(tmpfs_lookup);
    struct tmpfs_entry **at = slot_of(tmpfs_node_of(f->dir), f->name, f->len);
    if (at)
        *f->out = vnode_get(&(*at)->node->v);
    ASYNC_RETURN(at ? 0 : -ENOENT);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_create, vnode_create, )
{
    ASYNC_BEGIN(tmpfs_create);
    struct tmpfs_node *node = tmpfs_node_new(f->dir->super, f->mode);
    if (node)
        node->v.rdev = f->rdev;
    ASYNC_RETURN(tmpfs_add_entry(f->dir, f->name, f->len, node, f->out));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_mkdir, vnode_mkdir, )
{
    ASYNC_BEGIN(tmpfs_mkdir);
    ASYNC_RETURN(
        tmpfs_add_entry(f->dir, f->name, f->len, tmpfs_node_new(f->dir->super, f->mode), f->out));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_symlink, vnode_symlink, )
{
    ASYNC_BEGIN(tmpfs_symlink);
    struct tmpfs_node *node = tmpfs_node_new(f->dir->super, S_IFLNK | 0777);
    if (node && !(node->target = kmalloc(f->target_len))) {
        vnode_put(&node->v);
        node = NULL;
    }
    if (node) {
        memcpy(node->target, f->target, f->target_len);
        node->v.size = f->target_len;
    }
    ASYNC_RETURN(tmpfs_add_entry(f->dir, f->name, f->len, node, f->out));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_link, vnode_link, )
{
    ASYNC_BEGIN(tmpfs_link);
    struct tmpfs_entry *e = entry_new(tmpfs_node_of(f->dir), f->name, f->len);
    if (!e)
        ASYNC_RETURN(-ENOMEM);
    e->node = tmpfs_node_of(vnode_get(f->v));
    f->v->nlink++;
    f->v->ctime_ns = vnode_now_ns();
    entry_insert(tmpfs_node_of(f->dir), e);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

long tmpfs_remove_name(struct vnode *dir, const char *name, size_t len)
{
    struct tmpfs_entry **at = slot_of(tmpfs_node_of(dir), name, len);
    if (!at)
        return -ENOENT;
    struct tmpfs_node *node = (*at)->node;
    if (S_ISDIR(node->v.mode) && node->count)
        return -ENOTEMPTY;
    entry_remove(tmpfs_node_of(dir), at);
    node->v.nlink -= S_ISDIR(node->v.mode) ? 2 : 1;
    node->v.ctime_ns = vnode_now_ns();
    vnode_put(&node->v);
    return 0;
}

ASYNC_IMPL(tmpfs_unlink, vnode_unlink, )
{
    ASYNC_BEGIN(tmpfs_unlink);
    ASYNC_RETURN(tmpfs_remove_name(f->dir, f->name, f->len));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_rmdir, vnode_rmdir, )
{
    ASYNC_BEGIN(tmpfs_rmdir);
    ASYNC_RETURN(tmpfs_remove_name(f->dir, f->name, f->len));
    ASYNC_FINALLY;
    ASYNC_END;
}

// The two names stay where they are and trade what they name.
static void exchange(struct tmpfs_node *da, struct tmpfs_entry *a, struct tmpfs_node *db,
                     struct tmpfs_entry *b)
{
    struct tmpfs_node *node = a->node;
    int a_dir = S_ISDIR(a->node->v.mode), b_dir = S_ISDIR(b->node->v.mode);
    a->node = b->node;
    b->node = node;
    da->v.nlink += (uint32_t)(b_dir - a_dir);
    db->v.nlink += (uint32_t)(a_dir - b_dir);
    if (b_dir)
        a->node->parent = da;
    if (a_dir)
        b->node->parent = db;
    vnode_touch(&da->v);
    vnode_touch(&db->v);
}

// A whiteout leaves a device of number 0 under the old name, as overlays mark what is gone below.
ASYNC_IMPL(tmpfs_rename, vnode_rename, )
{
    ASYNC_BEGIN(tmpfs_rename);
    struct tmpfs_node *from = tmpfs_node_of(f->dir), *to = tmpfs_node_of(f->new_dir);
    struct tmpfs_entry **old = slot_of(from, f->name, f->len);
    struct tmpfs_entry **new = slot_of(to, f->new_name, f->new_len);
    if (!old || (f->target && !new))
        ASYNC_RETURN(-ENOENT);
    if (f->flags & RENAME_EXCHANGE) {
        exchange(from, *old, to, *new);
        ASYNC_RETURN(0);
    }
    if (new &&S_ISDIR((*new)->node->v.mode) && (*new)->node->count)
        ASYNC_RETURN(-ENOTEMPTY);
    bool whiteout = f->flags & RENAME_WHITEOUT;
    struct tmpfs_node *none = whiteout ? tmpfs_node_new(f->dir->super, S_IFCHR) : NULL;
    struct tmpfs_entry *e = none || !whiteout ? entry_new(to, f->new_name, f->new_len) : NULL;
    if (none)
        vnode_own_by_caller(&none->v, f->dir);
    if (!e) {
        if (none)
            vnode_put(&none->v);
        ASYNC_RETURN(-ENOMEM);
    }
    if (new)
        tmpfs_remove_name(f->new_dir, f->new_name, f->new_len);
    old = slot_of(from, f->name, f->len);
    e->node = none ? entry_change(from, *old, none) : entry_remove(from, old);
    entry_insert(to, e);
    f->v->ctime_ns = vnode_now_ns();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_readlink, vnode_readlink, )
{
    ASYNC_BEGIN(tmpfs_readlink);
    size_t n = f->v->size < f->size ? f->v->size : f->size;
    memcpy(f->buf, tmpfs_node_of(f->v)->target, n);
    ASYNC_RETURN((long)n);
    ASYNC_FINALLY;
    ASYNC_END;
}

// A position in a directory is a cookie: it has no end that is known, nor holes.
long tmpfs_dir_seek(struct file *file, int64_t offset, int whence)
{
    if (whence != SEEK_SET && whence != SEEK_CUR)
        return -EINVAL;
    return file_seek_default(file, offset, whence);
}

// The first entry at or after a cookie.
static struct list *entry_at(struct tmpfs_node *dir, int64_t cookie)
{
    struct list *it = dir->entries.next;
    if (dir->hint && dir->hint->cookie <= cookie)
        it = &dir->hint->by_cookie;
    while (it != &dir->entries && list_entry(it, struct tmpfs_entry, by_cookie)->cookie < cookie)
        it = it->next;
    return it;
}

ASYNC_IMPL(tmpfs_readdir, vnode_readdir, )
{
    ASYNC_BEGIN(tmpfs_readdir);
    struct tmpfs_node *dir = tmpfs_node_of(f->dir);
    struct tmpfs_node *parent = dir->parent ? dir->parent : dir;
    if (!dir_emit_dots(f->sink, f->dir, parent->v.ino))
        ASYNC_RETURN(0);
    struct list *it = entry_at(dir, f->sink->pos);
    for (; it != &dir->entries; it = it->next) {
        struct tmpfs_entry *e = list_entry(it, struct tmpfs_entry, by_cookie);
        dir->hint = e;
        if (!f->sink->emit(f->sink, e->name, e->len, e->node->v.ino, DT_OF_MODE(e->node->v.mode),
                           e->cookie + 1))
            break;
        f->sink->pos = e->cookie + 1;
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
