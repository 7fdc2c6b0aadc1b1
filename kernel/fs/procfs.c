// SPDX-License-Identifier: MIT
// procfs: the kernel's objects as files. Nothing is stored: a lookup makes a vnode that remembers
// what it stands for, a read makes the text.
//
// Names come from two linker sets (fs/proc.h) and from the processes there are. Names change by
// themselves, so none is cached (SUPER_NO_CACHE). A vnode holds a pid, not a process: when the
// process is gone, reads are -ESRCH and lookups -ENOENT.
#include "fs/procfs.h"

#include "lib/log.h"
#include "page/heap.h"

#include <stdio.h>
#include <stdlib.h>

enum { PROC_MAGIC = 0x9fa0, INO_ROOT = 1, INO_ENTRIES = 16, INO_TASK = 4096, TASK_INOS = 1 << 22 };
#define INO_THREAD (1ull << 60)

static const struct vnode_ops proc_ops;

struct proc_node *proc_node_of(struct vnode *v)
{
    return (struct proc_node *)v;
}

static struct proc_node *node_new(struct super *super, enum proc_kind kind, uint64_t ino,
                                  uint32_t mode)
{
    struct proc_node *node = kzalloc(sizeof *node);
    if (!node)
        return NULL;
    node->kind = kind;
    vnode_init(&node->v, super, &proc_ops, ino, mode);
    node->v.file_ops = S_ISDIR(mode) ? &file_ops_directory : &proc_file_ops;
    return node;
}

// ---- the tree of plain entries: names may have parts, "sys/kernel/hostname"

// Does entry name e lie below prefix (n bytes, "" or ending in a slash) under the part `name`?
static bool part_matches(const char *e, const char *prefix, size_t n, const char *name, size_t len)
{
    return strncmp(e, prefix, n) == 0 && strncmp(e + n, name, len) == 0 &&
           (e[n + len] == '\0' || e[n + len] == '/');
}

static long lookup_entry(struct proc_node *dir, const char *name, size_t len, struct vnode **out)
{
    uint64_t ino = INO_ENTRIES;
    SET_FOREACH(proc_entries, struct proc_entry, e) {
        ino++;
        if (!part_matches(e->name, dir->prefix, dir->prefix_len, name, len))
            continue;
        bool file = e->name[dir->prefix_len + len] == '\0';
        struct proc_node *node =
            file ? node_new(dir->v.super, PROC_FILE, ino, S_IFREG | (e->store ? 0644 : 0444))
                 : node_new(dir->v.super, PROC_DIR, ino + 1024, S_IFDIR | 0555);
        if (!node)
            return -ENOMEM;
        node->entry = e;
        node->prefix = e->name;
        node->prefix_len = dir->prefix_len + len + 1;
        *out = &node->v;
        return 0;
    }
    return -ENOENT;
}

// Is e the first entry that shows this part? Directories appear once.
static bool first_of_part(const struct proc_entry *e, size_t prefix_len, size_t len)
{
    SET_FOREACH(proc_entries, struct proc_entry, other) {
        if (other == e)
            return true;
        if (part_matches(other->name, e->name, prefix_len, e->name + prefix_len, len))
            return false;
    }
    return true;
}

// Positions 2 .. 2 + count: one per entry of the set. False: the buffer is full.
static bool emit_entries(struct proc_node *dir, struct dir_sink *sink)
{
    size_t count = SET_COUNT(proc_entries);
    for (size_t i = (size_t)sink->pos - 2; i < count; i++) {
        const struct proc_entry *e = &__start_set_proc_entries[i];
        const char *part = e->name + dir->prefix_len;
        size_t len = strcspn(part, "/");
        bool mine = strncmp(e->name, dir->prefix, dir->prefix_len) == 0 &&
                    first_of_part(e, dir->prefix_len, len);
        uint32_t type = DT_OF_MODE(part[len] ? S_IFDIR : S_IFREG);
        if (mine && !sink->emit(sink, part, len, INO_ENTRIES + 1 + i, type, (int64_t)i + 3))
            return false;
        sink->pos = (int64_t)i + 3;
    }
    return true;
}

// ---- the root: entries, self, one directory per process

static bool is_name(const char *name, size_t len, const char *want)
{
    return strlen(want) == len && memcmp(name, want, len) == 0;
}

uint64_t proc_task_ino(uint32_t pid, uint32_t tid, uint32_t which)
{
    uint64_t ino = INO_TASK + (uint64_t)(tid ? tid : pid) * TASK_INOS + which;
    return tid ? ino | INO_THREAD : ino;
}

long proc_node_for(struct super *super, enum proc_kind kind, uint32_t pid, uint32_t tid,
                   uint32_t which, uint32_t mode, struct proc_node **out)
{
    struct process *p = process_find(pid);
    if (!p)
        return -ENOENT;
    struct proc_node *node = node_new(super, kind, proc_task_ino(pid, tid, which), mode);
    if (node) {
        node->pid = pid;
        node->tid = tid;
        node->which = which;
        node->v.uid = p->cred.euid;
        node->v.gid = p->cred.egid;
    }
    process_put(p);
    *out = node;
    return node ? 0 : -ENOMEM;
}

