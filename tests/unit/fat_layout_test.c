// sources: kernel/fs/fat32/bpb.c kernel/fs/fat32/time.c kernel/fs/fat32/name.c kernel/fs/fat32/scan.c
// SPDX-License-Identifier: MIT
// FAT32 on disk, the pure part: boot sectors, times, names and their 8.3 shadows, name sets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fs/fat32/layout.h"
#include "lib/errno.h"

// ---- boot sector

// As mkfs.vfat -F 32 -s 1 makes it for 64 MiB.
static void make_boot(uint8_t b[512])
{
    memset(b, 0, 512);
    memcpy(b, "\xeb\x58\x90mkfs.fat", 11);
    fat_put16(b + 11, 512);
    b[13] = 1;
    fat_put16(b + 14, 32);
    b[16] = 2;
    b[21] = 0xf8;
    fat_put32(b + 32, 131072);
    fat_put32(b + 36, 1009);
    fat_put32(b + 44, 2);
    fat_put16(b + 48, 1);
    fat_put16(b + 50, 6);
    b[66] = 0x29;
    fat_put32(b + 67, 0x7109e001);
    memcpy(b + 71, "TIDEPOOL   FAT32   ", 19);
    fat_put16(b + 510, 0xaa55);
}

static void boot_good(void **state)
{
    (void)state;
    uint8_t b[512];
    struct fat_geometry g;
    const char *why;
    make_boot(b);
    assert_int_equal(fat_geometry_parse(b, 131072, &g, &why), 0);
    assert_null(why);
    assert_int_equal(g.cluster_sectors, 1);
    assert_int_equal(g.cluster_shift, 9);
    assert_int_equal(g.fat_start, 32);
    assert_int_equal(g.data_start, 32 + 2018);
    assert_int_equal(g.clusters, 131072 - 2050);
    assert_int_equal(g.fsinfo_sector, 1);
    assert_int_equal(g.backup_sector, 6);
    assert_true(g.mirrored);
    assert_string_equal(g.label, "TIDEPOOL");
    assert_int_equal(fat_cluster_sector(&g, 3), 2051);
    assert_false(fat_cluster_ok(&g, 1));
    assert_true(fat_cluster_ok(&g, g.clusters + 1));
    assert_false(fat_cluster_ok(&g, g.clusters + 2));
    fat_boot_set_dirty(b, true);
    assert_int_equal(fat_geometry_parse(b, 131072, &g, &why), 0);
    assert_true(g.dirty);
}

static void boot_large_sectors(void **state)
{
    (void)state;
    uint8_t b[512];
    struct fat_geometry g;
    const char *why;
    make_boot(b);
    fat_put16(b + 11, 4096);
    assert_int_equal(fat_geometry_parse(b, 131072 * 8, &g, &why), 0);
    assert_int_equal(g.cluster_sectors, 8);
    assert_int_equal(g.fat_start, 256);
    assert_int_equal(g.fsinfo_sector, 8);
    assert_int_equal(g.clusters, 131072 - 2050);
}

static void boot_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned at, bytes;
        uint32_t value;
        const char *word;
    } bad[] = {
        {510, 2, 0, "signature"},     {11, 2, 513, "bytes per sector"},
        {11, 2, 256, "bytes per"},    {11, 2, 8192, "bytes per"},
        {13, 1, 0, "per cluster"},    {13, 1, 3, "per cluster"},
        {21, 1, 0xf1, "media"},       {22, 2, 9, "FAT16"},
        {17, 2, 512, "FAT16"},        {19, 2, 5, "no room"},
        {42, 2, 1, "version"},        {14, 2, 0, "reserved"},
        {16, 1, 0, "tables"},         {16, 1, 3, "tables"},
        {36, 4, 0, "table"},          {36, 4, 0xffffffff, "table"},
        {36, 4, 70000, "no room"},    {36, 4, 900, "too small"},
        {32, 4, 0, "no room"},        {32, 4, 2050, "no room"},
        {32, 4, 131073, "truncated"}, {32, 4, 0xffffffff, "truncated"},
        {44, 4, 0, "root"},           {44, 4, 1, "root"},
        {44, 4, 131072, "root"},      {40, 2, 0x82, "active"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t b[512];
        struct fat_geometry g;
        const char *why = NULL;
        make_boot(b);
        for (unsigned j = 0; j < bad[i].bytes; j++)
            b[bad[i].at + j] = (uint8_t)(bad[i].value >> j * 8);
        if (fat_geometry_parse(b, 131072, &g, &why) != -EINVAL || !strstr(why, bad[i].word))
            fail_msg("case %zu (offset %u): %s", i, bad[i].at, why ? why : "accepted");
    }
}

