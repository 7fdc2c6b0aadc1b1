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
// A crash at any sector written: fsck.vfat finds lost clusters at most, and every file that was
// durable and left alone since is there, whole. Sectors of one request, and requests in flight
// together, reach the disk in any order.
#include "fat_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct {
    uint64_t sector;
    uint8_t data[FAT_SECTOR];
} * written;
static char report[65536];

static void watch(uint64_t sector, const uint8_t *data)
{
    if (model_clock % 4096 == 0)
        written = realloc(written, (model_clock + 4096) * sizeof *written);
    written[model_clock].sector = sector;
    memcpy(written[model_clock].data, data, FAT_SECTOR);
    model_clock++;
}

// What fsck.vfat may say after a crash. "share clusters": a rename's two names, for a moment.
static bool line_allowed(const char *line, bool shared)
{
    static const char *const fine[] = {
        "Warning: Filesystem is FAT32",
        "but has only",
        "This may lead",
        "fsck.fat 4",
        "Leaving filesystem unchanged",
        " files, ",
        "Dirty bit is set",
        "Automatically removing",
        "Free cluster summary wrong",
        "Auto-correcting",
        "Reclaim",
        "FATs differ but appear",
        "Using first FAT",
        "cluster chain length is >",
        "Truncating file to",
        "There are differences between boot sector",
        "This is mostly harmless",
        "  65:0",
        "Not automatically fixing",
        "Orphaned long file name part",
        "Auto-deleting",
        "share clusters",
        "Truncating second to",
        "does not point to parent",
        "Invalid '..' entry",
        "Long filename fragment",
        "(Maybe the start bit",
        "Not auto-correcting this",
    };
    // Of two names of one file fsck empties the second, then finds it too short.
    if (strstr(line, "cluster chain length is 0 bytes") && shared)
        return true;
    if (line[0] == '/' || line[0] == 0 || !strcmp(line, "and"))
        return true;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (strstr(line, fine[i]))
            return true;
    return false;
}

static void check_report(uint64_t at)
{
    static char whole[sizeof report];
    image_check(report, sizeof report);
    strcpy(whole, report);
    for (char *line = strtok(report, "\n"); line; line = strtok(NULL, "\n"))
        if (!line_allowed(line, strstr(whole, "share clusters")))
            fail_msg("crash at sector write %lu: %s\n%s", (unsigned long)at, line, whole);
}

// ---- what is on the volume

static struct {
    char path[600];
    bool directory;
} found[4000];
static unsigned founds;
static const char *listing; // directory being listed, with its slash

static void found_name(void *arg, const char *name, size_t len, bool directory)
{
    (void)arg;
    assert_true(founds < sizeof found / sizeof found[0]);
    int n = snprintf(found[founds].path, sizeof found[founds].path, "%s%.*s%s", listing,
                     (int)(len & 255), name, directory ? "/" : "");
    assert_true(n < 600);
    found[founds++].directory = directory;
}

static void list_everything(void)
{
    listing = "";
    founds = 0;
    assert_int_equal(fh_readdir("", 100, found_name, NULL), 0);
    for (unsigned i = 0; i < founds; i++) {
        listing = found[i].path;
        if (found[i].directory)
            assert_int_equal(fh_readdir(listing, 100, found_name, NULL), 0);
    }
}

static bool file_is(const char *path, const struct snap *s)
{
    static uint8_t back[MODEL_FILE_MAX * 2];
    struct vnode *v;
    if (fh_lookup(path, &v))
        return false;
    bool same = !S_ISDIR(v->mode) && v->size == s->size &&
                fh_read(v, 0, back, sizeof back) == (long)s->size &&
                !memcmp(back, s->data, s->size);
    vnode_put(v);
    return same;
}

// A moved file may be under either name: it is looked for by its contents.
static bool is_anywhere(const struct snap *s)
{
    for (unsigned i = 0; i < founds; i++)
        if (!found[i].directory && file_is(found[i].path, s))
            return true;
    return false;
}

