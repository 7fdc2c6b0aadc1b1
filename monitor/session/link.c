// SPDX-License-Identifier: MIT
// The glue between UART, tty and session; what the bytes mean is decided in monitor/wire.
//
// The receiving object is guarded by rx_lock (UART interrupt, the clock task, link_recv), the
// sending one by tx_lock (UART interrupt, everybody who sends). rx_lock may be held while tx_lock
// is taken, never the other way round.
#include "session/link.h"

#include "async/wait.h"
#include "async/wait_async.h"
#include "dev/uart.h"
#include "fs/tty.h"
#include "lib/init.h"
#include "lib/log.h"
#include "session/welcome.h"
#include "wire/rx.h"
#include "wire/tx.h"

enum { RX_RING = 32 * 1024, TX_RING = 16 * 1024, EVENT_RING = 8 * 1024 };

static struct spinlock rx_lock = SPINLOCK_INIT("link rx");
static struct wire_rx rx;
static struct wire_ring inbox;         // parts of messages, tag: channel, 0x80 last
static uint32_t changes, changes_told; // of the connection
static uint64_t overlong;
static uint16_t rows, cols;

static struct spinlock tx_lock = SPINLOCK_INIT("link tx");
static struct wire_tx tx;

static struct event readable, writable, clock_moved;
static uint32_t connected, interrupted;

// Only link_recv touches these.
static uint8_t message[RPC_MESSAGE];
static size_t message_len;

static uint8_t inbox_memory[RX_RING], outbox_memory[TX_RING], event_memory[EVENT_RING];

static uint64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

// ---- from the wire; rx_lock held

static void on_tty(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    while (n--)
        tty_rx(*data++);
}

static bool on_message(void *ctx, enum wire_channel chan, bool last, const uint8_t *data, size_t n)
{
    (void)ctx;
    if (!wire_ring_put(&inbox, (uint8_t)(chan | (last ? 0x80 : 0)), data, n))
        return false;
    event_set(&readable);
    return true;
}

static size_t on_room(void *ctx)
{
    (void)ctx;
    return wire_ring_room(&inbox, WIRE_PAYLOAD);
}

static void on_ack(void *ctx, const struct wire_ack *ack)
{
    (void)ctx;
    spin_lock(&tx_lock);
    wire_tx_ack(&tx, ack);
    spin_unlock(&tx_lock);
    uart_kick();
}

// A script that ran for the host before is of no use to anybody any more.
static void connection_changed(bool had_host)
{
    inbox.tail = inbox.head;
    changes++;
    if (had_host)
        store_relaxed(&interrupted, 1);
    event_set(&readable);
    event_set(&writable);
    event_set(&clock_moved);
}

static void on_hello(void *ctx, const struct wire_hello *hello, bool fresh)
{
    uint8_t info[RPC_WELCOME];
    size_t n = welcome_info(info, sizeof info);

    (void)ctx;
    spin_lock(&tx_lock);
    if (fresh)
        wire_tx_begin(&tx);
    wire_tx_welcome(&tx, hello->nonce, info, n);
    spin_unlock(&tx_lock);
    if (fresh)
        connection_changed(connected);
    store_relaxed(&connected, 1);
    if (hello->rows != rows || hello->cols != cols) {
        rows = hello->rows;
        cols = hello->cols;
        tty_set_winsize(rows, cols);
    }
}

static void on_plain(void *ctx)
{
    (void)ctx;
    store_relaxed(&connected, 0);
    spin_lock(&tx_lock);
    wire_tx_end(&tx);
    spin_unlock(&tx_lock);
    connection_changed(true);
    uart_kick();
}

static void on_interrupt(void *ctx)
{
    (void)ctx;
    store_relaxed(&interrupted, 1);
    event_set(&readable);
}

static void on_reset(void *ctx)
{
    (void)ctx;
    connection_changed(true);
}

static const struct wire_sink sink = {
    .tty = on_tty,
    .message = on_message,
    .room = on_room,
    .ack = on_ack,
    .hello = on_hello,
    .plain = on_plain,
    .interrupt = on_interrupt,
    .reset = on_reset,
};

// ---- the UART's side

static void link_rx(uint8_t byte)
{
    spin_lock(&rx_lock);
    bool held = !rx.mux && rx.held;
    wire_rx_byte(&rx, byte, now_ms());
    if (!held && !rx.mux && rx.held)
        event_set(&clock_moved);
    spin_unlock(&rx_lock);
}

static size_t link_tx_pull(uint8_t *buf, size_t max)
{
    spin_lock(&tx_lock);
    uint32_t before = tx.messages.tail;
    size_t n = wire_tx_pull(&tx, buf, max);
    bool room =
        tx.messages.tail != before && wire_ring_room(&tx.messages, WIRE_PAYLOAD) >= TX_RING / 4;
    spin_unlock(&tx_lock);
    if (room)
        event_set(&writable);
    return n;
}

static size_t pull_tty(void *ctx, uint8_t *buf, size_t max)
{
    (void)ctx;
    return tty_tx_pull(buf, max);
}

static size_t pull_log(void *ctx, uint8_t *buf, size_t max)
{
    (void)ctx;
    return uart_log_pull(buf, max);
}

static const struct wire_tx_sources sources = {.tty = pull_tty, .log = pull_log};
static const struct uart_ops line_ops = {.rx = link_rx, .tx_pull = link_tx_pull};

// ---- for the session

bool link_connected(void)
{
    return load_relaxed(&connected);
}

bool link_interrupted(void)
{
    return load_relaxed(&interrupted);
}

void link_interrupt_clear(void)
{
    store_relaxed(&interrupted, 0);
}