// Whatever the bytes: no crash, and what is accepted keeps its promises.
static void boot_random(void **state)
{
    (void)state;
    srand(7);
    int accepted = 0;
    for (int round = 0; round < 300000; round++) {
        uint8_t b[512];
        struct fat_geometry g;
        const char *why;
        make_boot(b);
        for (int n = rand() % 4; n >= 0; n--)
            b[11 + rand() % 41] = (uint8_t)rand();
        uint64_t capacity = (uint64_t)rand() % 300000;
        if (fat_geometry_parse(b, capacity, &g, &why))
            continue;
        accepted++;
        assert_true(fat_cluster_sector(&g, g.clusters + 1) + g.cluster_sectors <= capacity);
        assert_true(g.fat_start + (uint64_t)g.fat_sectors * g.fat_count <= g.data_start);
        assert_true((uint64_t)g.fat_sectors * 128 >= g.clusters + 2ull);
        assert_true(fat_cluster_ok(&g, g.root_cluster));
        assert_true(1u << g.cluster_shift == g.cluster_sectors * 512);
    }
    assert_true(accepted > 1000);
}

static void info_sector(void **state)
{
    (void)state;
    uint8_t b[512] = {0};
    struct fat_info info;
    assert_false(fat_info_parse(b, 100, &info));
    fat_put32(b, 0x41615252);
    fat_put32(b + 484, 0x61417272);
    fat_put32(b + 508, 0xaa550000);
    fat_info_store(b, &(struct fat_info){77, 101});
    assert_true(fat_info_parse(b, 100, &info));
    assert_int_equal(info.free_clusters, 77);
    assert_int_equal(info.next_free, 101);
    fat_info_store(b, &(struct fat_info){101, 102});
    assert_true(fat_info_parse(b, 100, &info));
    assert_int_equal(info.free_clusters, UINT32_MAX);
    assert_int_equal(info.next_free, UINT32_MAX);
}

// ---- times

