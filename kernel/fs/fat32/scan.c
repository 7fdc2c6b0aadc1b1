// SPDX-License-Identifier: MIT
// Directory entries in order: long-name sets are put together, torn ones fall back on 8.3.
//
// A set counts only when its pieces come in order without a gap, carry one checksum, and that is
// the checksum of the short entry right behind them ([fat] 7). Programs that know nothing of
// long names leave broken sets behind, so breakage is ordinary and silent.
#include "fs/fat32/layout.h"

#include <string.h>

static const uint8_t char_offset[FAT_LFN_CHARS] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};

void fat_lfn_encode(struct fat_lfn *e, const uint16_t *name, size_t len, uint32_t order,
                    uint8_t checksum)
{
    memset(e, 0, sizeof *e);
    size_t from = (order - 1) * (size_t)FAT_LFN_CHARS;
    e->order = (uint8_t)(order | (from + FAT_LFN_CHARS >= len ? FAT_LAST_LONG : 0));
    e->attr = FAT_LFN;
    e->checksum = checksum;
    for (size_t i = 0; i < FAT_LFN_CHARS; i++)
        fat_put16((uint8_t *)e + char_offset[i], from + i < len    ? name[from + i]
                                                 : from + i == len ? 0
                                                                   : 0xffff);
}

static enum fat_scan_step feed_long(struct fat_scan *s, const struct fat_lfn *e, uint32_t index)
{
    uint32_t order = e->order & 0x3f;
    if (e->order & FAT_LAST_LONG) {
        s->open = order >= 1 && order <= FAT_SLOTS_MAX - 1;
        s->first = index;
        s->checksum = e->checksum;
        s->len = (uint16_t)(order * FAT_LFN_CHARS);
    } else if (!s->open || order != s->expect || !order || e->checksum != s->checksum) {
        s->open = false;
    }
    if (!s->open)
        return FAT_SCAN_PART;
    for (size_t i = 0; i < FAT_LFN_CHARS; i++)
        s->name[(order - 1) * FAT_LFN_CHARS + i] = fat_get16((const uint8_t *)e + char_offset[i]);
    s->expect = order - 1;
    return FAT_SCAN_PART;
}

// Cuts the name at its NUL. False for one that no user program could say, or that is too long.
static bool long_name_usable(struct fat_scan *s)
{
    uint16_t n = 0;
    for (; n < s->len && s->name[n]; n++)
        if (s->name[n] < 0x20 || s->name[n] == '/')
            return false;
    s->len = n;
    bool dots = n && s->name[0] == '.' && (n == 1 || (n == 2 && s->name[1] == '.'));
    return n && n <= FAT_NAME16 && !dots;
}

enum fat_scan_step fat_scan_feed(struct fat_scan *s, const void *entry, uint32_t index)
{
    const struct fat_dirent *e = entry;
    if (e->name[0] == 0 || e->name[0] == FAT_DELETED) {
        s->open = false;
        return e->name[0] ? FAT_SCAN_FREE : FAT_SCAN_END;
    }
    if ((e->attr & FAT_LFN_MASK) == FAT_LFN)
        return feed_long(s, entry, index);
    bool whole = s->open && s->expect == 0 && s->checksum == fat_short_checksum(e->name) &&
                 !(e->attr & FAT_VOLUME) && long_name_usable(s);
    s->open = false;
    if (e->attr & FAT_VOLUME)
        return FAT_SCAN_PART;
    if (!whole) {
        s->first = index;
        s->len = (uint16_t)fat_short_display(e, s->name);
    }
    return s->len ? FAT_SCAN_NAME : FAT_SCAN_PART;
}
