// sources: monitor/wire/cbor.c monitor/wire/rpc.c
// SPDX-License-Identifier: MIT
// CBOR against the examples of RFC 8949, appendix A, and against bytes nobody wrote.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/cbor.h"
#include "wire/rpc.h"

static uint8_t buf[4096];

#define EXPECT(call, bytes)                                                                        \
    do {                                                                                           \
        struct cbor_out o = {buf, sizeof buf, 0};                                                  \
        call;                                                                                      \
        assert_int_equal(o.len, sizeof(bytes) - 1);                                                \
        assert_memory_equal(buf, bytes, sizeof(bytes) - 1);                                        \
        assert_true(cbor_fits(&o));                                                                \
    } while (0)

static void writes_the_examples(void **state)
{
    (void)state;
    EXPECT(cbor_uint(&o, 0), "\x00");
    EXPECT(cbor_uint(&o, 23), "\x17");
    EXPECT(cbor_uint(&o, 24), "\x18\x18");
    EXPECT(cbor_uint(&o, 255), "\x18\xff");
    EXPECT(cbor_uint(&o, 1000), "\x19\x03\xe8");
    EXPECT(cbor_uint(&o, 1000000), "\x1a\x00\x0f\x42\x40");
    EXPECT(cbor_uint(&o, 1000000000000), "\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00");
    EXPECT(cbor_uint(&o, UINT64_MAX), "\x1b\xff\xff\xff\xff\xff\xff\xff\xff");
    EXPECT(cbor_int(&o, -1), "\x20");
    EXPECT(cbor_int(&o, -1000), "\x39\x03\xe7");
    EXPECT(cbor_int(&o, INT64_MIN), "\x3b\x7f\xff\xff\xff\xff\xff\xff\xff");
    EXPECT(cbor_bool(&o, false), "\xf4");
    EXPECT(cbor_bool(&o, true), "\xf5");
    EXPECT(cbor_null(&o), "\xf6");
    EXPECT(cbor_str(&o, NULL), "\xf6");
    EXPECT(cbor_double(&o, 1.1), "\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a");
    EXPECT(cbor_str(&o, "IETF"), "\x64IETF");
    EXPECT(cbor_bytes(&o, "\1\2\3\4", 4), "\x44\1\2\3\4");
    EXPECT((cbor_tag(&o, 1), cbor_uint(&o, 1363896240)), "\xc1\x1a\x51\x4b\x67\xb0");
    EXPECT(
        (cbor_map(&o, 2), cbor_uint(&o, 1), cbor_uint(&o, 2), cbor_uint(&o, 3), cbor_uint(&o, 4)),
        "\xa2\1\2\3\4");
}

static void reads_what_it_wrote(void **state)
{
    struct cbor_out o = {buf, sizeof buf, 0};
    struct cbor_in in, at;
    struct cbor_item item;
    uint64_t u;
    int64_t i;
    bool b;
    const char *s;
    size_t n;

    (void)state;
    size_t map = cbor_open_map(&o);
    cbor_str(&o, "list");
    size_t list = cbor_open_array(&o);
    cbor_double(&o, -2.5);
    cbor_tag(&o, CBOR_TAG_ADDRESS);
    cbor_uint(&o, 0xffffffc080200000);
    cbor_close(&o, list, 2);
    cbor_str(&o, "minus");
    cbor_int(&o, -7);
    cbor_str(&o, "yes");
    cbor_bool(&o, true);
    cbor_str(&o, "text");
    cbor_str(&o, "h\303\251");
    cbor_close(&o, map, 4);

    assert_true(cbor_valid(buf, o.len));
    in = cbor_in(buf, o.len);
    assert_true(cbor_find_int(in, "minus", &i) && i == -7);
    assert_true(cbor_find_bool(in, "yes", &b) && b);
    assert_true(cbor_find_text(in, "text", &s, &n) && n == 3 && memcmp(s, "h\303\251", 3) == 0);
    assert_false(cbor_find_uint(in, "minus", &u));
    assert_false(cbor_find_uint(in, "tex", &u));
    assert_true(cbor_find(in, "list", &at));
    assert_true(cbor_next(&at, &item) && item.type == CBOR_ARRAY && item.n == 2);
    assert_true(cbor_next(&at, &item) && item.type == CBOR_DOUBLE && item.number == -2.5);
    assert_true(cbor_next(&at, &item) && item.type == CBOR_TAG && item.n == CBOR_TAG_ADDRESS);
    assert_true(cbor_next(&at, &item) && item.type == CBOR_UINT && item.n == 0xffffffc080200000);
}

