// SPDX-License-Identifier: MIT
// devpts: the names of the pseudo terminals, usually at /dev/pts.
//
// Nothing is stored here: a lookup makes a vnode for a terminal that there is. Every mount shows all of
// them. Mount options gid= and mode= say whose new ones are.
#include "fs/path.h"
#include "fs/pty.h"
#include "page/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEVPTS_MAGIC = 0x1cd1,
    INO_ROOT = 1,
    INO_PTMX = 2,
    INO_FIRST = 3,
    POS_FIRST = 3,
    AT_ONCE = 64
};

static const struct vnode_ops devpts_ops;

static struct vnode *node_new(struct super *super, uint64_t ino, uint32_t mode, uint64_t rdev)
{
    struct vnode *v = kzalloc(sizeof *v);
    if (!v)
        return NULL;
    vnode_init(v, super, &devpts_ops, ino, mode);
    v->rdev = rdev;
    if (DEV_MAJOR(rdev) == PTS_MAJOR)
        v->file_ops = &pts_file_ops;
    return v;
}

static bool parse_index(const char *name, size_t len, uint32_t *index)
{
    *index = 0;
    if (len == 0 || len > 5 || (name[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        *index = *index * 10 + (uint32_t)(name[i] - '0');
    }
    return true;
}

static long lookup(struct super *super, const char *name, size_t len, struct vnode **out)
{
    uint32_t index;
    if (len == 4 && memcmp(name, "ptmx", 4) == 0) {
        *out = node_new(super, INO_PTMX, S_IFCHR, MAKEDEV(5, 2));
        return *out ? 0 : -ENOMEM;
    }
    struct pty *p = parse_index(name, len, &index) ? pty_find(index) : NULL;
    if (!p)
        return -ENOENT;
    struct vnode *v = node_new(super, INO_FIRST + index, S_IFCHR, p->tty.dev);
    if (v) {
        v->priv = (void *)(uintptr_t)p->tty.id;
        pty_load_owner(v);
        v->atime_ns = v->mtime_ns = v->ctime_ns = p->made_ns;
    }
    tty_put(&p->tty);
    *out = v;
    return v ? 0 : -ENOMEM;
}

ASYNC_IMPL(devpts_lookup, vnode_lookup, )
{
    ASYNC_BEGIN(devpts_lookup);
    ASYNC_RETURN(lookup(f->dir->super, f->name, f->len, f->out));
    ASYNC_FINALLY;
    ASYNC_END;
}

static bool emit_one(struct dir_sink *sink, uint32_t index)
{
    char name[12];
    int n = snprintf(name, sizeof name, "%u", (unsigned)index);
    int64_t next = POS_FIRST + (int64_t)index + 1;
    if (!sink->emit(sink, name, (size_t)n, INO_FIRST + index, DT_OF_MODE(S_IFCHR), next))
        return false;
    sink->pos = next;
    return true;
}

ASYNC_IMPL(devpts_readdir, vnode_readdir, )
{
    ASYNC_BEGIN(devpts_readdir);
    uint32_t index[AT_ONCE];
    struct dir_sink *sink = f->sink;
    if (!dir_emit_dots(sink, f->dir, INO_ROOT))
        ASYNC_RETURN(0);
    if (sink->pos < POS_FIRST) {
        if (!sink->emit(sink, "ptmx", 4, INO_PTMX, DT_OF_MODE(S_IFCHR), POS_FIRST))
            ASYNC_RETURN(0);
        sink->pos = POS_FIRST;
    }
    for (;;) {
        size_t n = pty_list((uint32_t)(sink->pos - POS_FIRST), index, AT_ONCE);
        for (size_t i = 0; i < n; i++)
            if (!emit_one(sink, index[i]))
                ASYNC_RETURN(0);
        if (n < AT_ONCE)
            ASYNC_RETURN(0);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// Several vnodes may stand for one terminal: what they show is kept with it.
static void devpts_getattr(struct vnode *v, struct stat_k *st)
{
    pty_load_owner(v);
    vnode_getattr_default(v, st);
}

// The caller was asked whether it owns v, which may have another owner since.
static int change(struct vnode *v, const struct vattr *a)
{
    uint32_t asked = v->uid;
    if (pty_load_owner(v) && v->uid != asked && !vnode_owner(v))
        return -EPERM;
    vnode_set_fields(v, a);
    pty_store_owner(v);
    return 0;
}

ASYNC_IMPL(devpts_setattr, vnode_setattr, )
{
    ASYNC_BEGIN(devpts_setattr);
    ASYNC_RETURN(change(f->v, f->attr));
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct vnode_ops devpts_ops = {
    .lookup = &devpts_lookup_fn,
    .readdir = &devpts_readdir_fn,
    .getattr = devpts_getattr,
    .setattr = &devpts_setattr_fn,
};

static void devpts_statfs(struct super *super, struct statfs_k *st)
{
    (void)super;
    st->bsize = st->frsize = PAGE_SIZE;
    st->namelen = NAME_MAX;
}

static const struct super_ops devpts_super_ops = {.statfs = devpts_statfs};

static bool parse_number(const char *o, size_t len, int base, uint32_t *out)
{
    char *end;
    unsigned long n = strtoul(o, &end, base);
    if (len == 0 || end != o + len)
        return false;
    *out = (uint32_t)n;
    return true;
}

// Options about instances of their own ask for what is not here, or for nothing.
static bool parse_option(const char *o, size_t len)
{
    uint32_t ignored;
    if (strncmp(o, "gid=", 4) == 0)
        return parse_number(o + 4, len - 4, 10, &pts_gid);
    if (strncmp(o, "mode=", 5) == 0)
        return parse_number(o + 5, len - 5, 8, &pts_mode);
    if (strncmp(o, "ptmxmode=", 9) == 0)
        return parse_number(o + 9, len - 9, 8, &ignored);
    return len == strlen("newinstance") && strncmp(o, "newinstance", len) == 0;
}

static bool parse_options(const char *o)
{
    bool ok = true;
    while (*o && ok) {
        size_t len = strcspn(o, ",");
        ok = len == 0 || parse_option(o, len);
        o += len + (o[len] == ',');
    }
    return ok;
}

ASYNC_IMPL(devpts_mount, fs_mount, )
{
    ASYNC_BEGIN(devpts_mount);
    if (!parse_options(f->options))
        ASYNC_RETURN(-EINVAL);
    struct super *super = super_new(f->fs, &devpts_super_ops, NULL, f->source);
    struct vnode *root = super ? node_new(super, INO_ROOT, S_IFDIR | 0755, 0) : NULL;
    if (!root) {
        if (super)
            super_free(super);
        ASYNC_RETURN(-ENOMEM);
    }
    super->magic = DEVPTS_MAGIC;
    super->flags = SUPER_NO_CACHE | (f->flags & MS_RDONLY ? SUPER_RDONLY : 0);
    super->root = root;
    *f->out = super;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

FILESYSTEM(devpts, devpts_mount, 0);
