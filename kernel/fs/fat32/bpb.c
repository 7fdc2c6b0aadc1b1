// SPDX-License-Identifier: MIT
// The boot sector and FSInfo: what shape the volume has, with every number checked.
//
// A volume is refused rather than guessed at: all later arithmetic relies on these bounds (each
// cluster lies inside the device, the table has an entry for each cluster, nothing overflows).
#include "fs/fat32/layout.h"

#include "lib/errno.h"

#include <string.h>

enum {
    BPB_BYTES_PER_SECTOR = 11,
    BPB_SECTORS_PER_CLUSTER = 13,
    BPB_RESERVED = 14,
    BPB_FATS = 16,
    BPB_ROOT_ENTRIES = 17,
    BPB_TOTAL16 = 19,
    BPB_MEDIA = 21,
    BPB_FAT_SIZE16 = 22,
    BPB_TOTAL32 = 32,
    BPB_FAT_SIZE32 = 36,
    BPB_EXT_FLAGS = 40,
    BPB_VERSION = 42,
    BPB_ROOT_CLUSTER = 44,
    BPB_FSINFO = 48,
    BPB_BACKUP = 50,
    BPB_STATE = 65, // bit 0: dirty (the byte [fat] calls BS_Reserved1)
    BPB_BOOT_SIG = 66,
    BPB_VOLUME_ID = 67,
    BPB_LABEL = 71,
    BPB_SIGNATURE = 510,
    MAX_CLUSTER_BYTES = 128 * 1024,
};

static bool power_of_two(uint32_t n)
{
    return n && !(n & (n - 1));
}

// The fields that say whether this is FAT32 at all.
static const char *refuse_kind(const uint8_t *b)
{
    uint32_t bytes = fat_get16(b + BPB_BYTES_PER_SECTOR);
    if (fat_get16(b + BPB_SIGNATURE) != 0xaa55)
        return "not a FAT volume: no boot signature";
    if (!power_of_two(bytes) || bytes < 512 || bytes > 4096)
        return "not a FAT volume: bytes per sector is not 512, 1024, 2048 or 4096";
    if (!power_of_two(b[BPB_SECTORS_PER_CLUSTER]))
        return "not a FAT volume: sectors per cluster is not a power of two";
    if (b[BPB_MEDIA] != 0xf0 && b[BPB_MEDIA] < 0xf8)
        return "not a FAT volume: impossible media byte";
    if (fat_get16(b + BPB_FAT_SIZE16) || fat_get16(b + BPB_ROOT_ENTRIES))
        return "FAT12 or FAT16: only FAT32 is supported";
    if (fat_get16(b + BPB_VERSION))
        return "unknown FAT32 version";
    return NULL;
}

static const char *refuse_size(const uint8_t *b, uint64_t device_sectors, struct fat_geometry *g)
{
    uint32_t scale = fat_get16(b + BPB_BYTES_PER_SECTOR) / FAT_SECTOR;
    uint32_t bytes = b[BPB_SECTORS_PER_CLUSTER] * scale * FAT_SECTOR;
    uint64_t reserved = (uint64_t)fat_get16(b + BPB_RESERVED) * scale;
    uint64_t fat = (uint64_t)fat_get32(b + BPB_FAT_SIZE32) * scale;
    uint32_t total16 = fat_get16(b + BPB_TOTAL16); // small volumes, though [fat] says zero
    uint64_t total = (uint64_t)(total16 ? total16 : fat_get32(b + BPB_TOTAL32)) * scale;
    uint64_t data = reserved + fat * b[BPB_FATS];
    if (bytes > MAX_CLUSTER_BYTES)
        return "bad boot sector: clusters larger than 128 KiB";
    if (!reserved)
        return "bad boot sector: no reserved sectors";
    if (b[BPB_FATS] < 1 || b[BPB_FATS] > 2)
        return "bad boot sector: the number of allocation tables is not 1 or 2";
    if (!fat || fat > UINT32_MAX / 4)
        return "bad boot sector: impossible size of the allocation table";
    if (!total || data >= total)
        return "bad boot sector: the allocation tables leave no room for data";
    if (total > device_sectors)
        return "truncated: the volume is larger than its device";
    g->cluster_sectors = bytes / FAT_SECTOR;
    g->cluster_shift = (uint32_t)__builtin_ctz(bytes);
    g->fat_start = (uint32_t)reserved;
    g->fat_sectors = (uint32_t)fat;
    g->fat_count = b[BPB_FATS];
    g->data_start = data;
    g->total_sectors = total;
    uint64_t clusters = (total - data) / g->cluster_sectors;
    if (!clusters)
        return "bad boot sector: not one cluster";
    if (clusters > FAT_MAX_CLUSTERS)
        return "bad boot sector: more clusters than FAT32 can number";
    if (clusters + FAT_FIRST_CLUSTER > fat * (FAT_SECTOR / 4))
        return "bad boot sector: the allocation table is too small for the volume";
    g->clusters = (uint32_t)clusters;
    return NULL;
}

