// SPDX-License-Identifier: MIT
// sources: kernel/dev/chacha.c kernel/dev/random.c kernel/lib/spinlock.c tests/unit/host.c
// ChaCha20 against the vectors of RFC 8439, and the pool on top of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dev/chacha.h"
#include "dev/random.h"

// Section 2.3.2.
static void rfc8439_block(void **state)
{
    (void)state;
    uint8_t key[CHACHA_KEY], out[CHACHA_BLOCK];
    const uint8_t nonce[CHACHA_NONCE] = {0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0};
    static const uint8_t want[CHACHA_BLOCK] = {
        0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3,
        0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22,
        0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa,
        0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c, 0xd1,
        0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e};
    for (unsigned i = 0; i < CHACHA_KEY; i++)
        key[i] = (uint8_t)i;
    chacha20_block(key, 1, nonce, out);
    assert_memory_equal(out, want, sizeof(want));
}

// Appendix A.1, vectors 1 and 2: zero key, counters 0 and 1.
static void rfc8439_zero_key(void **state)
{
    (void)state;
    const uint8_t key[CHACHA_KEY] = {0}, nonce[CHACHA_NONCE] = {0};
    static const uint8_t want0[16] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                      0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
    static const uint8_t want1[16] = {0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a,
                                      0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d};
    uint8_t out[CHACHA_BLOCK];
    chacha20_block(key, 0, nonce, out);
    assert_memory_equal(out, want0, sizeof(want0));
    chacha20_block(key, 1, nonce, out);
    assert_memory_equal(out, want1, sizeof(want1));
}

static void pool_becomes_ready(void **state)
{
    (void)state;
    uint8_t seed[32] = {1};
    assert_false(random_ready());
    random_mix(seed, sizeof(seed), 128);
    assert_false(random_ready());
    random_mix(seed, sizeof(seed), 128);
    assert_true(random_ready());
}

// Lengths that are no multiple of a block fill exactly what was asked for; no two outputs agree.
static void pool_output(void **state)
{
    (void)state;
    uint8_t a[700], b[700];
    memset(a, 0xee, sizeof(a));
    random_bytes(a, 600);
    for (unsigned i = 600; i < sizeof(a); i++)
        assert_int_equal(a[i], 0xee);
    random_bytes(b, 600);
    assert_memory_not_equal(a, b, 600);
    for (unsigned at = 0; at + 16 <= 600; at += 16) {
        static const uint8_t zero[16];
        assert_memory_not_equal(a + at, zero, 16);
        for (unsigned other = 0; other + 16 <= 600; other += 16)
            assert_memory_not_equal(a + at, b + other, 16);
    }
    assert_true(random_u64() != random_u64());
}

static unsigned requests;
static void count_request(void)
{
    requests++;
}

static void pool_asks_for_more(void **state)
{
    (void)state;
    uint8_t buf[4096];
    random_set_source(count_request);
    for (unsigned i = 0; i < 255; i++)
        random_bytes(buf, sizeof(buf));
    assert_int_equal(requests, 0);
    for (unsigned i = 0; i < 257; i++)
        random_bytes(buf, sizeof(buf));
    assert_int_equal(requests, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8439_block),      cmocka_unit_test(rfc8439_zero_key),
        cmocka_unit_test(pool_becomes_ready), cmocka_unit_test(pool_output),
        cmocka_unit_test(pool_asks_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