static void check_files(const struct model *m, uint64_t at)
{
    list_everything();
    for (const struct snap *s = m->snaps; s; s = s->next) {
        if (s->from > at || s->changed < at)
            continue;
        if (s->moved >= at && !file_is(s->path, s))
            fail_msg("crash at sector write %lu: %s is lost", (unsigned long)at, s->path);
        if (s->moved < at && !is_anywhere(s))
            fail_msg("crash at sector write %lu: %s is lost by its move", (unsigned long)at,
                     s->path);
    }
}

static void crash(const struct model *m, const uint8_t *start, uint64_t at)
{
    memcpy(disk_image, start, disk_bytes);
    for (uint64_t i = 0; i < at; i++)
        memcpy(disk_image + written[i].sector * FAT_SECTOR, written[i].data, FAT_SECTOR);
    check_report(at);
    assert_int_equal(fat_host_mount(), 0);
    check_files(m, at);
    fat_host_unmount();
}

static void run(const char *options, uint64_t kib, unsigned seed)
{
    enum { BEFORE = 300, AFTER = 250, CRASHES = 150 };
    const char *text = getenv("FAT_SEED");
    struct model m;
    model_init(&m);
    host_fat_init(text ? (unsigned)atoi(text) : seed);
    disk_open(options, kib << 10);
    assert_int_equal(fat_host_mount(), 0);
    for (int i = 0; i < BEFORE; i++)
        model_step(&m);
    model_close_all(&m);
    assert_int_equal(fh_sync(), 0);
    uint8_t *start = malloc(disk_bytes);
    memcpy(start, disk_image, disk_bytes);
    model_clock = 0;
    model_snap_all(&m);
    disk_watch = watch;
    for (int i = 0; i < AFTER; i++) {
        model_step(&m);
        if (i % 60 == 59)
            model_burst(&m);
    }
    model_close_all(&m);
    fat_host_unmount();
    disk_watch = NULL;
    for (int i = 0; i < CRASHES; i++)
        crash(&m, start, host_random((unsigned)model_clock + 1));
    free(start);
    model_free(&m);
    disk_close();
}

static void small_clusters(void **state)
{
    (void)state;
    run("-s 1", 8192, 11);
    run("-s 1", 8192, 12);
}

static void large_clusters(void **state)
{
    (void)state;
    run("-s 8", 32768, 21);
}

static void no_name_twice(const char *what, int i, uint64_t at)
{
    for (unsigned a = 0; a < founds; a++)
        for (unsigned b = 0; b < a; b++)
            if (!strcmp(found[a].path, found[b].path))
                fail_msg("%s %d, after %lu sectors: %s is there twice", what, i, (unsigned long)at,
                         found[a].path);
}

// Does `change`, and demands that between any two sectors that it writes the files are there, under any
// name, and none twice.
static void through_crashes(const char *what, int i, long (*change)(const char *, const char *),
                            const char *a, const char *b, struct snap *const *files)
{
    uint8_t *start = malloc(disk_bytes), *end = malloc(disk_bytes);
    assert_int_equal(fh_sync(), 0);
    memcpy(start, disk_image, disk_bytes);
    model_clock = 0;
    disk_watch = watch;
    assert_int_equal(change(a, b), 0);
    assert_int_equal(fh_sync(), 0);
    disk_watch = NULL;
    memcpy(end, disk_image, disk_bytes);
    fat_host_unmount();
    for (uint64_t at = 0, n = model_clock; at <= n; at++) {
        memcpy(disk_image, start, disk_bytes);
        for (uint64_t j = 0; j < at; j++)
            memcpy(disk_image + written[j].sector * FAT_SECTOR, written[j].data, FAT_SECTOR);
        assert_int_equal(fat_host_mount(), 0);
        list_everything();
        no_name_twice(what, i, at);
        for (struct snap *const *s = files; *s; s++)
            if (!is_anywhere(*s))
                fail_msg("%s %d, after %lu sectors: a file is gone", what, i, (unsigned long)at);
        fat_host_unmount();
    }
    memcpy(disk_image, end, disk_bytes);
    assert_int_equal(fat_host_mount(), 0);
    free(start);
    free(end);
}

