// SPDX-License-Identifier: MIT
// The walk: dots, links, mounts, errors; the plain walk beside the one that waits; names that come
// and go.
// sources: kernel/fs/dentry.c kernel/fs/walk.c kernel/fs/perm.c kernel/fs/names.c
// sources: kernel/fs/rename.c kernel/fs/mount.c kernel/fs/fsctx.c kernel/fs/vnode.c kernel/fs/reaper.c
// sources: kernel/fs/file.c kernel/fs/fdtable.c kernel/fs/lock.c kernel/fs/open.c
// sources: kernel/fs/pagecache.c kernel/fs/tmpfs.c kernel/fs/tmpfs_dir.c kernel/fs/iobuf.c kernel/fs/pipe.c
// sources: kernel/fs/pipe_end.c kernel/fs/cpio.c kernel/mem/phys.c kernel/mem/phys_io.c kernel/mem/readahead.c kernel/mem/writeback.c kernel/mem/evict.c tests/unit/host_rmap.c kernel/mem/shortage.c
// sources: kernel/mem/radix.c kernel/page/frame.c kernel/lib/init.c kernel/lib/local.c
// sources: kernel/lib/spinlock.c kernel/async/async.c kernel/async/task.c
// sources: kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c kernel/async/timer.c kernel/async/wait.c
// sources: tests/unit/host.c tests/unit/vfs_host.c
// flags: -DDEBUG -DASYNC_CHECKED -Ikernel/arch/riscv/include
#include "vfs_host.h"

#include "host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static long mkdir_(const char *path)
{
    return RUN(vfs_mkdir, fs_kernel, NULL, path, 0755);
}

static long touch(const char *path)
{
    struct file *file;
    long r = v_open(path, O_CREAT | O_WRONLY, 0644, &file);
    if (r == 0)
        file_put(file);
    return r;
}

static long link_(const char *target, const char *path)
{
    return RUN(vfs_symlink, fs_kernel, NULL, path, target);
}

static long rename_(const char *from, const char *to, uint32_t flags)
{
    return RUN(vfs_rename, fs_kernel, NULL, from, NULL, to, flags);
}

static long find(const char *path)
{
    struct stat_k st;
    return v_stat(path, true, &st);
}

static uint64_t ino_of(const char *path, bool follow)
{
    struct stat_k st;
    assert_int_equal(v_stat(path, follow, &st), 0);
    return st.ino;
}

// What the plain walk says: -EAGAIN when it would wait.
static int fast(const char *path, uint32_t flags)
{
    struct walk w;
    hart_self.current = &vfs_thread.task;
    int r = path_walk_fast(fs_kernel, NULL, path, flags, &w);
    hart_self.current = NULL;
    if (r == 0)
        path_put(&w.at);
    return r;
}

static int setup(void **state)
{
    (void)state;
    vfs_host_init();
    return 0;
}

static void dots_and_slashes(void **state)
{
    (void)state;
    assert_int_equal(mkdir_("/a"), 0);
    assert_int_equal(mkdir_("/a/b"), 0);
    assert_int_equal(touch("/a/b/f"), 0);
    uint64_t f = ino_of("/a/b/f", true), a = ino_of("/a", true), root = ino_of("/", true);
    assert_int_equal(ino_of("a/./b/../b//f", true), f);
    assert_int_equal(ino_of("/a/b/..", true), a);
    assert_int_equal(ino_of("/a/b/../", true), a);
    assert_int_equal(ino_of("/../../a", true), a);
    assert_int_equal(ino_of("/..", true), root);
    assert_int_equal(ino_of("//", true), root);
    assert_int_equal(find("/a/b/f/"), -ENOTDIR);
    assert_int_equal(find("/a/b/f/."), -ENOTDIR);
    assert_int_equal(find("/a/b/f/.."), -ENOTDIR);
    assert_int_equal(find("/a/b/f/x"), -ENOTDIR);
    assert_int_equal(find("/a/x/y"), -ENOENT);
    assert_int_equal(find("/a/x/.."), -ENOENT);
    assert_int_equal(find(""), -ENOENT);
}