static long lookup_root(struct proc_node *dir, const char *name, size_t len, struct vnode **out)
{
    uint32_t pid;
    struct proc_node *node;
    long r = 0;
    if (is_name(name, len, "self"))
        node = node_new(dir->v.super, PROC_SELF, INO_ROOT + 1, S_IFLNK | 0777);
    else if (is_name(name, len, "thread-self"))
        node = node_new(dir->v.super, PROC_THREAD_SELF, INO_ROOT + 2, S_IFLNK | 0777);
    else if (proc_parse_pid(name, len, &pid))
        r = proc_lookup_pid(dir->v.super, pid, &node);
    else
        return lookup_entry(dir, name, len, out);
    if (r < 0 || !node)
        return r < 0 ? r : -ENOMEM;
    *out = &node->v;
    return 0;
}

// One process at a time, in order of pid: their directories' positions are beyond all entries.
enum { FIRST_PID_POS = 1 << 20 };

static bool next_pid(struct process *p, void *arg)
{
    *(uint32_t *)arg = p->pid;
    return false;
}

static void emit_processes(struct proc_node *dir, struct dir_sink *sink)
{
    static const char *const self[] = {"self", "thread-self"};
    char name[12];
    (void)dir;
    for (int64_t i = sink->pos < FIRST_PID_POS - 1 ? 0 : sink->pos - FIRST_PID_POS + 2; i < 2;
         i++) {
        int64_t next = FIRST_PID_POS - 1 + i;
        if (!sink->emit(sink, self[i], strlen(self[i]), INO_ROOT + 1 + (uint64_t)i,
                        DT_OF_MODE(S_IFLNK), next))
            return;
        sink->pos = next;
    }
    for (;;) {
        uint32_t pid = 0;
        process_foreach((uint32_t)(sink->pos - FIRST_PID_POS), next_pid, &pid);
        if (!pid)
            return;
        int n = snprintf(name, sizeof name, "%u", (unsigned)pid);
        if (!sink->emit(sink, name, (size_t)n, proc_task_ino(pid, 0, 0), DT_OF_MODE(S_IFDIR),
                        FIRST_PID_POS + (int64_t)pid + 1))
            return;
        sink->pos = FIRST_PID_POS + (int64_t)pid + 1;
    }
}

// ---- operations

