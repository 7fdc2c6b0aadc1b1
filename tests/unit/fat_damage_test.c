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
// Damaged volumes: whatever bytes the disk holds, FAT32 answers with an error at worst, and comes to
// an end. FAT_SEED chooses the first damage, FAT_ROUNDS how many.
#include "fat_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned setting(const char *name, unsigned normal)
{
    const char *text = getenv(name);
    return text ? (unsigned)atoi(text) : normal;
}

// ---- damage

static uint64_t metadata_bytes; // tables and the directories behind them, more or less

static void damage_bits(void)
{
    for (unsigned n = 1 + host_random(40); n; n--)
        disk_image[host_random((unsigned)metadata_bytes)] ^= (uint8_t)(1 << host_random(8));
}

static void damage_boot(void)
{
    for (unsigned n = 1 + host_random(4); n; n--)
        disk_image[11 + host_random(60)] = (uint8_t)host_random(256);
}

// Entries of the table point anywhere, often at each other: circles, crossings, early ends.
static void damage_table(const struct fat_geometry *g)
{
    uint32_t used = 400 < g->clusters ? 400 : g->clusters;
    for (unsigned n = 1 + host_random(60); n; n--) {
        uint32_t values[] = {host_random(used) + 2,    0, 1, FAT_BAD, FAT_END, g->clusters + 2,
                             host_random(1 << 24) << 4};
        uint8_t *at = disk_image + g->fat_start * 512ull + (2 + host_random(used)) * 4;
        fat_put32(at, values[host_random(sizeof values / sizeof values[0])]);
    }
}

// Bytes in directories: orders, attributes, clusters, sizes, checksums.
static void damage_entries(const struct fat_geometry *g)
{
    uint64_t data = g->data_start * 512;
    for (unsigned n = 1 + host_random(60); n; n--) {
        uint8_t *entry = disk_image + data + host_random(200 * 16) * 32ull;
        static const uint8_t fields[] = {0, 11, 13, 20, 21, 26, 27, 28, 31, 5};
        if (entry[0] == 0 && host_random(4))
            continue;
        entry[fields[host_random(sizeof fields)]] =
            (uint8_t)(host_random(2) ? host_random(256) : host_random(3));
    }
}

// ---- use

static char paths[400][600];
static bool is_dir[400];
static unsigned found;
static const char *listing;

static void found_name(void *arg, const char *name, size_t len, bool directory)
{
    (void)arg;
    for (size_t i = 0; i < len; i++)
        if (name[i] == '/' || name[i] == 0)
            fail_msg("a name with a slash or a NUL");
    if (found == 400 || strlen(listing) + len > 400)
        return;
    snprintf(paths[found], sizeof paths[0], "%s%.*s%s", listing, (int)(len & 255), name,
             directory ? "/" : "");
    is_dir[found++] = directory;
}

static void walk(void)
{
    static char data[65536];
    struct vnode *v;
    found = 0;
    listing = "";
    fh_readdir("", 1000, found_name, NULL);
    for (unsigned i = 0; i < found; i++) {
        listing = paths[i];
        if (is_dir[i]) {
            fh_readdir(listing, 1000, found_name, NULL);
        } else if (fh_lookup(paths[i], &v) == 0) {
            if (!S_ISDIR(v->mode)) {
                fh_read(v, 0, data, sizeof data);
                fh_read(v, host_random(1u << 31), data, 100);
            }
            vnode_put(v);
        }
    }
}

static void change_something(void)
{
    static char data[20000];
    char one[700], two[700];
    struct vnode *v;
    unsigned a = found ? host_random(found) : 0, b = found ? host_random(found) : 0;
    snprintf(one, sizeof one, "%s", found ? paths[a] : "a");
    snprintf(two, sizeof two, "%s%s", found ? paths[b] : "",
             host_random(2) ? "a new name of length" : "");
    // The VFS never hands down a name that ends in a slash, nor a directory into its own subtree.
    if (strlen(one) && one[strlen(one) - 1] == '/')
        one[strlen(one) - 1] = 0;
    if (strlen(two) && two[strlen(two) - 1] == '/')
        two[strlen(two) - 1] = 0;
    switch (host_random(7)) {
    case 0:
        fh_create(two);
        break;
    case 1:
        fh_mkdir(two);
        break;
    case 2:
        fh_remove(one, is_dir[a]);
        break;
    case 3:
        if (strncmp(one, two, strlen(one)) && strncmp(one, two, strlen(two)))
            fh_rename(one, two);
        break;
    case 4:
        fh_sync();
        break;
    default:
        if (fh_lookup(one, &v))
            break;
        if (!S_ISDIR(v->mode)) {
            fh_write(v, host_random(2) ? v->size : host_random(100000), data, host_random(20000));
            fh_truncate(v, host_random(50000));
        }
        vnode_put(v);
    }
}

static void use(void)
{
    if (fat_host_mount())
        return;
    walk();
    for (int i = 0; i < 30; i++)
        change_something();
    walk();
    fat_host_unmount();
}

static void rounds(const char *options, uint64_t kib, unsigned seed)
{
    struct model m;
    struct fat_geometry g;
    const char *why;
    host_fat_init(seed);
    disk_open(options, kib << 10);
    assert_int_equal(fat_host_mount(), 0);
    model_init(&m);
    for (int i = 0; i < 400; i++)
        model_step(&m);
    model_free(&m);
    fat_host_unmount();
    fat_geometry_parse(disk_image, disk_bytes / 512, &g, &why);
    metadata_bytes = g.data_start * 512 + 100 * 512;
    uint8_t *whole = malloc(disk_bytes);
    memcpy(whole, disk_image, disk_bytes);
    for (unsigned i = 0, n = setting("FAT_ROUNDS", 60); i < n; i++) {
        host_fat_init(setting("FAT_SEED", seed) + i);
        memcpy(disk_image, whole, disk_bytes);
        switch (host_random(6)) {
        case 0:
            damage_bits();
            break;
        case 1:
            damage_boot();
            break;
        case 2:
            damage_entries(&g);
            damage_table(&g);
            break;
        case 3:
            damage_table(&g);
            break;
        default:
            damage_entries(&g);
        }
        alarm(60); // a hang is a failure
        use();
    }
    alarm(0);
    free(whole);
    disk_close();
}

static void small_clusters(void **state)
{
    (void)state;
    rounds("-s 1", 4096, 1000);
}

static void large_clusters(void **state)
{
    (void)state;
    rounds("-s 8 -f 1", 16384, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_clusters),
        cmocka_unit_test(large_clusters),
    };
    cmocka_set_test_filter(getenv("FAT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
