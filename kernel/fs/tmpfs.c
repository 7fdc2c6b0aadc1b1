// SPDX-License-Identifier: MIT
// tmpfs: files that live in memory, with directories, links, devices and FIFOs. The root of the tree.
//
// A directory keeps its entries twice: in a small hash table by name, and in a list by cookie (a
// number that only grows), so that readdir goes on correctly after any change. Regular files have
// a memory object without a store: pages appear zeroed and are never written anywhere.
#include "fs/tmpfs.h"

#include "mem/phys.h"
#include "page/frame.h"
#include "page/heap.h"

#include <stdlib.h>
#include <string.h>

enum { TMPFS_MAGIC = 0x01021994, FIRST_COOKIE = 2 };

struct tmpfs_entry {
    struct tmpfs_entry *hash_next;
    struct list by_cookie;
    int64_t cookie;
    struct tmpfs_node *node;    // holds one reference on its vnode
    uint32_t hash;
    uint16_t len;
    char name[];
};

struct tmpfs_node {
    struct vnode v;             // first
    union {
        struct phys pages;      // regular file
        struct {                // directory
            struct tmpfs_entry **bucket;
            uint32_t buckets, count;
            struct list entries;
            int64_t next_cookie;
            struct tmpfs_entry *hint;   // where the last readdir stopped
            struct tmpfs_node *parent;  // not referenced: alive while it has this entry
        };
        char *target;           // symbolic link
    };
};

struct tmpfs {
    uint64_t next_ino;
    uint64_t nodes;
};

static const struct vnode_ops tmpfs_ops;

static struct tmpfs_node *node_of(struct vnode *v)
{
    return (struct tmpfs_node *)v;
}

static const struct phys_ops tmpfs_phys_ops = {.get = vnode_phys_get, .put = vnode_phys_put};

