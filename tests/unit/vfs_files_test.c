// SPDX-License-Identifier: MIT
// Descriptor tables beside a model; the cpio archive of the initrd, whole, damaged and cut short;
// advisory locks.
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

#include "fs/cpio.h"
#include "fs/lock.h"
#include "host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FDS = 600, LIMIT = 512 };

static int setup(void **state)
{
    (void)state;
    vfs_host_init();
    return 0;
}

static struct file *any_file(void)
{
    struct file *file;
    assert_int_equal(v_open("/", O_RDONLY, 0, &file), 0);
    return file;
}

// ---- descriptors

static void descriptors(void **state)
{
    (void)state;
    static struct file *model[FDS];
    static bool cloexec[FDS];
    struct fd_table *table = fd_table_new();
    for (int i = 0; i < 20000; i++) {
        uint32_t n = vfs_random(FDS);
        switch (vfs_random(5)) {
        case 0:
        case 1: {
            uint32_t from = vfs_random(2) ? 0 : n, want = from;
            bool on = vfs_random(2);
            struct file *file = any_file();
            while (want < LIMIT && model[want])
                want++;
            int fd = fd_install(table, file, from, LIMIT, on);
            assert_int_equal(fd, want < LIMIT ? (int)want : -EMFILE);
            if (fd < 0) {
                file_put(file);
                break;
            }
            model[fd] = file;
            cloexec[fd] = on;
            break;
        }
        case 2: {
            struct file *file = fd_remove(table, (int32_t)n);
            assert_ptr_equal(file, model[n]);
            model[n] = NULL;
            if (file)
                file_put(file);
            break;
        }
        case 3: {
            struct file *file = any_file(), *old = NULL;
            int fd = fd_replace(table, file, n, LIMIT, false, &old);
            assert_int_equal(fd, n < LIMIT ? (int)n : -EBADF);
            if (fd < 0) {
                file_put(file);
                break;
            }
            assert_ptr_equal(old, model[n]);
            model[n] = file;
            cloexec[n] = false;
            if (old)
                file_put(old);
            break;
        }
        default: {
            struct file *file = fd_get(table, (int32_t)n);
            assert_ptr_equal(file, model[n]);
            assert_int_equal(fd_get_cloexec(table, (int32_t)n), file ? cloexec[n] : -EBADF);
            if (file)
                file_put(file);
        }
        }
        if (i % 5000 == 4999) {
            struct fd_table *copy = fd_table_copy(table);
            fd_table_close_on_exec(copy);
            for (int fd = 0; fd < FDS; fd++) {
                struct file *file = fd_get(copy, fd), *want = cloexec[fd] ? NULL : model[fd];
                assert_ptr_equal(file, want);
                if (file)
                    file_put(file);
            }
            fd_table_put(copy);
        }
    }
    assert_int_equal(fd_remove(table, -1) == NULL, 1);
    assert_null(fd_get(table, 1 << 30));
    long live = host_live_blocks();
    fd_table_put(table);
    assert_true(host_live_blocks() < live);
}

static void no_memory_for_descriptors(void **state)
{
    (void)state;
    struct fd_table *table = fd_table_new();
    struct file *file = any_file();
    for (int i = 0; i < FD_INLINE; i++)
        assert_int_equal(fd_install(table, file_get(file), 0, LIMIT, false), i);
    host_fail_after = 0;
    assert_int_equal(fd_install(table, file, 0, LIMIT, false), -ENOMEM);
    host_fail_after = 0;
    assert_null(fd_table_copy(table));
    host_fail_after = -1;
    assert_int_equal(fd_install(table, file, 0, LIMIT, false), FD_INLINE);
    fd_table_put(table);
}

// ---- cpio

static char archive[64 * 1024];
static size_t archive_size;

static void entry(const char *name, uint32_t mode, uint32_t ino, uint32_t nlink, const char *data,
                  size_t size)
{
    archive_size += (size_t)sprintf(
        archive + archive_size, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ino,
        mode, 0, 0, nlink, 1000000000, (unsigned)size, 0, 0, 1, 3, (unsigned)strlen(name) + 1, 0);
    strcpy(archive + archive_size, name);
    archive_size += strlen(name) + 1;
    while (archive_size % 4)
        archive[archive_size++] = '\0';
    memcpy(archive + archive_size, data, size);
    archive_size += size;
    while (archive_size % 4)
        archive[archive_size++] = '\0';
}

