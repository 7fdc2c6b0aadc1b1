// SPDX-License-Identifier: MIT
// FAT32 on disk: pure functions over sector buffers, without waiting and without state.
//
// Source: Microsoft "FAT32 File System Specification" (fatgen103), cited below as [fat]. Everything
// on disk is little endian. Sectors here are the device's 512-byte sectors whatever the boot sector
// says; clusters are numbered from 2. Whatever comes from the disk is untrusted: these functions
// accept any bytes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAT_SECTOR = 512,
    FAT_ENTRY_MASK = 0x0fffffff, // the upper four bits of a table entry are kept as found
    FAT_FREE = 0,
    FAT_BAD = 0x0ffffff7,
    FAT_END_MIN = 0x0ffffff8,
    FAT_END = 0x0fffffff,
    FAT_CLEAN_SHUTDOWN = 0x08000000, // in entry 1
    FAT_FIRST_CLUSTER = 2,
    FAT_MAX_CLUSTERS = 0x0ffffff5,
    FAT_MAX_FILE = 0xffffffff,  // bytes
    FAT_MAX_DIR = 65536,        // entries in a directory ([fat] 6.5)
    FAT_NAME16 = 255,           // UTF-16 units of a long name
    FAT_NAME8 = FAT_NAME16 * 3, // bytes of the same in UTF-8 at most
    FAT_LFN_CHARS = 13,         // per long name entry
    FAT_SLOTS_MAX = 21,         // entries one name can take: 20 long, 1 short
};

// ---- boot sector and FSInfo ([fat] 3.1, 3.3, 5)

struct fat_geometry {
    uint32_t cluster_sectors; // a power of two
    uint32_t cluster_shift;   // log2 of bytes per cluster
    uint32_t fat_start;       // sector of the first table
    uint32_t fat_sectors;     // of one table
    uint32_t fat_count;       // copies
    uint32_t active_fat;      // the one that is read
    bool mirrored;            // all copies are written
    uint64_t data_start;      // sector of cluster 2
    uint64_t total_sectors;
    uint32_t clusters; // valid numbers: 2 .. clusters + 1
    uint32_t root_cluster;
    uint32_t fsinfo_sector; // 0: none
    uint32_t backup_sector; // copy of the boot sector, 0: none
    bool dirty;             // not unmounted cleanly
    uint32_t volume_id;
    char label[12]; // NUL terminated, trailing spaces cut
};

// 0, or -EINVAL with *why set to a sentence that says what is wrong. device_sectors: capacity.
int fat_geometry_parse(const uint8_t boot[FAT_SECTOR], uint64_t device_sectors,
                       struct fat_geometry *out, const char **why);
// The dirty bit of the boot sector (offset 0x41), as Linux and fsck keep it.
void fat_boot_set_dirty(uint8_t boot[FAT_SECTOR], bool dirty);

static inline bool fat_cluster_ok(const struct fat_geometry *g, uint32_t cluster)
{
    return cluster - FAT_FIRST_CLUSTER < g->clusters;
}
static inline uint64_t fat_cluster_sector(const struct fat_geometry *g, uint32_t cluster)
{
    return g->data_start + (uint64_t)(cluster - FAT_FIRST_CLUSTER) * g->cluster_sectors;
}
static inline bool fat_is_end(uint32_t entry)
{
    return entry >= FAT_END_MIN;
}

struct fat_info {
    uint32_t free_clusters, next_free; // UINT32_MAX: unknown
};
// False when the three signatures are not there. Values out of range come out as unknown.
bool fat_info_parse(const uint8_t sector[FAT_SECTOR], uint32_t clusters, struct fat_info *out);
void fat_info_store(uint8_t sector[FAT_SECTOR], const struct fat_info *info);

static inline uint16_t fat_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t fat_get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline void fat_put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void fat_put32(uint8_t *p, uint32_t v)
{
    fat_put16(p, v);
    fat_put16(p + 2, v >> 16);
}

// ---- directory entries ([fat] 6, 7)

enum fat_attr {
    FAT_RDONLY = 1,
    FAT_HIDDEN = 2,
    FAT_SYSTEM = 4,
    FAT_VOLUME = 8,
    FAT_DIR = 16,
    FAT_ARCHIVE = 32,
    FAT_LFN = 15, // all of the lower four: a piece of a long name
    FAT_LFN_MASK = 63,
};
enum { FAT_LOWER_BASE = 8, FAT_LOWER_EXT = 16 }; // fat_dirent.lower
enum { FAT_DELETED = 0xe5, FAT_KANJI_E5 = 0x05 };

