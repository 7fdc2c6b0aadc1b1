// sources: monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c monitor/wire/ring.c monitor/wire/rx.c monitor/wire/tx.c monitor/wire/sender.c monitor/wire/demux.c
// SPDX-License-Identifier: MIT
// Both ends over a line that loses, changes and delays bytes, against the model: what was sent, in
// order, once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/demux.h"
#include "wire/rx.h"
#include "wire/sender.h"
#include "wire/tx.h"

enum { TOTAL = 30000, KERNEL_ROOM = 2048 };

// The kernel's end and the host's end, joined by two lines of bytes.
static struct wire_rx rx;
static struct wire_tx tx;
static struct wire_sender sender;
static struct wire_demux demux;
static uint8_t host_tty[16384], host_messages[65536], kernel_messages[8192], kernel_events[1024];
static uint8_t got_tty[TOTAL], got_message[TOTAL], repl[TOTAL];
static size_t tty_n, message_n, in_kernel, repl_n, events_n, tty_out_left, lost_n;
static unsigned gaps;
static int next_seq;
static uint64_t now;
static bool welcome;

static void k_tty(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    assert_true(tty_n + n <= TOTAL);
    memcpy(got_tty + tty_n, data, n);
    tty_n += n;
}
static bool k_message(void *ctx, enum wire_channel chan, bool last, const uint8_t *data, size_t n)
{
    (void)ctx;
    (void)chan;
    (void)last;
    if (in_kernel + n > KERNEL_ROOM)
        return false;
    in_kernel += n;
    assert_true(message_n + n <= TOTAL);
    memcpy(got_message + message_n, data, n);
    message_n += n;
    return true;
}
static size_t k_room(void *ctx)
{
    (void)ctx;
    return KERNEL_ROOM - in_kernel;
}
static void k_ack(void *ctx, const struct wire_ack *ack)
{
    (void)ctx;
    wire_tx_ack(&tx, ack);
}
static void k_hello(void *ctx, const struct wire_hello *hello, bool fresh)
{
    (void)ctx;
    if (fresh)
        wire_tx_begin(&tx);
    wire_tx_welcome(&tx, hello->nonce, "\xa0", 1);
}
static void k_nothing(void *ctx)
{
    (void)ctx;
}
static void k_interrupt(void *ctx, unsigned session)
{
    (void)ctx;
    (void)session;
}
static const struct wire_sink sink = {k_tty,     k_message,   k_room,    k_ack, k_hello,
                                      k_nothing, k_interrupt, k_nothing, NULL};

static size_t k_tty_out(void *ctx, uint8_t *buf, size_t max)
{
    (void)ctx;
    size_t n = tty_out_left < max ? tty_out_left : max;
    memset(buf, 't', n);
    tty_out_left -= n;
    return n;
}
static size_t k_log_out(void *ctx, uint8_t *buf, size_t max)
{
    (void)ctx;
    (void)buf;
    (void)max;
    return 0;
}
static const struct wire_tx_sources sources = {k_tty_out, k_log_out};

static void h_frame(void *ctx, const struct wire_frame *frame)
{
    struct wire_ack ack;

    (void)ctx;
    if (frame->type == WIRE_NOW && frame->len && frame->payload[0] == WIRE_WELCOME) {
        if (!welcome)
            wire_sender_reset(&sender);
        welcome = true;
    } else if (wire_ack_decode(&ack, frame)) {
        if (welcome)
            wire_sender_ack(&sender, &ack);
    } else if (frame->type == WIRE_DATA || frame->type == WIRE_LAST) {
        gaps += next_seq >= 0 && frame->seq != (uint8_t)next_seq;
        next_seq = (uint8_t)(frame->seq + 1);
        if (frame->chan == WIRE_REPL && repl_n + frame->len <= TOTAL) {
            memcpy(repl + repl_n, frame->payload, frame->len);
            repl_n += frame->len;
        }
        events_n += frame->chan == WIRE_EVENTS;
    }
}
static void h_text(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    (void)data;
    lost_n += n;
}
static void h_lost(void *ctx, size_t n)
{
    (void)ctx;
    lost_n += n;
}
static const struct wire_demux_sink host_sink = {h_frame, h_text, h_lost};

