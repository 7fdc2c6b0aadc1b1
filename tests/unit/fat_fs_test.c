// SPDX-License-Identifier: MIT
// sources: kernel/fs/fat32/bpb.c kernel/fs/fat32/time.c kernel/fs/fat32/name.c kernel/fs/fat32/scan.c
// sources: kernel/fs/fat32/cache.c kernel/fs/fat32/table.c kernel/fs/fat32/dir.c kernel/fs/fat32/dir_add.c
// sources: kernel/fs/fat32/inode.c kernel/fs/fat32/file.c kernel/fs/fat32/names.c kernel/fs/fat32/rename.c
// sources: kernel/fs/fat32/mount.c kernel/fs/vnode.c kernel/fs/reaper.c kernel/mem/phys.c kernel/mem/phys_io.c kernel/mem/readahead.c kernel/mem/writeback.c kernel/mem/evict.c tests/unit/host_rmap.c kernel/mem/shortage.c
// sources: kernel/mem/radix.c kernel/page/frame.c kernel/dev/block.c kernel/lib/init.c
// sources: kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c kernel/async/timer.c
// sources: kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c tests/unit/host.c
// sources: tests/unit/fat_host.c
// flags: -DDEBUG
// SPDX-License-Identifier: MIT
// The whole of FAT32 on a memory disk: what it writes is read back by mtools and passes fsck.vfat,
// what mtools writes is read here.
#define _GNU_SOURCE
#include "fat_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char report[65536];

static void start(const char *options, uint64_t mib)
{
    host_fat_init(1);
    disk_open(options, mib << 20);
    assert_int_equal(fat_host_mount(), 0);
}

static void check_image(void)
{
    if (image_check(report, sizeof report))
        fail_msg("fsck.vfat: %s", report);
}

static void stop(void)
{
    fat_host_unmount();
    check_image();
    disk_close();
}

static void put(const char *path, const void *data, size_t n)
{
    struct vnode *v;
    long r = fh_create(path);
    if (r != -EEXIST)
        assert_int_equal(r, 0);
    assert_int_equal(fh_lookup(path, &v), 0);
    assert_int_equal(fh_truncate(v, 0), 0);
    assert_int_equal(fh_write(v, 0, data, n), n);
    vnode_put(v);
}

static void expect(const char *path, const char *text)
{
    struct vnode *v;
    char back[4096];
    assert_int_equal(fh_lookup(path, &v), 0);
    assert_int_equal(fh_read(v, 0, back, sizeof back), strlen(text));
    assert_memory_equal(back, text, strlen(text));
    vnode_put(v);
}

static void writes_what_mtools_reads(void **state)
{
    (void)state;
    start("-s 1", 40); // mtools takes volumes of less than 65525 clusters for FAT16
    assert_int_equal(fh_mkdir("folder"), 0);
    assert_int_equal(fh_mkdir("folder/An inner folder"), 0);
    put("folder/An inner folder/Deep and long name.txt", "deep\n", 5);
    put("short.txt", "short\n", 6);
    put(".profile", "dot\n", 4);
    put("h\xc3\xa9llo w\xc3\xb6rld \xe6\x97\xa5", "utf8\n", 5);
    assert_int_equal(fh_create("profile"), 0);
    fat_host_unmount();
    check_image();
    assert_true(image_command("mdir -b -/ -i IMG ::", report, sizeof report) > 0);
    const char *want = "::/folder/\n::/short.txt\n::/.profile\n"
                       "::/h\xc3\xa9llo w\xc3\xb6rld \xe6\x97\xa5\n::/profile\n"
                       "::/folder/An inner folder/\n"
                       "::/folder/An inner folder/Deep and long name.txt\n";
    assert_string_equal(report, want);
    assert_int_equal(image_command("mtype -i IMG '::folder/An inner folder/Deep and long name.txt'",
                                   report, sizeof report),
                     5);
    assert_string_equal(report, "deep\n");
    assert_int_equal(image_command("mtype -i IMG ::.profile", report, sizeof report), 4);
    assert_int_equal(image_command("mtype -i IMG ::profile", report, sizeof report), 0);
    disk_close();
}