struct fat_dirent {
    uint8_t name[11];
    uint8_t attr, lower, create_cs;
    uint8_t create_time[2], create_date[2], access_date[2], cluster_hi[2];
    uint8_t write_time[2], write_date[2], cluster_lo[2], size[4];
};
struct fat_lfn {
    uint8_t order, name1[10], attr, type, checksum, name2[12], zero[2], name3[4];
};
_Static_assert(sizeof(struct fat_dirent) == 32, "directory entry");
_Static_assert(sizeof(struct fat_lfn) == 32, "long name entry");
enum { FAT_PER_SECTOR = FAT_SECTOR / 32, FAT_LAST_LONG = 0x40 };

static inline uint32_t fat_dirent_cluster(const struct fat_dirent *e)
{
    return (uint32_t)fat_get16(e->cluster_hi) << 16 | fat_get16(e->cluster_lo);
}
static inline void fat_dirent_set_cluster(struct fat_dirent *e, uint32_t cluster)
{
    fat_put16(e->cluster_hi, cluster >> 16);
    fat_put16(e->cluster_lo, cluster);
}

// Times are kept as UTC. Resolution: 2 s (write), 10 ms (creation), a day (access). Out of range
// values are clamped to 1980 .. 2107 on the way out, nonsense on disk reads as the nearest date.
int64_t fat_time_ns(uint16_t date, uint16_t time, uint8_t cs);
void fat_time_from_ns(int64_t ns, uint8_t date[2], uint8_t time[2], uint8_t *cs);

// ---- names

// UTF-8 to UTF-16 with what FAT forbids refused: -EINVAL (bad UTF-8, control characters, one of
// "*/:<>?\|, nothing left after trailing dots and spaces are cut), -ENAMETOOLONG. Number of units.
int fat_name_from_utf8(const char *name, size_t len, uint16_t out[FAT_NAME16]);
// The other way; unpaired surrogates become U+FFFD. Bytes written, at most FAT_NAME8.
size_t fat_name_to_utf8(const uint16_t *name, size_t units, char *out);
bool fat_name_equal(const uint16_t *a, size_t a_len, const uint16_t *b, size_t b_len);
uint16_t fat_fold(uint16_t c); // simple case folding; one unit to one unit

uint8_t fat_short_checksum(const uint8_t name[11]); // [fat] 7.2
// The 8.3 name as a user sees it ("README.TXT", lower case by the flags). Units, at most 12.
size_t fat_short_display(const struct fat_dirent *e, uint16_t out[12]);

// What a long name becomes in 8.3 ([fat] 7.4).
struct fat_short {
    uint8_t name[11]; // basis, without ~N
    uint8_t lower;    // FAT_LOWER_*
    bool fits;        // nothing was lost or cut: may be used without ~N
    bool exact;       // name and lower say it all: no long entries are needed
};
void fat_short_basis(const uint16_t *name, size_t len, struct fat_short *out);
// basis + ~digit, the base cut to make room; n >= 1. Up to 9 n is the digit; beyond, a hash of the
// long name and of n / 9 stands before the ~, so that thousands of alike names can be told apart.
enum { FAT_TAIL_DIGITS = 9 };
void fat_short_tail(const struct fat_short *basis, const uint16_t *name, size_t len, uint32_t n,
                    uint8_t out[11]);
// n of a family: names that differ in the digit only. 1 .. 9 when `name` is `one` (made with a digit
// of 1) with that digit, else 0.
uint32_t fat_short_tail_digit(const uint8_t one[11], const uint8_t name[11]);

// Number of entries a name takes: long ones and the short one.
static inline uint32_t fat_slots(size_t len, bool exact)
{
    return exact ? 1 : 1 + (uint32_t)((len + FAT_LFN_CHARS - 1) / FAT_LFN_CHARS);
}
// Long entry `order` (1 is the one next to the short entry) of a name.
void fat_lfn_encode(struct fat_lfn *e, const uint16_t *name, size_t len, uint32_t order,
                    uint8_t checksum);

// ---- a scan over the entries of a directory, in order

struct fat_scan {
    bool open;       // a set of long entries has begun
    uint32_t expect; // order of the next long entry; 0: the short one
    uint32_t first;  // index of the first entry of the set
    uint8_t checksum;
    uint16_t len; // units of the long name
    uint16_t name[20 * FAT_LFN_CHARS];
};
enum fat_scan_step {
    FAT_SCAN_FREE, // an unused entry
    FAT_SCAN_PART, // part of a name, or the volume label
    FAT_SCAN_NAME, // a name is complete: fat_scan.name/len, entries first .. index
    FAT_SCAN_END,  // this and all later entries were never used
};
static inline void fat_scan_start(struct fat_scan *s)
{
    s->open = false;
    s->len = 0;
}
// Feeds entry `index`. On FAT_SCAN_NAME s->name is the long name if there is a valid one, else the
// short one. "." and ".." come out as names of one and two units.
enum fat_scan_step fat_scan_feed(struct fat_scan *s, const void *entry, uint32_t index);
