// SPDX-License-Identifier: MIT
// CBOR subset: writer and reader. See the header for what is left out and why.
#include "wire/cbor.h"

#include <string.h>

enum {
    MAJOR_UINT,
    MAJOR_NEG,
    MAJOR_BYTES,
    MAJOR_TEXT,
    MAJOR_ARRAY,
    MAJOR_MAP,
    MAJOR_TAG,
    MAJOR_OTHER
};
enum { OTHER_FALSE = 20, OTHER_TRUE = 21, OTHER_NULL = 22, OTHER_DOUBLE = 27 };
enum { DEPTH_MAX = 32 };

static void put(struct cbor_out *o, const void *data, size_t n)
{
    if (o->len <= o->cap && n <= o->cap - o->len)
        memcpy(o->buf + o->len, data, n);
    // What did not fit makes len larger than cap, so nothing is stored behind a gap.
    o->len = n < SIZE_MAX - o->len ? o->len + n : SIZE_MAX;
}

static void head(struct cbor_out *o, unsigned major, uint64_t v)
{
    unsigned bytes = v < 24 ? 0 : v <= 0xff ? 1 : v <= 0xffff ? 2 : v <= 0xffffffff ? 4 : 8;
    unsigned info = v < 24 ? (unsigned)v : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27;
    uint8_t b[9] = {(uint8_t)(major << 5 | info)};

    for (unsigned i = 0; i < bytes; i++)
        b[1 + i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
    put(o, b, 1 + bytes);
}

void cbor_uint(struct cbor_out *o, uint64_t v)
{
    head(o, MAJOR_UINT, v);
}

void cbor_int(struct cbor_out *o, int64_t v)
{
    if (v < 0)
        head(o, MAJOR_NEG, ~(uint64_t)v);
    else
        head(o, MAJOR_UINT, (uint64_t)v);
}

void cbor_bytes(struct cbor_out *o, const void *data, size_t n)
{
    head(o, MAJOR_BYTES, n);
    put(o, data, n);
}

void cbor_text(struct cbor_out *o, const char *s, size_t n)
{
    head(o, MAJOR_TEXT, n);
    put(o, s, n);
}

void cbor_str(struct cbor_out *o, const char *z)
{
    if (z)
        cbor_text(o, z, strlen(z));
    else
        cbor_null(o);
}

void cbor_array(struct cbor_out *o, uint64_t items)
{
    head(o, MAJOR_ARRAY, items);
}

void cbor_map(struct cbor_out *o, uint64_t pairs)
{
    head(o, MAJOR_MAP, pairs);
}

void cbor_tag(struct cbor_out *o, uint64_t tag)
{
    head(o, MAJOR_TAG, tag);
}

void cbor_bool(struct cbor_out *o, bool v)
{
    head(o, MAJOR_OTHER, v ? OTHER_TRUE : OTHER_FALSE);
}

void cbor_null(struct cbor_out *o)
{
    head(o, MAJOR_OTHER, OTHER_NULL);
}

void cbor_double(struct cbor_out *o, double v)
{
    uint64_t bits;
    uint8_t b[9] = {MAJOR_OTHER << 5 | OTHER_DOUBLE};

    memcpy(&bits, &v, 8);
    for (unsigned i = 0; i < 8; i++)
        b[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
    put(o, b, 9);
}

// A count in two bytes, whatever it will be: not the shortest form, but a legal one.
static size_t open_counted(struct cbor_out *o, unsigned major)
{
    size_t at = o->len;
    uint8_t b[3] = {(uint8_t)(major << 5 | 25)};

    put(o, b, 3);
    return at;
}

size_t cbor_open_array(struct cbor_out *o)
{
    return open_counted(o, MAJOR_ARRAY);
}

size_t cbor_open_map(struct cbor_out *o)
{
    return open_counted(o, MAJOR_MAP);
}

void cbor_close(struct cbor_out *o, size_t at, unsigned count)
{
    if (at + 3 > o->cap || !cbor_fits(o))
        return;
    o->buf[at + 1] = (uint8_t)(count >> 8);
    o->buf[at + 2] = (uint8_t)count;
}

// ---- reading

static bool fail(struct cbor_in *in)
{
    in->bad = true;
    return false;
}

// The argument of a head: the low five bits, or 1 to 8 bytes behind it.
static bool argument(struct cbor_in *in, unsigned info, uint64_t *v)
{
    unsigned bytes;

    if (info < 24) {
        *v = info;
        return true;
    }
    if (info > 27) // 28-30 are reserved, 31 is an indefinite length
        return fail(in);
    bytes = 1u << (info - 24);
    if ((size_t)(in->end - in->p) < bytes)
        return fail(in);
    *v = 0;
    while (bytes--)
        *v = *v << 8 | *in->p++;
    return true;
}

static bool other(struct cbor_in *in, unsigned info, struct cbor_item *item)
{
    switch (info) {
    case OTHER_FALSE:
    case OTHER_TRUE:
        item->type = CBOR_BOOL;
        item->n = info == OTHER_TRUE;
        return true;
    case OTHER_NULL:
        item->type = CBOR_NULL;
        return true;
    case OTHER_DOUBLE:
        item->type = CBOR_DOUBLE;
        if (!argument(in, info, &item->n))
            return false;
        memcpy(&item->number, &item->n, 8);
        return true;
    default:
        return fail(in);
    }
}

bool cbor_next(struct cbor_in *in, struct cbor_item *item)
{
    static const enum cbor_type types[] = {CBOR_UINT,  CBOR_NEGINT, CBOR_BYTES, CBOR_TEXT,
                                           CBOR_ARRAY, CBOR_MAP,    CBOR_TAG};
    unsigned major, info;

    if (in->bad || in->p >= in->end)
        return false;
    major = *in->p >> 5;
    info = *in->p++ & 31;
    *item = (struct cbor_item){.type = CBOR_NULL};
    if (major == MAJOR_OTHER)
        return other(in, info, item);
    item->type = types[major];
    if (!argument(in, info, &item->n))
        return false;
    if (major == MAJOR_BYTES || major == MAJOR_TEXT) {
        if (item->n > (uint64_t)(in->end - in->p))
            return fail(in);
        item->data = in->p;
        in->p += item->n;
    } else if (major == MAJOR_ARRAY || major == MAJOR_MAP) {
        // Each item takes a byte at least: a lying count is found here, not by a long loop.
        uint64_t left = (uint64_t)(in->end - in->p);
        if (item->n > (major == MAJOR_MAP ? left / 2 : left))
            return fail(in);
    }
    return true;
}

bool cbor_skip(struct cbor_in *in)
{
    uint64_t todo[DEPTH_MAX]; // items still to come, per level
    unsigned depth = 0;
    struct cbor_item item;

    todo[0] = 1;
    for (;;) {
        while (todo[depth] == 0) {
            if (depth-- == 0)
                return true;
        }
        todo[depth]--;
        if (!cbor_next(in, &item))
            return fail(in);
        if (item.type != CBOR_ARRAY && item.type != CBOR_MAP && item.type != CBOR_TAG)
            continue;
        if (++depth == DEPTH_MAX)
            return fail(in);
        todo[depth] = item.type == CBOR_TAG ? 1 : item.type == CBOR_MAP ? item.n * 2 : item.n;
    }
}

bool cbor_valid(const void *data, size_t n)
{
    struct cbor_in in = cbor_in(data, n);

    return cbor_skip(&in) && in.p == in.end;
}

bool cbor_find(struct cbor_in in, const char *key, struct cbor_in *value)
{
    struct cbor_item item, k;
    size_t len = strlen(key);

    if (!cbor_next(&in, &item) || item.type != CBOR_MAP)
        return false;
    for (uint64_t i = 0; i < item.n; i++) {
        struct cbor_in at_key = in;
        if (!cbor_skip(&in))
            return false;
        if (cbor_next(&at_key, &k) && k.type == CBOR_TEXT && k.n == len &&
            memcmp(k.data, key, len) == 0) {
            *value = in;
            return true;
        }
        if (!cbor_skip(&in))
            return false;
    }
    return false;
}

static bool find_item(struct cbor_in in, const char *key, struct cbor_item *item)
{
    struct cbor_in at;

    return cbor_find(in, key, &at) && cbor_next(&at, item);
}

bool cbor_find_uint(struct cbor_in in, const char *key, uint64_t *v)
{
    struct cbor_item item;

    if (!find_item(in, key, &item) || item.type != CBOR_UINT)
        return false;
    *v = item.n;
    return true;
}

bool cbor_find_int(struct cbor_in in, const char *key, int64_t *v)
{
    struct cbor_item item;

    if (!find_item(in, key, &item) || item.n > INT64_MAX)
        return false;
    if (item.type != CBOR_UINT && item.type != CBOR_NEGINT)
        return false;
    *v = item.type == CBOR_UINT ? (int64_t)item.n : -1 - (int64_t)item.n;
    return true;
}

bool cbor_find_bool(struct cbor_in in, const char *key, bool *v)
{
    struct cbor_item item;

    if (!find_item(in, key, &item) || item.type != CBOR_BOOL)
        return false;
    *v = item.n != 0;
    return true;
}

bool cbor_find_text(struct cbor_in in, const char *key, const char **s, size_t *n)
{
    struct cbor_item item;

    if (!find_item(in, key, &item) || (item.type != CBOR_TEXT && item.type != CBOR_BYTES))
        return false;
    *s = (const char *)item.data;
    *n = item.n;
    return true;
}
