// SPDX-License-Identifier: MIT
// One client of a shared line: frames in, frames out.
#include "broker.h"

#include "wire/rpc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SLOW = 1024 * 1024,       // terminal text beyond is dropped and counted
    STUCK = 16 * 1024 * 1024, // so much of a script's output unread: the client is given up
    KEYS = 256 * 1024,        // typed ahead; then the client is not read
    REQUESTS = 1024 * 1024,
};

static void add_frame(struct attached *a, enum wire_type type, enum wire_channel chan, uint8_t seq,
                      const void *data, size_t n)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_frame frame = {type, chan, seq, n, data};

    bytes_add(&a->out, buf, wire_frame_encode(buf, &frame));
}

static void tell_lost(struct attached *a)
{
    char line[48];
    int n = snprintf(line, sizeof line, "\r\n[%zu bytes lost]\r\n", a->lost);

    a->lost = 0;
    attached_send(a, WIRE_TTY, true, line, (size_t)n);
}

void attached_send(struct attached *a, enum wire_channel chan, bool last, const void *data,
                   size_t n)
{
    bool whole = chan == WIRE_RPC || chan == WIRE_REPL;
    const uint8_t *p = data;

    if (a->fd < 0 || (!a->rx.mux && chan != WIRE_TTY && chan != WIRE_LOG))
        return;
    if (a->out.len > (whole ? STUCK : SLOW)) {
        a->lost += n;
        if (whole)
            attached_close(a);
        return;
    }
    if (a->lost && !whole && a->out.len < SLOW / 2)
        tell_lost(a);
    if (!a->rx.mux) {
        bytes_add(&a->out, data, n);
        return;
    }
    do {
        size_t part = n < WIRE_PAYLOAD ? n : WIRE_PAYLOAD;
        add_frame(a, last && part == n ? WIRE_LAST : WIRE_DATA, chan, a->seq++, p, part);
        p += part;
        n -= part;
    } while (n > 0);
}

void attached_message(struct attached *a, const void *data, size_t n)
{
    attached_send(a, WIRE_RPC, true, data, n);
}

void attached_text(struct attached *a, const void *data, size_t n)
{
    if (a->out.len > SLOW)
        a->lost += n;
    else
        bytes_add(&a->out, data, n);
}

void attached_error(struct attached *a, uint64_t id, const char *kind, const char *message)
{
    uint8_t memory[256];
    struct cbor_out o = {memory, sizeof memory, 0};

    rpc_error(&o, id, kind, message);
    attached_message(a, memory, o.len);
}

void attached_ok(struct attached *a, uint64_t id)
{
    uint8_t memory[64];
    struct cbor_out o = {memory, sizeof memory, 0};

    rpc_begin(&o, RPC_REPLY, id, NULL);
    cbor_map(&o, 1);
    cbor_str(&o, "ok");
    cbor_bool(&o, true);
    attached_message(a, memory, o.len);
}

// ---- what it sends

static void on_tty(void *ctx, const uint8_t *data, size_t n)
{
    struct attached *a = ctx;

    bytes_add(&a->keys, data, n);
}

static bool on_message(void *ctx, enum wire_channel chan, bool last, const uint8_t *data, size_t n)
{
    struct attached *a = ctx;

    (void)chan;
    if (a->requests.len > REQUESTS)
        return false;
    if (a->message.len + n > RPC_MESSAGE) {
        attached_refuse(
            a,
            "a request has at most 65536 bytes: send a shorter script, and what it needs as modules");
        return false;
    }
    bytes_add(&a->message, data, n);
    if (last) {
        broker_request(a, a->message.data, a->message.len);
        a->message.len = 0;
    }
    return true;
}

static size_t on_room(void *ctx)
{
    struct attached *a = ctx;

    return a->requests.len > REQUESTS ? 0 : UINT16_MAX;
}

static void on_ack(void *ctx, const struct wire_ack *ack)
{
    struct attached *a = ctx;
    uint8_t buf[WIRE_FRAME];

    if (a->fd >= 0 && a->rx.mux)
        bytes_add(&a->out, buf, wire_ack_encode(buf, ack));
}

