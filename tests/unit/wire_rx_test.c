// sources: monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c monitor/wire/rx.c
// SPDX-License-Identifier: MIT
// The kernel's receiving end: PLAIN changes nothing of what is typed, MUX takes frames in order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/rx.h"

static struct {
    uint8_t tty[4096];
    size_t tty_n;
    uint8_t message[4096];
    size_t message_n, room;
    unsigned lasts, hellos, fresh, plains, interrupts, resets, acks, session;
    uint8_t want;
    enum wire_channel chan;
    struct wire_ack ack;
} seen;
static struct wire_rx rx;

static void on_tty(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    memcpy(seen.tty + seen.tty_n, data, n);
    seen.tty_n += n;
}
static bool on_message(void *ctx, enum wire_channel chan, bool last, const uint8_t *data, size_t n)
{
    (void)ctx;
    seen.chan = chan;
    if (n > seen.room)
        return false;
    memcpy(seen.message + seen.message_n, data, n);
    seen.message_n += n;
    seen.room -= n;
    seen.lasts += last;
    return true;
}
static size_t on_room(void *ctx)
{
    (void)ctx;
    return seen.room;
}
static void on_ack(void *ctx, const struct wire_ack *ack)
{
    (void)ctx;
    seen.ack = *ack;
    seen.acks++;
}
static void on_hello(void *ctx, const struct wire_hello *hello, bool fresh)
{
    (void)ctx;
    (void)hello;
    seen.hellos++;
    seen.fresh += fresh;
}
static void on_plain(void *ctx)
{
    (void)ctx;
    seen.plains++;
}
static void on_interrupt(void *ctx, unsigned session)
{
    (void)ctx;
    seen.interrupts++;
    seen.session = session;
}
static void on_want(void *ctx, uint8_t sessions)
{
    (void)ctx;
    seen.want = sessions;
}
static void on_reset(void *ctx)
{
    (void)ctx;
    seen.resets++;
}
static const struct wire_sink sink = {on_tty,   on_message,   on_room,  on_ack, on_hello,
                                      on_plain, on_interrupt, on_reset, on_want};

static int fresh_start(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    seen.room = 1000;
    wire_rx_init(&rx, &sink, NULL);
    return 0;
}

static void feed(const void *data, size_t n, uint64_t now)
{
    for (size_t i = 0; i < n; i++)
        wire_rx_byte(&rx, ((const uint8_t *)data)[i], now);
}

static size_t hello_bytes(uint8_t *dst, uint8_t nonce, uint8_t keepalive)
{
    struct wire_hello hello = {{1, 2, 3, 4, nonce}, keepalive, 24, 80};

    return wire_hello_encode(dst, &hello);
}

static void say_hello(uint8_t nonce, uint64_t now)
{
    uint8_t buf[WIRE_FRAME];

    feed(buf, hello_bytes(buf, nonce, 5), now);
}

static void send(enum wire_type type, enum wire_channel chan, uint8_t seq, const void *data,
                 size_t n)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_frame frame = {type, chan, seq, n, data};

    feed(buf, wire_frame_encode(buf, &frame), 0);
}

static void plain_is_transparent_for_all_pairs(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair < 65536; pair++) {
        uint8_t b[3] = {(uint8_t)(pair >> 8), (uint8_t)pair, 'x'};
        seen.tty_n = 0;
        feed(b, 3, 0);
        assert_int_equal(seen.tty_n, 3);
        assert_memory_equal(seen.tty, b, 3);
    }
    assert_int_equal(seen.hellos, 0);
}

static void a_lone_zero_goes_on_when_time_passed(void **state)
{
    (void)state;
    feed("\0", 1, 1000);
    assert_int_equal(seen.tty_n, 0);
    assert_int_equal(wire_rx_deadline(&rx), 1000 + WIRE_HOLD_MS);
    wire_rx_tick(&rx, 1000 + WIRE_HOLD_MS - 1);
    assert_int_equal(seen.tty_n, 0);
    wire_rx_tick(&rx, 1000 + WIRE_HOLD_MS);
    assert_int_equal(seen.tty_n, 1);
    assert_int_equal(wire_rx_deadline(&rx), UINT64_MAX);
}

// A machine that its host stops in the middle of a HELLO still takes it.
static void a_hello_may_pause(void **state)
{
    uint8_t b[WIRE_FRAME];
    size_t n = hello_bytes(b, 9, 5);

    (void)state;
    for (size_t cut = 2; cut < n; cut++) {
        fresh_start(state);
        feed(b, cut, 1000);
        assert_int_equal(wire_rx_deadline(&rx), 1000 + WIRE_HOLD_HELLO_MS);
        wire_rx_tick(&rx, 1000 + WIRE_HOLD_HELLO_MS - 1);
        feed(b + cut, n - cut, 1000 + WIRE_HOLD_HELLO_MS);
        assert_true(rx.mux);
        assert_int_equal(seen.tty_n, 0);
    }
}

