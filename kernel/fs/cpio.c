// SPDX-License-Identifier: MIT
// The initial root: a cpio archive that the boot loader put into memory, copied into tmpfs.
//
// Names are taken relative to the root whatever they begin with. Hard links come as entries of one
// inode number; the first with data (or the first of all) makes the file, the others link to it.
#include "fs/cpio.h"

#include "fs/dentry.h"
#include "fs/file.h"
#include "page/heap.h"

enum { HEADER = 110, FIELDS = 13, LINKS_MAX = 64 };
enum {
    F_INO,
    F_MODE,
    F_UID,
    F_GID,
    F_NLINK,
    F_MTIME,
    F_SIZE,
    F_DEVMAJ,
    F_DEVMIN,
    F_RMAJ,
    F_RMIN,
    F_NAMESIZE,
    F_CHECK
};

static bool hex_field(const char *p, uint32_t *out)
{
    uint32_t v = 0;
    for (int i = 0; i < 8; i++) {
        char c = p[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

static size_t align4(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

// Where the next archive begins behind a trailer that ends at `at`, or 0.
static size_t following(const char *archive, size_t size, size_t at)
{
    while (at < size && !archive[at])
        at++;
    return at < size && size - at >= HEADER && !memcmp(archive + at, "070701", 6) ? at : 0;
}

int cpio_parse(const char *archive, size_t size, size_t at, struct cpio_entry *out)
{
    uint32_t field[FIELDS];
    if (at > size || size - at < HEADER || memcmp(archive + at, "070701", 6) != 0)
        return -EINVAL;
    for (int i = 0; i < FIELDS; i++)
        if (!hex_field(archive + at + 6 + 8 * i, &field[i]))
            return -EINVAL;
    size_t name = at + HEADER, name_size = field[F_NAMESIZE];
    if (name_size == 0 || name_size > PATH_MAX || size - name < name_size ||
        archive[name + name_size - 1] != '\0')
        return -EINVAL;
    size_t data = align4(name + name_size);
    if (strcmp(archive + name, "TRAILER!!!") == 0) {
        out->next = following(archive, size, data);
        return 0;
    }
    if (data > size || size - data < field[F_SIZE])
        return -EINVAL;
    *out = (struct cpio_entry){
        .ino = field[F_INO],
        .mode = field[F_MODE],
        .uid = field[F_UID],
        .gid = field[F_GID],
        .nlink = field[F_NLINK],
        .mtime = field[F_MTIME],
        .rdev_major = field[F_RMAJ],
        .rdev_minor = field[F_RMIN],
        .size = field[F_SIZE],
        .name = archive + name,
        .data = archive + data,
        .next = align4(data + field[F_SIZE]),
    };
    return 1;
}

struct link_seen {
    uint32_t ino;
    const char *name;
};

ASYNC_DECL(cpio_write, struct fs_context *fs; const struct cpio_entry *e;);
ASYNC(cpio_write, struct file *file; struct iobuf buf; long r;)
{
    ASYNC_BEGIN(cpio_write);
    f->file = NULL;
    AWAIT(f->r, vfs_open, f->fs, NULL, f->e->name, O_WRONLY | O_CREAT | O_TRUNC, f->e->mode,
          &f->file);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    iobuf_kernel(&f->buf, (void *)f->e->data, f->e->size);
    while (f->buf.left) {
        AWAIT_VIA(f->r, file_write, f->file->ops->write, f->file, &f->buf, f->buf.done);
        if (f->r <= 0)
            ASYNC_RETURN(f->r < 0 ? f->r : -EIO);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->file)
        file_put(f->file);
    ASYNC_END;
}

ASYNC_DECL(cpio_symlink, struct fs_context *fs; const struct cpio_entry *e;);
ASYNC(cpio_symlink, char *target; long r;)
{
    ASYNC_BEGIN(cpio_symlink);
    f->target = NULL;
    if (f->e->size == 0 || f->e->size >= PATH_MAX)
        ASYNC_RETURN(-EINVAL);
    f->target = kzalloc(f->e->size + 1);
    if (!f->target)
        ASYNC_RETURN(-ENOMEM);
    memcpy(f->target, f->e->data, f->e->size);
    AWAIT(f->r, vfs_symlink, f->fs, NULL, f->e->name, f->target);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    kfree(f->target);
    ASYNC_END;
}

// Owner, time and exact mode of what was just made.
ASYNC_DECL(cpio_attributes, struct fs_context *fs; const struct cpio_entry *e;);
ASYNC(cpio_attributes, struct walk w; struct vattr attr; long r;)
{
    ASYNC_BEGIN(cpio_attributes);
    AWAIT(f->r, path_walk, f->fs, NULL, f->e->name, 0, &f->w);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    walk_finish(&f->w);
    f->attr = (struct vattr){
        .mask = ATTR_UID | ATTR_GID | ATTR_MTIME | ATTR_ATIME | ATTR_MODE,
        .mode = f->e->mode & S_IALLUGO,
        .uid = f->e->uid,
        .gid = f->e->gid,
        .mtime_ns = (int64_t)f->e->mtime * 1000000000,
        .atime_ns = (int64_t)f->e->mtime * 1000000000,
    };
    AWAIT(f->r, vnode_change, f->w.at.dentry->vnode, &f->attr);
    path_put(&f->w.at);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(cpio_make, struct fs_context *fs; const struct cpio_entry *e;);
ASYNC(cpio_make, long r;)
{
    ASYNC_BEGIN(cpio_make);
    f->r = -EINVAL;
    if (S_ISDIR(f->e->mode))
        AWAIT(f->r, vfs_mkdir, f->fs, NULL, f->e->name, f->e->mode);
    else if (S_ISREG(f->e->mode))
        AWAIT(f->r, cpio_write, f->fs, f->e);
    else if (S_ISLNK(f->e->mode))
        AWAIT(f->r, cpio_symlink, f->fs, f->e);
    else if (S_ISCHR(f->e->mode) || S_ISBLK(f->e->mode) || S_ISFIFO(f->e->mode))
        AWAIT(f->r, vfs_mknod, f->fs, NULL, f->e->name, f->e->mode,
              MAKEDEV(f->e->rdev_major, f->e->rdev_minor));
    if (f->r == -EEXIST && (S_ISDIR(f->e->mode) || S_ISLNK(f->e->mode)))
        f->r = 0;
    if (f->r >= 0)
        AWAIT(f->r, cpio_attributes, f->fs, f->e);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// The name that already has this inode, or NULL; remembers new ones as far as there is room.
static const char *seen_before(struct link_seen *seen, uint32_t *count, const struct cpio_entry *e)
{
    if (e->nlink < 2 || S_ISDIR(e->mode))
        return NULL;
    for (uint32_t i = 0; i < *count; i++)
        if (seen[i].ino == e->ino)
            return seen[i].name;
    if (*count < LINKS_MAX)
        seen[(*count)++] = (struct link_seen){e->ino, e->name};
    return NULL;
}

ASYNC(cpio_unpack, struct cpio_entry e; struct link_seen *seen; uint32_t links; uint32_t archives;
      const char *first; size_t at; long count; long r;)
{
    ASYNC_BEGIN(cpio_unpack);
    f->links = 0;
    f->archives = 1;
    f->at = 0;
    f->count = 0;
    f->seen = kmalloc(LINKS_MAX * sizeof *f->seen);
    if (!f->seen)
        ASYNC_RETURN(-ENOMEM);
    for (;;) {
        f->r = cpio_parse(f->archive, f->size, f->at, &f->e);
        if (f->r == 0 && f->e.next) { // one more archive behind this one
            f->at = f->e.next;
            f->links = 0; // its inode numbers are its own
            f->archives++;
            continue;
        }
        if (f->r <= 0)
            break;
        if (f->archives > 1 && !S_ISDIR(f->e.mode))
            AWAIT(f->r, vfs_unlink, f->fs, NULL, f->e.name, false); // replaced, if it is there
        f->first = seen_before(f->seen, &f->links, &f->e);
        if (f->first) {
            AWAIT(f->r, vfs_link, f->fs, NULL, f->first, NULL, f->e.name, 0);
            if (f->r >= 0 && f->e.size)
                AWAIT(f->r, cpio_write, f->fs, &f->e);
        } else if (strcmp(f->e.name, ".") != 0) {
            AWAIT(f->r, cpio_make, f->fs, &f->e);
        }
        if (f->r < 0)
            break;
        f->at = f->e.next;
        if (++f->count % 16 == 0)
            YIELD();
    }
    *f->bad = f->at;
    ASYNC_RETURN(f->r < 0 ? f->r : f->count);
    ASYNC_FINALLY;
    kfree(f->seen);
    ASYNC_END;
}