static void names_of_any_length(void **state)
{
    (void)state;
    char path[600] = "/";
    memset(path + 1, 'n', 255);
    assert_int_equal(find(path), -ENOENT);
    assert_int_equal(touch(path), 0);
    assert_int_equal(find(path), 0);
    path[256] = 'n';
    assert_int_equal(find(path), -ENAMETOOLONG);
    assert_int_equal(touch(path), -ENAMETOOLONG);
    path[256] = '\0';
    assert_int_equal(v_remove(path, false), 0);
    memset(path + 1, 'm', 31); // around the length that lies inside the dentry
    for (size_t n = 30; n < 34; n++) {
        path[n] = '\0';
        assert_int_equal(touch(path), 0);
        assert_int_equal(find(path), 0);
        assert_int_equal(v_remove(path, false), 0);
        assert_int_equal(find(path), -ENOENT);
        path[n] = 'm';
    }
}

static void links(void **state)
{
    (void)state;
    assert_int_equal(mkdir_("/l"), 0);
    assert_int_equal(mkdir_("/l/d"), 0);
    assert_int_equal(touch("/l/d/f"), 0);
    uint64_t f = ino_of("/l/d/f", true);
    assert_int_equal(link_("d", "/l/rel"), 0);
    assert_int_equal(link_("/l/d", "/l/abs"), 0);
    assert_int_equal(link_("../rel/f", "/l/d/up"), 0);
    assert_int_equal(link_("nowhere", "/l/dangling"), 0);
    assert_int_equal(link_("loop2", "/l/loop1"), 0);
    assert_int_equal(link_("loop1", "/l/loop2"), 0);
    assert_int_equal(ino_of("/l/rel/f", true), f);
    assert_int_equal(ino_of("/l/abs/f", true), f);
    assert_int_equal(ino_of("/l/d/up", true), f);
    assert_int_equal(ino_of("/l/abs/up", true), f);
    assert_true(ino_of("/l/rel", false) != ino_of("/l/rel", true));
    assert_int_equal(ino_of("/l/rel/", false), ino_of("/l/d", false));
    assert_int_equal(ino_of("/l/rel/..", true), ino_of("/l", true));
    assert_int_equal(find("/l/dangling"), -ENOENT);
    assert_int_equal(find("/l/loop1"), -ELOOP);
    assert_int_equal(find("/l/loop1/x"), -ELOOP);
    assert_int_equal(link_("x", "/l/rel"), -EEXIST);
    assert_int_equal(link_("", "/l/none"), -ENOENT);
    // Created through a dangling link; O_EXCL does not follow.
    struct file *file;
    assert_int_equal(v_open("/l/dangling", O_CREAT | O_EXCL | O_WRONLY, 0644, &file), -EEXIST);
    assert_int_equal(touch("/l/dangling"), 0);
    assert_int_equal(find("/l/nowhere"), 0);
    assert_int_equal(v_open("/l/rel", O_RDONLY | O_NOFOLLOW, 0, &file), -ELOOP);
    assert_int_equal(v_open("/l/loop1", O_CREAT | O_WRONLY, 0644, &file), -ELOOP);
}

static void forty_links_and_no_more(void **state)
{
    (void)state;
    char name[32], target[32];
    assert_int_equal(mkdir_("/chain"), 0);
    assert_int_equal(touch("/chain/0"), 0);
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof name, "/chain/%d", i);
        snprintf(target, sizeof target, "%d", i - 1);
        assert_int_equal(link_(target, name), 0);
    }
    assert_int_equal(find("/chain/40"), 0);
    assert_int_equal(find("/chain/41"), -ELOOP);
}

static void long_link_texts(void **state)
{
    (void)state;
    // Forty links whose texts are nearly as long as a path may be: the buffer is enough, or
    // ENAMETOOLONG, never an overrun.
    char text[PATH_MAX];
    assert_int_equal(mkdir_("/long"), 0);
    memset(text, '/', sizeof text);
    strcpy(text + PATH_MAX - 3, "x");
    memcpy(text, "/long", 5);
    assert_int_equal(link_(text, "/long/big"), 0);
    assert_int_equal(mkdir_("/long/x"), 0);
    assert_int_equal(find("/long/big"), 0);
    assert_int_equal(find("/long/big/../big/../big"), 0);
    memset(text, 'y', sizeof text);
    memcpy(text, "/long/big/", 10);
    for (size_t i = 9 + 200; i < PATH_MAX - 1; i += 200)
        text[i] = '/';
    text[PATH_MAX - 1] = '\0';
    assert_int_equal(find(text), -ENOENT);
}

