// SPDX-License-Identifier: MIT
// CBOR (RFC 8949), the subset the wire speaks: definite lengths only, doubles as the only floats.
//
// The writer never fails on the way: it counts what would not fit, and cbor_fits() tells at the
// end. The reader is a cursor over bytes it does not trust: it never reads outside them, never
// allocates, never recurses, and once it has seen something bad it stays bad.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cbor_tag {               // of an unsigned integer or an array
    CBOR_TAG_ADDRESS = 40000, // uint: shown in hexadecimal; JSON gets a string "0x..."
    CBOR_TAG_HANDLE = 40001,  // [class text, id uint, one-line text]
    CBOR_TAG_TIME = 40002,    // uint: nanoseconds since boot
    CBOR_TAG_DISPLAY = 40003, // map: what __display returned (kind = "table", ...)
};

// ---- writing

struct cbor_out {
    uint8_t *buf;
    size_t cap, len; // len may exceed cap; then the rest was not stored
};

void cbor_uint(struct cbor_out *o, uint64_t v);
void cbor_int(struct cbor_out *o, int64_t v);
void cbor_bytes(struct cbor_out *o, const void *data, size_t n);
void cbor_text(struct cbor_out *o, const char *s, size_t n);
void cbor_str(struct cbor_out *o, const char *z); // NULL: null
void cbor_array(struct cbor_out *o, uint64_t items);
void cbor_map(struct cbor_out *o, uint64_t pairs);
void cbor_tag(struct cbor_out *o, uint64_t tag);
void cbor_bool(struct cbor_out *o, bool v);
void cbor_null(struct cbor_out *o);
void cbor_double(struct cbor_out *o, double v);

// An array or map whose count (at most 65535) is known only afterwards: keep what open returns
// and hand it to close.
size_t cbor_open_array(struct cbor_out *o);
size_t cbor_open_map(struct cbor_out *o);
void cbor_close(struct cbor_out *o, size_t at, unsigned count);

static inline bool cbor_fits(const struct cbor_out *o)
{
    return o->len <= o->cap;
}

// ---- reading

enum cbor_type {
    CBOR_UINT,
    CBOR_NEGINT, // n; the negative number is -1 - n
    CBOR_BYTES,
    CBOR_TEXT, // data, n bytes, not terminated, UTF-8 not checked
    CBOR_ARRAY,
    CBOR_MAP,  // n items or pairs follow
    CBOR_TAG,  // n; the tagged item follows
    CBOR_BOOL, // n
    CBOR_NULL,
    CBOR_DOUBLE, // number
};

struct cbor_in {
    const uint8_t *p, *end;
    bool bad;
};

struct cbor_item {
    enum cbor_type type;
    uint64_t n;
    const uint8_t *data;
    double number;
};

static inline struct cbor_in cbor_in(const void *data, size_t n)
{
    return (struct cbor_in){data, (const uint8_t *)data + n, false};
}

// The head of the next item, the contents too if it is a string. False at the end and when bad.
bool cbor_next(struct cbor_in *in, struct cbor_item *item);
// A whole item with all in it.
bool cbor_skip(struct cbor_in *in);
// True when what follows is one well-formed item (of at most 32 levels) and nothing else.
bool cbor_valid(const void *data, size_t n);

// `in` stands before a map: *value stands before the value of the text key. The map is left alone.
bool cbor_find(struct cbor_in in, const char *key, struct cbor_in *value);
// The same, for values of one type; false when absent or of another type.
bool cbor_find_uint(struct cbor_in in, const char *key, uint64_t *v);
bool cbor_find_int(struct cbor_in in, const char *key, int64_t *v);
bool cbor_find_bool(struct cbor_in in, const char *key, bool *v);
bool cbor_find_text(struct cbor_in in, const char *key, const char **s, size_t *n);