static void make_file(const char *path, const struct snap *s)
{
    struct vnode *v;
    assert_int_equal(fh_create(path), 0);
    assert_int_equal(fh_lookup(path, &v), 0);
    assert_int_equal(fh_write(v, 0, s->data, s->size), s->size);
    vnode_put(v);
}

static void begin_volume(const char *options, size_t bytes, unsigned seed)
{
    host_fat_init(seed);
    disk_open(options, bytes);
    assert_int_equal(fat_host_mount(), 0);
    assert_int_equal(fh_mkdir("one"), 0);
    assert_int_equal(fh_mkdir("two"), 0);
}

// The file is there under one name or both.
static void renames(void **state)
{
    (void)state;
    static const char *const names[] = {"one/file", "two/another name of the file", "file",
                                        "two/target"};
    struct snap s = {.data = (uint8_t *)"durable", .size = 7};
    begin_volume("-s 1", 8 << 20, 31);
    make_file(names[0], &s);
    for (int i = 0; i < 40; i++) {
        if (i % 4 == 2)
            assert_int_equal(fh_create("two/target"), 0); // is replaced
        through_crashes("rename", i, fh_rename, names[i % 4], names[(i + 1) % 4],
                        (struct snap *const[]){&s, NULL});
    }
    fat_host_unmount();
    disk_close();
}

// Both are there.
static void exchanges(void **state)
{
    (void)state;
    static const char *const names[] = {"one/file", "two/another name of a file", "one/beside it",
                                        "in the root"};
    struct snap s[4];
    begin_volume("-s 1", 8 << 20, 32);
    for (int i = 0; i < 4; i++) {
        s[i] = (struct snap){.data = (uint8_t *)strdup(names[i]), .size = strlen(names[i])};
        make_file(names[i], &s[i]);
    }
    for (int i = 0; i < 24; i++)
        through_crashes("exchange", i, fh_exchange, names[i % 4], names[(i + 1 + i / 8) % 4],
                        (struct snap *const[]){&s[0], &s[1], &s[2], &s[3], NULL});
    for (int i = 0; i < 4; i++)
        free(s[i].data);
    fat_host_unmount();
    disk_close();
}

// Somebody has the file open, so that its removal is not written when it is removed.
static long make_anew(const char *name, const char *other)
{
    struct vnode *v;
    long r = fh_lookup(name, &v);
    if (r < 0)
        return r;
    r = fh_remove(other, false);
    if (r == 0)
        r = fh_remove(name, false);
    if (r == 0)
        r = fh_create(name);
    vnode_put(v);
    return r;
}

// A name is removed and made anew in a sector before its first one, where another was.
static void anew(void **state)
{
    (void)state;
    enum { NAMES = 14, TRIES = 6 }; // the first that fill a sector, beside the dots
    char name[24], other[24];
    begin_volume("-s 8", 32 << 20, 33);
    for (int i = 0; i < 2 * NAMES; i++) {
        snprintf(name, sizeof name, "one/F%d", i);
        assert_int_equal(fh_create(name), 0);
    }
    for (int i = 0; i < TRIES; i++) {
        snprintf(name, sizeof name, "one/F%d", NAMES + i);
        snprintf(other, sizeof other, "one/F%d", i);
        through_crashes("anew", i, make_anew, name, other, (struct snap *const[]){NULL});
    }
    fat_host_unmount();
    disk_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_clusters), cmocka_unit_test(large_clusters),
        cmocka_unit_test(renames),        cmocka_unit_test(exchanges),
        cmocka_unit_test(anew),
    };
    cmocka_set_test_filter(getenv("FAT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
