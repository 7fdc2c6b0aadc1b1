// SPDX-License-Identifier: MIT
// A process's directory in /proc: its files, its links, its descriptors.
#include "fs/dentry.h"
#include "fs/memfd.h"
#include "fs/procfs.h"
#include "page/heap.h"

#include <stdio.h>

enum task_link { LINK_EXE, LINK_CWD, LINK_ROOT, LINKS };
static const char *const link_name[LINKS] = {"exe", "cwd", "root"};
enum {
    WHICH_FD_DIR = 1,
    WHICH_LINK = 2,
    WHICH_FDINFO_DIR = 5,
    WHICH_THREADS = 8,
    WHICH_FILE = 16,
    WHICH_FD = 1024,
};
// Numbers above the largest descriptor.
enum { WHICH_FDINFO = WHICH_FD + FD_LIMIT };

// ---- what the process has, referenced

// The thread that the directory of node shows. NULL: it has ended; as in its maps, nothing is shown then of what others have.
// p->lock held.
static struct thread *thread_shown(struct process *p, const struct proc_node *node)
{
    uint32_t tid = node->tid ? node->tid : node->pid;
    LIST_FOREACH(it, &p->threads) {
        struct thread *th = list_entry(it, struct thread, in_process);
        if (th->tid == tid)
            return th;
    }
    return NULL;
}

static struct fd_table *files_of(const struct proc_node *node)
{
    struct process *p = process_find(node->pid);
    struct fd_table *files = NULL;
    if (!p)
        return NULL;
    spin_lock(&p->lock);
    struct thread *th = thread_shown(p, node);
    if (th && (files = th->files))
        fd_table_get(files);
    spin_unlock(&p->lock);
    process_put(p);
    return files;
}

static int context_path(struct process *p, const struct proc_node *node, bool root,
                        struct path *out)
{
    struct fs_context *fs = NULL;
    spin_lock(&p->lock);
    struct thread *th = thread_shown(p, node);
    if (th && (fs = th->fs))
        fs_context_get(fs);
    spin_unlock(&p->lock);
    if (!fs)
        return -ENOENT;
    *out = fs_context_path(fs, root ? &fs->root : &fs->cwd);
    fs_context_put(fs);
    return 0;
}

// ---- the directory

long proc_task_lookup(struct proc_node *dir, const char *name, size_t len, struct vnode **out)
{
    struct super *super = dir->v.super;
    struct proc_node *node;
    long r = -ENOENT;
    const struct proc_task_entry *entry = NULL;
    char text[NAME_MAX + 1];
    memcpy(text, name, len);
    text[len] = '\0';
    if (strcmp(text, "fd") == 0)
        r = proc_node_for(super, PROC_FD_DIR, dir->pid, dir->tid, WHICH_FD_DIR, S_IFDIR | 0500,
                          &node);
    if (strcmp(text, "fdinfo") == 0)
        r = proc_node_for(super, PROC_FDINFO_DIR, dir->pid, dir->tid, WHICH_FDINFO_DIR,
                          S_IFDIR | 0500, &node);
    if (strcmp(text, "task") == 0 && !dir->tid)
        r = proc_node_for(super, PROC_THREADS, dir->pid, 0, WHICH_THREADS, S_IFDIR | 0555, &node);
    for (uint32_t i = 0; i < LINKS; i++)
        if (strcmp(text, link_name[i]) == 0)
            r = proc_node_for(super, PROC_TASK_LINK, dir->pid, dir->tid, WHICH_LINK + i,
                              S_IFLNK | 0777, &node);
    SET_FOREACH(proc_task_entries, struct proc_task_entry, e)
        if (strcmp(text, e->name) == 0)
            entry = e;
    if (entry)
        r = proc_node_for(super, PROC_TASK_FILE, dir->pid, dir->tid,
                          WHICH_FILE + (uint32_t)(entry - __start_set_proc_task_entries),
                          S_IFREG | (uint32_t)entry->mode, &node);
    if (r < 0)
        return r;
    node->task_entry = entry;
    if (node->kind == PROC_TASK_LINK)
        node->v.flags |= VNODE_MAGIC_LINK;
    *out = &node->v;
    return 0;
}

