// SPDX-License-Identifier: MIT
// See vfs_host.h. One hart; the clock moves when nothing else can happen.
#include "vfs_host.h"

#include "async/executor.h"
#include "fs/epoll.h"
#include "fs/lock.h"
#include "fs/tmpfs.h"
#include "host.h"
#include "lib/init.h"
#include "lib/local.h"
#include "lib/log.h"
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"

#include <stdlib.h>

unsigned vfs_seed = 1;
struct thread vfs_thread;
int vfs_signal;
static struct process caller = {.rlimit[RLIMIT_FSIZE].cur = UINT64_MAX};
static const struct credentials nobody; // root's ids, no capabilities
static struct space user_space;

unsigned vfs_random(unsigned n)
{
    vfs_seed = vfs_seed * 1103515245 + 12345;
    return (vfs_seed >> 8) % n;
}

void epoll_forget(struct file *file)
{
    panic("file %p is watched, by no epoll", (void *)file);
}

// ---- tasks

static void free_task(struct task *t)
{
    free(t);
}

struct task *vfs_start(const struct async_fn *fn, const void *args, size_t n)
{
    enum { ARENA = 64 * 1024 };
    struct task *t = calloc(1, sizeof *t + ARENA);
    if (task_init(t, "test", t + 1, ARENA, fn, args, n))
        panic("task_init");
    t->release = free_task;
    t->thread = &vfs_thread;
    task_get(t);
    task_start(t);
    return t;
}

void vfs_settle(void)
{
    while (executor_step()) {
    }
}

bool vfs_ended(const struct task *t)
{
    return t->state & TASK_DEAD;
}

long vfs_finish(struct task *t)
{
    while (!vfs_ended(t))
        if (!executor_step())
            panic("the task waits for ever");
    long r = t->result;
    task_put(t);
    return r;
}

long vfs_run(const struct async_fn *fn, const void *args, size_t n)
{
    return vfs_finish(vfs_start(fn, args, n));
}

// ---- user memory

static const char *absent_lo, *absent_hi, *bad_page;
unsigned vfs_commits;

void vfs_absent(const void *lo, const void *hi)
{
    absent_lo = lo;
    absent_hi = hi;
}

void vfs_bad(const void *page)
{
    bad_page = page;
}

// Copies go page by page, like the kernel's: what lies before an absent page is not moved either.
static long look(va_t va, size_t n)
{
    const char *p = (const char *)va;
    if (bad_page && p < bad_page + PAGE_SIZE && p + n > bad_page)
        return -EFAULT;
    return p < absent_hi && p + n > absent_lo ? -ECOMMIT : 0;
}

long user_copy_in_slow(struct space *s, void *dst, va_t src, size_t n)
{
    (void)s;
    long r = look(src, n);
    if (r == 0)
        memcpy(dst, (const void *)src, n);
    return r;
}

long user_copy_in_pages(struct space *s, struct page *const *dst, size_t off, va_t src, size_t n)
{
    (void)s;
    long r = look(src, n);
    for (size_t part; !r && n; src += part, off += part, n -= part) {
        size_t room = PAGE_SIZE - (off & PAGE_MASK);
        part = n < room ? n : room;
        memcpy((char *)page_kva(dst[off >> PAGE_SHIFT]) + (off & PAGE_MASK), (const void *)src,
               part);
    }
    return r;
}

long user_copy_out_slow(struct space *s, va_t dst, const void *src, size_t n)
{
    (void)s;
    long r = look(dst, n);
    if (r == 0)
        memcpy((void *)dst, src, n);
    return r;
}

long user_zero_out(struct space *s, va_t dst, size_t n)
{
    (void)s;
    long r = look(dst, n);
    if (r == 0)
        memset((void *)dst, 0, n);
    return r;
}

