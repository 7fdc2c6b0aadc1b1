// SPDX-License-Identifier: MIT
// Vnodes and file systems: what a file system or device driver gives the VFS, and gets from it.
//
// A file system fills `struct vnode_ops` (names and attributes) and, for its regular files, either
// a page cache object (vnode.pages: read, write and mmap then need no code of its own) or a
// `struct file_ops`. A device driver fills only `struct file_ops`. Every pointer may be NULL; the
// comment at each says what NULL means.
//
// References: a vnode is held by its dentry, by open files (through the dentry), by mappings. When
// the last one goes, `evict` runs in a reaper task: there the file system writes back what is
// dirty or, when nlink is 0, frees the file's storage; then the memory is freed.
//
// Locks: directory operations (lookup, create .. rename, readdir) run with the directory's
// vnode.lock held by the VFS (rename: both directories and the target, the super's rename_lock
// first). write, truncate and setattr run with the file's vnode.lock held. The attribute fields
// are changed by the file system only, under that lock, and read without it.
#pragma once

#include "async/async.h"
#include "async/wait_async.h"
#include "fs/abi.h"
#include "fs/iobuf.h"
#include "lib/list.h"
#include "lib/set.h"
#include "lib/spinlock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block_device;
struct dentry;
struct file;
struct phys;
struct poll_list;
struct super;
struct text;
struct vnode;
struct path;

struct vnode {
    uint32_t refs; // atomic
    uint32_t mode; // S_IF* and permissions
    const struct vnode_ops *ops;
    const struct file_ops *file_ops; // of open files; NULL: chosen by mode (see vnode_init)
    struct super *super;
    uint64_t ino;
    uint32_t nlink, uid, gid;
    uint32_t flags;  // enum vnode_flag
    uint64_t size;   // bytes; a page cache file: changed by vnode_set_size only
    uint64_t blocks; // 512-byte units in use; 0: computed from size by getattr
    uint64_t rdev;   // device nodes
    int64_t atime_ns, mtime_ns, ctime_ns; // since 1970; a fault sets the last two without the lock
    struct phys *pages;                   // page cache of a regular file, embedded in the file
                                          // system's own struct around the vnode; NULL: none
    struct mutex lock;
    int32_t writers;         // > 0: open for writing; < 0: run as a program. See vnode_write_begin
    uint32_t seals;          // F_SEAL_*; files in memory only. Set under lock
    struct list in_super;    // super->vnodes, under super->lock
    struct list hash;        // by (super, ino); see vnode_find
    struct list reap;        // the reaper's queue
    struct pipe *pipe;       // FIFO: while it is open
    struct file_lock *locks; // advisory locks (lock.c)
    void *priv;              // the file system's
};

enum vnode_flag {
    VNODE_HASHED = 1,     // vnode_find can return it
    VNODE_DYING = 2,      // refs reached 0
    VNODE_MAGIC_LINK = 4, // symlink followed by ops->follow instead of by text
    VNODE_DIRTY_ATTR = 8, // the file system's use: attributes to be written back
};

struct kstat {
    struct stat_k st; // as fstat reports it
};

// What setattr is to change.
enum {
    ATTR_MODE = 1,
    ATTR_UID = 2,
    ATTR_GID = 4,
    ATTR_SIZE = 8,
    ATTR_ATIME = 16,
    ATTR_MTIME = 32,
    ATTR_CTIME = 64
};
struct vattr {
    uint32_t mask;
    uint32_t mode; // permission bits only
    uint32_t uid, gid;
    uint64_t size;
    int64_t atime_ns, mtime_ns, ctime_ns;
};

// readdir calls emit for each entry from *pos on; emit returns false when the reader's buffer is
// full (that entry is not consumed). pos is the file system's cookie, 0 at the start. "." and ".."
// are positions 0 and 1 and are emitted by dir_emit_dots; the file system's own start at 2.
struct dir_sink {
    int64_t pos;
    bool (*emit)(struct dir_sink *sink, const char *name, size_t len, uint64_t ino, uint32_t dtype,
                 int64_t next_pos);
};
// True when both dots are out and sink->pos >= 2; false: the buffer is full, return 0.
bool dir_emit_dots(struct dir_sink *sink, struct vnode *dir, uint64_t parent_ino);

// ---- operations that may wait. Names are kernel memory, `len` bytes, not NUL terminated in
// general, 1 .. NAME_MAX bytes, never "." or "..". Results through `out` are referenced.

ASYNC_IFACE(vnode_lookup, struct vnode *dir; const char *name; size_t len; struct vnode **out;);
// mode with S_IFREG, S_IFIFO, S_IFCHR, S_IFBLK or S_IFSOCK. The name does not exist yet.
ASYNC_IFACE(vnode_create, struct vnode *dir; const char *name; size_t len; uint32_t mode;
            uint64_t rdev; struct vnode **out;);
