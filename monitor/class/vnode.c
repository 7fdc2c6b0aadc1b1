// SPDX-License-Identifier: MIT
// Vnodes: the files that the kernel knows of a file system. One is its number there, its owner the
// file system's (st_dev): a number that was given to another file since names that one.
#include "fs/vnode.h"

#include "async/epoch.h"
#include "class/classes.h"
#include "fs/dentry.h"
#include "lib/errno.h"

#include <stdio.h>

struct vnode_view {
    char path[160], mode[8];
    const char *type;
    uint64_t ino, device, size, pages;
    uint32_t links, uid, gid, refs, writers, running;
    bool locked, has_pages;
};

struct vnode *class_vnode_find(uint64_t dev, uint64_t ino)
{
    struct vnode *found = NULL;
    spin_lock(&super_lock);
    LIST_FOREACH(it, &super_list) {
        struct super *super = list_entry(it, struct super, all);
        if (super->dev != dev)
            continue;
        spin_lock(&super->lock);
        LIST_FOREACH(v, &super->vnodes) {
            struct vnode *vnode = list_entry(v, struct vnode, in_super);
            if (vnode->ino == ino && ref_get_unless_zero(&vnode->refs)) {
                found = vnode;
                break;
            }
        }
        spin_unlock(&super->lock);
        break;
    }
    spin_unlock(&super_lock);
    return found;
}

static const char *type_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "directory";
    case S_IFLNK:
        return "link";
    case S_IFIFO:
        return "pipe";
    case S_IFCHR:
        return "character device";
    case S_IFBLK:
        return "block device";
    case S_IFSOCK:
        return "socket";
    default:
        return "other";
    }
}

static long vnode_copy(const struct class_key *key, void *out)
{
    struct vnode *vnode = class_vnode_find(key->owner, key->id);
    struct vnode_view *v = out;
    if (!vnode)
        return -ENOENT;
    int32_t users = load_relaxed(&vnode->writers);
    *v = (struct vnode_view){
        .type = type_of(vnode->mode),
        .ino = vnode->ino,
        .device = key->owner,
        .size = vnode->size,
        .links = vnode->nlink,
        .uid = vnode->uid,
        .gid = vnode->gid,
        .refs = load_relaxed(&vnode->refs) - 1, // ours
        .writers = users > 0 ? (uint32_t)users : 0,
        .running = users < 0 ? -(uint32_t)users : 0,
        .locked = load_relaxed(&vnode->lock.holder) != NULL,
        .has_pages = vnode->pages != NULL,
    };
    char text[sizeof v->path];
    const char *path = dentry_path_of_vnode(vnode, text, sizeof text);
    snprintf(v->path, sizeof v->path, "%s", path ? path : "");
    snprintf(v->mode, sizeof v->mode, "%04o", (unsigned)vnode->mode & 07777);
    vnode_put(vnode);
    return 0;
}

size_t class_vnode_keys(uint64_t dev, uint64_t from, struct class_key *out, size_t max, bool locked)
{
    size_t n = 0;
    spin_lock(&super_lock);
    LIST_FOREACH(it, &super_list) {
        struct super *super = list_entry(it, struct super, all);
        if (super->dev != dev)
            continue;
        spin_lock(&super->lock);
        LIST_FOREACH(v, &super->vnodes) {
            const struct vnode *vnode = list_entry(v, struct vnode, in_super);
            if (vnode->ino >= from && (!locked || load_relaxed(&vnode->lock.holder)))
                n = class_keep_least(out, n, max, (struct class_key){vnode->ino, dev});
        }
        spin_unlock(&super->lock);
    }
    spin_unlock(&super_lock);
    return n;
}

static size_t vnode_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    return class_vnode_keys(owner, from, out, max, false);
}

static void vnode_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct vnode_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s %s, %lu bytes", v->type, v->path[0] ? v->path : "(no name)",
             (unsigned long)v->size);
}

static void push_object(lua_State *L, const struct class_key *key, const void *copy)
{
    if (((const struct vnode_view *)copy)->has_pages)
        class_push(L, class_phys, *key);
    else
        lua_pushnil(L);
}

static void push_pipe(lua_State *L, const struct class_key *key, const void *copy)
{
    uint64_t view[CLASS_COPY_MAX / 8];
    (void)copy;
    if (class_copy(class_pipe, key, view))
        class_push(L, class_pipe, *key);
    else
        lua_pushnil(L);
}

static const struct class_field fields[] = {
    FIELD(struct vnode_view, ino, "its number in its file system"),
    FIELD(struct vnode_view, device, "st_dev of its file system"),
    FIELD(struct vnode_view, type, "file, directory, link, pipe, character device, ..."),
    FIELD(struct vnode_view, path, "a name of it that is cached, \"\": none"),
    FIELD(struct vnode_view, mode, "permissions, in octal"),
    FIELD(struct vnode_view, links, "names on the file system"),
    FIELD(struct vnode_view, uid, "owner"),
    FIELD(struct vnode_view, gid, "group"),
    FIELD(struct vnode_view, size, "bytes"),
    FIELD(struct vnode_view, refs, "names, open files and mappings that hold it"),
    FIELD(struct vnode_view, writers, "open files that may write, named ones"),
    FIELD(struct vnode_view, running, "processes that run it"),
    FIELD(struct vnode_view, locked, "somebody holds its lock now"),
    FIELD_OTHER("object", "Phys", "its page cache; nil: it has none", push_object),
    FIELD_OTHER("pipe", "Pipe", "of a FIFO that is open; else nil", push_pipe),
    {0},
};

CLASS(vnode, .name = "Vnode", .doc = "a file that the kernel knows, open or not",
      .place = "struct vnode, kernel/fs/vnode.h", .gone = "was let go of",
      .example = "k.mounts():first().vnodes:first()", .size = sizeof(struct vnode_view),
      .copy = vnode_copy, .keys = vnode_keys, .line = vnode_line, .fields = fields);