static void reads_what_mtools_writes(void **state)
{
    (void)state;
    host_fat_init(2);
    disk_open("-s 2", 80 << 20);
    assert_true(image_command("echo mtools wrote >/tmp/fat_t1; mmd -i IMG ::dir; true", report,
                              sizeof report) >= 0);
    assert_true(image_command("mcopy -i IMG /tmp/fat_t1 '::dir/A Long File Name by mtools.text'",
                              report, sizeof report) >= 0);
    assert_true(image_command("mcopy -i IMG /tmp/fat_t1 '::UPPER.TXT'", report, sizeof report) >=
                0);
    assert_true(image_command("mcopy -i IMG /tmp/fat_t1 '::lower.txt'; rm -f /tmp/fat_t1", report,
                              sizeof report) >= 0);
    image_reload();
    assert_int_equal(fat_host_mount(), 0);
    expect("dir/A Long File Name by mtools.text", "mtools wrote\n");
    expect("DIR/a long file name BY MTOOLS.text", "mtools wrote\n");
    expect("dir/ALONGF~1.TEX", "mtools wrote\n");
    expect("upper.txt", "mtools wrote\n");
    expect("LOWER.TXT", "mtools wrote\n");
    put("dir/A Long File Name by mtools.text", "new", 3);
    stop();
}

static void rules_of_traps(void **state)
{
    (void)state;
    struct vnode *v, *w;
    char back[8192], data[5000];
    start("-s 1", 16);
    memset(data, 'x', sizeof data);

    // unlink of an open file keeps its contents until the last close
    put("open", data, 5000);
    assert_int_equal(fh_lookup("open", &v), 0);
    assert_int_equal(fh_remove("open", false), 0);
    assert_int_equal(fh_lookup("open", &w), -ENOENT);
    put("other", "other", 5);
    fh_sync();
    assert_int_equal(fh_read(v, 0, back, sizeof back), 5000);
    assert_memory_equal(back, data, 5000);
    assert_int_equal(fh_write(v, 5000, data, 5000), 5000);
    vnode_put(v);
    host_settle();

    // growth shows zeros, whatever was in those clusters
    assert_int_equal(fh_create("grown"), 0);
    assert_int_equal(fh_lookup("grown", &v), 0);
    assert_int_equal(fh_write(v, 0, "abc", 3), 3);
    assert_int_equal(fh_truncate(v, 6000), 0);
    assert_int_equal(fh_write(v, 8000, "end", 3), 3);
    assert_int_equal(fh_read(v, 0, back, sizeof back), 8003);
    for (int i = 3; i < 8000; i++)
        assert_int_equal(back[i], 0);
    assert_int_equal(fh_truncate(v, 2), 0);
    assert_int_equal(fh_truncate(v, 700), 0);
    vnode_put(v);
    fat_host_unmount();
    check_image();
    assert_int_equal(fat_host_mount(), 0);
    assert_int_equal(fh_lookup("grown", &v), 0);
    assert_int_equal(fh_read(v, 0, back, sizeof back), 700);
    assert_memory_equal(back, "ab", 2);
    for (int i = 2; i < 700; i++)
        assert_int_equal(back[i], 0);
    vnode_put(v);

    // rename onto a file, onto an empty directory, across directories
    put("a", "A", 1);
    put("b", "B", 1);
    assert_int_equal(fh_rename("a", "b"), 0);
    expect("b", "A");
    assert_int_equal(fh_lookup("a", &v), -ENOENT);
    assert_int_equal(fh_mkdir("d1"), 0);
    assert_int_equal(fh_mkdir("d2"), 0);
    assert_int_equal(fh_mkdir("d1/sub"), 0);
    put("d1/sub/file", "F", 1);
    assert_int_equal(fh_rename("d1/sub", "d2"), 0);
    expect("d2/file", "F");
    assert_int_equal(fh_mkdir("d1/full"), 0);
    put("d1/full/x", "X", 1);
    assert_int_equal(fh_rename("d2", "d1/full"), -ENOTEMPTY);
    assert_int_equal(fh_rename("d2/file", "d1/full/x"), 0);
    expect("d1/full/x", "F");
    assert_int_equal(fh_rename("d1/full", "top"), 0);
    expect("top/x", "F");

    // nested remove
    assert_int_equal(fh_remove("top", true), -ENOTEMPTY);
    assert_int_equal(fh_remove("top/x", false), 0);
    assert_int_equal(fh_remove("top", true), 0);
    assert_int_equal(fh_lookup("top", &v), -ENOENT);
    assert_int_equal(fh_mkdir("top"), 0);
    assert_int_equal(fh_lookup("top/x", &v), -ENOENT);
    stop();
}