static void build_archive(void)
{
    archive_size = 0;
    entry(".", S_IFDIR | 0755, 1, 2, "", 0);
    entry("c", S_IFDIR | 01777, 2, 2, "", 0);
    entry("c/file", S_IFREG | 0640, 3, 1, "contents", 8);
    entry("c/link", S_IFLNK | 0777, 4, 1, "file", 4);
    entry("c/hard1", S_IFREG | 0600, 5, 2, "", 0);
    entry("c/hard2", S_IFREG | 0600, 5, 2, "shared", 6);
    entry("c/null", S_IFCHR | 0666, 6, 1, "", 0);
    entry("/c/empty", S_IFREG | 0644, 7, 1, "", 0);
    entry("TRAILER!!!", 0, 0, 1, "", 0);
}

static void check_contents(const char *path, const char *want)
{
    char buf[32] = "";
    struct file *file;
    assert_int_equal(v_open(path, O_RDONLY, 0, &file), 0);
    assert_int_equal(v_read(file, 0, buf, sizeof buf), strlen(want));
    assert_string_equal(buf, want);
    file_put(file);
}

static void unpacking(void **state)
{
    (void)state;
    size_t bad = 0;
    struct stat_k st;
    build_archive();
    assert_int_equal(RUN(cpio_unpack, fs_kernel, archive, archive_size, &bad), 8);
    check_contents("/c/file", "contents");
    check_contents("/c/link", "contents");
    check_contents("/c/hard1", "shared");
    assert_int_equal(v_stat("/c/hard2", false, &st), 0);
    assert_int_equal(st.nlink, 2);
    assert_int_equal(v_stat("/c", false, &st), 0);
    assert_int_equal(st.mode, S_IFDIR | 01777);
    assert_int_equal(v_stat("/c/file", false, &st), 0);
    assert_int_equal(st.mode, S_IFREG | 0640);
    assert_int_equal(st.mtime.sec, 1000000000);
    assert_int_equal(v_stat("/c/null", false, &st), 0);
    assert_int_equal(st.rdev, MAKEDEV(1, 3));
    // Once more over itself: directories and links that exist are kept.
    assert_int_equal(RUN(cpio_unpack, fs_kernel, archive, archive_size, &bad), -EEXIST);
}

// A second archive behind the first, with padding between: its files replace the first's, also a
// symbolic link, through which nothing is written; inode numbers begin anew.
static void two_archives(void **state)
{
    (void)state;
    size_t bad = 0;
    struct stat_k st;
    archive_size = 0;
    entry("d", S_IFDIR | 0755, 1, 2, "", 0);
    entry("d/old", S_IFREG | 0644, 2, 1, "old contents", 12);
    entry("d/target", S_IFREG | 0644, 3, 1, "target", 6);
    entry("d/link", S_IFLNK | 0777, 4, 1, "target", 6);
    entry("d/hard1", S_IFREG | 0600, 5, 2, "", 0);
    entry("d/hard2", S_IFREG | 0600, 5, 2, "shared", 6);
    entry("TRAILER!!!", 0, 0, 1, "", 0);
    memset(archive + archive_size, 0, 512);
    archive_size += 512;
    entry("d", S_IFDIR | 0700, 1, 2, "", 0);
    entry("d/old", S_IFREG | 0600, 2, 1, "new", 3);
    entry("d/link", S_IFREG | 0644, 3, 1, "a file", 6);
    entry("d/one", S_IFREG | 0644, 5, 2, "", 0);
    entry("d/two", S_IFREG | 0644, 5, 2, "another", 7);
    entry("TRAILER!!!", 0, 0, 1, "", 0);
    assert_int_equal(RUN(cpio_unpack, fs_kernel, archive, archive_size, &bad), 11);
    check_contents("/d/old", "new");
    check_contents("/d/target", "target");
    check_contents("/d/link", "a file");
    check_contents("/d/hard1", "shared");
    check_contents("/d/one", "another");
    assert_int_equal(v_stat("/d", false, &st), 0);
    assert_int_equal(st.mode, S_IFDIR | 0700);
}

// However the archive is cut or damaged: an error at an offset inside, or fewer entries.
static void damaged_archives(void **state)
{
    (void)state;
    struct cpio_entry e;
    build_archive();
    for (size_t cut = 0; cut < archive_size - 128; cut++) {
        char *copy = malloc(cut + 1); // so that reading beyond the cut is seen
        memcpy(copy, archive, cut);
        size_t at = 0;
        int r;
        while ((r = cpio_parse(copy, cut, at, &e)) > 0)
            at = e.next;
        assert_int_equal(r, -EINVAL);
        free(copy);
    }
    for (int i = 0; i < 20000; i++) {
        char *copy = malloc(archive_size);
        memcpy(copy, archive, archive_size);
        for (int k = 0; k < 3; k++)
            copy[vfs_random((unsigned)archive_size)] = (char)vfs_random(256);
        size_t at = 0;
        int steps = 0;
        while (cpio_parse(copy, archive_size, at, &e) > 0 && ++steps < 100) {
            assert_true(e.next > at);
            assert_true((size_t)(e.data - copy) + e.size <= archive_size);
            at = e.next;
        }
        free(copy);
    }
}