static void overflow_is_told_and_harmless(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 20; cap++) {
        uint8_t *small = malloc(cap + 1);
        struct cbor_out o = {small, cap, 0};
        small[cap] = 0x5a;
        size_t at = cbor_open_map(&o);
        cbor_str(&o, "0123456789abcdef");
        cbor_uint(&o, 1);
        cbor_close(&o, at, 1);
        assert_int_equal(o.len, 3 + 17 + 1);
        assert_false(cbor_fits(&o));
        assert_int_equal(small[cap], 0x5a);
        free(small);
    }
}

static void refuses(const char *bytes, size_t n)
{
    assert_false(cbor_valid(bytes, n));
}

static void refuses_what_is_not_in_the_subset(void **state)
{
    char deep[64];

    (void)state;
    refuses("", 0);
    refuses("\x9f\xff", 2);     // indefinite length
    refuses("\x1c", 1);         // reserved
    refuses("\xf9\x3c\x00", 3); // half float
    refuses("\xf7", 1);         // undefined
    refuses("\x18", 1);         // cut
    refuses("\x64"
            "abc",
            4);
    refuses("\x82\x01", 2);
    refuses("\xc1", 1);
    refuses("\x01\x02", 2); // two items
    refuses("\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    refuses("\xbb\x80\x00\x00\x00\x00\x00\x00\x01\x01\x01", 11);
    refuses("\x5b\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    memset(deep, 0x81, sizeof deep);
    deep[63] = 0;
    refuses(deep, sizeof deep);
    assert_true(cbor_valid(deep + 40, 24));
}

// The sanitizers watch: the copy is exactly as long as the input.
static void random_bytes_are_read_inside_bounds(void **state)
{
    struct rpc_head head;
    uint64_t u;

    (void)state;
    srandom(4);
    for (int round = 0; round < 200000; round++) {
        size_t n = (size_t)random() % 40;
        uint8_t *p = malloc(n ? n : 1);
        for (size_t i = 0; i < n; i++)
            p[i] = (uint8_t)(random() % 5 ? random() : 0x80 + random() % 0x48);
        struct cbor_in in = cbor_in(p, n);
        struct cbor_item item;
        while (cbor_next(&in, &item))
            assert_true(in.p <= in.end);
        in = cbor_in(p, n);
        cbor_skip(&in);
        assert_true(in.p <= in.end);
        cbor_find_uint(cbor_in(p, n), "key", &u);
        if (rpc_parse(&head, p, n))
            assert_true(cbor_valid(p, n));
        free(p);
    }
}

// Every prefix and every changed byte of a good message.
static void damaged_messages_are_refused_or_valid(void **state)
{
    struct cbor_out o = {buf, sizeof buf, 0};
    struct rpc_head head;

    (void)state;
    rpc_begin(&o, RPC_REQUEST, 77, "eval");
    cbor_map(&o, 1);
    cbor_str(&o, "source");
    cbor_str(&o, "1+1");
    assert_true(rpc_parse(&head, buf, o.len));
    assert_true(head.kind == RPC_REQUEST && head.id == 77 && strcmp(head.op, "eval") == 0);
    for (size_t n = 0; n < o.len; n++) {
        uint8_t *p = malloc(n ? n : 1);
        memcpy(p, buf, n);
        assert_false(rpc_parse(&head, p, n));
        free(p);
    }
    for (size_t i = 0; i < o.len * 256; i++) {
        uint8_t *p = malloc(o.len);
        memcpy(p, buf, o.len);
        p[i / 256] = (uint8_t)i;
        if (rpc_parse(&head, p, o.len))
            assert_true(strlen(head.op) < sizeof head.op);
        free(p);
    }
}

static void a_request_runs_once(void **state)
{
    struct rpc_once once = {0};

    (void)state;
    assert_int_equal(rpc_once_begin(&once, 5), RPC_NEW);
    assert_int_equal(rpc_once_begin(&once, 5), RPC_DROP);
    assert_int_equal(rpc_once_begin(&once, 6), RPC_BUSY);
    rpc_once_end(&once);
    assert_int_equal(rpc_once_begin(&once, 5), RPC_AGAIN);
    assert_int_equal(rpc_once_begin(&once, 6), RPC_NEW);
    rpc_once_end(&once);
    rpc_once_forget(&once);
    assert_int_equal(rpc_once_begin(&once, 6), RPC_NEW);
    rpc_once_forget(&once);
    assert_int_equal(rpc_once_begin(&once, 7), RPC_NEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_examples),
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(overflow_is_told_and_harmless),
        cmocka_unit_test(refuses_what_is_not_in_the_subset),
        cmocka_unit_test(random_bytes_are_read_inside_bounds),
        cmocka_unit_test(damaged_messages_are_refused_or_valid),
        cmocka_unit_test(a_request_runs_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
