// sources: monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c monitor/wire/rx.c monitor/wire/rpc.c monitor/wire/cbor.c
// SPDX-License-Identifier: MIT
// Any bytes from the host, at any pace: the kernel's receiving end reads and writes nothing out of place, makes no byte up, and
// silence leads back to PLAIN. The first byte chooses the pace.
#include "wire/rpc.h"
#include "wire/rx.h"

#include <stdlib.h>

static size_t out, room;
static bool plain_told;

static void on_tty(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    (void)data;
    out += n;
}

static bool on_message(void *ctx, enum wire_channel chan, bool last, const uint8_t *data, size_t n)
{
    struct rpc_head head;

    (void)ctx;
    (void)chan;
    if (n > room)
        return false;
    room -= n;
    out += n;
    if (last)
        rpc_parse(&head, data, n);
    return true;
}

static size_t on_room(void *ctx)
{
    (void)ctx;
    return room;
}

static void on_ack(void *ctx, const struct wire_ack *ack)
{
    struct wire_rx *rx = ctx;

    if (ack->next != rx->expect)
        abort();
}

static void on_hello(void *ctx, const struct wire_hello *hello, bool fresh)
{
    const struct wire_rx *rx = ctx;

    (void)hello;
    if (fresh && rx->expect != 0)
        abort();
}

static void on_plain(void *ctx)
{
    (void)ctx;
    plain_told = true;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void on_interrupt(void *ctx, unsigned session)
{
    (void)ctx;
    (void)session;
}

static void on_want(void *ctx, uint8_t sessions)
{
    (void)ctx;
    (void)sessions;
}

static const struct wire_sink sink = {on_tty,   on_message,   on_room, on_ack, on_hello,
                                      on_plain, on_interrupt, nothing, on_want};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct wire_rx rx;
    uint64_t now = 1000;

    if (n == 0)
        return 0;
    out = 0;
    room = 2000;
    wire_rx_init(&rx, &sink, &rx);
    for (size_t i = 1; i < n; i++) {
        wire_rx_byte(&rx, data[i], now);
        now += data[0];
        wire_rx_tick(&rx, now);
        if (out > i || rx.held > sizeof rx.buf)
            abort();
    }
    plain_told = false;
    bool was_mux = rx.mux;
    for (unsigned i = 0; i < 200; i++) // of which each counts a second
        wire_rx_tick(&rx, now += 1000);
    if (was_mux && rx.hello.keepalive && (rx.mux || !plain_told))
        abort();
    if (!rx.mux && rx.held)
        abort();
    return 0;
}
