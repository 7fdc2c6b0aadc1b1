// sources: monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c monitor/wire/demux.c
// SPDX-License-Identifier: MIT
// The host tells frames, text and damage apart.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/demux.h"

static struct wire_demux demux;
static char text[8192];
static size_t text_n, lost, frames;

static void on_frame(void *ctx, const struct wire_frame *frame)
{
    (void)ctx;
    (void)frame;
    frames++;
}
static void on_text(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    memcpy(text + text_n, data, n);
    text_n += n;
    text[text_n] = 0;
}
static void on_lost(void *ctx, size_t n)
{
    (void)ctx;
    lost += n;
}
static const struct wire_demux_sink sink = {on_frame, on_text, on_lost};

static int fresh_start(void **state)
{
    (void)state;
    wire_demux_init(&demux, &sink, NULL);
    text_n = lost = frames = 0;
    text[0] = 0;
    return 0;
}

static void feed(const void *data, size_t n)
{
    wire_demux_bytes(&demux, data, n);
}

static size_t frame_bytes(uint8_t *dst, const char *payload)
{
    struct wire_frame frame = {WIRE_LAST, WIRE_TTY, 3, strlen(payload), (const uint8_t *)payload};

    return wire_frame_encode(dst, &frame);
}

static void firmware_text_is_shown_at_once(void **state)
{
    (void)state;
    feed("OpenSBI\r\n\33[1mlogin: ", 20);
    assert_int_equal(text_n, 20);
}

static void panic_text_is_shown(void **state)
{
    uint8_t buf[WIRE_FRAME];
    size_t n = frame_bytes(buf, "some output");

    (void)state;
    demux.strict = true;
    feed(buf, n / 2);
    feed("\0\r\nPANIC on hart 0: x\r\nhalted\r\n", 32);
    assert_non_null(strstr(text, "PANIC on hart 0: x\r\n"));
    assert_non_null(strstr(text, "halted\r\n"));
    wire_demux_end(&demux);
    assert_int_equal(frames, 0);
}

static void text_between_frames(void **state)
{
    uint8_t buf[WIRE_FRAME];
    size_t n = frame_bytes(buf, "x");

    (void)state;
    demux.strict = true;
    feed("boot\n", 5);
    feed(buf, n);
    feed("plain line\n", 11);
    feed(buf, n);
    feed(buf + 1, n - 1); // frames may share a delimiter
    assert_int_equal(frames, 3);
    assert_string_equal(text, "boot\nplain line\n");
    assert_int_equal(lost, 0);
}

// Every cut of a stream gives the same result as the whole.
static void pieces_do_not_matter(void **state)
{
    uint8_t stream[600];
    size_t n = 0;

    memcpy(stream, "hello\r\n", 7);
    n = 7;
    n += frame_bytes(stream + n, "payload with some length to it");
    memcpy(stream + n, "middle\n", 7);
    n += 7;
    n += frame_bytes(stream + n, "");
    for (size_t cut = 0; cut <= n; cut++) {
        fresh_start(state);
        demux.strict = true;
        feed(stream, cut);
        feed(stream + cut, n - cut);
        assert_int_equal(frames, 2);
        assert_string_equal(text, "hello\r\nmiddle\n");
    }
}

// A machine may stand still for longer than a second wherever it likes: its frame is whole for all that.
static void silence_tears_no_frame(void **state)
{
    uint8_t one[WIRE_FRAME];
    size_t n = frame_bytes(one, "a line of output\r\n");

    for (size_t cut = 0; cut <= n; cut++) {
        for (size_t again = cut; again <= n; again++) {
            fresh_start(state);
            demux.strict = true;
            feed(one, cut);
            wire_demux_idle(&demux, false);
            wire_demux_idle(&demux, true);
            assert_false(wire_demux_holds(&demux)); // who asks the clock sleeps
            feed(one + cut, again - cut);
            wire_demux_idle(&demux, true);
            feed(one + again, n - again);
            feed(one, n);
            wire_demux_end(&demux);
            assert_int_equal(frames, 2);
            assert_int_equal(lost, 0);
            assert_string_equal(text, "");
        }
    }
}

// The machine lost its power amid a frame: of what its firmware says then nothing is taken for the rest of it.
static void text_behind_silence_is_shown(void **state)
{
    static const char firmware[] = "\r\nOpenSBI v1.1\r\n";
    uint8_t one[WIRE_FRAME];
    size_t n = frame_bytes(one, "a line of output\r\n");

    for (size_t cut = 2; cut < n; cut++) {
        fresh_start(state);
        demux.strict = true;
        feed(one, cut);
        wire_demux_idle(&demux, true);
        feed(firmware, sizeof firmware - 1);
        wire_demux_idle(&demux, true);
        for (int i = 0; i < 16; i++)
            feed("a further line\r\n", 16);
        feed("~ # ", 4);
        wire_demux_idle(&demux, false);
        assert_int_equal(frames, 0);
        assert_int_equal(lost, cut - 1);
        assert_non_null(strstr(text, firmware));
        assert_non_null(strstr(text, "~ # "));
    }
}

// Before a session what looks like a frame may be output, for which somebody waits.
static void silence_ends_what_no_session_knows(void **state)
{
    (void)state;
    feed("\0\x05\x91z", 4);
    wire_demux_idle(&demux, false);
    assert_int_equal(text_n, 0);
    wire_demux_idle(&demux, true);
    assert_int_equal(text_n, 3);
    feed("~", 1);
    assert_int_equal(text_n, 4);
}

// One damaged byte costs at most its frame and the next one, and nothing unprintable is shown.
static void damage_is_contained(void **state)
{
    uint8_t one[WIRE_FRAME], bad[WIRE_FRAME];
    size_t n = frame_bytes(one, "\33[2J\33[31m escape sequences \7\7");

    for (size_t i = 0; i < n; i++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            fresh_start(state);
            demux.strict = true;
            memcpy(bad, one, n);
            bad[i] ^= (uint8_t)flip;
            feed(bad, n);
            feed(one, n);
            feed(one, n);
            wire_demux_end(&demux);
            assert_true(frames >= 2);
            for (size_t k = 0; k < text_n; k++)
                assert_true((unsigned char)text[k] >= 0x20 || strchr("\r\n\t", text[k]));
        }
    }
}

static void random_noise_is_survived(void **state)
{
    uint8_t noise[300], one[WIRE_FRAME];
    size_t n = frame_bytes(one, "after");

    (void)state;
    srandom(6);
    for (int round = 0; round < 20000; round++) {
        size_t m = (size_t)random() % sizeof noise;
        fresh_start(state);
        demux.strict = round % 2;
        for (size_t i = 0; i < m; i++)
            noise[i] = (uint8_t)(random() % 6 ? random() : 0);
        feed(noise, m);
        feed("\0", 1);
        feed(one, n);
        assert_int_equal(frames, 1);
        assert_true(text_n <= m);
    }
}

#define T(f) cmocka_unit_test_setup(f, fresh_start)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(firmware_text_is_shown_at_once),
        T(panic_text_is_shown),
        T(text_between_frames),
        T(pieces_do_not_matter),
        T(silence_tears_no_frame),
        T(text_behind_silence_is_shown),
        T(silence_ends_what_no_session_knows),
        T(damage_is_contained),
        T(random_noise_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