ASYNC_IMPL(proc_lookup, vnode_lookup, )
{
    ASYNC_BEGIN(proc_lookup);
    struct proc_node *dir = proc_node_of(f->dir);
    switch (dir->kind) {
    case PROC_ROOT:
        ASYNC_RETURN(lookup_root(dir, f->name, f->len, f->out));
    case PROC_DIR:
        ASYNC_RETURN(lookup_entry(dir, f->name, f->len, f->out));
    case PROC_TASK_DIR:
        ASYNC_RETURN(proc_task_lookup(dir, f->name, f->len, f->out));
    case PROC_THREADS:
        ASYNC_RETURN(proc_threads_lookup(dir, f->name, f->len, f->out));
    case PROC_FD_DIR:
    case PROC_FDINFO_DIR:
        ASYNC_RETURN(proc_fd_lookup(dir, f->name, f->len, f->out));
    default:
        ASYNC_RETURN(-ENOTDIR);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(proc_readdir, vnode_readdir, )
{
    ASYNC_BEGIN(proc_readdir);
    struct proc_node *dir = proc_node_of(f->dir);
    if (!dir_emit_dots(f->sink, f->dir,
                       dir->kind >= PROC_THREADS ? proc_task_ino(dir->pid, dir->tid, 0) : INO_ROOT))
        ASYNC_RETURN(0);
    switch (dir->kind) {
    case PROC_ROOT:
        if (f->sink->pos >= FIRST_PID_POS - 1 || emit_entries(dir, f->sink))
            emit_processes(dir, f->sink);
        break;
    case PROC_DIR:
        emit_entries(dir, f->sink);
        break;
    case PROC_TASK_DIR:
        ASYNC_RETURN(proc_task_emit(dir, f->sink));
    case PROC_THREADS:
        ASYNC_RETURN(proc_threads_emit(dir, f->sink));
    case PROC_FD_DIR:
    case PROC_FDINFO_DIR:
        ASYNC_RETURN(proc_fd_emit(dir, f->sink));
    default:
        break;
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(proc_readlink, vnode_readlink, )
{
    ASYNC_BEGIN(proc_readlink);
    struct proc_node *node = proc_node_of(f->v);
    if (node->kind == PROC_SELF || node->kind == PROC_THREAD_SELF) {
        if (!t->thread)
            ASYNC_RETURN(-ENOENT);
        char name[32];
        int n = snprintf(name, sizeof name, node->kind == PROC_SELF ? "%u" : "%u/task/%u",
                         (unsigned)t->thread->process->pid, (unsigned)t->thread->tid);
        size_t len = (size_t)n < f->size ? (size_t)n : f->size;
        memcpy(f->buf, name, len);
        ASYNC_RETURN((long)len);
    }
    ASYNC_RETURN(proc_link_text(node, f->buf, f->size));
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct vnode_ops proc_ops = {
    .lookup = &proc_lookup_fn,
    .readdir = &proc_readdir_fn,
    .readlink = &proc_readlink_fn,
    .follow = proc_link_follow,
};

// ---- files

static struct text *text_of(const struct file *file)
{
    return file->priv;
}

static long make_text(struct file *file, struct text *text)
{
    struct proc_node *node = proc_node_of(file->vnode);
    text_free(text);
    if (node->kind == PROC_FILE) {
        node->entry->show(text);
    } else if (node->kind == PROC_FDINFO) {
        long r = proc_fdinfo_text(node, text);
        if (r < 0)
            return r;
    } else {
        struct process *p = process_find(node->pid);
        if (!p)
            return -ESRCH;
        bool there = proc_has_thread(p, node->tid);
        text->tid = node->tid;
        if (there)
            node->task_entry->show(text, p);
        process_put(p);
        if (!there)
            return -ESRCH;
    }
    return text->failed ? -ENOMEM : 0;
}

static bool can_store(const struct proc_node *node)
{
    return node->kind == PROC_FILE        ? node->entry->store != NULL
           : node->kind == PROC_TASK_FILE ? node->task_entry->store != NULL
                                          : false;
}

ASYNC_IMPL(proc_open, file_open, )
{
    ASYNC_BEGIN(proc_open);
    if (f->file->writable && !can_store(proc_node_of(f->file->vnode)))
        ASYNC_RETURN(-EACCES);
    f->file->priv = kzalloc(sizeof(struct text));
    ASYNC_RETURN(f->file->priv ? 0 : -ENOMEM);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(proc_read, file_read, long r;)
{
    ASYNC_BEGIN(proc_read);
    AWAIT(f->r, mutex_lock, &f->file->vnode->lock, true);
    if (f->r < 0)
        ASYNC_RETURN(-ERESTARTSYS);
    if (f->pos == 0 || !text_of(f->file)->buf) {
        f->r = make_text(f->file, text_of(f->file));
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->pos >= text_of(f->file)->len)
        ASYNC_RETURN(0);
    AWAIT(f->r, iobuf_out_all, f->buf, text_of(f->file)->buf + f->pos,
          text_of(f->file)->len - f->pos);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->file->vnode->lock, t))
        mutex_unlock(&f->file->vnode->lock, t);
    ASYNC_END;
}

static long store(struct file *file, const char *value)
{
    const struct proc_node *node = proc_node_of(file->vnode);
    if (node->kind == PROC_FILE)
        return node->entry->store(value);
    struct process *p = process_find(node->pid);
    long r =
        p && proc_has_thread(p, node->tid) ? node->task_entry->store(p, node->tid, value) : -ESRCH;
    if (p)
        process_put(p);
    return r;
}

ASYNC_IMPL(proc_write, file_write, char value[PROC_STORE_MAX]; size_t left; long r;)
{
    ASYNC_BEGIN(proc_write);
    f->left = f->buf->left;
    AWAIT(f->r, iobuf_in_all, f->buf, f->value,
          f->left < PROC_STORE_MAX ? f->left : PROC_STORE_MAX - 1);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->value[f->r] = 0;
    f->r = store(f->file, f->value);
    ASYNC_RETURN(f->r < 0 ? f->r : (long)f->left);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void proc_release(struct file *file)
{
    if (!file->priv)
        return;
    text_free(file->priv);
    kfree(file->priv);
}

const struct file_ops proc_file_ops = {
    .open = &proc_open_fn,
    .read = &proc_read_fn,
    .write = &proc_write_fn,
    .release = proc_release,
};

// ---- the file system

static void proc_statfs(struct super *super, struct statfs_k *st)
{
    (void)super;
    st->bsize = st->frsize = PAGE_SIZE;
    st->namelen = NAME_MAX;
}

static const struct super_ops proc_super_ops = {.statfs = proc_statfs};

ASYNC_IMPL(proc_mount, fs_mount, )
{
    ASYNC_BEGIN(proc_mount);
    struct super *super = super_new(f->fs, &proc_super_ops, NULL, f->source);
    struct proc_node *root = super ? node_new(super, PROC_ROOT, INO_ROOT, S_IFDIR | 0555) : NULL;
    if (!root) {
        if (super)
            super_free(super);
        ASYNC_RETURN(-ENOMEM);
    }
    root->prefix = "";
    super->magic = PROC_MAGIC;
    super->flags = SUPER_NO_CACHE | (f->flags & MS_RDONLY ? SUPER_RDONLY : 0);
    super->root = &root->v;
    *f->out = super;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

FILESYSTEM(proc, proc_mount, 0);
