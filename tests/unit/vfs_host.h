// SPDX-License-Identifier: MIT
// The VFS on the host: a tmpfs root, a caller, user memory whose pages may be absent.
#pragma once

#include "fs/dentry.h"
#include "fs/file.h"
#include "fs/fsctx.h"
#include "task/thread.h"

void vfs_host_init(void);        // once per program; makes the root
unsigned vfs_random(unsigned n); // 0 .. n-1
extern unsigned vfs_seed;

// Runs an async function as a task of its own until it ends: its result.
long vfs_run(const struct async_fn *fn, const void *args, size_t n);
#define RUN(fn, ...) vfs_run(&fn##_fn, &(struct fn##_args){__VA_ARGS__}, sizeof(struct fn##_args))
// In halves. vfs_settle: until nothing can run. vfs_finish: runs it to its end.
struct task *vfs_start(const struct async_fn *fn, const void *args, size_t n);
#define START(fn, ...)                                                                             \
    vfs_start(&fn##_fn, &(struct fn##_args){__VA_ARGS__}, sizeof(struct fn##_args))
void vfs_settle(void);
bool vfs_ended(const struct task *t);
long vfs_finish(struct task *t);

// The caller of plain operations, and the thread of tasks made by START: its space stands for user
// memory, its signals are counted in vfs_signal.
extern struct thread vfs_thread;
extern int vfs_signal;
// User memory: host memory seen through vfs_thread.space. Pages in [lo, hi) are absent until they
// are committed; committing [bad, bad + PAGE_SIZE) fails.
void vfs_absent(const void *lo, const void *hi);
void vfs_bad(const void *page);
extern unsigned vfs_commits;
// Calls a plain operation as the trap path does: true when it wants its async half.
bool vfs_try(long (*op)(struct file *, va_t, size_t, uint64_t), struct file *file, const void *buf,
             size_t len, long *result);

// By path, as uid 0.
long v_open(const char *path, uint32_t flags, uint32_t mode, struct file **out);
long v_read(struct file *file, uint64_t pos, void *buf, size_t n);
long v_write(struct file *file, uint64_t pos, const void *buf, size_t n);
long v_stat(const char *path, bool follow, struct stat_k *out);
long v_remove(const char *path, bool directory);
