// sources: monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c
// SPDX-License-Identifier: MIT
// Codecs of the wire against known vectors, and what a damaged frame does to them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/cobs.h"
#include "wire/crc32.h"
#include "wire/frame.h"

static void crc_known(void **state)
{
    (void)state;
    assert_int_equal(crc32_of("123456789", 9), 0xcbf43926);
    assert_int_equal(crc32_of("", 0), 0);
    assert_int_equal(crc32_of("a", 1), 0xe8b7be43);
    assert_int_equal(crc32_of("The quick brown fox jumps over the lazy dog", 43), 0x414fa339);
    assert_int_equal(crc32_more(crc32_of("1234", 4), "56789", 5), 0xcbf43926);
}

static void cobs_case(const char *in, size_t n, const char *out, size_t m)
{
    uint8_t buf[600], back[600];

    assert_int_equal(cobs_encode(buf, (const uint8_t *)in, n), m);
    assert_memory_equal(buf, out, m);
    assert_int_equal(cobs_decode(back, buf, m), n);
    if (n)
        assert_memory_equal(back, in, n);
}

static void cobs_known(void **state)
{
    char ones[256], coded[260];

    (void)state;
    cobs_case("", 0, "\1", 1);
    cobs_case("\0", 1, "\1\1", 2);
    cobs_case("\0\0", 2, "\1\1\1", 3);
    cobs_case("\x11\x22\0\x33", 4, "\3\x11\x22\2\x33", 5);
    cobs_case("\x11\x22\x33\x44", 4, "\5\x11\x22\x33\x44", 5);
    cobs_case("\x11\0\0\0", 4, "\2\x11\1\1\1", 5);
    memset(ones, 1, sizeof ones);
    memset(coded, 1, sizeof coded);
    coded[0] = (char)0xff;
    cobs_case(ones, 254, coded, 255);
    coded[255] = 2;
    cobs_case(ones, 255, coded, 257);
}

static void cobs_random_round_trips(void **state)
{
    uint8_t in[520], coded[COBS_MAX(520)], back[520];

    (void)state;
    srandom(1);
    for (int round = 0; round < 3000; round++) {
        size_t n = (size_t)random() % sizeof in;
        for (size_t i = 0; i < n; i++)
            in[i] = random() % (round % 2 ? 3 : 256) ? (uint8_t)(random() | 1) : 0;
        size_t m = cobs_encode(coded, in, n);
        assert_true(m <= COBS_MAX(n));
        assert_null(memchr(coded, 0, m));
        assert_int_equal(cobs_decode(back, coded, m), n);
        assert_memory_equal(back, in, n);
        assert_int_equal(cobs_decode(coded, coded, m), n);
        assert_memory_equal(coded, in, n);
    }
}

static void cobs_refuses_what_is_none(void **state)
{
    uint8_t out[16];

    (void)state;
    assert_int_equal(cobs_decode(out, (const uint8_t *)"", 0), -1);
    assert_int_equal(cobs_decode(out, (const uint8_t *)"\0", 1), -1);
    assert_int_equal(cobs_decode(out, (const uint8_t *)"\5\1\2", 3), -1);
    assert_int_equal(cobs_decode(out, (const uint8_t *)"\3\1\0", 3), -1);
}

static size_t sample(uint8_t *dst, size_t len)
{
    static uint8_t payload[WIRE_PAYLOAD];
    struct wire_frame frame = {WIRE_LAST, WIRE_RPC, 0x42, len, payload};

    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(i * 7);
    return wire_frame_encode(dst, &frame);
}

static void frame_round_trips(void **state)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_frame frame;

    (void)state;
    for (size_t len = 0; len <= WIRE_PAYLOAD; len++) {
        size_t n = sample(buf, len);
        assert_true(n <= WIRE_FRAME && buf[0] == 0 && buf[n - 1] == 0);
        assert_null(memchr(buf + 1, 0, n - 2));
        assert_true(wire_frame_begins(buf[1], buf[2]));
        assert_true(wire_frame_decode(&frame, buf + 1, n - 2));
        assert_true(frame.type == WIRE_LAST && frame.chan == WIRE_RPC && frame.seq == 0x42);
        assert_int_equal(frame.len, len);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(frame.payload[i], (uint8_t)(i * 7));
    }
}