static void times(void **state)
{
    (void)state;
    for (int64_t s = 315532800; s < 4354819200; s += 77777) { // 1980 .. 2107
        uint8_t date[2], time[2], cs;
        fat_time_from_ns(s * 1000000000 + 990000000, date, time, &cs);
        time_t sec = (time_t)s;
        struct tm tm;
        gmtime_r(&sec, &tm);
        assert_int_equal(fat_get16(date),
                         (tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
        assert_int_equal(fat_get16(time), tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
        assert_int_equal(fat_time_ns(fat_get16(date), fat_get16(time), cs),
                         s * 1000000000 + 990000000);
    }
    uint8_t date[2], time[2], cs;
    fat_time_from_ns(-5, date, time, &cs);
    assert_int_equal(fat_get16(date), 0 << 9 | 1 << 5 | 1);
    assert_int_equal(fat_get16(time), 0);
    fat_time_from_ns(INT64_MAX, date, time, &cs);
    assert_int_equal(fat_get16(date), 127 << 9 | 12 << 5 | 31);
    for (uint32_t i = 0; i < 65536; i++) { // nonsense stays inside the range
        int64_t ns = fat_time_ns((uint16_t)i, (uint16_t)(i * 7), (uint8_t)i);
        assert_true(ns >= 315532800ll * 1000000000 && ns < 4355000000ll * 1000000000);
    }
}

// ---- names

static size_t u16(const char *text, uint16_t out[FAT_NAME16])
{
    int n = fat_name_from_utf8(text, strlen(text), out);
    assert_true(n > 0);
    return (size_t)n;
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"a",
                                       "\xc3\xa9t\xc3\xa9.txt",
                                       "\xe6\x97\xa5\xe6\x9c\xac",
                                       "\xf0\x9f\x90\x9a shell",
                                       ".profile",
                                       "a b.c d",
                                       "x+y=[z]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint16_t name[FAT_NAME16];
        char back[FAT_NAME8];
        size_t n = u16(good[i], name), m = fat_name_to_utf8(name, n, back);
        assert_int_equal(m, strlen(good[i]));
        assert_memory_equal(back, good[i], m);
    }
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "...",
        " ",
        ". .",
        "a/b",
        "a:b",
        "a\\b",
        "a?",
        "a*",
        "<",
        ">",
        "|",
        "\"",
        "a\x01",
        "a\x7f",
        "\x80",
        "\xc3",
        "\xc0\xaf",
        "\xe0\x80\xaf",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xe6\x97",
    };
    uint16_t name[FAT_NAME16];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (fat_name_from_utf8(bad[i], strlen(bad[i]), name) != -EINVAL)
            fail_msg("accepted bad name %zu", i);
    assert_int_equal(fat_name_from_utf8("a. .", 4, name), 1);
    char longest[300];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(fat_name_from_utf8(longest, 255, name), 255);
    assert_int_equal(fat_name_from_utf8(longest, 256, name), -ENAMETOOLONG);
    const uint16_t lone[] = {'a', 0xd83d, 'b', 0xdc1a};
    char out[12];
    assert_int_equal(fat_name_to_utf8(lone, 4, out), 8);
    assert_memory_equal(out,
                        "a\xef\xbf\xbd"
                        "b\xef\xbf\xbd",
                        8);
}

static void compare(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } pair[] = {
        {"README.txt", "readme.TXT", true},
        {".profile", "profile", false},
        {"a.", "a", true},
        {"\xc3\x89t\xc3\xa9", "\xc3\xa9T\xc3\x89", true},
        {"a", "b", false},
        {"ab", "a", false},
        {"\xd0\x9f\xd1\x80", "\xd0\xbf\xd0\xa0", true},
        {"\xc3\xb7", "\xc3\x97", false},
        {"\xc5\xbd", "\xc5\xbe", true},
        {"@", "`", false},
        {"[", "{", false},
    };
    for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++) {
        uint16_t a[FAT_NAME16], b[FAT_NAME16];
        size_t n = u16(pair[i].a, a), m = u16(pair[i].b, b);
        if (fat_name_equal(a, n, b, m) != pair[i].same)
            fail_msg("%s and %s", pair[i].a, pair[i].b);
    }
    for (uint32_t c = 0; c < 65536; c++)
        assert_int_equal(fat_fold(fat_fold((uint16_t)c)), fat_fold((uint16_t)c));
}

static void short_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *basis;
        int lower, fits, exact;
        const char *first;
    } want[] = {
        {"README.TXT", "README  TXT", 0, 1, 1, "README~1TXT"},
        {"readme.txt", "README  TXT", FAT_LOWER_BASE | FAT_LOWER_EXT, 1, 1, "README~1TXT"},
        {"MAKEFILE.in", "MAKEFILEIN ", FAT_LOWER_EXT, 1, 1, "MAKEFI~1IN "},
        {"ReadMe.txt", "README  TXT", 0, 1, 0, "README~1TXT"},
        {".profile", "PROFILE    ", 0, 0, 0, "PROFIL~1   "},
        {"A long name.text", "ALONGNAMTEX", 0, 0, 0, "ALONGN~1TEX"},
        {"archive.tar.gz", "ARCHIVETGZ ", 0, 0, 0, "ARCHIV~1GZ "},
        {"\xe6\x97\xa5\xe6\x9c\xac", "__         ", 0, 0, 0, "__~1       "},
        {"\xf0\x9f\x90\x9a", "_          ", 0, 0, 0, "_~1        "},
        {"a+b", "A_B        ", 0, 0, 0, "A_B~1      "},
        {"12345678.123", "12345678123", 0, 1, 1, "123456~1123"},
        {"123456789", "12345678   ", 0, 0, 0, "123456~1   "},
        {"a.bcde", "A       BCD", 0, 0, 0, "A~1     BCD"},
        {" x", "X          ", 0, 0, 0, "X~1        "},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        uint16_t name[FAT_NAME16];
        struct fat_short s;
        uint8_t tail[11];
        size_t n = u16(want[i].name, name);
        fat_short_basis(name, n, &s);
        fat_short_tail(&s, name, n, 1, tail);
        if (strcmp(want[i].name, "archive.tar.gz") == 0)
            assert_memory_equal(s.name, "ARCHIVETGZ ", 11);
        if (memcmp(s.name, want[i].basis, 11) || s.lower != want[i].lower ||
            s.fits != want[i].fits || s.exact != want[i].exact || memcmp(tail, want[i].first, 11))
            fail_msg("%s: %.11s %d %d %d %.11s", want[i].name, s.name, s.lower, s.fits, s.exact,
                     tail);
    }
}

