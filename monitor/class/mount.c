// SPDX-License-Identifier: MIT
// Mounts: what is attached where in the tree of names, and the files that the kernel knows of each.
#include "class/classes.h"
#include "fs/path.h"
#include "lib/errno.h"
#include "page/heap.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SHOWN = 160 };

struct mount_view {
    char path[PATH_SHOWN], source[64];
    const char *type;
    uint64_t device, vnodes;
    uint32_t flags, refs;
    bool read_only;
};

struct search {
    uint64_t id;
    struct mount *found;
};

static bool is_wanted(const struct mount *m, void *arg)
{
    struct search *s = arg;
    if (m->id == s->id && ref_get_unless_zero(&((struct mount *)m)->refs))
        s->found = (struct mount *)m;
    return !s->found;
}

static uint64_t count_vnodes(struct super *super)
{
    uint64_t n = 0;
    spin_lock(&super->lock);
    LIST_FOREACH(it, &super->vnodes)
        n++;
    spin_unlock(&super->lock);
    return n;
}

static long mount_copy(const struct class_key *key, void *out)
{
    struct search s = {key->id, NULL};
    struct mount_view *v = out;
    char text[PATH_SHOWN];
    mount_foreach(is_wanted, &s);
    if (!s.found)
        return -ENOENT;
    struct path at = {s.found, dentry_get(s.found->root)};
    const struct super *super = s.found->super;
    *v = (struct mount_view){
        .type = super->fs->name,
        .device = super->dev,
        .vnodes = count_vnodes(s.found->super),
        .flags = s.found->flags,
        .refs = load_relaxed(&s.found->refs) - 1, // ours
        .read_only = path_writable(&at) < 0,
    };
    memcpy(v->source, super->source, sizeof v->source);
    const char *path = path_text(&at, NULL, text, sizeof text, NULL);
    snprintf(v->path, sizeof v->path, "%s", path ? path : "(a long path)");
    path_put(&at);
    return 0;
}

struct collect {
    struct class_key *out;
    size_t n, max;
    uint64_t from, owner;
};

static bool collect(const struct mount *m, void *arg)
{
    struct collect *c = arg;
    if (m->id >= c->from) // they are listed in the order of their ids
        c->out[c->n++] = (struct class_key){m->id, c->owner};
    return c->n < c->max;
}

static size_t mount_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct collect c = {out, 0, max, from, owner};
    mount_foreach(collect, &c);
    return c.n;
}

static void mount_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct mount_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s of %s on %s, %lu files known", v->type, v->source, v->path,
             (unsigned long)v->vnodes);
}

static void push_vnodes(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)key;
    class_push_list(L, class_vnode, ((const struct mount_view *)copy)->device);
}

static const struct class_field fields[] = {
    FIELD(struct mount_view, path, "where it is in the tree"),
    FIELD(struct mount_view, type, "the file system"),
    FIELD(struct mount_view, source, "the device, or what mount(2) was given"),
    FIELD(struct mount_view, device, "st_dev of its files"),
    FIELD(struct mount_view, read_only, "nothing may be changed in it"),
    FIELD(struct mount_view, flags, "MS_* of mount(2)"),
    FIELD(struct mount_view, refs, "paths that lead into it, and one while it is attached"),
    FIELD_OTHER("vnodes", "list of Vnode", "its files that the kernel knows", push_vnodes),
    {0},
};

CLASS(mount, .name = "Mount", .doc = "a file system attached to the tree of names",
      .place = "struct mount, kernel/fs/path.h", .gone = "was unmounted",
      .example = "k.mounts():first()", .size = sizeof(struct mount_view), .copy = mount_copy,
      .keys = mount_keys, .line = mount_line, .fields = fields);

static int k_mounts(lua_State *L)
{
    class_push_list(L, class_mount, 0);
    return 1;
}
MONITOR_API(mounts, "mounts", "k.mounts() -> list of Mount", "file systems in the tree of names",
            "k.mounts():where{path = \"/mnt\"}:first().vnodes", k_mounts, NULL);