// Positions: 2 fd, 3 fdinfo, 4.. links, then the entries of the set; at last, for a process, its threads.
long proc_task_emit(struct proc_node *dir, struct dir_sink *sink)
{
    size_t entries = 2 + LINKS + SET_COUNT(proc_task_entries), count = entries + !dir->tid;
    struct process *p = process_find(dir->pid);
    if (!p)
        return -ENOENT;
    process_put(p);
    for (size_t i = (size_t)sink->pos - 2; i < count; i++) {
        const char *name = i == 0          ? "fd"
                           : i == 1        ? "fdinfo"
                           : i == entries  ? "task"
                           : i < 2 + LINKS ? link_name[i - 2]
                                           : __start_set_proc_task_entries[i - 2 - LINKS].name;
        uint32_t mode = i < 2 || i == entries ? S_IFDIR : i < 2 + LINKS ? S_IFLNK : S_IFREG;
        if (!sink->emit(sink, name, strlen(name), dir->v.ino + i + 1, DT_OF_MODE(mode),
                        (int64_t)i + 3))
            return 0;
        sink->pos = (int64_t)i + 3;
    }
    return 0;
}

// ---- descriptors

long proc_fd_lookup(struct proc_node *dir, const char *name, size_t len, struct vnode **out)
{
    uint32_t fd = 0;
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9' || len > 6)
            return -ENOENT;
        fd = fd * 10 + (uint32_t)(name[i] - '0');
    }
    struct fd_table *files = files_of(dir);
    if (!files)
        return -ENOENT;
    struct file *file = fd_get(files, (int32_t)fd);
    fd_table_put(files);
    if (!file)
        return -ENOENT;
    struct proc_node *node;
    uint32_t rights = 0100u | (file->readable ? 0400 : 0) | (file->writable ? 0200 : 0);
    file_put(file);
    long r = dir->kind == PROC_FD_DIR
                 ? proc_node_for(dir->v.super, PROC_FD_LINK, dir->pid, dir->tid, WHICH_FD + fd,
                                 S_IFLNK | rights, &node)
                 : proc_node_for(dir->v.super, PROC_FDINFO, dir->pid, dir->tid, WHICH_FDINFO + fd,
                                 S_IFREG | 0400, &node);
    if (r < 0)
        return r;
    node->which = fd;
    if (node->kind == PROC_FD_LINK)
        node->v.flags |= VNODE_MAGIC_LINK;
    *out = &node->v;
    return 0;
}

long proc_fd_emit(struct proc_node *dir, struct dir_sink *sink)
{
    char name[12];
    struct fd_table *files = files_of(dir);
    if (!files)
        return 0;
    for (;;) {
        int fd = fd_next_open(files, (uint32_t)(sink->pos - 2));
        if (fd < 0)
            break;
        int n = snprintf(name, sizeof name, "%d", fd);
        bool link = dir->kind == PROC_FD_DIR;
        uint64_t ino = dir->v.ino - (link ? WHICH_FD_DIR : WHICH_FDINFO_DIR) +
                       (link ? WHICH_FD : WHICH_FDINFO) + (uint32_t)fd;
        if (!sink->emit(sink, name, (size_t)n, ino, DT_OF_MODE(link ? S_IFLNK : S_IFREG), fd + 3))
            break;
        sink->pos = fd + 3;
    }
    fd_table_put(files);
    return 0;
}

// ---- what fdinfo says

long proc_fdinfo_text(struct proc_node *node, struct text *out)
{
    struct fd_table *files = files_of(node);
    struct file *file = files ? fd_get(files, (int32_t)node->which) : NULL;
    uint32_t cloexec = file && fd_get_cloexec(files, (int32_t)node->which) > 0 ? O_CLOEXEC : 0;
    if (files)
        fd_table_put(files);
    if (!file)
        return -ENOENT;
    const struct mount *m = file->path.mount;
    text_printf(out, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t%u\nino:\t%lu\n", (unsigned long)file->pos,
                (unsigned)(file->flags | O_LARGEFILE | cloexec), m ? (unsigned)m->id : 0,
                (unsigned long)file->vnode->ino);
    if (file->ops->show)
        file->ops->show(file, out);
    file_put(file);
    return 0;
}

