// SPDX-License-Identifier: MIT
// See fat_host.h. One hart; the clock moves when nothing else can happen.
#include "fat_host.h"

#include "async/executor.h"
#include "host.h"
#include "lib/init.h"
#include "lib/local.h"
#include "lib/log.h"
#include "page/frame.h"
#include "page/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

uint8_t *disk_image;
uint64_t disk_bytes, disk_writes, disk_fail_after = UINT64_MAX;
bool disk_fail_writes_only;
void (*disk_watch)(uint64_t sector, const uint8_t *data);
static struct list disk_queue = LIST_INIT(disk_queue);
static unsigned random_state = 1;
static char image_path[64];

unsigned host_random(unsigned n)
{
    random_state = random_state * 1103515245 + 12345;
    return (random_state >> 8) % n;
}

// ---- the device

static void disk_submit(struct block_request *req)
{
    list_push_back(&disk_queue, &req->link);
}

static const struct block_device_ops disk_ops = {.submit = disk_submit};
struct block_device disk = {.name = "vda", .ops = &disk_ops, .max_segments = BLOCK_SEGMENTS};

static int transfer(struct block_request *req)
{
    uint64_t at = req->sector * SECTOR_SIZE;
    bool counts = !disk_fail_writes_only || req->op == BLOCK_WRITE;
    if (counts && disk_fail_after != UINT64_MAX && disk_fail_after-- == 0) {
        disk_fail_after = 0;
        return -EIO;
    }
    for (uint32_t i = 0; i < req->segment_count; i++) {
        uint8_t *p = pa_to_kva(req->segment[i].pa);
        uint32_t n = req->segment[i].bytes;
        for (uint32_t s = 0; req->op == BLOCK_WRITE && s < n; s += SECTOR_SIZE, disk_writes++)
            if (disk_watch)
                disk_watch((at + s) / SECTOR_SIZE, p + s);
        if (req->op == BLOCK_WRITE)
            memcpy(disk_image + at, p, n);
        else if (req->op == BLOCK_READ)
            memcpy(p, disk_image + at, n);
        at += n;
    }
    return 0;
}

bool disk_step(void)
{
    unsigned waiting = 0;
    LIST_FOREACH(it, &disk_queue)
        waiting++;
    if (!waiting)
        return false;
    unsigned pick = host_random(waiting);
    LIST_FOREACH(it, &disk_queue)
        if (pick-- == 0) {
            struct block_request *req = list_entry(it, struct block_request, link);
            list_remove(it);
            block_complete(req, transfer(req));
            return true;
        }
    return false;
}

static void write_image(void)
{
    FILE *file = fopen(image_path, "wb");
    if (!file || fwrite(disk_image, 1, disk_bytes, file) != disk_bytes || fclose(file))
        panic("cannot write %s", image_path);
}

void image_reload(void)
{
    FILE *file = fopen(image_path, "rb");
    if (!file || fread(disk_image, 1, disk_bytes, file) != disk_bytes || fclose(file))
        panic("cannot read %s", image_path);
}

void disk_open(const char *mkfs_options, uint64_t bytes)
{
    char command[256], out[512];
    if (!image_path[0]) {
        strcpy(image_path, "/tmp/fat_test_XXXXXX");
        close(mkstemp(image_path));
    }
    disk_bytes = bytes;
    disk_image = malloc(bytes);
    memset(disk_image, 0xdb, bytes); // what others left behind
    disk.capacity = bytes / SECTOR_SIZE;
    disk_writes = 0;
    disk_fail_after = UINT64_MAX;
    write_image();
    snprintf(command, sizeof command, "PATH=$PATH:/usr/sbin mkfs.vfat -F 32 %s IMG", mkfs_options);
    if (image_command(command, out, sizeof out) < 0)
        panic("mkfs.vfat: %s", out);
    image_reload();
}

void disk_close(void)
{
    free(disk_image);
    disk_image = NULL;
    unlink(image_path);
    image_path[0] = 0;
}