static void short_families(void **state)
{
    (void)state;
    uint16_t name[FAT_NAME16];
    struct fat_short s;
    size_t n = u16("the same beginning.data", name);
    fat_short_basis(name, n, &s);
    for (uint32_t family = 0; family < 500; family++) {
        uint8_t one[11], other[11];
        fat_short_tail(&s, name, n, family * 9 + 1, one);
        for (uint32_t d = 1; d <= 9; d++) {
            fat_short_tail(&s, name, n, family * 9 + d, other);
            assert_int_equal(fat_short_tail_digit(one, other), d);
            for (int i = 0; i < 11; i++)
                assert_true(other[i] > ' ' || (i > 5 && other[i] == ' '));
        }
        other[10] ^= 1;
        assert_int_equal(fat_short_tail_digit(one, other), 0);
    }
}

static void short_display(void **state)
{
    (void)state;
    struct fat_dirent e = {.name = "\x05"
                                   "BC/E\x01  \x82 X"};
    uint16_t out[12];
    assert_int_equal(fat_short_display(&e, out), 10);
    const uint16_t want[] = {0x3c3, 'B', 'C', '_', 'E', '_', '.', 0xe9, ' ', 'X'};
    assert_memory_equal(out, want, sizeof want);
    memcpy(e.name, "README  TXT", 11);
    e.lower = FAT_LOWER_BASE;
    assert_int_equal(fat_short_display(&e, out), 10);
    assert_int_equal(out[0], 'r');
    assert_int_equal(out[7], 'T');
}

// ---- name sets

// Writes the set of a name into e, returns its slots.
static uint32_t make_set(struct fat_dirent *e, const char *text)
{
    uint16_t name[FAT_NAME16];
    struct fat_short s;
    size_t n = u16(text, name);
    fat_short_basis(name, n, &s);
    uint8_t tail[11];
    memcpy(tail, s.name, 11);
    if (!s.fits)
        fat_short_tail(&s, name, n, 1, tail);
    uint32_t slots = fat_slots(n, s.exact);
    for (uint32_t order = slots - 1; order; order--)
        fat_lfn_encode((struct fat_lfn *)e++, name, n, order, fat_short_checksum(tail));
    memset(e, 0, sizeof *e);
    memcpy(e->name, tail, 11);
    e->lower = s.lower;
    return slots;
}

static void expect_name(struct fat_dirent *e, uint32_t slots, const char *text, uint32_t first)
{
    struct fat_scan s;
    fat_scan_start(&s);
    for (uint32_t i = 0; i < slots; i++) {
        enum fat_scan_step step = fat_scan_feed(&s, &e[i], i);
        assert_int_equal(step, i + 1 < slots ? FAT_SCAN_PART : FAT_SCAN_NAME);
    }
    char out[20 * FAT_LFN_CHARS * 3];
    size_t n = fat_name_to_utf8(s.name, s.len, out);
    if (n != strlen(text) || memcmp(out, text, n))
        fail_msg("got %.*s, want %s", (int)n, out, text);
    assert_int_equal(s.first, first);
}