static void add_welcome(struct attached *a)
{
    const struct console *c = a->broker->c;
    static const char shared[] = "shared";
    uint8_t payload[WIRE_PAYLOAD] = {WIRE_WELCOME};
    struct cbor_out o = {payload + WIRE_WELCOME_HEAD, WIRE_PAYLOAD - WIRE_WELCOME_HEAD, c->info_n};

    memcpy(payload + 1, a->rx.hello.nonce, WIRE_NONCE);
    payload[1 + WIRE_NONCE] = a->connection;
    memcpy(payload + WIRE_WELCOME_HEAD, c->info, c->info_n);
    if (c->info_n && (c->info[0] & 0x1f) < 23 && c->info_n + sizeof shared + 1 <= o.cap) {
        o.buf[0]++; // one more pair in the map
        o.len = c->info_n;
        cbor_str(&o, shared);
        cbor_bool(&o, true);
    }
    add_frame(a, WIRE_NOW, WIRE_CONTROL, a->seq, payload, WIRE_WELCOME_HEAD + o.len);
}

void attached_renew(struct attached *a)
{
    a->rx.mux = true;
    a->rx.expect = 0;
    a->seq = 0;
    a->connection++;
    a->boot = a->broker->c->boot_id;
    a->message.len = a->requests.len = 0;
    add_welcome(a);
}

// While the kernel cannot be told of, the client stays in PLAIN: its keys are for the boot loader.
static void on_hello(void *ctx, const struct wire_hello *hello, bool fresh)
{
    struct attached *a = ctx;
    struct console *c = a->broker->c;

    (void)hello; // it is in a->rx
    if (fresh)
        broker_gone(a); // as one that went, and another came
    a->greeted = true;
    broker_size(a);
    if (!c->welcome) {
        c->hellos = 0; // ask the kernel once more
        a->rx.mux = false;
        return;
    }
    if (fresh)
        attached_renew(a);
    else
        add_welcome(a);
}

static void on_plain(void *ctx)
{
    struct attached *a = ctx;

    a->greeted = false;
    broker_gone(a);
}

static void on_interrupt(void *ctx, unsigned session)
{
    (void)session; // a client has one
    seat_interrupt(ctx, WIRE_INT);
}

static void on_reset(void *ctx)
{
    seat_interrupt(ctx, WIRE_RESET);
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

// ---- its socket

static void ready(struct console *c, void *arg)
{
    struct attached *a = arg;
    uint8_t buf[16384];
    ssize_t n;

    (void)c;
    attached_write(a);
    if (a->fd < 0 || a->keys.len > KEYS)
        return;
    n = read(a->fd, buf, sizeof buf);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        attached_close(a);
        return;
    }
    for (ssize_t i = 0; i < n && a->fd >= 0; i++)
        wire_rx_byte(&a->rx, buf[i], clock_ms());
}

static pid_t pid_of(const struct broker *b, int fd)
{
    struct ucred peer = {0};
    socklen_t n = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return 0;
    return peer.pid == getpid() ? b->child : peer.pid; // the pair was made before the fork
}

void attached_open(struct broker *b, struct attached *a, int fd)
{
    *a = (struct attached){.broker = b, .fd = fd, .seat = NO_SEAT, .pid = pid_of(b, fd)};
    wire_rx_init(&a->rx, &sink, a);
    console_watch(b->c, fd, true, false, ready, a);
}

void attached_close(struct attached *a)
{
    if (a->fd < 0)
        return;
    console_unwatch(a->broker->c, a->fd);
    close(a->fd);
    a->fd = -1;
    broker_gone(a);
    bytes_free(&a->out);
    bytes_free(&a->message);
    bytes_free(&a->requests);
    bytes_free(&a->keys);
}

void attached_refuse(struct attached *a, const char *why)
{
    char line[120];

    attached_text(a, line, (size_t)snprintf(line, sizeof line, "kmon: %s\r\n", why));
    attached_write(a);
    attached_close(a);
}

void attached_write(struct attached *a)
{
    while (a->fd >= 0 && a->out.len) {
        ssize_t n = write(a->fd, a->out.data, a->out.len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) {
            attached_close(a);
            return;
        }
        bytes_drop(&a->out, (size_t)n);
    }
    if (a->fd >= 0)
        console_watch(a->broker->c, a->fd, a->keys.len <= KEYS, a->out.len != 0, ready, a);
}