ASYNC_IFACE(vnode_mkdir, struct vnode *dir; const char *name; size_t len; uint32_t mode;
            struct vnode **out;);
ASYNC_IFACE(vnode_symlink, struct vnode *dir; const char *name; size_t len; const char *target;
            size_t target_len; struct vnode **out;);
ASYNC_IFACE(vnode_link, struct vnode *dir; const char *name; size_t len; struct vnode *v;);
// v is what the name names; for unlink not a directory, for rmdir a directory (-ENOTEMPTY).
ASYNC_IFACE(vnode_unlink, struct vnode *dir; const char *name; size_t len; struct vnode *v;);
ASYNC_IFACE(vnode_rmdir, struct vnode *dir; const char *name; size_t len; struct vnode *v;);
// v moves; `target` is what the new name names now (NULL: nothing) and is replaced: same kind, an
// empty directory or else -ENOTEMPTY. The VFS has checked that v is no ancestor of new_dir. With
// RENAME_EXCHANGE in flags the two swap (-EINVAL when not supported).
ASYNC_IFACE(vnode_rename, struct vnode *dir; const char *name; size_t len; struct vnode *v;
            struct vnode *new_dir; const char *new_name; size_t new_len; struct vnode *target;
            uint32_t flags;);
// Copies the link's text, not NUL terminated: its length, at most `size`.
ASYNC_IFACE(vnode_readlink, struct vnode *v; char *buf; size_t size;);
ASYNC_IFACE(vnode_readdir, struct vnode *dir; struct dir_sink *sink;);
ASYNC_IFACE(vnode_setattr, struct vnode *v; const struct vattr *attr;);
// Before a page cache file grows (a write or a truncate beyond v->size): storage for its first `end`
// bytes is set aside, so that write-back cannot run out of room. Called with vnode.lock held, before
// any page beyond the size is dirtied; too much is given back by fsync or evict. 0, -ENOSPC (nothing
// is kept: a writer may try again with a smaller end), -EFBIG, -EIO.
ASYNC_IFACE(vnode_reserve, struct vnode *v; uint64_t end;);
// Makes data and attributes durable (dirty pages first: vnode_write_back).
ASYNC_IFACE(vnode_fsync, struct vnode *v; bool data_only;);
// The last reference is gone. Storage of an unlinked file is freed here. Then the VFS frees `v`
// through free_vnode.
ASYNC_IFACE(vnode_evict, struct vnode *v;);

struct vnode_ops {
    const struct async_fn *lookup; // NULL: -ENOENT
    const struct async_fn *create; // NULL: -EPERM (all that change names)
    const struct async_fn *mkdir;
    const struct async_fn *symlink;
    const struct async_fn *link;
    const struct async_fn *unlink;
    const struct async_fn *rmdir;
    const struct async_fn *rename;
    const struct async_fn *readlink; // NULL: -EINVAL
    const struct async_fn *readdir;  // NULL: -ENOTDIR
    const struct async_fn *setattr;  // NULL: vnode_setattr_memory: fields only, pages truncated
    const struct async_fn *reserve;  // NULL: storage is found when pages are written
    const struct async_fn *fsync;    // NULL: nothing to do
    const struct async_fn *evict;    // NULL: nothing to do
    // Plain. NULL: from the vnode's fields (vnode_getattr_default).
    void (*getattr)(struct vnode *v, struct stat_k *st);
    // Where a magic link leads, referenced (see path.h). Plain. 0 or negative errno.
    int (*follow)(struct vnode *v, struct path *out);
    // Frees the memory of v (allocated by the file system). NULL: kfree(v).
    void (*free_vnode)(struct vnode *v);
};

// ---- open files

ASYNC_IFACE(file_open, struct file *file;);
// pos: of this transfer; the caller advances the file's own. Return bytes moved by this call, 0 at
// the end. O_APPEND is the write operation's to honour (it knows the end).
ASYNC_IFACE(file_read, struct file *file; struct iobuf *buf; uint64_t pos;);
ASYNC_IFACE(file_write, struct file *file; struct iobuf *buf; uint64_t pos;);
ASYNC_IFACE(file_ioctl, struct file *file; uint32_t cmd; uint64_t arg;);

