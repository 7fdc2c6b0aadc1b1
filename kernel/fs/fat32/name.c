// SPDX-License-Identifier: MIT
// Names: UTF-8 outside, UTF-16 in long entries, eleven OEM bytes in short ones.
//
// Names are kept as they were given and compared without regard to case. Trailing dots and spaces
// carry no meaning on FAT: they are cut when a name comes in and skipped when names are compared.
#include "fs/fat32/layout.h"

#include "lib/errno.h"

#include <string.h>

// ---- UTF-8 and UTF-16

// One character from text[*at..len): its value, or -1 for bad UTF-8 (RFC 3629).
static int32_t utf8_next(const uint8_t *text, size_t len, size_t *at)
{
    uint8_t c = text[(*at)++];
    if (c < 0x80)
        return c;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || len - *at < (size_t)more)
        return -1;
    int32_t v = c & (0x3f >> more);
    for (int i = 0; i < more; i++) {
        uint8_t d = text[(*at)++];
        if ((d & 0xc0) != 0x80)
            return -1;
        v = v << 6 | (d & 0x3f);
    }
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (v < least[more] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return -1;
    return v;
}

static bool forbidden(int32_t c)
{
    return c < 0x20 || c == 0x7f || (c < 0x80 && strchr("\"*/:<>?\\|", c));
}

static size_t trimmed(const uint16_t *name, size_t len)
{
    while (len && (name[len - 1] == '.' || name[len - 1] == ' '))
        len--;
    return len;
}

int fat_name_from_utf8(const char *name, size_t len, uint16_t out[FAT_NAME16])
{
    size_t n = 0;
    while (len && (name[len - 1] == '.' || name[len - 1] == ' '))
        len--;
    for (size_t at = 0; at < len;) {
        int32_t c = utf8_next((const uint8_t *)name, len, &at);
        if (c < 0 || forbidden(c))
            return -EINVAL;
        if (n + (c >= 0x10000) >= FAT_NAME16)
            return -ENAMETOOLONG;
        if (c >= 0x10000) {
            out[n++] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + (c & 0x3ff);
        }
        out[n++] = (uint16_t)c;
    }
    return n ? (int)n : -EINVAL;
}

static size_t utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00 >> n) | c);
    return n;
}

size_t fat_name_to_utf8(const uint16_t *name, size_t units, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < units; i++) {
        uint32_t c = name[i];
        if (c >= 0xd800 && c < 0xdc00 && i + 1 < units && (name[i + 1] & 0xfc00) == 0xdc00)
            c = 0x10000 + ((c - 0xd800) << 10) + (name[++i] - 0xdc00u);
        else if (c >= 0xd800 && c < 0xe000)
            c = 0xfffd;
        n += utf8_put(out + n, c);
    }
    return n;
}

// ---- case

// To upper case where lower and upper differ by a rule: Latin, Greek, Cyrillic, Armenian, full width.
uint16_t fat_fold(uint16_t c)
{
    if (c < 0x80)
        return c >= 'a' && c <= 'z' ? c - 32 : c;
    if ((c >= 0xe0 && c <= 0xfe && c != 0xf7) || (c >= 0x3b1 && c <= 0x3cb && c != 0x3c2) ||
        (c >= 0x430 && c <= 0x44f) || (c >= 0xff41 && c <= 0xff5a))
        return c - 32;
    if (c == 0xff)
        return 0x178;
    if (c >= 0x450 && c <= 0x45f)
        return c - 80;
    if (c >= 0x561 && c <= 0x586)
        return c - 48;
    bool odd_is_lower = (c >= 0x100 && c <= 0x137 && c != 0x131) || (c >= 0x14a && c <= 0x177) ||
                        (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) ||
                        (c >= 0x4d0 && c <= 0x52f) || (c >= 0x1e00 && c <= 0x1e95) ||
                        (c >= 0x1ea0 && c <= 0x1eff);
    bool even_is_lower =
        (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e) || (c >= 0x4c1 && c <= 0x4ce);
    if ((odd_is_lower && (c & 1)) || (even_is_lower && !(c & 1)))
        return c - 1;
    return c;
}

bool fat_name_equal(const uint16_t *a, size_t a_len, const uint16_t *b, size_t b_len)
{
    a_len = trimmed(a, a_len);
    if (a_len != trimmed(b, b_len))
        return false;
    for (size_t i = 0; i < a_len; i++)
        if (a[i] != b[i] && fat_fold(a[i]) != fat_fold(b[i]))
            return false;
    return true;
}

// ---- short names

uint8_t fat_short_checksum(const uint8_t name[11])
{
    uint8_t sum = 0;
    for (int i = 0; i < 11; i++)
        sum = (uint8_t)((sum << 7 | sum >> 1) + name[i]);
    return sum;
}