static int fresh_start(void **state)
{
    struct wire_ring a, b, c, d;

    (void)state;
    wire_ring_init(&a, host_tty, sizeof host_tty);
    wire_ring_init(&b, host_messages, sizeof host_messages);
    wire_ring_init(&c, kernel_messages, sizeof kernel_messages);
    wire_ring_init(&d, kernel_events, sizeof kernel_events);
    wire_rx_init(&rx, &sink, NULL);
    wire_tx_init(&tx, &sources, NULL, c, d);
    wire_sender_init(&sender, a, b);
    wire_demux_init(&demux, &host_sink, NULL);
    tty_n = message_n = in_kernel = repl_n = events_n = tty_out_left = lost_n = 0;
    gaps = 0;
    next_seq = -1;
    now = 0;
    welcome = false;
    demux.strict = true;
    return 0;
}

// Damage per 10000 bytes.
static uint8_t damage(uint8_t byte, unsigned rate, bool *gone)
{
    *gone = false;
    if ((unsigned)random() % 10000 >= rate)
        return byte;
    if (random() % 2)
        *gone = true;
    return (uint8_t)(byte ^ (1u << random() % 8));
}

static void to_kernel(const uint8_t *data, size_t n, unsigned rate)
{
    bool gone;

    for (size_t i = 0; i < n; i++) {
        uint8_t b = damage(data[i], rate, &gone);
        if (!gone)
            wire_rx_byte(&rx, b, now);
    }
}

static void to_host(unsigned rate, size_t budget)
{
    uint8_t b;
    bool gone;

    while (budget-- && wire_tx_pull(&tx, &b, 1)) {
        b = damage(b, rate, &gone);
        if (!gone)
            wire_demux_bytes(&demux, &b, 1);
    }
}

static void connect(unsigned rate)
{
    struct wire_hello hello = {{1, 2, 3, 4, 5}, 0, 24, 80};
    uint8_t buf[WIRE_FRAME];

    while (!welcome) {
        to_kernel(buf, wire_hello_encode(buf, &hello), rate);
        to_host(rate, 1000);
        now += 100;
    }
}

static void pump(unsigned rate)
{
    uint8_t buf[WIRE_FRAME];
    size_t n;

    for (int k = 0; k < 5 && (n = wire_sender_pull(&sender, buf, now)); k++)
        to_kernel(buf, n, rate);
    to_host(rate, 500);
    if (random() % 3 == 0)
        in_kernel -= in_kernel < 700 ? in_kernel : 700;
    now += 20;
    wire_sender_tick(&sender, now);
    // The keep-alive tells of the room there is by then.
    if (now % 1000 == 0) {
        struct wire_hello hello = {{1, 2, 3, 4, 5}, 0, 24, 80};
        to_kernel(buf, wire_hello_encode(buf, &hello), rate);
    }
}

static void everything_arrives_once_in_order(void **state)
{
    static const unsigned rates[] = {0, 1, 10, 30};
    static uint8_t sent_tty[TOTAL], sent_message[TOTAL];

    for (unsigned r = 0; r < 4; r++) {
        size_t put_tty = 0, put_message = 0;
        fresh_start(state);
        srandom(10 + r);
        for (size_t i = 0; i < TOTAL; i++) {
            sent_tty[i] = (uint8_t)random();
            sent_message[i] = (uint8_t)(random() & random());
        }
        connect(rates[r]);
        for (long turn = 0; tty_n < TOTAL || message_n < TOTAL; turn++) {
            size_t n = (size_t)random() % (WIRE_PAYLOAD + 1);
            n = n < TOTAL - put_tty ? n : TOTAL - put_tty;
            if (n && wire_sender_put(&sender, WIRE_TTY, true, sent_tty + put_tty, n))
                put_tty += n;
            n = WIRE_PAYLOAD < TOTAL - put_message ? WIRE_PAYLOAD : TOTAL - put_message;
            if (n && wire_sender_put(&sender, WIRE_RPC, random() % 4 == 0,
                                     sent_message + put_message, n))
                put_message += n;
            pump(rates[r]);
            assert_true(turn < 200000);
        }
        assert_memory_equal(got_tty, sent_tty, TOTAL);
        assert_memory_equal(got_message, sent_message, TOTAL);
        if (rates[r] == 0)
            assert_int_equal(sender.resent, 0);
        else
            assert_true(r < 2 || sender.resent > 0);
    }
}