struct file_ops {
    const struct async_fn *open;  // NULL: nothing to do
    const struct async_fn *read;  // NULL: -EINVAL (directories -EISDIR)
    const struct async_fn *write; // NULL: -EINVAL
    const struct async_fn *ioctl; // NULL: -ENOTTY
    // Plain first tries of read and write, from the trap path: short, nothing is held. Return
    // bytes, a negative errno, or syscall_go_async() (syscall.h) when they would have to wait.
    // va, len: the buffer in the calling thread's space. NULL: always the async one.
    long (*try_read)(struct file *file, va_t va, size_t len, uint64_t pos);
    long (*try_write)(struct file *file, va_t va, size_t len, uint64_t pos);
    // Plain, any number of callers at once. NULL: POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM.
    uint32_t (*poll)(struct file *file, struct poll_list *pl);
    // The last reference to the open file goes, also after an open that failed or was cancelled
    // (file->priv is NULL until open sets it). Plain; what must wait goes to evict. NULL: nothing.
    void (*release)(struct file *file);
    // A new position or negative errno. NULL: file_seek_default (size of the vnode); of a stream, -ESPIPE.
    long (*seek)(struct file *file, int64_t offset, int whence);
    // What a mapping of the file maps. NULL: vnode->pages, or -ENODEV when it has none. Returns a
    // referenced object; NULL in *out: anonymous zero pages.
    int (*mmap)(struct file *file, uint32_t prot, uint32_t flags, struct phys **out);
    // The same, of a file whose parts are objects of their own: what *offset names, and *offset in that. NULL: mmap.
    int (*mmap_part)(struct file *file, uint64_t *offset, struct phys **out);
    // Adds to /proc/PID/fdinfo what there is to say of it. Plain, any number of callers at once. NULL: nothing.
    void (*show)(struct file *file, struct text *out);
    uint32_t flags;   // enum file_ops_flag
    const char *name; // of a file without a place, as /proc/PID/fd shows it; NULL: its number
};
enum file_ops_flag {
    FILE_OPS_STREAM = 1, // no position: lseek and pread are -ESPIPE, no position lock is taken
};

// ---- file systems

struct super_ops {
    // Fills type, bsize, blocks, bfree, bavail, files, ffree, namelen. Plain. NULL: zeros.
    void (*statfs)(struct super *super, struct statfs_k *st);
    // super_sync: at unmount, first: drops what keeps vnodes alive but has no store (a tree in
    // memory). NULL: nothing.
    const struct async_fn *empty;
    const struct async_fn *sync;    // super_sync: all that is dirty, durable. NULL: nothing
    const struct async_fn *unmount; // super_unmount: after sync, no vnode left. NULL: nothing
};
ASYNC_IFACE(super_sync, struct super *super;);
ASYNC_IFACE(super_unmount, struct super *super;);

struct super {
    uint32_t refs;  // mounts
    uint32_t flags; // enum super_flag
    const struct filesystem *fs;
    const struct super_ops *ops;
    struct block_device *bdev; // NULL: none
    uint64_t dev;              // st_dev
    uint64_t magic;            // f_type of statfs
    uint64_t max_file;         // largest file size; 0: no limit of its own
    struct vnode *root;        // referenced
    struct dentry *root_dentry;
    struct mutex rename_lock;
    struct spinlock lock; // guards vnodes
    struct list vnodes;
    struct reaper *reaper; // reaper.c
    struct list all;       // list of supers
    char source[64];
    void *priv;
};
enum super_flag {
    SUPER_RDONLY = 1,
    SUPER_NEGATIVE = 2, // absent names may be remembered: every change goes through the VFS
    SUPER_NO_CACHE = 4, // names change by themselves (procfs): look up each time
    SUPER_ALIASES = 8,  // a file answers to several spellings (FAT: case, 8.3 name): unlink, rmdir
                        // and rename forget every cached name of the vnode in the directory
};

// A mount function: makes the super and its root vnode. `source` is the device path's last
// component ("vda") or any text; `bdev` is that device, NULL unless the file system asks for one.
// `options` is the comma separated text of mount(2), may be "". *out has super->root set.
ASYNC_IFACE(fs_mount, const struct filesystem *fs; struct block_device *bdev; const char *source;
            uint32_t flags; const char *options; struct super **out;);