// Code page 437, upper half.
static const uint16_t cp437[128] = {
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef,
    0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9,
    0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa,
    0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
    0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f,
    0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4,
    0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
    0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

// A byte that may not be in a name would do harm outside (a slash above all): shown as '_'.
static uint16_t show_byte(uint8_t c, bool lower)
{
    if (c >= 0x80)
        return cp437[c - 0x80];
    if (lower && c >= 'A' && c <= 'Z')
        return c + 32;
    return forbidden(c) ? '_' : c;
}

static size_t field_length(const uint8_t *field, size_t n)
{
    while (n && field[n - 1] == ' ')
        n--;
    return n;
}

size_t fat_short_display(const struct fat_dirent *e, uint16_t out[12])
{
    size_t n = 0, base = field_length(e->name, 8), ext = field_length(e->name + 8, 3);
    for (size_t i = 0; i < base; i++) {
        uint8_t c = i == 0 && e->name[0] == FAT_KANJI_E5 ? FAT_DELETED : e->name[i];
        out[n++] = show_byte(c, e->lower & FAT_LOWER_BASE);
    }
    if (base && ext)
        out[n++] = '.';
    for (size_t i = 0; base && i < ext; i++)
        out[n++] = show_byte(e->name[8 + i], e->lower & FAT_LOWER_EXT);
    return n;
}

enum { SEEN_UPPER = 1, SEEN_LOWER = 2, SEEN_LOSS = 4 };

// Puts up to `room` characters of name[from..to) into field; returns enum SEEN bits.
static unsigned basis_field(const uint16_t *name, size_t from, size_t to, uint8_t *field,
                            size_t room, size_t *used)
{
    unsigned seen = 0;
    size_t n = 0;
    for (; from < to; from++) {
        uint16_t c = name[from];
        if (c == ' ' || c == '.') {
            seen |= SEEN_LOSS;
            continue;
        }
        if (n == room) {
            seen |= SEEN_LOSS;
            break;
        }
        if (c >= 0x80 || strchr("+,;=[]", c)) {
            seen |= SEEN_LOSS;
            if (c >= 0xdc00 && c < 0xe000)
                continue; // the pair counts once
            c = '_';
        }
        seen |= c >= 'a' && c <= 'z' ? SEEN_LOWER : c >= 'A' && c <= 'Z' ? SEEN_UPPER : 0;
        field[n++] = (uint8_t)(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    *used = n;
    return seen;
}

void fat_short_basis(const uint16_t *name, size_t len, struct fat_short *out)
{
    size_t start = 0, dot = len, used;
    memset(out, 0, sizeof *out);
    memset(out->name, ' ', sizeof out->name);
    while (start < len && (name[start] == '.' || name[start] == ' '))
        start++;
    for (size_t i = start; i < len; i++)
        if (name[i] == '.')
            dot = i;
    unsigned base = basis_field(name, start, dot, out->name, 8, &used);
    if (!used)
        out->name[0] = '_', base |= SEEN_LOSS;
    unsigned ext = dot < len ? basis_field(name, dot + 1, len, out->name + 8, 3, &used) : 0;
    unsigned both = SEEN_UPPER | SEEN_LOWER;
    out->fits = !start && !((base | ext) & SEEN_LOSS);
    out->exact = out->fits && (base & both) != both && (ext & both) != both;
    if (out->exact)
        out->lower = (uint8_t)((base & SEEN_LOWER ? FAT_LOWER_BASE : 0) |
                               (ext & SEEN_LOWER ? FAT_LOWER_EXT : 0));
}

static uint32_t hash_name(const uint16_t *name, size_t len, uint32_t seed)
{
    uint32_t h = 0x811c9dc5 ^ seed * 0x9e3779b1; // FNV-1a
    for (size_t i = 0; i < len; i++)
        h = (h ^ fat_fold(name[i])) * 0x01000193;
    return h ^ h >> 16;
}

void fat_short_tail(const struct fat_short *basis, const uint16_t *name, size_t len, uint32_t n,
                    uint8_t out[11])
{
    uint32_t family = (n - 1) / FAT_TAIL_DIGITS, digit = (n - 1) % FAT_TAIL_DIGITS + 1;
    size_t keep = field_length(basis->name, 8);
    memcpy(out, basis->name, 11);
    if (keep > (family ? 2 : 6))
        keep = family ? 2 : 6;
    if (family) {
        uint32_t h = hash_name(name, len, family);
        for (int i = 0; i < 4; i++, h >>= 4)
            out[keep++] = (uint8_t) "0123456789ABCDEF"[h & 15];
    }
    out[keep++] = '~';
    out[keep++] = (uint8_t)('0' + digit);
    memset(out + keep, ' ', 8 - keep);
}

uint32_t fat_short_tail_digit(const uint8_t one[11], const uint8_t name[11])
{
    size_t at = field_length(one, 8) - 1;
    if (memcmp(one, name, at) || memcmp(one + at + 1, name + at + 1, 10 - at))
        return 0;
    return name[at] >= '1' && name[at] <= '9' ? name[at] - '0' : 0;
}