// Of one directory, across directories, and of a file and a directory, whose ".." follows.
static void exchange_swaps_names(void **state)
{
    (void)state;
    start("-s 1", 16);
    assert_int_equal(fh_mkdir("d1"), 0);
    assert_int_equal(fh_mkdir("top"), 0);
    put("top/x", "F", 1);
    put("b", "A", 1);
    put("here", "HH", 2);
    assert_int_equal(fh_exchange("here", "none"), -ENOENT);
    assert_int_equal(fh_exchange("here", "b"), 0);
    expect("b", "HH");
    expect("here", "A");
    put("d1/a long name for it", "LLL", 3);
    assert_int_equal(fh_exchange("here", "d1/a long name for it"), 0);
    expect("here", "LLL");
    expect("d1/a long name for it", "A");
    assert_int_equal(fh_exchange("top", "d1/a long name for it"), 0);
    expect("top", "A");
    expect("d1/a long name for it/x", "F");
    assert_int_equal(fh_sync(), 0);
    fat_host_unmount();
    check_image();
    assert_int_equal(fat_host_mount(), 0);
    expect("here", "LLL");
    expect("top", "A");
    expect("d1/a long name for it/x", "F");
    assert_int_equal(fh_exchange("d1/a long name for it", "top"), 0);
    expect("top/x", "F");
    stop();
}

static void no_space_changes_nothing(void **state)
{
    (void)state;
    struct vnode *v;
    static char big[40 << 20];
    start("-s 8", 40);
    struct fat_mount *m = fat_super->priv;
    put("small", "small", 5);
    assert_int_equal(fh_lookup("small", &v), 0);
    uint32_t before = m->free_clusters;
    assert_int_equal(fh_write(v, 0, big, sizeof big), -ENOSPC);
    assert_int_equal(m->free_clusters, before);
    expect("small", "small");
    assert_int_equal(fh_write(v, 0, big, (uint64_t)(before + 1) << 12), (before + 1ull) << 12);
    assert_int_equal(m->free_clusters, 0);
    assert_int_equal(fh_mkdir("dir"), -ENOSPC);
    long r, n = 0;
    char name[64];
    do {
        snprintf(name, sizeof name, "file with a long name %ld", n);
        r = fh_create(name);
    } while (r == 0 && ++n < 1000);
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(fh_truncate(v, 100), 0);
    assert_int_equal(m->free_clusters, before);
    assert_int_equal(fh_create(name), 0);
    vnode_put(v);
    stop();
}

static unsigned counted;

static void count_name(void *arg, const char *name, size_t len, bool dir)
{
    (void)dir;
    unsigned n = (unsigned)atoi(name + 18);
    assert_true(len >= 19 && n < 500);
    ((char *)arg)[n]++;
    counted++;
}

static void many_alike(void **state)
{
    (void)state;
    char name[64], seen[500] = {0};
    start("-s 1", 16);
    assert_int_equal(fh_mkdir("d"), 0);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "d/the same beginning%d", i);
        assert_int_equal(fh_create(name), 0);
        assert_int_equal(fh_create(name), -EEXIST);
    }
    for (int i = 0; i < 500; i += 2) {
        snprintf(name, sizeof name, "d/The Same Beginning%d", i);
        assert_int_equal(fh_remove(name, false), 0);
    }
    counted = 0;
    assert_int_equal(fh_readdir("d/", 7, count_name, seen), 0);
    assert_int_equal(counted, 250);
    for (int i = 0; i < 500; i++)
        assert_int_equal(seen[i], i & 1);
    stop();
}

