// SPDX-License-Identifier: MIT
// The walk from a path to a place in the tree.
//
// One stepping function serves both walks. It goes as far as the dentry cache leads, under
// dentry_lock and without references, and stops with a result, an error, or a request: a name to
// be looked up, a link to be read. The plain walk gives up at a request; the async one serves it
// and steps on. Iterative: a link's text is put before the rest of the path.
#include "fs/dentry.h"
#include "fs/fsctx.h"
#include "page/heap.h"
#include "task/caps.h"

#include <string.h>

enum { RUN_LOOKUP = 1, RUN_LINK = 2, LINK_BUFFER = 2 * PATH_MAX };

struct walker {
    struct fs_context *fs;
    struct path at; // referenced while `held`, else only a start
    const char *p;  // rest of the path
    uint32_t flags, links;
    bool held;
    bool waits;       // the async walk: keep references when stopping at a request
    bool checked;     // not the superuser: search permission is looked at
    const char *name; // RUN_LOOKUP: what to look up in `at`
    uint32_t len, hash;
    struct dentry *child; // the answer; referenced
    struct vnode *link;   // RUN_LINK: referenced
    char *buffer;         // LINK_BUFFER bytes: link text and rest, once a link was met
};

void walk_finish(struct walk *w)
{
    kfree(w->buffer);
    w->buffer = NULL;
}

static struct path context_root(const struct fs_context *fs)
{
    return fs ? fs->root : root_path;
}

// Down onto whatever is mounted there, possibly several times. dentry_lock held.
static void step_onto_mounts(struct path *at)
{
    while (at->dentry->mounted) {
        struct mount *m = mount_on(at->mount, at->dentry);
        if (!m)
            return;
        at->mount = m;
        at->dentry = m->root;
    }
}

void path_onto_mounts(struct path *at)
{
    while (load_relaxed(&at->dentry->mounted)) {
        uint64_t outer = epoch_enter();
        struct mount *m = mount_on(at->mount, at->dentry);
        bool got = m && ref_get_unless_zero(&m->refs);
        epoch_leave(outer);
        if (!got) // unmounted just now, or mounted on elsewhere
            return;
        path_put(at);
        *at = (struct path){m, dentry_get(m->root)};
    }
}

static void step_up(struct path *at, const struct path *root)
{
    while (at->dentry == at->mount->root && at->mount->parent) {
        if (at->dentry == root->dentry && at->mount == root->mount)
            return;
        at->dentry = at->mount->point;
        at->mount = at->mount->parent;
    }
    if (at->dentry == root->dentry && at->mount == root->mount)
        return;
    at->dentry = at->dentry->parent;
    step_onto_mounts(at);
}

static void path_get_at(struct walker *w, const struct path *at)
{
    path_get(at);
    w->at = *at;
    w->held = true;
}

static inline int is_dots(const char *p, size_t len)
{
    return p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.')) ? (int)len : 0;
}

// One component, from p up to `end`. Steps `at`, or asks. 0: stepped.
static int step(struct walker *w, struct path *at, const struct path *root, const char *p,
                size_t len, uint32_t hash, bool last, bool slash)
{
    switch (is_dots(p, len)) {
    case 1:
        return 0;
    case 2:
        step_up(at, root);
        return 0;
    }
    struct dentry *d = w->child;
    w->child = NULL;
    if (!d)
        d = dentry_find_locked(at->dentry, p, len, hash);
    if (!d) {
        w->name = p;
        w->len = (uint32_t)len;
        w->hash = hash;
        return RUN_LOOKUP;
    }
    d->recent = 1;
    struct vnode *v = d->vnode;
    if (!v)
        return -ENOENT;
    if (unlikely(S_ISLNK(v->mode)) && (!last || slash || (w->flags & WALK_FOLLOW))) {
        if (++w->links > SYMLINKS_MAX)
            return -ELOOP;
        w->link = v;
        return RUN_LINK;
    }
    at->dentry = d;
    if (unlikely(d->mounted) && !(last && (w->flags & WALK_NO_MOUNT)))
        step_onto_mounts(at);
    return 0;
}