static const char *refuse_rest(const uint8_t *b, struct fat_geometry *g)
{
    uint32_t scale = fat_get16(b + BPB_BYTES_PER_SECTOR) / FAT_SECTOR;
    uint32_t flags = fat_get16(b + BPB_EXT_FLAGS);
    g->mirrored = !(flags & 0x80);
    g->active_fat = g->mirrored ? 0 : flags & 15;
    if (g->active_fat >= g->fat_count)
        return "bad boot sector: the active allocation table does not exist";
    g->root_cluster = fat_get32(b + BPB_ROOT_CLUSTER);
    if (!fat_cluster_ok(g, g->root_cluster))
        return "bad boot sector: the root directory lies outside the volume";
    uint32_t info = fat_get16(b + BPB_FSINFO), backup = fat_get16(b + BPB_BACKUP);
    g->fsinfo_sector = info != 0xffff && info * scale < g->fat_start ? info * scale : 0;
    g->backup_sector = backup != 0xffff && backup * scale < g->fat_start ? backup * scale : 0;
    return NULL;
}

int fat_geometry_parse(const uint8_t boot[FAT_SECTOR], uint64_t device_sectors,
                       struct fat_geometry *out, const char **why)
{
    memset(out, 0, sizeof *out);
    *why = refuse_kind(boot);
    if (!*why)
        *why = refuse_size(boot, device_sectors, out);
    if (!*why)
        *why = refuse_rest(boot, out);
    if (*why)
        return -EINVAL;
    out->dirty = boot[BPB_STATE] & 1;
    if (boot[BPB_BOOT_SIG] == 0x29) {
        out->volume_id = fat_get32(boot + BPB_VOLUME_ID);
        memcpy(out->label, boot + BPB_LABEL, 11);
        for (int i = 10; i >= 0 && out->label[i] == ' '; i--)
            out->label[i] = 0;
    }
    return 0;
}

void fat_boot_set_dirty(uint8_t boot[FAT_SECTOR], bool dirty)
{
    boot[BPB_STATE] = (uint8_t)((boot[BPB_STATE] & ~1) | dirty);
}

enum { INFO_LEAD = 0, INFO_STRUCT = 484, INFO_FREE = 488, INFO_NEXT = 492, INFO_TRAIL = 508 };

bool fat_info_parse(const uint8_t sector[FAT_SECTOR], uint32_t clusters, struct fat_info *out)
{
    out->free_clusters = out->next_free = UINT32_MAX;
    if (fat_get32(sector + INFO_LEAD) != 0x41615252 ||
        fat_get32(sector + INFO_STRUCT) != 0x61417272 ||
        fat_get32(sector + INFO_TRAIL) != 0xaa550000)
        return false;
    if (fat_get32(sector + INFO_FREE) <= clusters)
        out->free_clusters = fat_get32(sector + INFO_FREE);
    if (fat_get32(sector + INFO_NEXT) - FAT_FIRST_CLUSTER < clusters)
        out->next_free = fat_get32(sector + INFO_NEXT);
    return true;
}

void fat_info_store(uint8_t sector[FAT_SECTOR], const struct fat_info *info)
{
    fat_put32(sector + INFO_FREE, info->free_clusters);
    fat_put32(sector + INFO_NEXT, info->next_free);
}