static void sets(void **state)
{
    (void)state;
    struct fat_dirent e[FAT_SLOTS_MAX + 1];
    char longest[256];
    memset(longest, 'y', 255);
    longest[255] = 0;
    const char *const names[] = {"README.TXT",    "readme.txt",     "ReadMe",
                                 "13 characters", "14 character.s", "twenty-six characters 6789",
                                 ".profile",      longest};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect_name(e, make_set(e, names[i]), names[i], 0);
    assert_int_equal(make_set(e, "13 characters"), 2);
    assert_int_equal(((struct fat_lfn *)e)->order, 0x41);
    assert_int_equal(make_set(e, longest), FAT_SLOTS_MAX);
}

static void checksums(void **state)
{
    (void)state;
    assert_int_equal(fat_short_checksum((const uint8_t *)"README  TXT"), 0x73);
    assert_int_equal(fat_short_checksum((const uint8_t *)"ALONGN~1TEX"), 0xbd);
}

static void torn_sets(void **state)
{
    (void)state;
    struct fat_dirent e[8];
    const char *text = "a name of three long entries, no less";
    uint32_t slots = make_set(e, text);
    assert_int_equal(slots, 4);
    e[1].create_date[0] ^= 1; // a character: unnoticed, the checksum is of the short name
    slots = make_set(e, text);
    ((struct fat_lfn *)&e[1])->checksum ^= 1;
    expect_name(e, slots, "ANAMEO~1", 3);
    slots = make_set(e, text);
    e[3].name[5] ^= 1; // short entry replaced by a program that knows no long names
    expect_name(e, slots, "ANAMEN~1", 3);
    slots = make_set(e, text);
    memmove(&e[1], &e[2], 2 * sizeof e[0]); // one piece is missing
    expect_name(e, slots - 1, "ANAMEO~1", 2);
    slots = make_set(e, text);
    for (int i = 0; i < 13; i++) // a slash in the last piece
        ((struct fat_lfn *)&e[2])->name1[0] = '/';
    expect_name(e, slots, "ANAMEO~1", 3);

    struct fat_scan s;
    fat_scan_start(&s);
    e[0].name[0] = FAT_DELETED;
    assert_int_equal(fat_scan_feed(&s, &e[0], 0), FAT_SCAN_FREE);
    e[0].name[0] = 0;
    assert_int_equal(fat_scan_feed(&s, &e[0], 0), FAT_SCAN_END);
}

static void scan_random(void **state)
{
    (void)state;
    srand(11);
    struct fat_scan s;
    fat_scan_start(&s);
    for (uint32_t i = 0; i < 2000000; i++) {
        struct fat_dirent e;
        for (size_t j = 0; j < sizeof e; j++)
            ((uint8_t *)&e)[j] = (uint8_t)(rand() >> 4);
        if (rand() % 4)
            e.attr = FAT_LFN;
        if (rand() % 2)
            e.name[0] = (uint8_t)((s.expect & 31) | (rand() % 8 ? 0 : 0x40));
        if (rand() % 2)
            ((struct fat_lfn *)&e)->checksum = s.checksum;
        if (fat_scan_feed(&s, &e, i) == FAT_SCAN_NAME) {
            assert_in_range(s.len, 1, FAT_NAME16);
            for (int j = 0; j < s.len; j++)
                assert_true(s.name[j] >= 0x20 && s.name[j] != '/');
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boot_good),     cmocka_unit_test(boot_large_sectors),
        cmocka_unit_test(boot_refused),  cmocka_unit_test(boot_random),
        cmocka_unit_test(info_sector),   cmocka_unit_test(times),
        cmocka_unit_test(utf8),          cmocka_unit_test(compare),
        cmocka_unit_test(short_names),   cmocka_unit_test(short_families),
        cmocka_unit_test(short_display), cmocka_unit_test(sets),
        cmocka_unit_test(checksums),     cmocka_unit_test(torn_sets),
        cmocka_unit_test(scan_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