static void a_key_overtakes_a_message_without_room(void **state)
{
    uint8_t buf[WIRE_FRAME], big[WIRE_PAYLOAD] = {1};
    size_t n;

    (void)state;
    in_kernel = KERNEL_ROOM;
    connect(0);
    assert_true(wire_sender_put(&sender, WIRE_RPC, true, big, sizeof big));
    assert_int_equal(wire_sender_pull(&sender, buf, now), 0);
    assert_true(wire_sender_put(&sender, WIRE_TTY, true, "\3", 1));
    n = wire_sender_pull(&sender, buf, now);
    assert_true(n > 0);
    to_kernel(buf, n, 0);
    assert_int_equal(tty_n, 1);
    assert_false(wire_sender_idle(&sender));
}

// When the window is sent again unless an ACK comes; the line is silent meanwhile.
static uint64_t resent_after(uint64_t from)
{
    uint8_t buf[WIRE_FRAME];
    uint64_t resent = sender.resent;

    for (now = from; sender.resent == resent; now += 10)
        wire_sender_tick(&sender, now);
    now -= 10;
    while (wire_sender_pull(&sender, buf, now))
        ;
    return now - from;
}

// A kernel that is slow is not sent more and more of the same.
static void repetitions_become_rare_until_something_arrives(void **state)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_ack ack = {1, 0, KERNEL_ROOM};

    (void)state;
    connect(0);
    assert_true(wire_sender_put(&sender, WIRE_TTY, true, "ab", 2));
    assert_true(wire_sender_put(&sender, WIRE_TTY, true, "cd", 2));
    while (wire_sender_pull(&sender, buf, now))
        ;
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(resent_after(now),
                         WIRE_RESEND_MS << (i < WIRE_BACKOFF ? i : WIRE_BACKOFF));
    // The first of the two is acknowledged: the other one has a whole second from now on, then two.
    wire_sender_ack(&sender, &ack);
    assert_int_equal(resent_after(now + 500), WIRE_RESEND_MS);
    assert_int_equal(resent_after(now), 2 * WIRE_RESEND_MS);
    ack.next = 2;
    wire_sender_ack(&sender, &ack);
    assert_int_equal(wire_sender_deadline(&sender), UINT64_MAX);
    assert_true(wire_sender_idle(&sender));
}

static void losses_to_the_host_show_in_the_numbers(void **state)
{
    (void)state;
    srandom(20);
    connect(0);
    tty_out_left = 200000;
    for (int i = 0; i < 1000; i++)
        to_host(0, 500);
    assert_true(gaps == 0 && lost_n == 0);
    tty_out_left = 200000;
    for (int i = 0; i < 1000; i++)
        to_host(20, 500);
    assert_true(gaps > 0);
    assert_true(lost_n > 0);
}

static void script_and_program_share_the_line(void **state)
{
    uint8_t text[WIRE_PAYLOAD];

    (void)state;
    connect(0);
    memset(text, 'r', sizeof text);
    tty_out_left = 100000;
    while (wire_tx_put(&tx, WIRE_REPL, true, text, sizeof text))
        ;
    for (int i = 0; i < 5000; i++)
        wire_tx_event(&tx, WIRE_EVENTS, "\1", 1);
    assert_true(tx.dropped_events > 0);
    to_host(0, 4000);
    assert_true(repl_n > 1500);
    assert_true(100000 - tty_out_left > 1500);
    assert_in_range(events_n, 1, 4);
    to_host(0, 1000000);
    assert_int_equal(tty_out_left, 0);
    assert_true(events_n > 0 && gaps == 0);
}

static void plain_output_is_raw(void **state)
{
    uint8_t buf[64];

    (void)state;
    tty_out_left = 100;
    assert_int_equal(wire_tx_pull(&tx, buf, 64), 64);
    assert_int_equal(buf[63], 't');
    assert_int_equal(wire_tx_pull(&tx, buf, 64), 36);
    assert_int_equal(wire_tx_pull(&tx, buf, 64), 0);
}

#define T(f) cmocka_unit_test_setup(f, fresh_start)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(everything_arrives_once_in_order),
        T(a_key_overtakes_a_message_without_room),
        T(repetitions_become_rare_until_something_arrives),
        T(losses_to_the_host_show_in_the_numbers),
        T(script_and_program_share_the_line),
        T(plain_output_is_raw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