// dentry_lock held. Goes from `at` along w->p; `at` is where it got to.
static int run_locked(struct walker *w, struct path *at, const struct path *root, struct walk *out)
{
    const char *p = w->p;
    bool slash = false;
    for (;;) {
        while (*p == '/') {
            p++;
            slash = true;
        }
        if (*p == '\0')
            break;
        const char *end = p;
        uint32_t hash = 0;
        for (char c; (c = *end) != '\0' && c != '/'; end++)
            hash = NAME_HASH_STEP(hash, c);
        size_t len = (size_t)(end - p);
        const char *after = end;
        while (*after == '/')
            after++;
        bool last = *after == '\0';
        slash = *end == '/';
        w->p = p;
        if (len > NAME_MAX)
            return -ENAMETOOLONG;
        struct vnode *dir = at->dentry->vnode;
        if (!S_ISDIR(dir->mode))
            return -ENOTDIR;
        if (w->checked && vnode_permission(dir, X_OK) < 0)
            return -EACCES;
        if (last && (w->flags & WALK_PARENT)) {
            out->last = p;
            out->last_len = (uint32_t)len;
            out->last_slash = slash;
            out->last_special = is_dots(p, len) != 0;
            return 0;
        }
        int r = step(w, at, root, p, len, hash, last, slash);
        if (r == RUN_LINK)
            w->p = end;
        if (r != 0)
            return r;
        p = end;
    }
    if (w->flags & WALK_PARENT) {
        out->last = p;
        out->last_len = 0;
        out->last_special = true;
    }
    bool directory = slash || (w->flags & WALK_DIRECTORY);
    return directory && !S_ISDIR(at->dentry->vnode->mode) ? -ENOTDIR : 0;
}

// 0: out->at is referenced. > 0: a request, with references when w->waits. < 0: the final errno.
static int run(struct walker *w, struct walk *out)
{
    struct path old = w->at;
    struct dentry *child = w->child;
    bool held = w->held;
    w->held = false;
    bool shared = w->fs && load_acquire(&w->fs->refs) > 1;
    if (shared)
        spin_lock(&w->fs->lock);
    spin_lock(&dentry_lock);
    struct path root = context_root(w->fs);
    struct path at = old;
    if (!at.dentry)
        at = *w->p == '/' || !w->fs ? root : w->fs->cwd;
    int r = run_locked(w, &at, &root, out);
    w->child = NULL;
    if (r == 0) {
        out->at = at;
        path_get(&at);
    } else if (r > 0 && w->waits) {
        path_get_at(w, &at);
        if (r == RUN_LINK)
            vnode_get(w->link);
    }
    spin_unlock(&dentry_lock);
    if (shared)
        spin_unlock(&w->fs->lock);
    if (held)
        path_put(&old);
    if (child)
        dentry_put(child);
    return r;
}

static int start(struct walker *w, struct fs_context *fs, const struct path *from, const char *text,
                 uint32_t flags, struct walk *out)
{
    *w = (struct walker){.fs = fs, .p = text, .flags = flags};
    w->checked = !fs_can(CAP_DAC_OVERRIDE);
    out->buffer = NULL;
    if (*text == '\0' && !(flags & WALK_EMPTY))
        return -ENOENT;
    if (from && *text != '/')
        w->at = *from;
    return 0;
}

int path_walk_fast(struct fs_context *fs, const struct path *from, const char *text, uint32_t flags,
                   struct walk *out)
{
    struct walker w;
    int r = start(&w, fs, from, text, flags, out);
    if (r == 0)
        r = run(&w, out);
    return r > 0 ? -EAGAIN : r;
}

// ---- the walk that waits

ASYNC(dentry_lookup, struct dentry *d; struct vnode *v; long r;)
{
    ASYNC_BEGIN(dentry_lookup);
    f->d = NULL;
    f->v = NULL;
    if (f->dir->gone)
        ASYNC_RETURN(-ENOENT);
    spin_lock(&dentry_lock);
    f->d = dentry_find_locked(f->dir, f->name, f->len, f->hash);
    if (f->d) {
        *f->out = dentry_get(f->d);
        f->d = NULL;
        spin_unlock(&dentry_lock);
        ASYNC_RETURN(0);
    }
    spin_unlock(&dentry_lock);
    f->d = dentry_new(f->dir, f->name, f->len, f->hash, f->dir->super);
    if (!f->d)
        ASYNC_RETURN(-ENOMEM);
    f->r = -ENOENT;
    if (f->dir->vnode->ops->lookup)
        AWAIT_VIA(f->r, vnode_lookup, f->dir->vnode->ops->lookup, f->dir->vnode, f->name, f->len,
                  &f->v);
    if (f->r < 0 && f->r != -ENOENT)
        ASYNC_RETURN(f->r);
    f->d->vnode = f->r < 0 ? NULL : f->v;
    if (!(f->d->super->flags & SUPER_NO_CACHE) &&
        (f->d->vnode || f->d->super->flags & SUPER_NEGATIVE))
        f->d = dentry_insert(f->d);
    *f->out = f->d;
    f->d = NULL;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->d)
        dentry_put(f->d);
    ASYNC_END;
}