struct filesystem {
    const char *name;
    const struct async_fn *mount;
    uint64_t flags; // enum filesystem_flag
};
enum { FS_NEEDS_DEVICE = 1 };
SET_DECLARE(filesystems, struct filesystem);
#define FILESYSTEM(ident, mount_fn, flags)                                                         \
    SET_ITEM(filesystems, struct filesystem, filesystem_##ident) = {#ident, &mount_fn##_fn, flags}

extern struct list super_list; // super.all, under super_lock
extern struct spinlock super_lock;

// A zeroed super with its locks and lists made, device number chosen. NULL: out of memory.
struct super *super_new(const struct filesystem *fs, const struct super_ops *ops,
                        struct block_device *bdev, const char *source);
// For a mount that fails half way. No vnode may be left.
void super_free(struct super *super);

// ---- vnodes

// phys_ops.get, .put, .try_get and .stored of an object embedded beside a vnode (phys.owner is the vnode).
void vnode_phys_get(struct phys *ph);
void vnode_phys_put(struct phys *ph);
bool vnode_phys_try_get(struct phys *ph);
void vnode_phys_stored(struct phys *ph);

// v: zeroed memory from the heap (vnode first, or free_vnode given). One reference. Device nodes,
// FIFOs and symlinks get their file_ops here; times are set to now; nlink 1 (directories 2).
void vnode_init(struct vnode *v, struct super *super, const struct vnode_ops *ops, uint64_t ino,
                uint32_t mode);
static inline struct vnode *vnode_get(struct vnode *v)
{
    atomic_add32(&v->refs, 1);
    return v;
}
void vnode_release(struct vnode *v); // the slow end of vnode_put
static inline void vnode_put(struct vnode *v)
{
    if (atomic_add32(&v->refs, -1u) == 1)
        vnode_release(v);
}

// Who writes a file and who runs it keep each other out (ETXTBSY). vnode.writers counts above 0 those that have it
// open for writing or truncate it, below 0 the processes that run it, execs under way among them. It is one
// atomic word, changed without any lock: of two who come at once one has it, whatever the other holds. A
// mapping made through a file that was open for writing counts in phys.writers, and whoever makes it holds the
// file or a count there until it is in.
int vnode_write_begin(struct vnode *v); // 0 or -ETXTBSY
void vnode_write_end(struct vnode *v);
int vnode_run_begin(struct vnode *v);  // 0 or -ETXTBSY
void vnode_run_again(struct vnode *v); // once more, by whom it runs already
void vnode_run_end(struct vnode *v);

// Identity, for file systems whose vnodes are made from disk: one vnode per (super, ino).
// vnode_find: >= 0 and *out referenced or NULL; waits while a dying one of that number is evicted.
ASYNC_DECL(vnode_find, struct super *super; uint64_t ino; struct vnode **out;);
void vnode_hash_insert(struct vnode *v);
void vnode_hash_remove(struct vnode *v);          // e.g. unlinked: the number may be used again
void vnode_rehash(struct vnode *v, uint64_t ino); // renamed: its number changes

// Until no released vnode of the super waits for its evict; `all`: and it has no vnode left. All of its have been let go
// of then but by the flusher, which soon will.
ASYNC_DECL(vnode_reaper_flush, struct super *super; bool all;);

void vnode_getattr_default(struct vnode *v, struct stat_k *st);
const struct file_ops *vnode_file_ops(struct vnode *v); // device nodes: by number
int64_t vnode_now_ns(void);                             // CLOCK_REALTIME, for time stamps
void vnode_touch(struct vnode *v);                      // mtime and ctime = now

// Page cache of regular files (pagecache.c). The file system gives read_page and write_page to the
// memory object it makes (mem/phys.h, phys_init with the vnode as owner); these keep vnode.size and
// phys.size in step. Truncation drops whole
// pages beyond the new end and zeroes the rest of the last one. vnode.lock is held.
ASYNC_DECL(vnode_set_size, struct vnode *v; uint64_t size;);
ASYNC_DECL(vnode_write_back, struct vnode *v;); // dirty pages to the device; 0 or the first error
// file_ops of page cache files; vnode_init sets them for S_IFREG.
ASYNC_IMPL_DECL(pagecache_read);
ASYNC_IMPL_DECL(pagecache_write);
extern const struct file_ops file_ops_pagecache, file_ops_directory, file_ops_none;

// Under vnode.lock, shielded: reserve where the file grows, then setattr. Rights are the caller's
// business. vnode_truncate: -EISDIR, -EINVAL (no regular file), -EFBIG.
// May the calling task make the file that large? -EFBIG, with SIGXFSZ when RLIMIT_FSIZE is why.
int vnode_size_allowed(const struct vnode *v, uint64_t size);
ASYNC_DECL(vnode_change, struct vnode *v; const struct vattr *attr;);
ASYNC_DECL(vnode_truncate, struct vnode *v; uint64_t size;);

void vnode_set_fields(struct vnode *v, const struct vattr *a); // all but the size
// The default setattr: changes the fields; ATTR_SIZE through vnode_set_size.
ASYNC_IMPL_DECL(vnode_setattr_memory);

// ---- devices

// A character device: `CHARDEV(null, 1, 3, 0666, &null_ops)` makes /dev/null and binds device
// nodes of that number anywhere.
struct chardev {
    const char *name;
    uint64_t dev;
    uint64_t mode;
    const struct file_ops *ops;
};
SET_DECLARE(chardevs, struct chardev);
#define CHARDEV(ident, major, minor, mode, ops)                                                    \
    SET_ITEM(chardevs, struct chardev, chardev_##ident) = {#ident, MAKEDEV(major, minor), mode, ops}