long image_command(const char *command, char *out, size_t n)
{
    char line[1024];
    const char *img = strstr(command, "IMG");
    snprintf(line, sizeof line, "export MTOOLS_SKIP_CHECK=1 LC_ALL=C.UTF-8; (%.*s%s%s) 2>&1",
             (int)(img - command), command, image_path, img + 3);
    FILE *pipe = popen(line, "r");
    size_t got = pipe ? fread(out, 1, n - 1, pipe) : 0;
    out[got] = 0;
    char rest[4096];
    while (pipe && fread(rest, 1, sizeof rest, pipe) > 0) {
    }
    int status = pipe ? pclose(pipe) : -1;
    if (status && getenv("TEST_LOG"))
        fprintf(stderr, "# %s: %d: %s\n", line, status, out);
    return status ? -1 : (long)got;
}

int image_check(char *report, size_t n)
{
    write_image();
    return image_command("PATH=$PATH:/usr/sbin fsck.vfat -n IMG", report, n) < 0;
}

// ---- tasks

void host_fat_init(unsigned seed)
{
    static bool once;
    random_state = seed;
    if (once)
        return;
    once = true;
    enum { FRAMES = 16384 };
    char *ram = aligned_alloc(4 << 20, FRAMES * PAGE_SIZE);
    struct frame_range r = {(pa_t)ram, (pa_t)ram + FRAMES * PAGE_SIZE};
    memset(ram, 0xa5, FRAMES * PAGE_SIZE);
    frames_init(&r, 1);
    executor_init();
    locals_init();
    for (int level = INIT_EARLY; level <= INIT_DRIVERS; level++)
        init_run(level);
}

void host_pass_ns(uint64_t ns)
{
    host_ticks += ns_to_ticks(ns);
    timers_run();
}

static bool step(void)
{
    // Let the device lag behind by a random amount, so that requests pile up and overtake.
    if (host_random(3) == 0 && disk_step())
        return true;
    return executor_step() || disk_step();
}

void host_settle(void)
{
    while (step()) {
    }
}

static void free_task(struct task *t)
{
    free(t);
}

struct task *host_start(const struct async_fn *fn, const void *args, size_t n)
{
    enum { ARENA = 64 * 1024 };
    struct task *t = calloc(1, sizeof *t + ARENA);
    if (task_init(t, "test", t + 1, ARENA, fn, args, n))
        panic("task_init");
    t->release = free_task;
    task_get(t);
    task_start(t);
    return t;
}

long host_finish(struct task *t)
{
    while (!(t->state & TASK_DEAD))
        if (!step())
            host_pass_ns(100000000);
    long r = t->result;
    task_put(t);
    return r;
}

long host_run(const struct async_fn *fn, const void *args, size_t n)
{
    return host_finish(host_start(fn, args, n));
}

// ---- the page cache's glue, without user memory

const struct file_ops file_ops_pagecache, file_ops_directory, file_ops_fifo, file_ops_no_device,
    file_ops_block;

