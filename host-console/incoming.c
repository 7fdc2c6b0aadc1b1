// SPDX-License-Identifier: MIT
// What comes off the line: frames of a connection, and the text of everybody who speaks none.
#include "console.h"
#include "guest.h"
#include "line.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_KEPT = 64 * 1024 };

static void keep_text(struct console *c, const uint8_t *data, size_t n)
{
    bytes_add(&c->text, data, n);
    if (c->text.len > 2 * TEXT_KEPT)
        bytes_drop(&c->text, c->text.len - TEXT_KEPT);
    if (strstr(c->text.data, "PANIC on hart "))
        c->panicked = true;
}

// Firmware speaks again: until the new kernel listens, HELLO would be typed at its half-made UART.
static void notice_reboot(struct console *c, const uint8_t *data, size_t n)
{
    if (!c->welcome || !memmem(data, n, "OpenSBI v", 9))
        return;
    if (!c->terminal_only)
        console_fail(c, EXIT_PROTOCOL, "the kernel was booted anew");
    c->welcome = false;
    c->await_ready = true;
    c->started_ms = clock_ms();
    c->text.len = 0;
}

// A line of kmon's own amid what the terminal shows.
static void mark(struct console *c, const char *line)
{
    void (*show)(struct console *, const uint8_t *, size_t) = c->on_mark ? c->on_mark : c->on_text;

    if (show)
        show(c, (const uint8_t *)line, strlen(line));
}

static void on_text(void *ctx, const uint8_t *data, size_t n)
{
    struct console *c = ctx;

    notice_reboot(c, data, n);
    keep_text(c, data, n);
    if (c->await_ready && strstr(c->text.data, "monitor: listening")) {
        c->has_monitor = true;
        c->await_ready = false;
    }
    if (!c->welcome)
        guest_saw(c, data, n);
    // It may be the kernel's, in a panic, or what is left of a frame.
    if (c->welcome && !c->outside && !c->on_mark)
        mark(c, "\r\n[outside frames]\r\n");
    c->outside = true;
    if (c->on_text)
        c->on_text(c, data, n);
}

static void on_lost(void *ctx, size_t n)
{
    struct console *c = ctx;
    char line[48];

    snprintf(line, sizeof line, "\r\n[%zu bytes lost]\r\n", n);
    c->lost += (unsigned)n;
    mark(c, line);
}

// Both sides number from 0. A request that was on its way is lost: whether it was carried out is not
// known, so it is not sent again.
static void begin_connection(struct console *c, uint8_t connection, uint8_t seq)
{
    wire_sender_reset(&c->sender);
    c->connection = connection;
    c->next_seq = seq;
    c->outside = false;
    c->behind = 0;
    c->hellos = 0;
    c->connections++;
    c->rpc_gap = true;
    for (unsigned i = 0; i < WIRE_SESSIONS; i++) {
        c->message[i].parts.len = 0;
        c->message[i].torn = false;
    }
}

// What the host looks up in the ELF file (names, lines) would be of another kernel.
static void warn_of_other_build(struct console *c, const char *build, size_t n)
{
    char hex[17];

    if (build_id_of(c->elf, hex) && (n != 16 || memcmp(hex, build, 16) != 0))
        fprintf(stderr, "kmon: the kernel that runs is not %s\r\n", c->elf);
    c->elf = NULL;
}

// Frames from the kernel are not sent again: that some are missing is told, and a request that runs is
// repeated (client.c).
static void notice_gap(struct console *c)
{
    c->rpc_gap = true;
    for (unsigned i = 0; i < WIRE_SESSIONS; i++) {
        c->message[i].parts.len = 0;
        c->message[i].torn = true;
    }
    mark(c, "\r\n[output lost]\r\n");
    if (!c->on_text)
        fputs("kmon: a part of the output was lost on the line\n", stderr);
}

// A WELCOME names the number of the next frame. One that we are past came late, or a frame of another
// connection did, and nothing of this one would be new any more: the second one says which.
static void correct_seq(struct console *c, uint8_t seq)
{
    uint8_t ahead = (uint8_t)(seq - c->next_seq);

    c->behind = ahead >= 128 ? c->behind + 1 : 0;
    if ((ahead == 0 || ahead >= 128) && c->behind < 2)
        return;
    notice_gap(c);
    c->next_seq = seq;
    c->behind = 0;
}

