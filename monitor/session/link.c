// SPDX-License-Identifier: MIT
// The glue between UART, tty and session; what the bytes mean is decided in monitor/wire.
//
// The receiving object and who has which box are guarded by rx_lock (UART interrupt, the clock task, link_recv), the
// sending one by tx_lock (UART interrupt, everybody who sends). rx_lock may be held while tx_lock
// is taken, never the other way round.
#include "session/link.h"

#include "async/wait.h"
#include "async/wait_async.h"
#include "dev/uart.h"
#include "fs/tty.h"
#include "lib/init.h"
#include "lib/log.h"
#include "session/sessions.h"
#include "session/welcome.h"
#include "wire/rx.h"
#include "wire/tx.h"

enum { TX_RING = 16 * 1024, EVENT_RING = 8 * 1024 };

static struct spinlock rx_lock = SPINLOCK_INIT("link rx");
static struct wire_rx rx;
static struct link_box *boxes[WIRE_SESSIONS]; // of the sessions that are open
static uint8_t wanted = 1;                    // sessions
static uint32_t answer_due;                   // to WANT
static uint16_t rows, cols;

static struct spinlock tx_lock = SPINLOCK_INIT("link tx");
static struct wire_tx tx;

// writable: each session clears its own, looks, and waits. Of one that all share the first to run would take the others' wake.
static struct event writable[WIRE_SESSIONS], clock_moved;
static uint32_t connected;

static uint8_t outbox_memory[TX_RING], event_memory[EVENT_RING];

static uint64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

void link_wake_senders(void)
{
    for (int i = 0; i < WIRE_SESSIONS; i++)
        event_set(&writable[i]);
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
    struct link_box *b = boxes[wire_session(chan)];
    (void)ctx;
    if (b) // else its session was given up
        link_box_put(b, last, data, n);
    return true;
}

// No session holds up what is for another: see LINK_INBOX.
static size_t on_room(void *ctx)
{
    (void)ctx;
    return UINT16_MAX;
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
    for (int i = 0; i < WIRE_SESSIONS; i++)
        if (boxes[i])
            link_box_forget(boxes[i], had_host);
    store_relaxed(&wanted, 1);
    link_wake_senders();
    event_set(&clock_moved);
}

static void on_hello(void *ctx, const struct wire_hello *hello, bool fresh)
{
    uint8_t info[RPC_WELCOME];
    size_t n = welcome_info(info, sizeof info);

    (void)ctx;
    if (fresh)
        connection_changed(connected); // first: see client_is_there
    spin_lock(&tx_lock);
    if (fresh)
        wire_tx_begin(&tx);
    wire_tx_welcome(&tx, hello->nonce, info, n);
    spin_unlock(&tx_lock);
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
    connection_changed(true);
    spin_lock(&tx_lock);
    wire_tx_end(&tx);
    spin_unlock(&tx_lock);
    uart_kick();
}

static void on_interrupt(void *ctx, unsigned session)
{
    (void)ctx;
    if (session < WIRE_SESSIONS && boxes[session])
        link_box_interrupt(boxes[session]);
}

static void on_reset(void *ctx)
{
    (void)ctx;
    connection_changed(true);
}

static void on_want(void *ctx, uint8_t sessions)
{
    (void)ctx;
    store_relaxed(&wanted, sessions & ((1u << WIRE_SESSIONS) - 1));
    store_relaxed(&answer_due, 1);
    event_set(&clock_moved);
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
    .want = on_want,
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
        tx.messages.tail != before && wire_ring_room(&tx.messages, WIRE_PAYLOAD) >= TX_RING / 2;
    spin_unlock(&tx_lock);
    if (room)
        link_wake_senders();
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

// ---- for the sessions

void link_connect(unsigned session, struct link_box *b)
{
    spin_lock(&rx_lock);
    boxes[session] = b;
    spin_unlock(&rx_lock);
}

bool link_connected(void)
{
    return load_relaxed(&connected);
}

void link_get_stats(struct link_stats *out)
{
    spin_lock(&rx_lock);
    *out = (struct link_stats){.mux = rx.mux,
                               .frames = rx.frames,
                               .bad_frames = rx.bad_frames,
                               .overlong = link_overlong()};
    spin_unlock(&rx_lock);
    out->dropped_events = load_relaxed(&tx.dropped_events);
}

// The host that the session works for still listens. tx_lock held: so what is put now is either refused or
// dropped when the next one comes, which is told to the box first.
static bool client_is_there(const struct link_box *b)
{
    return tx.mux && load_relaxed(&b->changes) == b->changes_told;
}

// As many parts as there is room for; how many bytes that were.
static long put_parts(const struct link_box *b, enum wire_channel chan, const uint8_t *data,
                      size_t len)
{
    size_t done = 0;

    spin_lock(&tx_lock);
    bool there = client_is_there(b);
    while (there && done < len) {
        size_t n = len - done < WIRE_PAYLOAD ? len - done : WIRE_PAYLOAD;
        if (!wire_tx_put(&tx, chan, done + n == len, data + done, n))
            break;
        done += n;
    }
    spin_unlock(&tx_lock);
    if (done)
        uart_kick();
    return there ? (long)done : -ENOTCONN;
}

ASYNC(link_send, size_t done; long r;)
{
    ASYNC_BEGIN(link_send);
    f->done = 0;
    f->chan = wire_channel_of(f->chan, f->box->session);
    for (;;) {
        event_clear(&writable[f->box->session]);
        f->r = put_parts(f->box, f->chan, (const uint8_t *)f->data + f->done, f->len - f->done);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->done += (size_t)f->r;
        if (f->done == f->len)
            ASYNC_RETURN(0);
        AWAIT(f->r, event_wait, &writable[f->box->session], false);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

bool link_event(const struct link_box *b, const void *cbor, size_t len)
{
    spin_lock(&tx_lock);
    bool there = client_is_there(b);
    bool full = there && wire_ring_room(&tx.events, WIRE_PAYLOAD) < len;
    if (there && !full)
        wire_tx_event(&tx, wire_channel_of(WIRE_EVENTS, b->session), cbor, len);
    spin_unlock(&tx_lock);
    uart_kick();
    return !full;
}

void link_forget_events(unsigned session)
{
    spin_lock(&tx_lock);
    wire_tx_forget_events(&tx, wire_channel_of(WIRE_EVENTS, session));
    spin_unlock(&tx_lock);
}

bool link_events_waiting(unsigned session)
{
    spin_lock(&tx_lock);
    bool some = wire_tx_event_waits(&tx, wire_channel_of(WIRE_EVENTS, session));
    spin_unlock(&tx_lock);
    return some;
}

// ---- time: the keep-alive, and what PLAIN holds back; and which sessions there are

void link_tend(void)
{
    event_set(&clock_moved);
}

// Without room for the answer there is none: the host asks again.
static void tend(void)
{
    uint8_t answer[3] = {WIRE_OPEN};

    bool due = atomic_swap32(&answer_due, 0);
    due |= sessions_tend(load_relaxed(&wanted), &answer[1], &answer[2]);
    if (!due)
        return;
    spin_lock(&tx_lock);
    if (tx.mux)
        wire_tx_put(&tx, WIRE_CONTROL, true, answer, sizeof answer);
    spin_unlock(&tx_lock);
    uart_kick();
}

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
        tend();
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
    for (int i = 0; i < WIRE_SESSIONS; i++)
        event_init(&writable[i]);
    event_init(&clock_moved);
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