// What others left in a file's last sector behind its end never shows when the file grows.
static void slack_of_others(void **state)
{
    (void)state;
    struct vnode *v;
    char back[9000];
    start("-s 1", 16);
    put("slack", "0123456789", 10);
    fat_host_unmount();
    uint8_t *at = memmem(disk_image, disk_bytes, "0123456789", 10);
    assert_non_null(at);
    memset(at + 10, 'G', FAT_SECTOR - 10);
    for (int way = 0; way < 2; way++) {
        assert_int_equal(fat_host_mount(), 0);
        assert_int_equal(fh_lookup("slack", &v), 0);
        if (way == 0)
            assert_int_equal(fh_truncate(v, 9000), 0);
        assert_int_equal(fh_read(v, 0, back, sizeof back), 9000);
        for (int i = 10; i < 9000; i++)
            assert_int_equal(back[i], 0);
        vnode_put(v);
        fat_host_unmount();
    }
    check_image();
    disk_close();
}

// Behind the mark that ends a directory anything may lie.
static void garbage_behind_the_end(void **state)
{
    (void)state;
    struct fat_geometry g;
    const char *why;
    char seen[500] = {0}, name[64];
    host_fat_init(4);
    disk_open("-s 1", 16 << 20);
    assert_int_equal(fat_geometry_parse(disk_image, disk.capacity, &g, &why), 0);
    uint8_t *root = disk_image + fat_cluster_sector(&g, g.root_cluster) * FAT_SECTOR;
    for (int i = 1; i < FAT_PER_SECTOR; i++)
        memcpy(root + i * 32, "GARBAGE TXT                    ", 32);
    assert_int_equal(fat_host_mount(), 0);
    for (int i = 0; i < 9; i++) {
        counted = 0;
        assert_int_equal(fh_readdir("", 100, count_name, seen), 0);
        assert_int_equal(counted, i);
        snprintf(name, sizeof name, "the same beginning%d", i);
        assert_int_equal(fh_create(name), 0);
    }
    stop();
}

static void refuses_what_is_not_fat32(void **state)
{
    (void)state;
    host_fat_init(3);
    disk_open("-s 1", 16 << 20);
    disk.capacity = 1000;
    assert_int_equal(fat_host_mount(), -EINVAL);
    disk.capacity = disk_bytes / SECTOR_SIZE;
    disk_fail_after = 0;
    assert_int_equal(fat_host_mount(), -EIO);
    disk_fail_after = UINT64_MAX;
    memset(disk_image, 0, 512);
    assert_int_equal(fat_host_mount(), -EINVAL);
    disk_close();
}

static void write_errors_make_it_read_only(void **state)
{
    (void)state;
    start("-s 1", 16);
    put("kept", "kept", 4);
    assert_int_equal(fh_sync(), 0);
    disk_fail_writes_only = true;
    disk_fail_after = 0;
    assert_int_equal(fh_create("lost"), 0);
    assert_int_equal(fh_sync(), -EIO);
    assert_true(fat_super->flags & SUPER_RDONLY);
    assert_int_equal(fh_create("refused"), -EROFS);
    expect("kept", "kept");
    fat_host_unmount();
    disk_fail_after = UINT64_MAX;
    disk_fail_writes_only = false;
    assert_int_equal(fat_host_mount(), 0);
    expect("kept", "kept");
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_mtools_reads),
        cmocka_unit_test(reads_what_mtools_writes),
        cmocka_unit_test(rules_of_traps),
        cmocka_unit_test(exchange_swaps_names),
        cmocka_unit_test(no_space_changes_nothing),
        cmocka_unit_test(many_alike),
        cmocka_unit_test(garbage_behind_the_end),
        cmocka_unit_test(slack_of_others),
        cmocka_unit_test(refuses_what_is_not_fat32),
        cmocka_unit_test(write_errors_make_it_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