// ---- links

static struct file *file_of(const struct proc_node *node)
{
    struct fd_table *files = files_of(node);
    struct file *file = files ? fd_get(files, (int32_t)node->which) : NULL;
    if (files)
        fd_table_put(files);
    return file;
}

// Files without a name are shown by what they are, pipes by number.
static long describe_file(const struct file *file, char *buf, size_t size)
{
    if (memfd_place(file->vnode, buf, size))
        return (long)strlen(buf);
    if (!file->path.dentry) {
        int n = file->ops->name ? snprintf(buf, size, "anon_inode:%s", file->ops->name)
                                : snprintf(buf, size, "%s:[%lu]",
                                           S_ISFIFO(file->vnode->mode) ? "pipe" : "anon_inode",
                                           (unsigned long)file->vnode->ino);
        return n < 0 ? -EIO : (size_t)n < size ? n : (long)size;
    }
    char *text = path_text(&file->path, NULL, buf, size, NULL);
    if (!text)
        return -ENAMETOOLONG;
    size_t n = strlen(text);
    memmove(buf, text, n);
    return (long)n;
}

static long path_into(const struct path *p, char *buf, size_t size)
{
    if (memfd_place(p->dentry->vnode, buf, size))
        return (long)strlen(buf);
    char *text = path_text(p, NULL, buf, size, NULL);
    if (!text)
        return -ENAMETOOLONG;
    size_t n = strlen(text);
    memmove(buf, text, n);
    return (long)n;
}

// Where exe, cwd or root leads, referenced. -ENOENT: a zombie or without its first thread, or it never executed anything.
static int link_path(struct process *p, const struct proc_node *node, struct path *out)
{
    uint32_t which = node->which - WHICH_LINK;
    if (which != LINK_EXE)
        return context_path(p, node, which == LINK_ROOT, out);
    spin_lock(&p->lock);
    bool shown = thread_shown(p, node);
    spin_unlock(&p->lock);
    return shown && process_exe(p, out) ? 0 : -ENOENT;
}

long proc_link_text(struct proc_node *node, char *buf, size_t size)
{
    if (node->kind == PROC_FD_LINK) {
        struct file *file = file_of(node);
        long r = file ? describe_file(file, buf, size) : -ENOENT;
        if (file)
            file_put(file);
        return r;
    }
    struct process *p = process_find(node->pid);
    struct path at;
    if (!p)
        return -ENOENT;
    long r = link_path(p, node, &at);
    if (r == 0) {
        r = path_into(&at, buf, size);
        path_put(&at);
    }
    process_put(p);
    return r;
}

// A file without a name becomes a nameless dentry of its own, so that /dev/stdin opens a pipe again.
static int nameless_path(const struct file *file, struct path *out)
{
    out->dentry = dentry_new_root(file->vnode, file->vnode->super);
    if (!out->dentry)
        return -ENOMEM;
    out->dentry->gone = 1;
    out->mount = root_path.mount;
    atomic_add32(&out->mount->refs, 1);
    return 0;
}

int proc_link_follow(struct vnode *v, struct path *out)
{
    struct proc_node *node = proc_node_of(v);
    int r;
    if (node->kind == PROC_FD_LINK) {
        struct file *file = file_of(node);
        if (!file)
            return -ENOENT;
        r = 0;
        *out = file->path;
        if (out->dentry)
            path_get(out);
        else
            r = nameless_path(file, out);
        file_put(file);
        return r;
    }
    struct process *p = process_find(node->pid);
    if (!p)
        return -ENOENT;
    r = link_path(p, node, out);
    process_put(p);
    return r;
}