static char *strdup_kernel(const char *text)
{
    char *copy = kmalloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

static struct tmpfs_node *node_new(struct super *super, uint32_t mode)
{
    struct tmpfs *fs = super->priv;
    struct tmpfs_node *node = kzalloc(sizeof *node);
    if (!node)
        return NULL;
    vnode_init(&node->v, super, &tmpfs_ops, atomic_add64(&fs->next_ino, 1) + 1, mode);
    atomic_add64(&fs->nodes, 1);
    if (S_ISREG(mode)) {
        phys_init(&node->pages, PHYS_FILE, &tmpfs_phys_ops, &node->v, 0);
        node->v.pages = &node->pages;
    } else if (S_ISDIR(mode)) {
        list_init(&node->entries);
        node->next_cookie = FIRST_COOKIE;
    }
    return node;
}

static void tmpfs_free_vnode(struct vnode *v)
{
    struct tmpfs_node *node = node_of(v);
    struct tmpfs *fs = v->super->priv;
    if (S_ISDIR(v->mode))
        kfree(node->bucket);
    else if (S_ISLNK(v->mode))
        kfree(node->target);
    if (fs)
        atomic_add64(&fs->nodes, -1ull);
    kfree(node);
}

// ---- directories

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
        return dir->buckets > 0;    // longer chains will do
    LIST_FOREACH (it, &dir->entries) {
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

static long add(struct vnode *dir, const char *name, size_t len, struct tmpfs_node *node,
                struct vnode **out)
{
    struct tmpfs_entry *e = node ? entry_new(node_of(dir), name, len) : NULL;
    if (!e) {
        if (node)
            vnode_put(&node->v);
        return -ENOMEM;
    }
    e->node = node;
    entry_insert(node_of(dir), e);
    *out = vnode_get(&node->v);
    return 0;
}

ASYNC_IMPL(tmpfs_lookup, vnode_lookup, )
{
    ASYNC_BEGIN(tmpfs_lookup);
    struct tmpfs_entry **at = slot_of(node_of(f->dir), f->name, f->len);
    if (at)
        *f->out = vnode_get(&(*at)->node->v);
    ASYNC_RETURN(at ? 0 : -ENOENT);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_create, vnode_create, )
{
    ASYNC_BEGIN(tmpfs_create);
    struct tmpfs_node *node = node_new(f->dir->super, f->mode);
    if (node)
        node->v.rdev = f->rdev;
    ASYNC_RETURN(add(f->dir, f->name, f->len, node, f->out));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_mkdir, vnode_mkdir, )
{
    ASYNC_BEGIN(tmpfs_mkdir);
    ASYNC_RETURN(add(f->dir, f->name, f->len, node_new(f->dir->super, f->mode), f->out));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_symlink, vnode_symlink, )
{
    ASYNC_BEGIN(tmpfs_symlink);
    struct tmpfs_node *node = node_new(f->dir->super, S_IFLNK | 0777);
    if (node && !(node->target = kmalloc(f->target_len))) {
        vnode_put(&node->v);
        node = NULL;
    }
    if (node) {
        memcpy(node->target, f->target, f->target_len);
        node->v.size = f->target_len;
    }
    ASYNC_RETURN(add(f->dir, f->name, f->len, node, f->out));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_link, vnode_link, )
{
    ASYNC_BEGIN(tmpfs_link);
    struct tmpfs_entry *e = entry_new(node_of(f->dir), f->name, f->len);
    if (!e)
        ASYNC_RETURN(-ENOMEM);
    e->node = node_of(vnode_get(f->v));
    f->v->nlink++;
    f->v->ctime_ns = vnode_now_ns();
    entry_insert(node_of(f->dir), e);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long remove_name(struct vnode *dir, const char *name, size_t len)
{
    struct tmpfs_entry **at = slot_of(node_of(dir), name, len);
    if (!at)
        return -ENOENT;
    struct tmpfs_node *node = (*at)->node;
    if (S_ISDIR(node->v.mode) && node->count)
        return -ENOTEMPTY;
    entry_remove(node_of(dir), at);
    node->v.nlink -= S_ISDIR(node->v.mode) ? 2 : 1;
    node->v.ctime_ns = vnode_now_ns();
    vnode_put(&node->v);
    return 0;
}

ASYNC_IMPL(tmpfs_unlink, vnode_unlink, )
{
    ASYNC_BEGIN(tmpfs_unlink);
    ASYNC_RETURN(remove_name(f->dir, f->name, f->len));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tmpfs_rmdir, vnode_rmdir, )
{
    ASYNC_BEGIN(tmpfs_rmdir);
    ASYNC_RETURN(remove_name(f->dir, f->name, f->len));
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

ASYNC_IMPL(tmpfs_rename, vnode_rename, )
{
    ASYNC_BEGIN(tmpfs_rename);
    struct tmpfs_node *from = node_of(f->dir), *to = node_of(f->new_dir);
    struct tmpfs_entry **old = slot_of(from, f->name, f->len);
    struct tmpfs_entry **new = slot_of(to, f->new_name, f->new_len);
    if (!old || (f->target && !new))
        ASYNC_RETURN(-ENOENT);
    if (f->flags & RENAME_EXCHANGE) {
        exchange(from, *old, to, *new);
        ASYNC_RETURN(0);
    }
    if (new && S_ISDIR((*new)->node->v.mode) && (*new)->node->count)
        ASYNC_RETURN(-ENOTEMPTY);
    struct tmpfs_entry *e = entry_new(to, f->new_name, f->new_len);
    if (!e)
        ASYNC_RETURN(-ENOMEM);
    if (new)
        remove_name(f->new_dir, f->new_name, f->new_len);
    e->node = entry_remove(from, slot_of(from, f->name, f->len));
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
    memcpy(f->buf, node_of(f->v)->target, n);
    ASYNC_RETURN((long)n);
    ASYNC_FINALLY;
    ASYNC_END;
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
    struct tmpfs_node *dir = node_of(f->dir);
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

static void tmpfs_getattr(struct vnode *v, struct stat_k *st)
{
    vnode_getattr_default(v, st);
    if (v->pages)
        st->blocks = (int64_t)(load_relaxed(&v->pages->pages) * (PAGE_SIZE / 512));
    else
        st->blocks = 0;
}

static const struct vnode_ops tmpfs_ops = {
    .lookup = &tmpfs_lookup_fn,
    .create = &tmpfs_create_fn,
    .mkdir = &tmpfs_mkdir_fn,
    .symlink = &tmpfs_symlink_fn,
    .link = &tmpfs_link_fn,
    .unlink = &tmpfs_unlink_fn,
    .rmdir = &tmpfs_rmdir_fn,
    .rename = &tmpfs_rename_fn,
    .readlink = &tmpfs_readlink_fn,
    .readdir = &tmpfs_readdir_fn,
    .getattr = tmpfs_getattr,
    .free_vnode = tmpfs_free_vnode,
};

// ---- the file system

static void tmpfs_statfs(struct super *super, struct statfs_k *st)
{
    (void)super;
    st->bsize = st->frsize = PAGE_SIZE;
    st->blocks = (int64_t)frame_total();
    st->bfree = st->bavail = (int64_t)frame_free_count();
    st->namelen = NAME_MAX;
}

// Empties a tree whose names nobody uses any more: leaf entries first, without recursion.
static void empty_tree(struct tmpfs_node *root)
{
    struct tmpfs_node *dir = root;
    for (;;) {
        if (dir->count == 0) {
            if (dir == root)
                return;
            struct tmpfs_node *parent = dir->parent;
            struct tmpfs_entry *e = list_entry(parent->entries.next, struct tmpfs_entry, by_cookie);
            remove_name(&parent->v, e->name, e->len);
            dir = parent;
            continue;
        }
        struct tmpfs_entry *e = list_entry(dir->entries.next, struct tmpfs_entry, by_cookie);
        if (S_ISDIR(e->node->v.mode) && e->node->count)
            dir = e->node;
        else
            remove_name(&dir->v, e->name, e->len);
    }
}

ASYNC_IMPL(tmpfs_unmount, super_unmount, )
{
    ASYNC_BEGIN(tmpfs_unmount);
    kfree(f->super->priv);
    f->super->priv = NULL;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void tmpfs_empty(struct super *super)
{
    empty_tree(node_of(super->root));
}

static const struct super_ops tmpfs_super_ops = {
    .statfs = tmpfs_statfs,
    .empty = tmpfs_empty,
    .unmount = &tmpfs_unmount_fn,
};

struct super *tmpfs_super(const struct filesystem *type, const char *source, uint32_t mode,
                          uint32_t mount_flags)
{
    struct super *super = super_new(type, &tmpfs_super_ops, NULL, source);
    struct tmpfs *fs = kzalloc(sizeof *fs);
    struct tmpfs_node *root = NULL;
    if (super && fs) {
        super->priv = fs;
        super->magic = TMPFS_MAGIC;
        super->flags = SUPER_NEGATIVE | (mount_flags & MS_RDONLY ? SUPER_RDONLY : 0);
        root = node_new(super, S_IFDIR | mode);
    }
    if (!root) {
        kfree(fs);
        if (super)
            super_free(super);
        return NULL;
    }
    super->root = &root->v;
    return super;
}

struct vnode *tmpfs_add(struct vnode *dir, const char *name, uint32_t mode, uint64_t rdev,
                        const char *target)
{
    struct tmpfs_node *node = node_new(dir->super, mode);
    struct vnode *v = NULL;
    if (node && target && !(node->target = strdup_kernel(target))) {
        vnode_put(&node->v);
        return NULL;
    }
    if (node) {
        node->v.rdev = rdev;
        node->v.size = target ? strlen(target) : 0;
    }
    if (add(dir, name, strlen(name), node, &v) < 0)
        return NULL;
    vnode_put(v);   // the directory's reference keeps it
    return v;
}

// Options: mode=OCTAL; size= and nr_inodes= are accepted by Linux and would not be kept here.
static int parse_options(const char *options, uint32_t *mode)
{
    if (strncmp(options, "mode=", 5) == 0) {
        char *end;
        *mode = (uint32_t)strtoul(options + 5, &end, 8) & S_IALLUGO;
        options = end;
    }
    return *options ? -EINVAL : 0;
}

ASYNC_IMPL(tmpfs_mount, fs_mount, )
{
    ASYNC_BEGIN(tmpfs_mount);
    uint32_t mode = S_ISVTX | 0777;
    if (parse_options(f->options, &mode) < 0)
        ASYNC_RETURN(-EINVAL);
    *f->out = tmpfs_super(f->fs, f->source, mode, f->flags);
    ASYNC_RETURN(*f->out ? 0 : -ENOMEM);
    ASYNC_FINALLY;
    ASYNC_END;
}

FILESYSTEM(tmpfs, tmpfs_mount, 0);
