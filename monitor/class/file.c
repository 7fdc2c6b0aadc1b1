// SPDX-License-Identifier: MIT
// Descriptors: the open files of a task, by number. A number that was closed and opened again names
// what it is now.
#include "fs/file.h"

#include "class/classes.h"
#include "fs/tty_impl.h"
#include "lib/errno.h"
#include "task/thread.h"

#include <stdio.h>

struct file_view {
    char path[192];
    const char *access;
    uint64_t position, ino, device, tty;
    uint64_t flags;
    uint32_t fd, references;
    bool close_on_exec, nonblocking, append;
};

// Referenced (fd_table_put), or NULL: it has none. Others look at a thread's under process.lock.
static struct fd_table *files_of(uint64_t task)
{
    struct task *t = task <= UINT32_MAX ? task_find((uint32_t)task) : NULL;
    struct fd_table *files = NULL;
    if (!t)
        return NULL;
    if (t->thread) {
        spin_lock(&t->thread->process->lock);
        if ((files = t->thread->files))
            fd_table_get(files);
        spin_unlock(&t->thread->process->lock);
    }
    task_put(t);
    return files;
}

// Files without a name are shown as /proc/PID/fd does.
static void describe(const struct file *file, char *buf, size_t size)
{
    char text[160];
    const char *path;
    if (!file->path.dentry && file->ops->name)
        snprintf(buf, size, "anon_inode:%s", file->ops->name);
    else if (!file->path.dentry)
        snprintf(buf, size, "%s:[%lu]", S_ISFIFO(file->vnode->mode) ? "pipe" : "anon_inode",
                 (unsigned long)file->vnode->ino);
    else if ((path = path_text(&file->path, NULL, text, sizeof text, NULL)))
        snprintf(buf, size, "%s", path);
    else
        snprintf(buf, size, "(a long path)");
}

static uint64_t tty_of(const struct file *file)
{
    const struct tty_file *of = file->ops->poll == tty_poll ? load_acquire(&file->priv) : NULL;
    return of ? of->tty->id : 0;
}

static void look(const struct file *file, struct file_view *v)
{
    *v = (struct file_view){
        .access = file->readable   ? file->writable ? "rw" : "r"
                  : file->writable ? "w"
                                   : "",
        .position = load_relaxed(&file->pos),
        .ino = file->vnode->ino,
        .device = file->vnode->super->dev,
        .tty = tty_of(file),
        .flags = load_relaxed(&file->flags),
        .references = load_relaxed(&file->refs) - 1, // ours
    };
    v->nonblocking = v->flags & O_NONBLOCK;
    v->append = v->flags & O_APPEND;
    describe(file, v->path, sizeof v->path);
}

static long file_copy(const struct class_key *key, void *out)
{
    struct file_view *v = out;
    struct fd_table *files = key->id < FD_LIMIT ? files_of(key->owner) : NULL;
    struct file *file = files ? fd_get(files, (int32_t)key->id) : NULL;
    if (file) {
        look(file, v);
        v->fd = (uint32_t)key->id;
        v->close_on_exec = fd_get_cloexec(files, (int32_t)key->id) == 1;
        file_put(file);
    }
    if (files)
        fd_table_put(files);
    return file ? 0 : -ENOENT;
}

static size_t file_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    struct fd_table *files = files_of(owner);
    if (!files)
        return 0;
    for (int fd; n < max && from < FD_LIMIT && (fd = fd_next_open(files, (uint32_t)from)) >= 0;
         from = (uint64_t)fd + 1)
        out[n++] = (struct class_key){(uint64_t)fd, owner};
    fd_table_put(files);
    return n;
}

static void file_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct file_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s %s at %lu", v->access, v->path, (unsigned long)v->position);
}

static void push_task(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push(L, class_task, (struct class_key){key->owner, 0});
}

static void push_vnode(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct file_view *v = copy;
    (void)key;
    class_push(L, class_vnode, (struct class_key){v->ino, v->device});
}

static void push_if_lives(lua_State *L, const struct class *c, struct class_key key)
{
    uint64_t view[CLASS_COPY_MAX / 8];
    if (class_copy(c, &key, view))
        class_push(L, c, key);
    else
        lua_pushnil(L);
}

static void push_pipe(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct file_view *v = copy;
    (void)key;
    push_if_lives(L, class_pipe, (struct class_key){v->ino, v->device});
}

static void push_tty(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct file_view *v = copy;
    (void)key;
    push_if_lives(L, class_tty, (struct class_key){v->tty, 0});
}

static const struct class_field fields[] = {
    FIELD(struct file_view, fd, "the descriptor"),
    FIELD(struct file_view, path, "where it was opened, or what it is"),
    FIELD(struct file_view, access, "r, w or rw; \"\": opened with O_PATH"),
    FIELD(struct file_view, position, "bytes, where the next read or write begins"),
    FIELD_ADDRESS(struct file_view, flags, "O_* of open(2)"),
    FIELD(struct file_view, nonblocking, "O_NONBLOCK"),
    FIELD(struct file_view, append, "O_APPEND"),
    FIELD(struct file_view, close_on_exec, "the next program does not get it"),
    FIELD(struct file_view, references, "descriptors and calls under way that have it"),
    FIELD_OTHER("vnode", "Vnode", "the file itself", push_vnode),
    FIELD_OTHER("pipe", "Pipe", "whose end it is; nil: of none", push_pipe),
    FIELD_OTHER("tty", "Tty", "the terminal that it is; nil: it is none", push_tty),
    FIELD_OTHER("task", "Task", "whose descriptor it is", push_task),
    {0},
};

CLASS(file, .name = "File", .doc = "an open file: a task's descriptor",
      .place = "struct file, kernel/fs/file.h", .gone = "was closed",
      .example = "k.pid(1).files[0]", .size = sizeof(struct file_view), .copy = file_copy,
      .keys = file_keys, .line = file_line, .fields = fields);