static void take_welcome(struct console *c, const struct wire_frame *frame)
{
    struct cbor_in info =
        cbor_in(frame->payload + WIRE_WELCOME_HEAD, frame->len - WIRE_WELCOME_HEAD);
    uint64_t version = 0, boot = 0, harts = 0;
    const char *build;
    size_t build_n;

    if (memcmp(frame->payload + 1, c->hello.nonce, WIRE_NONCE) != 0)
        return;
    if (!cbor_find_uint(info, "version", &version) || version != RPC_VERSION)
        console_fail(c, EXIT_PROTOCOL, "the kernel speaks version %u of the protocol, kmon %u",
                     (unsigned)version, RPC_VERSION);
    cbor_find_uint(info, "boot", &boot);
    cbor_find_uint(info, "harts", &harts);
    cbor_find_uint(info, "schema", &c->schema);
    if (!cbor_find_bool(info, "shared", &c->shared))
        c->shared = false;
    if (cbor_find_text(info, "build", &build, &build_n) && c->elf && !c->welcome)
        warn_of_other_build(c, build, build_n);
    if (c->welcome && boot != c->boot_id && !c->terminal_only)
        console_fail(c, EXIT_PROTOCOL, "the kernel was booted anew");
    if (c->welcome && frame->payload[1 + WIRE_NONCE] != c->connection && !c->terminal_only)
        console_fail(c, EXIT_PROTOCOL, "the kernel gave kmon up after %u s of silence",
                     KEEPALIVE_S);
    if (!c->welcome || boot != c->boot_id || frame->payload[1 + WIRE_NONCE] != c->connection)
        begin_connection(c, frame->payload[1 + WIRE_NONCE], frame->seq);
    correct_seq(c, frame->seq);
    c->info_n = frame->len - WIRE_WELCOME_HEAD;
    memcpy(c->info, frame->payload + WIRE_WELCOME_HEAD, c->info_n);
    c->welcome = c->has_monitor = true;
    c->await_ready = false;
    c->demux.strict = true;
    c->boot_id = boot;
    c->harts = (unsigned)harts;
}

// What there is of a message that has a hole is worth nothing, nor is the rest of it.
static void take_message_part(struct console *c, const struct wire_frame *frame)
{
    struct bytes *parts = &c->message[c->speaker].parts;
    bool whole = !c->message[c->speaker].torn;

    if (whole)
        bytes_add(parts, frame->payload, frame->len);
    if (frame->type != WIRE_LAST)
        return;
    uint32_t head[] = {(uint32_t)parts->len, c->speaker};
    if (whole) {
        bytes_add(&c->inbox, head, sizeof head);
        bytes_add(&c->inbox, parts->data, parts->len);
    }
    c->rpc_gap |= !whole; // it may have been whole, behind one that was not
    parts->len = 0;
    c->message[c->speaker].torn = false;
}

// Of a session that is closed nothing more comes, also not the rest of a message.
static void take_open(struct console *c, const struct wire_frame *frame)
{
    if (frame->len < 3 || frame->payload[0] != WIRE_OPEN)
        return;
    for (unsigned i = 0; i < WIRE_SESSIONS; i++)
        if (!(frame->payload[1] >> i & 1)) {
            c->message[i].parts.len = 0;
            c->message[i].torn = false;
        }
    if (c->on_open)
        c->on_open(c, frame->payload[1], frame->payload[2]);
}

static void take_sequenced(struct console *c, const struct wire_frame *frame)
{
    uint8_t ahead = (uint8_t)(frame->seq - c->next_seq);

    if (ahead >= 128)
        return; // a repetition, or too late
    if (ahead)
        notice_gap(c);
    if (c->outside && !c->on_mark)
        mark(c, "\r\n[in frames again]\r\n");
    c->outside = false;
    c->next_seq = (uint8_t)(frame->seq + 1);
    c->speaker = frame->chan < WIRE_RPC ? 0 : wire_session(frame->chan);
    switch (wire_which(frame->chan)) {
    case WIRE_CONTROL:
        take_open(c, frame);
        break;
    case WIRE_TTY:
        guest_saw(c, frame->payload, frame->len);
        if (c->on_tty)
            c->on_tty(c, frame->payload, frame->len);
        break;
    case WIRE_LOG:
        if (c->on_log)
            c->on_log(c, frame->payload, frame->len);
        break;
    case WIRE_REPL:
        if (c->on_repl)
            c->on_repl(c, frame->payload, frame->len);
        break;
    case WIRE_EVENTS:
        if (c->on_event)
            c->on_event(c, frame->payload, frame->len);
        break;
    case WIRE_RPC:
        take_message_part(c, frame);
        break;
    default:
        break;
    }
}

static void on_frame(void *ctx, const struct wire_frame *frame)
{
    struct console *c = ctx;
    struct wire_ack ack;

    if (frame->type == WIRE_NOW && frame->len >= WIRE_WELCOME_HEAD &&
        frame->payload[0] == WIRE_WELCOME)
        take_welcome(c, frame);
    else if (!c->welcome)
        return; // of a connection before this one
    else if (wire_ack_decode(&ack, frame))
        wire_sender_ack(&c->sender, &ack);
    else if (frame->type == WIRE_DATA || frame->type == WIRE_LAST)
        take_sequenced(c, frame);
}

const struct wire_demux_sink line_sink = {on_frame, on_text, on_lost};

bool console_take_message(struct console *c, struct bytes *into, unsigned *session)
{
    uint32_t head[2]; // length, session

    if (c->inbox.len < sizeof head)
        return false;
    memcpy(head, c->inbox.data, sizeof head);
    into->len = 0;
    bytes_add(into, c->inbox.data + sizeof head, head[0]);
    bytes_drop(&c->inbox, sizeof head + head[0]);
    *session = head[1];
    return true;
}