static void the_plain_walk(void **state)
{
    (void)state;
    assert_int_equal(mkdir_("/p"), 0);
    assert_int_equal(touch("/p/f"), 0);
    assert_int_equal(link_("f", "/p/l"), 0);
    assert_int_equal(fast("/p/f", 0), 0);
    assert_int_equal(fast("/p/l", 0), 0);
    assert_int_equal(fast("/p/l", WALK_FOLLOW), -EAGAIN);
    assert_int_equal(fast("/p/never-asked", 0), -EAGAIN);
    assert_int_equal(find("/p/never-asked"), -ENOENT);
    assert_int_equal(fast("/p/never-asked", 0), -ENOENT); // remembered as absent
    assert_int_equal(touch("/p/never-asked"), 0);
    assert_int_equal(fast("/p/never-asked", 0), 0);
    assert_int_equal(v_remove("/p/never-asked", false), 0);
    assert_int_equal(fast("/p/never-asked", 0), -ENOENT);
    assert_int_equal(fast("/p/f/x", 0), -ENOTDIR);
}

static void removing(void **state)
{
    (void)state;
    struct file *file;
    assert_int_equal(mkdir_("/r"), 0);
    assert_int_equal(mkdir_("/r/d"), 0);
    assert_int_equal(touch("/r/d/f"), 0);
    assert_int_equal(v_remove("/r/d", true), -ENOTEMPTY);
    assert_int_equal(v_remove("/r/d", false), -EISDIR);
    assert_int_equal(v_remove("/r/d/f", true), -ENOTDIR);
    assert_int_equal(v_remove("/r/d/f/", false), -ENOTDIR);
    assert_int_equal(v_remove("/r/d/.", true), -EINVAL);
    assert_int_equal(v_remove("/r/d/..", true), -ENOTEMPTY);
    assert_int_equal(v_remove("/", true), -EBUSY);
    assert_int_equal(v_open("/r/d/f", O_RDWR, 0, &file), 0);
    assert_int_equal(v_remove("/r/d/f", false), 0);
    assert_int_equal(v_write(file, 0, "still", 5), 5); // open files outlive their name
    char buf[8] = "";
    assert_int_equal(v_read(file, 0, buf, 8), 5);
    assert_string_equal(buf, "still");
    file_put(file);
    assert_int_equal(v_open("/r/d", O_RDONLY | O_DIRECTORY, 0, &file), 0);
    assert_int_equal(v_remove("/r/d", true), 0);
    // Nothing can be made in a directory that was removed.
    assert_int_equal(RUN(vfs_mkdir, fs_kernel, &file->path, "x", 0755), -ENOENT);
    char text[64];
    assert_string_equal(path_text(&file->path, fs_kernel, text, sizeof text, NULL),
                        "/r/d (deleted)");
    file_put(file);
}