ASYNC(vnode_set_size, long r;)
{
    ASYNC_BEGIN(vnode_set_size);
    f->r = 0;
    if (f->size > f->v->size)
        phys_grow(f->v->pages, f->size);
    else if (f->size < f->v->size)
        AWAIT(f->r, phys_truncate, f->v->pages, f->size);
    f->v->size = f->size;
    vnode_touch(f->v);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(vnode_write_back, long r;)
{
    ASYNC_BEGIN(vnode_write_back);
    AWAIT(f->r, phys_sync, f->v->pages, 0, UINT64_MAX);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static size_t part_of_page(uint64_t pos, size_t left)
{
    size_t room = PAGE_SIZE - pos % PAGE_SIZE;
    return room < left ? room : left;
}

ASYNC(host_write, struct page *page; size_t done; size_t part; long r;)
{
    ASYNC_BEGIN(host_write);
    AWAIT(f->r, mutex_lock, &f->v->lock, false);
    f->done = 0;
    if (f->pos + f->n > f->v->size)
        AWAIT_VIA(f->r, vnode_reserve, f->v->ops->reserve, f->v, f->pos + f->n);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->pos > f->v->size)
        phys_zero_tail(f->v->pages);
    while (f->done < f->n) {
        f->part = part_of_page(f->pos, f->n - f->done);
        AWAIT(f->r, phys_page, f->v->pages, f->pos / PAGE_SIZE, PHYS_READ, NULL, 1, &f->page);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        memcpy((char *)page_kva(f->page) + f->pos % PAGE_SIZE, (const char *)f->data + f->done,
               f->part);
        f->done += f->part;
        f->pos += f->part;
        phys_wrote(f->v->pages, f->page, f->pos);
        page_put(f->page);
        if (f->pos > f->v->size)
            f->v->size = f->pos;
    }
    vnode_touch(f->v);
    ASYNC_RETURN((long)f->done);
    ASYNC_FINALLY;
    if (mutex_held(&f->v->lock, t))
        mutex_unlock(&f->v->lock, t);
    ASYNC_END;
}

ASYNC(host_read, struct page *page; size_t done; size_t part; long r;)
{
    ASYNC_BEGIN(host_read);
    f->done = 0;
    while (f->done < f->n && f->pos < f->v->size) {
        f->part = part_of_page(f->pos, f->n - f->done);
        if (f->part > f->v->size - f->pos)
            f->part = f->v->size - f->pos;
        AWAIT(f->r, phys_page, f->v->pages, f->pos / PAGE_SIZE, PHYS_READ, NULL, 1, &f->page);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        memcpy((char *)f->data + f->done, (char *)page_kva(f->page) + f->pos % PAGE_SIZE, f->part);
        page_put(f->page);
        f->done += f->part;
        f->pos += f->part;
    }
    ASYNC_RETURN((long)f->done);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(host_truncate, struct vattr attr; long r;)
{
    ASYNC_BEGIN(host_truncate);
    AWAIT(f->r, mutex_lock, &f->v->lock, false);
    f->attr = (struct vattr){.mask = ATTR_SIZE, .size = f->size};
    AWAIT_VIA(f->r, vnode_setattr, f->v->ops->setattr, f->v, &f->attr);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->v->lock, t))
        mutex_unlock(&f->v->lock, t);
    ASYNC_END;
}

// ---- by path

struct super *fat_super;

int fat_host_mount(void)
{
    static const struct filesystem fs = {.name = "vfat"};
    return (int)RUN(fat_mount, fs_mount, &fs, &disk, "vda", 0, "", &fat_super);
}

void fat_host_unmount(void)
{
    vnode_put(fat_super->root);
    host_settle();
    RUN(fat_sync, super_sync, fat_super);
    RUN(fat_unmount, super_unmount, fat_super);
    super_free(fat_super);
    fat_super = NULL;
}

// The directory of the last component, referenced, and that component.
static long parent_of(const char *path, struct vnode **dir, const char **name)
{
    *dir = vnode_get(fat_super->root);
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        struct vnode *next = NULL;
        long r = RUN(fat_lookup, vnode_lookup, *dir, path, (size_t)(slash - path), &next);
        vnode_put(*dir);
        if (r == 0 && !S_ISDIR(next->mode)) {
            vnode_put(next);
            r = -ENOTDIR;
        }
        if (r < 0)
            return r;
        *dir = next;
    }
    *name = path;
    return 0;
}

long fh_lookup(const char *path, struct vnode **out)
{
    struct vnode *dir;
    const char *name;
    long r = parent_of(path, &dir, &name);
    if (r < 0)
        return r;
    *out = NULL;
    r = *name ? RUN(fat_lookup, vnode_lookup, dir, name, strlen(name), out)
              : (*out = vnode_get(dir), 0);
    vnode_put(dir);
    return r;
}

static long make(const char *path, bool directory)
{
    struct vnode *dir, *v = NULL;
    const char *name;
    long r = parent_of(path, &dir, &name);
    if (r < 0)
        return r;
    r = RUN(fat_lookup, vnode_lookup, dir, name, strlen(name), &v);
    if (r == 0)
        r = -EEXIST;
    else if (r == -ENOENT)
        r = directory
                ? RUN(fat_mkdir, vnode_mkdir, dir, name, strlen(name), S_IFDIR | 0755, &v)
                : RUN(fat_create, vnode_create, dir, name, strlen(name), S_IFREG | 0644, 0, &v);
    if (v)
        vnode_put(v);
    vnode_put(dir);
    return r;
}

long fh_create(const char *path)
{
    return make(path, false);
}

