// sources: monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c monitor/wire/ring.c monitor/wire/tx.c monitor/wire/demux.c
// SPDX-License-Identifier: MIT
// What the kernel's sending end puts on the line, and in which order, seen from the other end of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "wire/demux.h"
#include "wire/tx.h"

static struct wire_tx tx;
static struct wire_demux demux;
static uint8_t messages[4096], events[1024];

// What came: of each channel how many frames, and the first byte of each.
static uint8_t came[WIRE_CHANNELS][256];
static size_t came_n[WIRE_CHANNELS];

static bool talks; // tty and log, without end

static size_t text(void *ctx, uint8_t *buf, size_t max)
{
    (void)ctx;
    memset(buf, 't', max);
    return talks ? max : 0;
}
static const struct wire_tx_sources sources = {text, text};

static void on_frame(void *ctx, const struct wire_frame *frame)
{
    (void)ctx;
    if (came_n[frame->chan] < sizeof came[0])
        came[frame->chan][came_n[frame->chan]] = frame->len ? frame->payload[0] : 0;
    came_n[frame->chan]++;
}
static void on_text(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    (void)data;
    assert_int_equal(n, 0);
}
static void on_lost(void *ctx, size_t n)
{
    (void)ctx;
    assert_int_equal(n, 0);
}
static const struct wire_demux_sink sink = {on_frame, on_text, on_lost};

static int connected(void **state)
{
    struct wire_ring m, e;

    (void)state;
    wire_ring_init(&m, messages, sizeof messages);
    wire_ring_init(&e, events, sizeof events);
    wire_tx_init(&tx, &sources, NULL, m, e);
    wire_demux_init(&demux, &sink, NULL);
    demux.strict = true;
    talks = false;
    memset(came_n, 0, sizeof came_n);
    wire_tx_begin(&tx);
    return 0;
}

static void line_takes(size_t bytes)
{
    uint8_t b;

    while (bytes-- && wire_tx_pull(&tx, &b, 1))
        wire_demux_bytes(&demux, &b, 1);
}

static enum wire_channel events_of(unsigned session)
{
    return wire_channel_of(WIRE_EVENTS, session);
}

static void events_of_a_client_that_went_reach_no_other(void **state)
{
    uint8_t i = 0; // fewer than 256: each takes 5 of 1024 bytes

    (void)state;
    while (wire_tx_event(&tx, events_of(i % 3), (uint8_t[]){i, 0}, 2))
        i++;
    wire_tx_forget_events(&tx, events_of(1));
    line_takes(500);
    assert_true(wire_tx_event(&tx, events_of(1), "n", 1));
    line_takes(10000);
    assert_int_equal(came_n[events_of(1)], 1);
    assert_int_equal(came[events_of(1)][0], 'n');
    assert_int_equal(came_n[events_of(0)], (i + 2) / 3);
    assert_int_equal(came_n[events_of(2)], i / 3);
    for (size_t k = 0; k < came_n[events_of(2)]; k++)
        assert_int_equal(came[events_of(2)][k], 3 * k + 2);
}

// Round the end of the ring too.
static void forgotten_events_may_be_all_there_is(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_true(wire_tx_event(&tx, events_of(3), "abcde", i % 5));
        assert_true(wire_tx_event(&tx, events_of(3), "abcde", i % 4));
        wire_tx_forget_events(&tx, events_of(3));
        line_takes(100);
    }
    assert_int_equal(came_n[events_of(3)], 0);
}

static void who_prints_for_ever_keeps_no_other_out(void **state)
{
    uint8_t printed[WIRE_PAYLOAD] = {'p'};

    (void)state;
    talks = true;
    for (int i = 0; i < 100; i++)
        assert_true(wire_tx_event(&tx, events_of(2), "e", 1));
    for (int i = 0; i < 400; i++) {
        while (wire_tx_put(&tx, WIRE_REPL, true, printed, sizeof printed))
            ;
        line_takes(WIRE_PAYLOAD);
    }
    assert_in_range(came_n[WIRE_REPL], 120, 180);
    assert_in_range(came_n[WIRE_TTY], 120, 180);
    assert_in_range(came_n[WIRE_LOG], 40, 60);
    assert_in_range(came_n[events_of(2)], 40, 60);
}

static void a_reply_finds_room_beside_who_prints(void **state)
{
    uint8_t part[WIRE_PAYLOAD] = {0};
    size_t n = 0;

    (void)state;
    while (wire_tx_put(&tx, wire_channel_of(WIRE_REPL, 1), true, part, sizeof part))
        ;
    while (wire_tx_put(&tx, wire_channel_of(WIRE_RPC, 2), false, part, sizeof part))
        n += sizeof part;
    assert_in_range(n, sizeof messages / 4 - 2 * sizeof part, sizeof messages / 4);
}

static void a_session_waits_only_for_events_of_its_own(void **state)
{
    (void)state;
    assert_false(wire_tx_event_waits(&tx, events_of(0)));
    assert_true(wire_tx_event(&tx, events_of(0), "a", 1));
    assert_true(wire_tx_event(&tx, events_of(1), "b", 1));
    for (unsigned s = 0; s < WIRE_SESSIONS; s++)
        assert_int_equal(wire_tx_event_waits(&tx, events_of(s)), s < 2);
    line_takes(10); // the frame of one
    assert_false(wire_tx_event_waits(&tx, events_of(0)));
    assert_true(wire_tx_event_waits(&tx, events_of(1)));
    wire_tx_begin(&tx);
    assert_false(wire_tx_event_waits(&tx, events_of(1)));
    // however much others have sent since
    tx.events.head = tx.events.tail = tx.last_event[0] + 0x90000000;
    assert_true(wire_tx_event(&tx, events_of(1), "b", 1));
    assert_false(wire_tx_event_waits(&tx, events_of(0)));
}

#define T(f) cmocka_unit_test_setup(f, connected)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(events_of_a_client_that_went_reach_no_other), T(forgotten_events_may_be_all_there_is),
        T(who_prints_for_ever_keeps_no_other_out),      T(a_reply_finds_room_beside_who_prints),
        T(a_session_waits_only_for_events_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
