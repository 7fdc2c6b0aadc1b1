// SPDX-License-Identifier: MIT
// What goes onto the line, and the line itself: reading, writing, its end.
#include "console.h"
#include "line.h"
#include "terminal.h"

#include <errno.h>
#include <unistd.h>

enum {
    HELLO_EVERY_MS = 1000,
    HELLO_FIRST_MS = 400,
    HELLO_TRIES = 3, // at a kernel that may have no monitor
};

void line_hello(struct console *c, uint64_t now)
{
    uint8_t buf[WIRE_FRAME];

    if (!c->size_set)
        terminal_size(&c->hello.rows, &c->hello.cols);
    bytes_add(&c->out, buf, wire_hello_encode(buf, &c->hello));
    c->hello_ms = now;
    c->hellos += !c->welcome;
}

uint64_t line_hello_due(const struct console *c)
{
    if (c->fd < 0)
        return UINT64_MAX;
    if (c->await_ready)
        return c->terminal_only && !c->has_monitor ? UINT64_MAX : c->started_ms + READY_MS;
    if (!c->welcome) {
        bool enough = c->terminal_only && !c->has_monitor && c->hellos >= HELLO_TRIES;
        return enough && clock_ms() > c->hello_ms + HELLO_FIRST_MS ? UINT64_MAX
                                                                   : c->hello_ms + HELLO_FIRST_MS;
    }
    return c->icount ? UINT64_MAX : c->hello_ms + HELLO_EVERY_MS;
}

bool console_type(struct console *c, const void *data, size_t n)
{
    const uint8_t *p = data;

    if (!c->welcome) {
        // A HELLO is on its way: whether this is to be a frame or not is known with the answer.
        if (c->hellos && line_hello_due(c) != UINT64_MAX)
            return false;
        bytes_add(&c->out, data, n);
        return true;
    }
    if (n > wire_ring_room(&c->sender.tty, WIRE_PAYLOAD))
        return false;
    for (size_t part; n > 0; p += part, n -= part) {
        part = n < WIRE_PAYLOAD ? n : WIRE_PAYLOAD;
        wire_sender_put(&c->sender, WIRE_TTY, true, p, part);
    }
    return true;
}

bool console_send_message(struct console *c, unsigned session, const void *data, size_t n)
{
    const uint8_t *p = data;

    if (n > wire_ring_room(&c->sender.messages, WIRE_PAYLOAD))
        return false;
    do {
        size_t part = n < WIRE_PAYLOAD ? n : WIRE_PAYLOAD;
        wire_sender_put(&c->sender, wire_channel_of(WIRE_RPC, session), part == n, p, part);
        p += part;
        n -= part;
    } while (n > 0);
    return true;
}

void console_tell(struct console *c, enum wire_control what, uint8_t of)
{
    uint8_t buf[WIRE_FRAME], payload[] = {(uint8_t)what, of};
    struct wire_frame frame = {WIRE_NOW, WIRE_CONTROL, 1, sizeof payload, payload};

    if (!c->welcome && what != WIRE_BYE)
        return; // to a kernel that boots it would be keys
    bytes_add(&c->out, buf, wire_frame_encode(buf, &frame));
}

void console_control(struct console *c, enum wire_control what)
{
    console_tell(c, what, 0);
}

// A few frames at a time: what is in the socket cannot be overtaken by a key or an INT. None to a
// kernel that has been silent for almost as long as it takes to be plain again: it would type them.
static void fill_out(struct console *c, uint64_t now)
{
    uint8_t buf[WIRE_FRAME];
    size_t n;

    if (!c->icount && now > c->heard_ms + (KEEPALIVE_S - 1) * 1000)
        return;
    while (c->welcome && c->out.len < 2 * WIRE_FRAME &&
           (n = wire_sender_pull(&c->sender, buf, now)))
        bytes_add(&c->out, buf, n);
}

static void line_closed(struct console *c)
{
    if (c->fd < 0)
        return;
    wire_demux_end(&c->demux);
    close(c->fd);
    c->fd = -1;
    c->closed = true;
}

void line_write(struct console *c, uint64_t now)
{
    fill_out(c, now);
    while (c->fd >= 0 && c->out.len) {
        ssize_t n = write(c->fd, c->out.data, c->out.len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            line_closed(c);
            return;
        }
        bytes_drop(&c->out, (size_t)n);
        fill_out(c, now);
    }
}

void line_read(struct console *c)
{
    uint8_t buf[16384];
    ssize_t n = read(c->fd, buf, sizeof buf);

    if (n > 0) {
        c->heard_ms = clock_ms();
        wire_demux_bytes(&c->demux, buf, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        line_closed(c);
    }
}