// ---- locks

static void flocks(void **state)
{
    (void)state;
    enum { SH = 1, EX = 2, NB = 4, UN = 8 };
    struct file *a, *b;
    assert_int_equal(v_open("/locked", O_CREAT | O_RDWR, 0644, &a), 0);
    assert_int_equal(v_open("/locked", O_RDWR, 0, &b), 0);
    assert_int_equal(RUN(lock_flock, a, SH), 0);
    assert_int_equal(RUN(lock_flock, b, SH | NB), 0);
    assert_int_equal(RUN(lock_flock, b, EX | NB), -EAGAIN);
    assert_int_equal(RUN(lock_flock, a, UN), 0);
    assert_int_equal(RUN(lock_flock, b, EX | NB), 0);
    struct task *t = START(lock_flock, a, EX);
    vfs_settle();
    assert_false(vfs_ended(t));
    file_put(b); // the last reference drops its lock
    assert_int_equal(vfs_finish(t), 0);
    assert_int_equal(RUN(lock_flock, a, 77), -EINVAL);
    file_put(a);
}

struct flock_user {
    int16_t type, whence;
    int32_t pad;
    int64_t start, len;
    int32_t pid, pad2;
};
enum { RD = 0, WR = 1, UNLOCK = 2 };

static long range(struct file *file, int cmd, int type, int64_t start, int64_t len,
                  struct flock_user *out)
{
    struct flock_user u = {.type = (int16_t)type, .start = start, .len = len};
    long r = RUN(lock_fcntl, file, 0, (uint32_t)cmd, (va_t)&u);
    if (out)
        *out = u;
    return r;
}

// Byte ranges of two owners beside a map of bytes.
static void ranges(void **state)
{
    (void)state;
    enum { BYTES = 24 };
    uint8_t held[2][BYTES] = {{0}}; // 0 none, 1 read, 2 write
    struct fd_table *owner[2] = {fd_table_new(), fd_table_new()}, *own = vfs_thread.files;
    struct file *file;
    assert_int_equal(v_open("/ranges", O_CREAT | O_RDWR, 0644, &file), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fd_install(owner[i], file_get(file), 0, 1, false), 0);
    for (int i = 0; i < 20000; i++) {
        int who = (int)vfs_random(2), type = (int)vfs_random(3);
        int64_t start = vfs_random(BYTES), len = 1 + vfs_random((unsigned)(BYTES - start));
        bool conflict = false;
        for (int64_t k = start; k < start + len; k++)
            conflict |= type != UNLOCK && held[!who][k] && (type == WR || held[!who][k] == 2);
        vfs_thread.files = owner[who];
        if (type != UNLOCK) {
            struct flock_user u;
            assert_int_equal(range(file, F_GETLK, type, start, len, &u), 0);
            assert_int_equal(u.type != UNLOCK, conflict);
        }
        assert_int_equal(range(file, F_SETLK, type, start, len, NULL), conflict ? -EAGAIN : 0);
        for (int64_t k = start; k < start + len && !conflict; k++)
            held[who][k] = type == UNLOCK ? 0 : type == WR ? 2 : 1;
    }
    vfs_thread.files = owner[0];
    assert_int_equal(range(file, F_SETLK, RD, -1, 1, NULL), -EINVAL);
    assert_int_equal(range(file, F_SETLK, 9, 0, 1, NULL), -EINVAL);
    locks_release(file, owner[0]);
    locks_release(file, owner[1]);
    assert_null(file->vnode->locks);
    file_put(fd_remove(owner[0], 0)); // closed since the call began
    assert_int_equal(range(file, F_SETLK, UNLOCK, 0, 1, NULL), 0);
    assert_int_equal(range(file, F_SETLK, WR, 0, 1, NULL), -EBADF);
    assert_null(file->vnode->locks);
    vfs_thread.files = own;
    fd_table_put(owner[0]);
    fd_table_put(owner[1]);
    file_put(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors),      cmocka_unit_test(no_memory_for_descriptors),
        cmocka_unit_test(unpacking),        cmocka_unit_test(two_archives),
        cmocka_unit_test(damaged_archives), cmocka_unit_test(flocks),
        cmocka_unit_test(ranges),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