// One flipped bit may also turn a byte into a delimiter: then the two halves must be refused.
static bool survives(const uint8_t *buf, size_t n)
{
    uint8_t part[WIRE_FRAME];
    struct wire_frame frame;
    size_t from = 0;

    for (size_t i = 0; i <= n; i++) {
        if (i < n && buf[i] != 0)
            continue;
        if (i > from && i - from <= WIRE_STUFFED) {
            memcpy(part, buf + from, i - from);
            if (wire_frame_decode(&frame, part, i - from))
                return true;
        }
        from = i + 1;
    }
    return false;
}

static void every_bit_flip_is_found(void **state)
{
    static const size_t lengths[] = {0, 1, 17, 100, WIRE_PAYLOAD};
    uint8_t buf[WIRE_FRAME];

    (void)state;
    for (size_t k = 0; k < 5; k++) {
        size_t n = sample(buf, lengths[k]);
        assert_true(survives(buf, n));
        for (size_t bit = 8; bit < (n - 1) * 8; bit++) {
            buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(survives(buf, n));
            buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void hello_has_one_shape(void **state)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_frame frame;
    struct wire_hello back;
    unsigned ascii = 0;

    (void)state;
    srandom(2);
    for (int round = 0; round < 5000; round++) {
        struct wire_hello hello = {.keepalive = (uint8_t)(random() & 0x7f),
                                   .rows = (uint16_t)(random() & 0x3fff),
                                   .cols = (uint16_t)(random() & 0x3fff)};
        for (int i = 0; i < WIRE_NONCE; i++)
            hello.nonce[i] = (uint8_t)(random() & 0x7f);
        assert_int_equal(wire_hello_encode(buf, &hello), WIRE_HELLO_STUFFED + 2);
        assert_memory_equal(buf, "\0\x17\xa0\x81HELLO", 9);
        assert_true(wire_frame_decode(&frame, buf + 1, WIRE_HELLO_STUFFED));
        assert_true(wire_hello_decode(&back, &frame));
        assert_memory_equal(&back, &hello, sizeof hello);
        // Typed at a terminal it stops nothing, ends nothing and quotes nothing.
        for (int i = 2; i <= WIRE_HELLO_STUFFED; i++) {
            assert_true(buf[i] >= ' ');
            ascii += buf[i] < 0x80;
        }
    }
    assert_in_range(ascii, 5 * 5000, 5 * 5000 + 20);
}

static void ack_round_trips(void **state)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_frame frame;
    struct wire_ack ack = {200, 1, 0xabcd}, back;

    (void)state;
    size_t n = wire_ack_encode(buf, &ack);
    assert_true(wire_frame_decode(&frame, buf + 1, n - 2) && wire_ack_decode(&back, &frame));
    assert_true(back.next == 200 && back.gap == 1 && back.room == 0xabcd);
}

static void random_bytes_are_no_frame(void **state)
{
    uint8_t buf[WIRE_STUFFED];
    struct wire_frame frame;

    (void)state;
    srandom(3);
    for (int round = 0; round < 100000; round++) {
        size_t n = (size_t)random() % (WIRE_STUFFED + 1);
        for (size_t i = 0; i < n; i++)
            buf[i] = (uint8_t)random();
        if (n > 1)
            buf[1] = 0x90;
        assert_false(wire_frame_decode(&frame, buf, n));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_known),
        cmocka_unit_test(cobs_known),
        cmocka_unit_test(cobs_random_round_trips),
        cmocka_unit_test(cobs_refuses_what_is_none),
        cmocka_unit_test(frame_round_trips),
        cmocka_unit_test(every_bit_flip_is_found),
        cmocka_unit_test(hello_has_one_shape),
        cmocka_unit_test(ack_round_trips),
        cmocka_unit_test(random_bytes_are_no_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
