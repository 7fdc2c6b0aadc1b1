// SPDX-License-Identifier: MIT
// Open files and descriptor tables.
//
// struct file is one open file description: shared by dup, fork and SCM-less passing; refcounted.
// struct fd_table maps small numbers to files; shared by CLONE_FILES, copied by fork. Its lock
// guards the arrays. A plain handler of a thread whose table nobody shares borrows a file without
// a reference (fd_borrow): nobody can close it before the handler returns. Everything that awaits
// takes a reference (fd_get / file_put).
#pragma once

#include "async/wait_async.h"
#include "fs/path.h"
#include "fs/vnode.h"
#include "lib/spinlock.h"
#include "mem/phys.h"

enum { FILE_APPEND_ETC = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME }; // F_SETFL

struct file {
    uint32_t refs;  // atomic
    uint32_t flags; // O_*: access mode and status; changed by F_SETFL with plain stores
    const struct file_ops *ops;
    struct vnode *vnode; // referenced, directly or through path
    struct vnode *data;  // whose pages are read and written: vnode, except for disks
    struct path path;    // dentry NULL: anonymous (pipe, socket)
    uint64_t pos;
    struct readahead ahead; // in data's pages
    struct mutex pos_lock;  // held across read/write/readdir of files with a position
    void *priv;             // the driver's
    struct watch *watches;  // by epolls (epoll_watch.c)
    bool readable, writable;
};

// One reference, path and vnode taken over from the caller (on failure they stay the caller's), and with a path
// the caller's vnode_write_begin, if it is open for writing.
struct file *file_new(struct vnode *v, const struct path *path, uint32_t flags);
static inline struct file *file_get(struct file *file)
{
    atomic_add32(&file->refs, 1);
    return file;
}
// It keeps its vnode from being run. One that was never opened by name, a memfd, does not, as on Linux.
static inline bool file_counts_as_writer(const struct file *file)
{
    return file->writable && file->path.dentry;
}
void file_release(struct file *file);
static inline void file_put(struct file *file)
{
    if (atomic_add32(&file->refs, -1u) == 1)
        file_release(file);
}

// Was read: sets the access time when it is not newer than the last change (relatime).
void file_accessed_slow(struct file *file);
static inline void file_accessed(struct file *file)
{
    const struct vnode *v = file->vnode;
    if (unlikely(v->atime_ns <= v->mtime_ns || v->atime_ns <= v->ctime_ns))
        file_accessed_slow(file);
}

// Reads kernel memory from a file, for exec: up to n bytes at pos. Bytes, 0 at the end, or an error.
ASYNC_DECL(file_read_kernel, struct file *file; uint64_t pos; void *dst; size_t n;);
// Opens for the kernel (exec, init): flags as open(2); 0 and *out referenced. at may be NULL (root
// of the calling task's context).
ASYNC_DECL(file_open_kernel, const char *path; uint32_t flags; uint32_t mode; struct file **out;);
// What mmap maps: see file_ops.mmap. Checks access mode against prot and flags (-EACCES, -ENODEV).
int file_mmap_object(struct file *file, uint32_t prot, uint32_t flags, struct phys **out);
long file_seek_default(struct file *file, int64_t offset, int whence);
long file_seek_nowhere(struct file *file, int64_t offset, int whence); // stays at 0, and says so

// ---- descriptor tables

enum { FD_INLINE = 32, FD_LIMIT = 1 << 20 }; // as Linux's fs.nr_open

struct fd_table {
    uint32_t refs;     // threads; atomic
    uint32_t capacity; // multiple of 64, except the inline start of 32
    struct spinlock lock;
    struct file **file;       // [capacity]
    uint64_t *used, *cloexec; // bit maps
    uint32_t first_free;      // no free number below
    uint32_t open;            // how many
    struct file *file0[FD_INLINE];
    uint64_t used0, cloexec0;
};

struct fd_table *fd_table_new(void);                   // empty; NULL: out of memory
struct fd_table *fd_table_copy(struct fd_table *from); // fork; NULL: out of memory
void fd_table_get(struct fd_table *table);
void fd_table_put(struct fd_table *table); // the last one closes all files
void fd_table_close_on_exec(struct fd_table *table);
// For CLONE_FILES threads that exec: a table of one's own. 0 or -ENOMEM. Takes over *table.
int fd_table_unshare(struct fd_table **table);

// A referenced file or NULL (-EBADF).
struct file *fd_get(struct fd_table *table, int32_t fd);
// Puts file (reference taken over) at the lowest free number >= from. The number, or -EMFILE,
// -ENOMEM (the reference stays the caller's).
int fd_install(struct fd_table *table, struct file *file, uint32_t from, uint64_t limit,
               bool cloexec);
bool fd_is(struct fd_table *table, int32_t fd, const struct file *file); // fd is still that file's
// Takes fd out of the table: the file with its reference, or NULL.
struct file *fd_remove(struct fd_table *table, int32_t fd);
// dup3: at exactly `fd`; *old is what was there (the caller puts it), may be NULL.
int fd_replace(struct fd_table *table, struct file *file, uint32_t fd, uint64_t limit, bool cloexec,
               struct file **old);

int fd_get_cloexec(struct fd_table *table, int32_t fd);          // 0, 1, or -EBADF
int fd_set_cloexec(struct fd_table *table, int32_t fd, bool on); // 0 or -EBADF
int fd_next_open(struct fd_table *table, uint32_t from);         // an open number >= from, or -1

// Nobody else has the caller's table: what others changed before they left it is seen.
static inline bool fd_table_private(const struct fd_table *table)
{
    return load_acquire(&table->refs) == 1;
}
// Plain handlers only. A file, borrowed or referenced; return it with fd_unborrow. NULL: -EBADF.
// Which of the two is decided once: who shares the table may leave it meanwhile.
static inline struct file *fd_borrow(struct fd_table *table, uint64_t fd, bool *referenced)
{
    *referenced = !fd_table_private(table);
    if (unlikely(*referenced))
        return fd_get(table, (int32_t)fd);
    return likely((uint32_t)fd < table->capacity) ? table->file[(uint32_t)fd] : NULL;
}
static inline void fd_unborrow(struct file *file, bool referenced)
{
    if (unlikely(referenced))
        file_put(file);
}