// One page at a time becomes present, from the start of what is absent.
ASYNC(space_commit, )
{
    ASYNC_BEGIN(space_commit);
    vfs_commits++;
    if (look(f->va, f->len) == -EFAULT)
        ASYNC_RETURN(-EFAULT);
    const char *page = (const char *)(f->va & ~PAGE_MASK);
    if (page + PAGE_SIZE > absent_lo && page <= absent_lo)
        absent_lo = page + PAGE_SIZE;
    else
        absent_hi = page;
    YIELD();
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(user_read, )
{
    ASYNC_BEGIN(user_read);
    memcpy(f->dst, (const void *)f->src, f->n);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(user_write, )
{
    ASYNC_BEGIN(user_write);
    memcpy((void *)f->dst, f->src, f->n);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

bool vfs_try(long (*op)(struct file *, va_t, size_t, uint64_t), struct file *file, const void *buf,
             size_t len, long *result)
{
    vfs_thread.task.local = 0;
    hart_self.current = &vfs_thread.task;
    *result = op(file, (va_t)buf, len, 0);
    hart_self.current = NULL;
    return vfs_thread.task.local & LOCAL_ASYNC;
}

// ---- what the rest of the kernel would give

ASYNC_IFACE_DEFINE(syscall);

int signal_send_thread(struct thread *th, int sig, const struct siginfo_k *info)
{
    (void)th, (void)info;
    vfs_signal = sig;
    return 0;
}

struct block_device *devfs_block_device(uint64_t rdev);
struct block_device *devfs_block_device(uint64_t rdev)
{
    (void)rdev;
    return NULL;
}

struct super *devfs_disk_files(const struct block_device *bdev);
struct super *devfs_disk_files(const struct block_device *bdev)
{
    (void)bdev;
    return NULL;
}

const struct file_ops file_ops_block = {.flags = 0};

// ---- setting up

void vfs_host_init(void)
{
    enum { FRAMES = 16384 };
    static bool once;
    if (once)
        return;
    once = true;
    char *ram = aligned_alloc(4 << 20, FRAMES * PAGE_SIZE);
    struct frame_range r = {(pa_t)ram, (pa_t)ram + FRAMES * PAGE_SIZE};
    memset(ram, 0xa5, FRAMES * PAGE_SIZE);
    frames_init(&r, 1);
    executor_init();
    locals_init();
    for (int level = INIT_EARLY; level <= INIT_DRIVERS; level++)
        init_run(level);
    vfs_thread.process = &caller;
    vfs_thread.cred = &nobody;
    vfs_thread.space = &user_space;
    vfs_thread.task.thread = &vfs_thread;
    spin_init(&user_space.lock, "user space");
    struct super *super = tmpfs_super(filesystem_find("tmpfs"), "rootfs", 0755, 0);
    if (!super || mount_root(super) < 0 || !(fs_kernel = fs_context_new()))
        panic("no root");
    fs_kernel->umask = 0;
    vfs_thread.fs = fs_kernel;
    vfs_thread.files = fd_table_new();
}

// ---- by path

long v_open(const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
    return RUN(vfs_open, fs_kernel, NULL, path, flags, mode, out);
}

ASYNC_DECL(transfer, struct file *file; struct iobuf *buf; uint64_t pos; bool write;);
ASYNC(transfer, long r;)
{
    ASYNC_BEGIN(transfer);
    if (f->write)
        AWAIT_VIA(f->r, file_write, f->file->ops->write, f->file, f->buf, f->pos);
    else
        AWAIT_VIA(f->r, file_read, f->file->ops->read, f->file, f->buf, f->pos);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

long v_read(struct file *file, uint64_t pos, void *p, size_t n)
{
    struct iobuf buf;
    iobuf_kernel(&buf, p, n);
    return RUN(transfer, file, &buf, pos, false);
}

long v_write(struct file *file, uint64_t pos, const void *p, size_t n)
{
    struct iobuf buf;
    iobuf_kernel(&buf, (void *)p, n);
    return RUN(transfer, file, &buf, pos, true);
}

long v_stat(const char *path, bool follow, struct stat_k *out)
{
    struct walk w;
    long r = RUN(path_walk, fs_kernel, NULL, path, follow ? WALK_FOLLOW : 0, &w);
    if (r < 0)
        return r;
    walk_finish(&w);
    struct vnode *v = w.at.dentry->vnode;
    if (v->ops->getattr)
        v->ops->getattr(v, out);
    else
        vnode_getattr_default(v, out);
    path_put(&w.at);
    return 0;
}

long v_remove(const char *path, bool directory)
{
    return RUN(vfs_unlink, fs_kernel, NULL, path, directory);
}
