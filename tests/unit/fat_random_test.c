// SPDX-License-Identifier: MIT
// sources: kernel/fs/fat32/bpb.c kernel/fs/fat32/time.c kernel/fs/fat32/name.c kernel/fs/fat32/scan.c
// sources: kernel/fs/fat32/cache.c kernel/fs/fat32/table.c kernel/fs/fat32/dir.c kernel/fs/fat32/dir_add.c
// sources: kernel/fs/fat32/inode.c kernel/fs/fat32/file.c kernel/fs/fat32/names.c kernel/fs/fat32/rename.c
// sources: kernel/fs/fat32/mount.c kernel/fs/vnode.c kernel/fs/reaper.c kernel/mem/phys.c kernel/mem/phys_io.c kernel/mem/readahead.c kernel/mem/writeback.c kernel/mem/evict.c tests/unit/host_rmap.c kernel/mem/shortage.c
// sources: kernel/mem/radix.c kernel/page/frame.c kernel/dev/block.c kernel/lib/init.c
// sources: kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c kernel/async/timer.c
// sources: kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c tests/unit/host.c
// sources: tests/unit/fat_host.c tests/unit/fat_model.c
// flags: -DDEBUG
// SPDX-License-Identifier: MIT
// The whole of FAT32 on a memory disk: what it writes is read back by mtools and passes fsck.vfat,
// what mtools writes is read here.
#include "fat_host.h"
// SPDX-License-Identifier: MIT
// Random operations on FAT32 beside a naive tree: results, contents and fsck.vfat agree throughout.
// FAT_SEED and FAT_STEPS choose another run.
#include "fat_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char report[65536];

static unsigned setting(const char *name, unsigned normal)
{
    const char *text = getenv(name);
    return text ? (unsigned)atoi(text) : normal;
}

static void check_image(void)
{
    if (image_check(report, sizeof report))
        fail_msg("fsck.vfat: %s", report);
}

static void check_point(struct model *m, unsigned kind)
{
    switch (kind) {
    case 0:
        model_compare(m);
        break;
    case 1:
        assert_int_equal(fh_sync(), 0);
        model_compare(m);
        break;
    case 2: // unlinked files that are open hold clusters which fsck would call lost
        model_close_all(m);
        host_settle(); // the flusher may have held the last reference of one
        assert_int_equal(fh_sync(), 0);
        check_image();
        break;
    default:
        model_close_all(m);
        fat_host_unmount();
        check_image();
        assert_int_equal(fat_host_mount(), 0);
        model_compare(m);
    }
}

static bool memory_fails;

static void run(const char *options, uint64_t kib, bool may_be_full, unsigned seed)
{
    struct model m;
    unsigned steps = setting("FAT_STEPS", 1500);
    model_init(&m);
    m.may_be_full = may_be_full;
    m.memory_fails = memory_fails;
    host_fat_init(setting("FAT_SEED", seed));
    disk_open(options, kib << 10);
    assert_int_equal(fat_host_mount(), 0);
    for (unsigned i = 0; i < steps; i++) {
        model_step(&m);
        if (i % 50 == 49) {
            if (!may_be_full)
                model_burst(&m);
            check_point(&m, host_random(4));
        }
    }
    model_free(&m);
    if (may_be_full)
        assert_true(m.full > 0);
    fat_host_unmount();
    check_image();
    disk_close();
}

static void small_clusters(void **state)
{
    (void)state;
    run("-s 1", 16384, false, 101);
}

static void large_clusters(void **state)
{
    (void)state;
    run("-s 16", 65536, false, 202);
}

static void large_sectors(void **state)
{
    (void)state;
    run("-S 2048 -s 2", 65536, false, 303);
}

static void one_table(void **state)
{
    (void)state;
    run("-s 2 -f 1", 32768, false, 404);
}

static void nearly_full(void **state)
{
    (void)state;
    run("-s 1", 400, true, 505);
}

static void short_of_memory(void **state)
{
    (void)state;
    memory_fails = true;
    run("-s 1", 16384, false, 606);
    memory_fails = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_clusters), cmocka_unit_test(large_clusters),
        cmocka_unit_test(large_sectors),  cmocka_unit_test(one_table),
        cmocka_unit_test(nearly_full),    cmocka_unit_test(short_of_memory),
    };
    cmocka_set_test_filter(getenv("FAT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