void link_get_stats(struct link_stats *out)
{
    spin_lock(&rx_lock);
    *out = (struct link_stats){
        .mux = rx.mux, .frames = rx.frames, .bad_frames = rx.bad_frames, .overlong = overlong};
    spin_unlock(&rx_lock);
    out->dropped_events = load_relaxed(&tx.dropped_events);
}

// Adds the oldest part to the message. True when that was its last one; *none: there is no part.
static bool take_part(bool *none)
{
    uint8_t tag;
    size_t n;

    *none = !wire_ring_peek(&inbox, &tag, &n);
    if (*none)
        return false;
    bool fits = message_len + n <= RPC_MESSAGE;
    wire_ring_take(&inbox, fits ? message + message_len : NULL);
    message_len = fits ? message_len + n : RPC_MESSAGE + 1; // the rest of it is dropped too
    if (!(tag & 0x80))
        return false;
    if (fits)
        return true;
    overlong++;
    message_len = 0;
    return false;
}

// What link_recv finds now; 0: nothing.
static long look(void)
{
    bool none = false, whole = false, took = false;

    if (changes != changes_told) {
        changes_told = changes;
        message_len = 0;
        return -ECONNRESET;
    }
    if (load_relaxed(&interrupted))
        return -EINTR;
    while (!whole && !none) {
        whole = take_part(&none);
        took |= !none;
    }
    if (took)
        wire_rx_room_grew(&rx);
    if (!whole)
        return 0;
    long len = (long)message_len;
    message_len = 0;
    return len;
}

ASYNC(link_recv, struct deadline d; long r;)
{
    ASYNC_BEGIN(link_recv);
    for (;;) {
        event_clear(&readable);
        spin_lock(&rx_lock);
        f->r = look();
        spin_unlock(&rx_lock);
        if (f->r) {
            *f->data = message;
            ASYNC_RETURN(f->r);
        }
        if (f->ms)
            AWAIT_WITHIN(f->r, &f->d, f->ms * 1000000ul, event_wait, &readable, false);
        else
            AWAIT(f->r, event_wait, &readable, false);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// As many parts as there is room for; how many bytes that were.
static size_t put_parts(enum wire_channel chan, const uint8_t *data, size_t len)
{
    size_t done = 0;

    spin_lock(&tx_lock);
    do {
        size_t n = len - done < WIRE_PAYLOAD ? len - done : WIRE_PAYLOAD;
        if (!wire_tx_put(&tx, chan, done + n == len, data + done, n))
            break;
        done += n;
    } while (done < len);
    spin_unlock(&tx_lock);
    if (done)
        uart_kick();
    return done;
}

ASYNC(link_send, size_t done; uint32_t change; long r;)
{
    ASYNC_BEGIN(link_send);
    f->done = 0;
    f->change = load_relaxed(&changes);
    while (f->done < f->len) {
        event_clear(&writable);
        if (!link_connected() || load_relaxed(&changes) != f->change)
            ASYNC_RETURN(-ENOTCONN);
        f->done += put_parts(f->chan, (const uint8_t *)f->data + f->done, f->len - f->done);
        if (f->done == f->len)
            break;
        AWAIT(f->r, event_wait, &writable, false);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

bool link_event(const void *cbor, size_t len)
{
    spin_lock(&tx_lock);
    bool full = tx.mux && wire_ring_room(&tx.events, WIRE_PAYLOAD) < len;
    if (!full)
        wire_tx_event(&tx, cbor, len);
    spin_unlock(&tx_lock);
    uart_kick();
    return !full;
}

bool link_events_waiting(void)
{
    spin_lock(&tx_lock);
    bool some = tx.events.head != tx.events.tail;
    spin_unlock(&tx_lock);
    return some;
}

// ---- time: the keep-alive, and what PLAIN holds back

static uint64_t clock_tick(void)
{
    spin_lock(&rx_lock);
    wire_rx_tick(&rx, now_ms());
    uint64_t when = wire_rx_deadline(&rx);
    spin_unlock(&rx_lock);
    return when;
}

static uint64_t ns_until(uint64_t ms)
{
    uint64_t now = now_ms();

    return (ms > now ? ms - now : 1) * 1000000;
}

ASYNC_DECL(link_clock, );
ASYNC(link_clock, struct deadline d; uint64_t when; long r;)
{
    ASYNC_BEGIN(link_clock);
    for (;;) {
        event_clear(&clock_moved);
        f->when = clock_tick();
        if (f->when == UINT64_MAX) {
            AWAIT(f->r, event_wait, &clock_moved, false);
        } else {
            AWAIT_WITHIN(f->r, &f->d, ns_until(f->when), event_wait, &clock_moved, false);
        }
        if (f->r < 0 && f->r != -ETIMEDOUT)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void link_init(void)
{
    struct wire_ring messages, events;

    welcome_init();
    event_init(&readable);
    event_init(&writable);
    event_init(&clock_moved);
    wire_ring_init(&inbox, inbox_memory, RX_RING);
    wire_ring_init(&messages, outbox_memory, TX_RING);
    wire_ring_init(&events, event_memory, EVENT_RING);
    wire_rx_init(&rx, &sink, NULL);
    wire_tx_init(&tx, &sources, NULL, messages, events);
    if (!uart_present())
        return; // nobody will ever connect; the session waits
    if (!task_spawn("link-clock", &link_clock_fn, NULL, 0)) {
        log_error("monitor: no memory for the link's clock; the console stays plain");
        return;
    }
    uart_set_ops(&line_ops);
    // What kmon waits for: before this line the UART may still be set up and lose bytes.
    log_info("monitor: listening on the console line");
}
INIT(INIT_LATE, link_init);