static void renaming(void **state)
{
    (void)state;
    assert_int_equal(mkdir_("/n"), 0);
    assert_int_equal(mkdir_("/n/a"), 0);
    assert_int_equal(mkdir_("/n/b"), 0);
    assert_int_equal(touch("/n/a/f"), 0);
    uint64_t f = ino_of("/n/a/f", true);
    assert_int_equal(rename_("/n/a/f", "/n/b/g", 0), 0);
    assert_int_equal(find("/n/a/f"), -ENOENT);
    assert_int_equal(ino_of("/n/b/g", true), f);
    assert_int_equal(rename_("/n/b", "/n/b/inside", 0), -EINVAL);
    assert_int_equal(rename_("/n/b/g", "/n/a", 0), -EISDIR);
    assert_int_equal(rename_("/n/a", "/n/b/g", 0), -ENOTDIR);
    assert_int_equal(rename_("/n/a", "/n/b", 0), -ENOTEMPTY);
    assert_int_equal(rename_("/n/b/g", "/n", 0), -ENOTEMPTY);
    assert_int_equal(rename_("/n/none", "/n/x", 0), -ENOENT);
    assert_int_equal(rename_("/n/a", "/n/b", RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rename_("/n/.", "/n/x", 0), -EBUSY);
    assert_int_equal(rename_("/n/b/g", "/n/b/h/", 0), -ENOTDIR);
    assert_int_equal(touch("/n/t"), 0);
    assert_int_equal(rename_("/n/b/g", "/n/t", 0), 0); // replaces
    assert_int_equal(ino_of("/n/t", true), f);
    assert_int_equal(find("/n/b/g"), -ENOENT);
    assert_int_equal(rename_("/n/b", "/n/a", 0), 0); // over an empty directory
    assert_int_equal(find("/n/b"), -ENOENT);
    // Names below a renamed directory follow it.
    assert_int_equal(mkdir_("/n/a/deep"), 0);
    assert_int_equal(touch("/n/a/deep/f"), 0);
    uint64_t deep = ino_of("/n/a/deep/f", true);
    assert_int_equal(rename_("/n/a", "/n/a-name-longer-than-fits-into-the-dentry", 0), 0);
    assert_int_equal(find("/n/a/deep/f"), -ENOENT);
    assert_int_equal(ino_of("/n/a-name-longer-than-fits-into-the-dentry/deep/f", true), deep);
    assert_int_equal(ino_of("/n/a-name-longer-than-fits-into-the-dentry/deep/../..", true),
                     ino_of("/n", true));
    assert_int_equal(rename_("/n/a-name-longer-than-fits-into-the-dentry", "/n/t", RENAME_EXCHANGE),
                     0);
    assert_int_equal(ino_of("/n/t/deep/f", true), deep);
    assert_int_equal(ino_of("/n/a-name-longer-than-fits-into-the-dentry", true), f);
}

static void mounting(void **state)
{
    (void)state;
    struct file *file;
    assert_int_equal(mkdir_("/m"), 0);
    assert_int_equal(mkdir_("/m/below"), 0);
    assert_int_equal(RUN(vfs_mount, fs_kernel, "t1", "/m", "tmpfs", 0, ""), 0);
    assert_int_equal(RUN(vfs_mount, fs_kernel, "t1", "/m", "tmpfs", 0, ""), -EBUSY);
    assert_int_equal(RUN(vfs_mount, fs_kernel, "x", "/m", "nosuchfs", 0, ""), -ENODEV);
    assert_int_equal(RUN(vfs_mount, fs_kernel, "x", "/m", "tmpfs", MS_BIND, ""), -EINVAL);
    assert_int_equal(RUN(vfs_mount, fs_kernel, "x", "/none", "tmpfs", 0, ""), -ENOENT);
    assert_int_equal(find("/m/below"), -ENOENT);
    assert_int_equal(touch("/m/f"), 0);
    assert_int_equal(mkdir_("/m/x") + mkdir_("/m/x/y") + mkdir_("/m/x/z") + touch("/m/x/z/f"), 0);
    assert_int_equal(ino_of("/m/..", true), ino_of("/", true));
    assert_int_equal(rename_("/m/f", "/f", 0), -EXDEV);
    assert_int_equal(v_remove("/m", true), -EBUSY);
    assert_int_equal(RUN(vfs_mount, fs_kernel, "t2", "/m", "tmpfs", 0, ""), 0); // on top
    assert_int_equal(find("/m/f"), -ENOENT);
    assert_int_equal(RUN(vfs_umount, fs_kernel, "/m", 0), 0);
    assert_int_equal(v_open("/m/f", O_RDONLY, 0, &file), 0);
    assert_int_equal(RUN(vfs_umount, fs_kernel, "/m", 0), -EBUSY);
    file_put(file);
    assert_int_equal(RUN(vfs_mount, fs_kernel, "", "/m", "", MS_REMOUNT | MS_RDONLY, ""), 0);
    assert_int_equal(touch("/m/g"), -EROFS);
    assert_int_equal(v_remove("/m/f", false), -EROFS);
    assert_int_equal(v_open("/m/f", O_WRONLY, 0, &file), -EROFS);
    assert_int_equal(RUN(vfs_umount, fs_kernel, "/m", 0), 0);
    assert_int_equal(RUN(vfs_umount, fs_kernel, "/m", 0), -EINVAL);
    assert_int_equal(RUN(vfs_umount, fs_kernel, "/", 0), -EBUSY);
    assert_int_equal(find("/m/below"), 0);
}

static void opening(void **state)
{
    (void)state;
    struct file *file;
    assert_int_equal(mkdir_("/o"), 0);
    assert_int_equal(v_open("/o/f", O_RDONLY, 0, &file), -ENOENT);
    assert_int_equal(v_open("/o/f/", O_CREAT | O_WRONLY, 0644, &file), -EISDIR);
    assert_int_equal(v_open("/o/f", O_CREAT | O_DIRECTORY, 0644, &file), -EINVAL);
    assert_int_equal(v_open("/o/f", O_CREAT | O_EXCL | O_WRONLY, 0644, &file), 0);
    assert_int_equal(v_write(file, 0, "0123456789", 10), 10);
    file_put(file);
    assert_int_equal(v_open("/o/f", O_CREAT | O_EXCL | O_WRONLY, 0644, &file), -EEXIST);
    assert_int_equal(v_open("/o/f", O_RDONLY | O_DIRECTORY, 0, &file), -ENOTDIR);
    assert_int_equal(v_open("/o", O_WRONLY, 0, &file), -EISDIR);
    assert_int_equal(v_open("/o", O_CREAT | O_RDONLY, 0, &file), -EISDIR);
    assert_int_equal(v_open("/o", O_RDONLY | O_TMPFILE_BIT | O_DIRECTORY, 0, &file), -EOPNOTSUPP);
    assert_int_equal(v_open("/o/f", O_WRONLY | O_TRUNC, 0, &file), 0);
    assert_int_equal(file->vnode->size, 0);
    file_put(file);
    assert_int_equal(v_open("/o/f", O_PATH | O_RDWR, 0, &file), 0);
    assert_false(file->readable || file->writable);
    file_put(file);
}

static void writing_or_running(void **state)
{
    (void)state;
    struct file *file, *second;
    assert_int_equal(touch("/o/p"), 0);
    assert_int_equal(v_open("/o/p", O_RDONLY, 0, &file), 0);
    struct vnode *v = file->vnode;
    assert_int_equal(vnode_run_begin(v), 0);
    assert_int_equal(v_open("/o/p", O_WRONLY, 0, &second), -ETXTBSY);
    assert_int_equal(v_open("/o/p", O_RDONLY | O_TRUNC, 0, &second), -ETXTBSY);
    assert_int_equal(v_open("/o/p", O_CREAT | O_RDWR, 0644, &second), -ETXTBSY);
    assert_int_equal(vnode_write_begin(v), -ETXTBSY);
    assert_int_equal(vnode_run_begin(v), 0);
    vnode_run_end(v);
    assert_int_equal(v_open("/o/p", O_WRONLY, 0, &second), -ETXTBSY);
    vnode_run_end(v);
    assert_int_equal(v_open("/o/p", O_RDONLY | O_TRUNC, 0, &second), 0); // writes now, not later
    assert_int_equal(vnode_run_begin(v), 0);
    vnode_run_end(v);
    file_put(second);
    assert_int_equal(v_open("/o/p", O_WRONLY, 0, &second), 0);
    assert_int_equal(vnode_run_begin(v), -ETXTBSY);
    file_put(second);
    v->pages->writers = 1; // a mapping that has outlived its file
    assert_int_equal(vnode_run_begin(v), -ETXTBSY);
    v->pages->writers = 0;
    assert_int_equal(v->writers, 0);
    file_put(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dots_and_slashes),
        cmocka_unit_test(names_of_any_length),
        cmocka_unit_test(links),
        cmocka_unit_test(forty_links_and_no_more),
        cmocka_unit_test(long_link_texts),
        cmocka_unit_test(the_plain_walk),
        cmocka_unit_test(removing),
        cmocka_unit_test(renaming),
        cmocka_unit_test(mounting),
        cmocka_unit_test(opening),
        cmocka_unit_test(writing_or_running),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