// A HELLO with any byte changed to any other value is typing; so is one cut off anywhere.
static void only_an_exact_hello_is_taken(void **state)
{
    uint8_t good[WIRE_FRAME], b[WIRE_FRAME];
    size_t n = hello_bytes(good, 9, 5);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        for (unsigned v = 0; v < 256; v++) {
            if (v == good[i])
                continue;
            memcpy(b, good, n);
            b[i] = (uint8_t)v;
            b[n] = 'x';
            seen.tty_n = 0;
            feed(b, n + 1, 0);
            assert_false(rx.mux);
            assert_int_equal(seen.tty_n, n + 1);
            assert_memory_equal(seen.tty, b, n + 1);
        }
    }
    for (size_t cut = 1; cut < n; cut++) {
        seen.tty_n = 0;
        feed(good, cut, 0);
        feed("y", 1, 0);
        wire_rx_tick(&rx, WIRE_HOLD_HELLO_MS); // it may stand for a byte of the CRC
        assert_int_equal(seen.tty_n, cut + 1);
    }
    assert_int_equal(seen.hellos, 0);
}

static void hello_is_found_behind_anything(void **state)
{
    static const char *const before[] = {"", "\0", "\0\x17", "\0\x17\xa0\x81HEL", "abc\0"};
    static const size_t length[] = {0, 1, 2, 7, 4};

    for (size_t i = 0; i < 5; i++) {
        fresh_start(state);
        feed(before[i], length[i], 0);
        say_hello(1, 0);
        assert_true(rx.mux);
        assert_int_equal(seen.tty_n, length[i]);
        assert_int_equal(seen.fresh, 1);
        assert_int_equal(seen.acks, 1);
        assert_int_equal(seen.ack.room, 1000);
    }
}

static void random_typing_passes(void **state)
{
    static const uint8_t likely[] = {0, 0x17, 0xa0, 0x81, 'H', 'E', 'L', 'O', 1};
    uint8_t typed[2000];

    srandom(5);
    for (int round = 0; round < 200; round++) {
        fresh_start(state);
        for (size_t i = 0; i < sizeof typed; i++)
            typed[i] = random() % 4 ? likely[random() % 9] : (uint8_t)random();
        feed(typed, sizeof typed, 0);
        wire_rx_tick(&rx, WIRE_HOLD_HELLO_MS);
        assert_int_equal(seen.tty_n, sizeof typed);
        assert_memory_equal(seen.tty, typed, sizeof typed);
    }
}

static void frames_are_taken_in_order_only(void **state)
{
    (void)state;
    say_hello(1, 0);
    send(WIRE_LAST, WIRE_TTY, 0, "a", 1);
    assert_true(seen.ack.next == 1 && !seen.ack.gap);
    send(WIRE_LAST, WIRE_TTY, 2, "c", 1);
    assert_true(seen.ack.next == 1 && seen.ack.gap);
    send(WIRE_LAST, WIRE_TTY, 0, "a", 1);
    assert_true(seen.ack.next == 1 && !seen.ack.gap);
    send(WIRE_LAST, WIRE_TTY, 1, "b", 1);
    send(WIRE_LAST, WIRE_TTY, 2, "c", 1);
    assert_int_equal(seen.tty_n, 3);
    assert_memory_equal(seen.tty, "abc", 3);
}

static void messages_wait_for_room(void **state)
{
    (void)state;
    seen.room = 5;
    say_hello(1, 0);
    send(WIRE_DATA, WIRE_RPC, 0, "abc", 3);
    send(WIRE_LAST, WIRE_RPC, 1, "def", 3);
    assert_true(seen.ack.next == 1 && seen.ack.gap && seen.ack.room == 2);
    seen.room = 100;
    say_hello(1, 0); // the keep-alive
    assert_true(seen.ack.next == 1 && !seen.ack.gap && seen.ack.room == 100);
    send(WIRE_LAST, WIRE_RPC, 1, "def", 3);
    assert_int_equal(seen.message_n, 6);
    assert_int_equal(seen.lasts, 1);
}

static void each_session_has_its_channels(void **state)
{
    (void)state;
    say_hello(1, 0);
    seen.room = 100;
    for (unsigned s = 0; s < WIRE_SESSIONS; s++) {
        enum wire_channel chan = wire_channel_of(WIRE_RPC, s);
        send(WIRE_LAST, chan, (uint8_t)s, "x", 1);
        assert_true(seen.chan == chan && wire_session(chan) == s && wire_which(chan) == WIRE_RPC);
        assert_int_equal(wire_session(wire_channel_of(WIRE_EVENTS, s)), s);
    }
    send(WIRE_LAST, wire_channel_of(WIRE_REPL, 1), WIRE_SESSIONS, "x", 1); // no messages, but taken
    assert_true(seen.message_n == WIRE_SESSIONS && seen.ack.next == WIRE_SESSIONS + 1);
}