// Puts the link's text (n bytes at the start of the buffer) before the rest of the path.
static int splice_link(struct walker *w, size_t n)
{
    size_t rest = strlen(w->p);
    if (n == 0)
        return -ENOENT;
    if (n >= PATH_MAX || n + rest + 1 > LINK_BUFFER)
        return -ENAMETOOLONG;
    memmove(w->buffer + n, w->p, rest + 1);
    w->p = w->buffer;
    if (w->buffer[0] == '/') {
        path_put(&w->at);
        w->held = false;
        w->at.dentry = NULL;
    }
    return 0;
}

// The rest of the path moves to the end of the buffer, out of the way of the link's text.
static int make_room_for_link(struct walker *w)
{
    size_t rest = strlen(w->p) + 1;
    if (!w->buffer && !(w->buffer = kmalloc(LINK_BUFFER)))
        return -ENOMEM;
    char *to = w->buffer + LINK_BUFFER - rest;
    if (rest > PATH_MAX)
        return -ENAMETOOLONG;
    memmove(to, w->p, rest);
    w->p = to;
    return 0;
}

static int follow_magic(struct walker *w)
{
    struct path to;
    int r = w->link->ops->follow(w->link, &to);
    if (r < 0)
        return r;
    path_put(&w->at);
    w->at = to;
    return 0;
}

ASYNC_DECL(walk_link, struct walker *w;);
ASYNC(walk_link, long r;)
{
    ASYNC_BEGIN(walk_link);
    if (f->w->link->flags & VNODE_MAGIC_LINK)
        ASYNC_RETURN(follow_magic(f->w));
    if (!f->w->link->ops->readlink)
        ASYNC_RETURN(-EINVAL);
    f->r = make_room_for_link(f->w);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT_VIA(f->r, vnode_readlink, f->w->link->ops->readlink, f->w->link, f->w->buffer, PATH_MAX);
    ASYNC_RETURN(f->r < 0 ? f->r : splice_link(f->w, (size_t)f->r));
    ASYNC_FINALLY;
    vnode_put(f->w->link);
    f->w->link = NULL;
    ASYNC_END;
}

ASYNC_DECL(walk_lookup, struct walker *w;);
ASYNC(walk_lookup, struct mutex *lock; long r;)
{
    ASYNC_BEGIN(walk_lookup);
    f->lock = &f->w->at.dentry->vnode->lock;
    AWAIT(f->r, mutex_lock, f->lock, false);
    AWAIT(f->r, dentry_lookup, f->w->at.dentry, f->w->name, f->w->len, f->w->hash, &f->w->child);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(f->lock, t))
        mutex_unlock(f->lock, t);
    ASYNC_END;
}

ASYNC(path_walk, struct walker w; long r;)
{
    ASYNC_BEGIN(path_walk);
    f->r = start(&f->w, f->fs, f->start, f->text, f->flags, f->out);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->w.waits = true;
    while ((f->r = run(&f->w, f->out)) > 0) {
        if (f->r == RUN_LOOKUP)
            AWAIT(f->r, walk_lookup, &f->w);
        else
            AWAIT(f->r, walk_link, &f->w);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->r == 0) {
        f->out->buffer = f->w.buffer; // `last` may point into it
        f->w.buffer = NULL;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->w.held)
        path_put(&f->w.at);
    if (f->w.child)
        dentry_put(f->w.child);
    if (f->w.link) // killed before walk_link began
        vnode_put(f->w.link);
    kfree(f->w.buffer);
    ASYNC_END;
}