long fh_mkdir(const char *path)
{
    return make(path, true);
}

long fh_remove(const char *path, bool directory)
{
    struct vnode *dir, *v = NULL;
    const char *name;
    long r = parent_of(path, &dir, &name);
    if (r < 0)
        return r;
    r = RUN(fat_lookup, vnode_lookup, dir, name, strlen(name), &v);
    if (r == 0 && S_ISDIR(v->mode) != directory)
        r = directory ? -ENOTDIR : -EISDIR;
    if (r == 0)
        r = directory ? RUN(fat_rmdir, vnode_rmdir, dir, name, strlen(name), v)
                      : RUN(fat_unlink, vnode_unlink, dir, name, strlen(name), v);
    if (v)
        vnode_put(v);
    vnode_put(dir);
    return r;
}

static long rename_with(const char *from, const char *to, uint32_t flags)
{
    struct vnode *dir, *new_dir, *v = NULL, *target = NULL;
    const char *name, *new_name;
    long r = parent_of(from, &dir, &name);
    if (r < 0)
        return r;
    r = parent_of(to, &new_dir, &new_name);
    if (r == 0) {
        r = RUN(fat_lookup, vnode_lookup, dir, name, strlen(name), &v);
        if (r == 0)
            r = RUN(fat_lookup, vnode_lookup, new_dir, new_name, strlen(new_name), &target);
        r = r == -ENOENT && v ? 0 : r;
        if (r == 0 && (flags & RENAME_EXCHANGE) && !target)
            r = -ENOENT;
        if (r == 0 && !flags && target && S_ISDIR(v->mode) != S_ISDIR(target->mode))
            r = S_ISDIR(v->mode) ? -ENOTDIR : -EISDIR;
        if (r == 0 && v != target)
            r = RUN(fat_rename, vnode_rename, dir, name, strlen(name), v, new_dir, new_name,
                    strlen(new_name), target, flags);
        vnode_put(new_dir);
    }
    if (v)
        vnode_put(v);
    if (target)
        vnode_put(target);
    vnode_put(dir);
    return r;
}

long fh_rename(const char *from, const char *to)
{
    return rename_with(from, to, 0);
}

long fh_exchange(const char *a, const char *b)
{
    return rename_with(a, b, RENAME_EXCHANGE);
}

long fh_write(struct vnode *v, uint64_t pos, const void *data, size_t n)
{
    return RUN(host_write, host_write, v, pos, data, n);
}

long fh_read(struct vnode *v, uint64_t pos, void *data, size_t n)
{
    return RUN(host_read, host_read, v, pos, data, n);
}

long fh_truncate(struct vnode *v, uint64_t size)
{
    return RUN(host_truncate, host_truncate, v, size);
}

long fh_fsync(struct vnode *v)
{
    return RUN(fat_fsync, vnode_fsync, v, false);
}

long fh_sync(void)
{
    return RUN(fat_sync, super_sync, fat_super);
}

struct names_sink {
    struct dir_sink sink; // first
    unsigned room;
    bool more;
    void (*fn)(void *arg, const char *name, size_t len, bool dir);
    void *arg;
};

static bool emit(struct dir_sink *sink, const char *name, size_t len, uint64_t ino, uint32_t dtype,
                 int64_t next_pos)
{
    struct names_sink *s = (struct names_sink *)sink;
    (void)ino;
    (void)next_pos;
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
        return true;
    s->more = s->room == 0;
    if (s->more)
        return false;
    s->room--;
    s->fn(s->arg, name, len, dtype == DT_OF_MODE(S_IFDIR));
    return true;
}

long fh_readdir(const char *path, unsigned per_call,
                void (*fn)(void *arg, const char *name, size_t len, bool dir), void *arg)
{
    struct vnode *dir;
    struct names_sink s = {.sink.emit = emit, .fn = fn, .arg = arg};
    long r = fh_lookup(path, &dir);
    if (r < 0)
        return r;
    do {
        s.room = per_call;
        s.more = false;
        r = RUN(fat_readdir, vnode_readdir, dir, &s.sink);
    } while (r == 0 && s.more);
    vnode_put(dir);
    return r;
}