static void damage_is_reported_and_followed_by_resync(void **state)
{
    uint8_t buf[WIRE_FRAME * 2];
    struct wire_frame frame = {WIRE_LAST, WIRE_TTY, 0, 2, (const uint8_t *)"hi"};
    size_t n = wire_frame_encode(buf, &frame);

    (void)state;
    say_hello(1, 0);
    buf[5] ^= 4;
    feed(buf, n, 0);
    assert_true(seen.ack.gap && seen.tty_n == 0 && rx.bad_frames == 1);
    memset(buf, 'x', sizeof buf);
    feed(buf, sizeof buf, 0);
    send(WIRE_LAST, WIRE_TTY, 0, "hi", 2);
    assert_int_equal(seen.tty_n, 2);
    assert_int_equal(rx.bad_frames, 2);
    assert_true(rx.mux);
}

static void control_messages(void **state)
{
    (void)state;
    say_hello(1, 0);
    send(WIRE_NOW, WIRE_CONTROL, 0, "\3", 1);
    assert_true(seen.interrupts == 1 && seen.session == 0);
    send(WIRE_NOW, WIRE_CONTROL, 0, "\3\2", 2);
    assert_true(seen.interrupts == 2 && seen.session == 2);
    send(WIRE_NOW, WIRE_CONTROL, 0, "\7\5", 2);
    assert_int_equal(seen.want, 5);
    send(WIRE_NOW, WIRE_CONTROL, 0, "\4", 1);
    assert_int_equal(seen.resets, 1);
    send(WIRE_NOW, WIRE_CONTROL, 0, "\x33", 1);
    send(WIRE_NOW, WIRE_CONTROL, 0, "", 0);
    assert_int_equal(rx.bad_frames, 2);
    send(WIRE_NOW, WIRE_CONTROL, 0, "\7", 1); // of no session
    assert_int_equal(seen.want, 5);
    send(WIRE_NOW, WIRE_CONTROL, 0, "\2", 1);
    assert_int_equal(seen.plains, 1);
    feed("ls\r", 3, 0);
    assert_int_equal(seen.tty_n, 3);
}

static void keep_alive_ends_mux(void **state)
{
    uint8_t buf[WIRE_FRAME];

    say_hello(1, 1000);
    say_hello(1, 3000);
    assert_true(seen.hellos == 2 && seen.fresh == 1);
    for (uint64_t now = 4000; now <= 8000; now += 1000) {
        assert_true(rx.mux);
        assert_int_equal(wire_rx_deadline(&rx), now);
        wire_rx_tick(&rx, now - 1);
        wire_rx_tick(&rx, now);
    }
    assert_false(rx.mux);
    assert_int_equal(seen.plains, 1);

    fresh_start(state);
    feed(buf, hello_bytes(buf, 1, 0), 1000);
    assert_int_equal(wire_rx_deadline(&rx), UINT64_MAX);
    wire_rx_tick(&rx, 1000000000);
    assert_true(rx.mux);
}

// All of a machine stood still for an hour: what the host said at its end is read after the tick.
static void a_pause_is_no_silence(void **state)
{
    uint64_t hour = 3600 * 1000;

    (void)state;
    say_hello(1, 1000);
    wire_rx_tick(&rx, hour);
    assert_true(rx.mux);
    assert_int_equal(wire_rx_deadline(&rx), hour + 1000);
    say_hello(1, hour + 1);
    for (int i = 1; i <= 5; i++) {
        assert_true(rx.mux);
        wire_rx_tick(&rx, hour + 1 + 1000 * i);
    }
    assert_false(rx.mux);
    assert_int_equal(seen.plains, 1);
}

// A person who types at a line whose console was killed speaks no frames: it is theirs in time all the same.
static void typing_keeps_no_session_alive(void **state)
{
    uint64_t now;

    (void)state;
    say_hello(1, 1000);
    for (now = 1010; rx.mux; now += 10) {
        feed("\rls \0", 5, now);
        wire_rx_tick(&rx, now);
        assert_true(now <= 6000);
    }
    assert_int_equal(now - 10, 6000);
    assert_int_equal(seen.plains, 1);
    assert_int_equal(seen.tty_n, 0);
    feed("ls\r", 3, now);
    assert_int_equal(seen.tty_n, 3);
}

static void another_nonce_is_another_session(void **state)
{
    (void)state;
    say_hello(1, 0);
    send(WIRE_LAST, WIRE_TTY, 0, "a", 1);
    send(WIRE_LAST, WIRE_TTY, 1, "b", 1);
    say_hello(2, 0);
    assert_int_equal(seen.fresh, 2);
    assert_int_equal(seen.ack.next, 0);
    send(WIRE_LAST, WIRE_TTY, 0, "c", 1);
    assert_int_equal(seen.tty_n, 3);
}

#define T(f) cmocka_unit_test_setup(f, fresh_start)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(plain_is_transparent_for_all_pairs),
        T(a_lone_zero_goes_on_when_time_passed),
        T(a_hello_may_pause),
        T(only_an_exact_hello_is_taken),
        T(hello_is_found_behind_anything),
        T(random_typing_passes),
        T(frames_are_taken_in_order_only),
        T(messages_wait_for_room),
        T(each_session_has_its_channels),
        T(damage_is_reported_and_followed_by_resync),
        T(control_messages),
        T(keep_alive_ends_mux),
        T(a_pause_is_no_silence),
        T(typing_keeps_no_session_alive),
        T(another_nonce_is_another_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
