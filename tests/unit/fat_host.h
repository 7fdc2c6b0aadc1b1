// SPDX-License-Identifier: MIT
// FAT32 on the host: a block device over a memory image, and file-system operations run to their end.
#pragma once

#include "fs/fat32/fat.h"

// The device. Requests wait until disk_step() completes one, picked by `disk_random`.
extern uint8_t *disk_image;
extern uint64_t disk_bytes;
extern struct block_device disk;
extern uint64_t disk_writes;     // sectors written since disk_open
extern uint64_t disk_fail_after; // this many more requests succeed, then all fail; UINT64_MAX
extern bool disk_fail_writes_only;
// Called with each sector that is about to be written.
extern void (*disk_watch)(uint64_t sector, const uint8_t *data);
void disk_open(const char *mkfs_options, uint64_t bytes); // a fresh mkfs.vfat image
void disk_close(void);
bool disk_step(void);

void host_fat_init(unsigned seed); // once: frames, executor, tasks of the rooms below
unsigned host_random(unsigned n);  // 0 .. n-1

// Runs an async function as a task of its own until it ends; its result.
long host_run(const struct async_fn *fn, const void *args, size_t n);
#define RUN(fn, args_of, ...)                                                                      \
    host_run(&fn##_fn, &(struct args_of##_args){__VA_ARGS__}, sizeof(struct args_of##_args))
// The same in two halves, to have several at work at once.
struct task *host_start(const struct async_fn *fn, const void *args, size_t n);
#define START(fn, args_of, ...)                                                                    \
    host_start(&fn##_fn, &(struct args_of##_args){__VA_ARGS__}, sizeof(struct args_of##_args))
long host_finish(struct task *t);
void host_settle(void); // until nothing runs and no request waits
void host_pass_ns(uint64_t ns);

// What the VFS does, by path from the root ("a/b/c"). Results as the system calls'.
int fat_host_mount(void); // 0 or negative errno
void fat_host_unmount(void);
extern struct super *fat_super;
long fh_lookup(const char *path, struct vnode **out); // referenced
long fh_create(const char *path);                     // -EEXIST when there
long fh_mkdir(const char *path);
long fh_remove(const char *path, bool directory);
long fh_rename(const char *from, const char *to);
long fh_exchange(const char *a, const char *b);
long fh_write(struct vnode *v, uint64_t pos, const void *data, size_t n);
long fh_read(struct vnode *v, uint64_t pos, void *data, size_t n);
long fh_truncate(struct vnode *v, uint64_t size);
long fh_fsync(struct vnode *v);
long fh_sync(void);
// Calls fn for each name of a directory; positions are taken in several calls of `per_call` names.
long fh_readdir(const char *path, unsigned per_call,
                void (*fn)(void *arg, const char *name, size_t len, bool dir), void *arg);

ASYNC_DECL(host_write, struct vnode *v; uint64_t pos; const void *data; size_t n;);
ASYNC_DECL(host_read, struct vnode *v; uint64_t pos; void *data; size_t n;);
ASYNC_DECL(host_truncate, struct vnode *v; uint64_t size;);

// The image as others see it: 0 when fsck.vfat -n finds nothing at all. `report` gets its output.
int image_check(char *report, size_t n);
// Output of a command with IMG in it replaced by the image's path; the length, or -1.
long image_command(const char *command, char *out, size_t n);
void image_reload(void); // after a command that changed the file
